package main

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/sim"
)

// worldSummary is what one seed came to.
type worldSummary struct {
	Seed       uint64         `json:"seed"`
	TraceHash  string         `json:"trace_hash"`
	Ops        int            `json:"ops"`
	Faults     map[string]int `json:"faults"`
	Violations []string       `json:"violations"`
}

// worldVerb is `quordsim world`.
type worldVerb struct {
	*app
	opts    sim.Options
	seeds   int
	minutes float64
	faults  string
	asJSON  bool
	verbose bool
	shrink  bool
	first   bool
	only    string        // which faults of the seed's plan
	until   time.Duration // for how long they happen
	replay  string        // what beside the seed is to be said to see a run again
}

func (a *app) world() *cobra.Command {
	v := &worldVerb{app: a}
	cmd := &cobra.Command{
		Use:   "world",
		Short: "Whole nodes under faults, with clients whose histories are judged, replayed from a seed",
		Long: "Runs whole nodes on a virtual clock, lets clients use them and faults happen to them, and judges what the clients saw\n" +
			"and what the nodes did. The same seed gives the same run. A violation is told with what led to it, as few faults as\n" +
			"still lead to it, and the exit code 1.\n\n" + faultsHelp(),
		Example: "  quordsim world --seed 7                          ten minutes of five nodes\n" +
			"  quordsim world --seed 1 --seeds 100 --minutes 5  a hundred worlds, one after the other\n" +
			"  quordsim world --faults kill,pause,isolate       only these\n" +
			"  quordsim world --faults -apart,-wipe             all but these, each seed with a mix of its own",
		Args: noArgs,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Uint64Var(&v.opts.Seed, "seed", 1, "the first seed")
	f.IntVar(&v.seeds, "seeds", 1, "how many seeds, one after the other")
	f.IntVar(&v.opts.Nodes, "nodes", 5, "nodes at the beginning")
	f.Float64Var(&v.minutes, "minutes", 10, "for how long faults happen, in virtual minutes")
	f.StringVar(&v.faults, "faults", "swarm", "swarm, all, none, or kinds with commas between them")
	f.IntVar(&v.opts.Replicas, "replicas", 3, "replicas of each tablet")
	f.IntVar(&v.opts.Tablets, "tablets", 16, "tablets, a power of two")
	f.IntVar(&v.opts.Zones, "zones", 0, "zones that the machines are spread over, 0 for none")
	f.DurationVar(&v.opts.ReplaceAfter, "replace-after", 20*time.Second, "grace before a silent node's share is copied elsewhere")
	f.IntVar(&v.opts.Clients, "clients", 8, "clients")
	f.DurationVar(&v.opts.Think, "think", 100*time.Millisecond, "how long a client pauses between two commands, on the average")
	f.IntVar(&v.opts.Batch, "batch", 1, "commands in one request of a client, at most")
	f.IntVar(&v.opts.ValueBytes, "value-bytes", 4000, "how long a value is at most; most are short")
	f.IntVar(&v.opts.Fill, "fill", 0, "bytes that are stored before the faults, and stay: more than 256 KiB in a tablet, and its snapshots travel in several chunks")
	f.IntVar(&v.opts.Fleeting, "fleeting", 0, "short records that are stored before the faults, and expire while they happen")
	f.Int64Var(&v.opts.Bandwidth, "bandwidth", 0, "bytes a second that each way between two machines carries, 0 for any number")
	f.StringVar(&v.only, "only", "", "only these faults of the seed's plan, the first being 0, with commas between them; or none")
	f.DurationVar(&v.until, "until", 0, "end the plan that --minutes draws after so long")
	f.BoolVar(&v.first, "stop-at-first", false, "stop at the first seed that fails")
	f.BoolVar(&v.shrink, "shrink", true, "look for fewer faults that lead to a violation")
	f.BoolVar(&v.verbose, "verbose", false, "tell all that happens, as it happens")
	f.BoolVar(&v.asJSON, "json", false, "print one line of JSON for each seed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v.replay = said(cmd)
		return v.run(cmd.Context())
	}
	return cmd
}

// said returns the flags that were given and that make a run what it is, beside its seed.
func said(cmd *cobra.Command) string {
	var b strings.Builder
	for _, name := range []string{"nodes", "minutes", "faults", "replicas", "tablets", "zones", "replace-after", "clients", "think", "batch", "value-bytes", "fill", "fleeting", "bandwidth"} {
		if f := cmd.Flags().Lookup(name); f.Changed {
			fmt.Fprintf(&b, " --%s %s", name, f.Value)
		}
	}
	return b.String()
}

func faultsHelp() string {
	names, what := sim.Kinds()
	var b strings.Builder
	b.WriteString("Kinds of faults:\n")
	for i := range names {
		fmt.Fprintf(&b, "  %-11s %s\n", names[i], what[i])
	}
	return strings.TrimRight(b.String(), "\n")
}

// check says which value is wrong.
func (v *worldVerb) check() (err error) {
	if v.opts.Mix, err = sim.ParseMix(v.faults); err != nil {
		return usagef("--faults: %w", err)
	}
	if v.opts.Mix.Zoned && v.opts.Zones < 2 {
		return usagef("--faults %s: for these there must be zones: want --zones 2 or more", v.faults)
	}
	v.opts.Length = time.Duration(v.minutes * float64(time.Minute))
	for _, c := range []struct {
		flag string
		bad  bool
		want string
	}{
		{"seeds", v.seeds < 1, "at least 1"},
		{"only", v.only != "" && v.seeds > 1, "one seed with it"},
		{"until", v.until < 0, "at least 0s"},
		{"nodes", v.opts.Nodes < 1 || v.opts.Nodes > 100, "1 to 100"},
		{"minutes", v.opts.Length < time.Second || v.opts.Length > 1000*time.Hour, "a second to a thousand hours"},
		{"replicas", v.opts.Replicas < 1 || v.opts.Replicas > 7, "1 to 7"},
		{"tablets", v.opts.Tablets < 1 || v.opts.Tablets > 16384 || v.opts.Tablets&(v.opts.Tablets-1) != 0, "a power of two up to 16384"},
		{"zones", v.opts.Zones < 0 || v.opts.Zones > 100, "0 to 100"},
		{"replace-after", v.opts.ReplaceAfter < time.Second, "at least 1s"},
		{"clients", v.opts.Clients < 1 || v.opts.Clients > 1000, "1 to 1000"},
		{"batch", v.opts.Batch < 1 || v.opts.Batch > 1000, "1 to 1000"},
		{"value-bytes", v.opts.ValueBytes < 1 || v.opts.ValueBytes > sim.MaxValue, fmt.Sprintf("1 to %d", sim.MaxValue)},
		{"fill", v.opts.Fill < 0 || v.opts.Fill > 1<<30, "0 to 1073741824"},
		{"fleeting", v.opts.Fleeting < 0 || v.opts.Fleeting > 1_000_000, "0 to 1000000"},
		{"bandwidth", v.opts.Bandwidth < 0 || v.opts.Bandwidth > 0 && v.opts.Bandwidth < 1<<20, "0, or 1048576 at least"},
		{"think", v.opts.Think < time.Millisecond, "at least 1ms"},
	} {
		if c.bad {
			return usagef("--%s: want %s", c.flag, c.want)
		}
	}
	return nil
}

// gcPercent lets the heap grow to five times what lives: a world is small, and makes much garbage.
const gcPercent = 400

func (v *worldVerb) run(ctx context.Context) error {
	if err := v.check(); err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	failed := 0
	begun := time.Now()
	var virtual time.Duration
	ops := 0
	for i := range v.seeds {
		opts := v.opts
		opts.Seed += uint64(i)
		planned, err := v.planned(opts)
		if err != nil {
			return err
		}
		res, err := v.one(ctx, planned)
		if err != nil {
			return err
		}
		virtual += res.Virtual
		ops += res.Ops
		if len(res.Violations) == 0 {
			continue
		}
		failed++
		if err := v.explain(ctx, opts, planned, res); err != nil {
			return err
		}
		if v.first {
			break
		}
	}
	if v.seeds > 1 {
		took := time.Since(begun)
		fmt.Fprintf(v.err, "%d seeds, %.1f virtual hours in %s (%.0f times real time), %d operations judged, %d failed\n",
			v.seeds, virtual.Hours(), took.Round(time.Second), virtual.Seconds()/took.Seconds(), ops, failed)
	}
	if failed > 0 {
		return errTold
	}
	return nil
}

// planned makes the plan of a seed what the user wants of it.
func (v *worldVerb) planned(opts sim.Options) (sim.Options, error) {
	if v.only != "" {
		some, err := sim.Only(sim.Draw(opts), v.only)
		if err != nil {
			return opts, usagef("--only: %w", err)
		}
		opts.Plan, opts.Planned = some, true
	}
	if v.until > 0 {
		if !opts.Planned {
			opts.Plan, opts.Planned = sim.Draw(opts), true
		}
		opts.Length = v.until
	}
	return opts, nil
}

// again is the command that shows a run of some faults of a seed's plan.
func (v *worldVerb) again(opts sim.Options, some []sim.Fault, until time.Duration) string {
	return fmt.Sprintf("quordsim world --seed %d%s --only %s --until %s --verbose", opts.Seed, v.replay, sim.NameOnly(sim.Draw(opts), some), until)
}

// one runs a seed and prints what it came to.
func (v *worldVerb) one(ctx context.Context, opts sim.Options) (*sim.Result, error) {
	begun := time.Now()
	opts.Progress = func(p sim.Progress) {
		rate := p.Now.Seconds() / time.Since(begun).Seconds()
		left := ""
		if p.Phase == "faults" && rate > 0 {
			left = fmt.Sprintf(", about %s left", time.Duration(max(0, (opts.Length-p.Now).Seconds())/rate*float64(time.Second)).Round(time.Second))
		}
		v.show(fmt.Sprintf("seed %d, %s: %s, %d operations, %d faults, %.0f times real time%s",
			opts.Seed, p.Phase, p.Now.Round(time.Second), p.Ops, p.Fault, rate, left))
	}
	if v.verbose {
		opts.Tell = func(line string) { fmt.Fprintln(v.err, line) }
	}
	res, err := sim.Run(ctx, opts)
	v.show("")
	if err != nil {
		return nil, err
	}
	took := time.Since(begun)
	if v.asJSON {
		s := worldSummary{Seed: res.Seed, TraceHash: fmt.Sprintf("%016x", res.Trace), Ops: res.Ops, Faults: res.Faults, Violations: []string{}}
		for _, x := range res.Violations {
			s.Violations = append(s.Violations, x.String())
		}
		return res, printJSON(v.out, s)
	}
	verdict := "ok"
	if len(res.Violations) > 0 {
		verdict = "VIOLATION: " + res.Violations[0].Text
	}
	fmt.Fprintf(v.out, "seed %d  trace %016x  %s virtual in %s (%.0f times real time)  %s, %d uncertain, %d refused  %s  ring judged %d times  settled in %s  %s\n",
		res.Seed, res.Trace, res.Virtual.Round(time.Second), took.Round(time.Millisecond), res.Virtual.Seconds()/took.Seconds(),
		plural(res.Ops, "operation"), res.Uncertain, res.Refused, faultCounts(res.Faults), res.RingChecks, res.Settled.Round(time.Millisecond), verdict)
	return res, nil
}

// plural writes 1 fault, 2 faults.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func faultCounts(faults map[string]int) string {
	total := 0
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(faults)) {
		total += faults[k]
		parts = append(parts, fmt.Sprintf("%s %d", k, faults[k]))
	}
	if total == 0 {
		return "no faults"
	}
	return fmt.Sprintf("%s (%s)", plural(total, "fault"), strings.Join(parts, ", "))
}

// explain tells what led to a violation, after looking for less that leads to one.
func (v *worldVerb) explain(ctx context.Context, opts, planned sim.Options, res *sim.Result) error {
	say := func(format string, args ...any) { fmt.Fprintf(v.err, format+"\n", args...) }
	say("\nseed %d at commit %s: %s", res.Seed, built(), res.Violations[0])
	if planned.Planned {
		say("see it again: %s", v.again(opts, planned.Plan, planned.Length))
	} else {
		say("see it again: quordsim world --seed %d%s --verbose", res.Seed, v.replay)
	}
	if !v.shrink {
		say("\n%s", res.Account)
		return nil
	}
	least := sim.Shrink(ctx, planned, res, func(faults, runs int) {
		v.show(fmt.Sprintf("seed %d: looking for less: %d faults, run %d", res.Seed, faults, runs))
	})
	v.show("")
	say("of %s this is enough (found in %s):", plural(len(res.Plan), "fault"), plural(least.Runs, "run"))
	for _, f := range least.Plan {
		say("  %s at %s, for %s", f.Kind, least.When(f), f.For)
	}
	say("it ends with trace %016x: %s", least.Trace, least.Violations[0])
	say("see just that: %s", v.again(opts, least.Plan, least.Length))
	say("\n%s", least.Account)
	return ctx.Err()
}
