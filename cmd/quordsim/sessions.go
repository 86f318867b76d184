package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/sim"
)

// sessionsVerb is `quordsim sessions`.
type sessionsVerb struct {
	*app
	cfg       sim.Churn
	seeds     int
	medians   []time.Duration
	lifetimes string
	minutes   float64
	asJSON    bool
	verbose   bool
}

func (a *app) sessions() *cobra.Command {
	v := &sessionsVerb{app: a}
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "Whole nodes that come and go under load (Scatter, SOSP 2011, figures 13 and 14)",
		Long: "Runs whole nodes with data on a virtual clock. Each stays for a session, loses its power, and is back with its disk\n" +
			"after --away; clients at random nodes read and write all the while. When it is over all nodes come back, and the\n" +
			"cluster has the grace and 100 s to be as it should be.\n\n" +
			"Convention, as in Scatter: an operation has failed unless it is answered within 3 s; so it has if the answer is\n" +
			"TRYAGAIN, CLUSTERDOWN or UNCERTAIN, or if the node that was asked departs. An update is missed if a later operation\n" +
			"does not see it: each key's history is judged by porcupine. WITHOUT MAJORITY is the share of the tablets' time in\n" +
			"which most of a tablet's voters were away at once, LEADERLESS that in which most were there and none led.\n" +
			"Several values of --median are separated by commas; each, with each seed, gives a line of JSON.\n" +
			"Scatter ran on PlanetLab, with 840 nodes that never come back; the network here is that of one data centre.",
		Args: noArgs,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Uint64Var(&v.cfg.Seed, "seed", 1, "the first seed")
	f.IntVar(&v.seeds, "seeds", 1, "how many seeds, one after the other")
	f.DurationSliceVar(&v.medians, "median", []time.Duration{100 * time.Second, 300 * time.Second, 1000 * time.Second}, "median of the sessions")
	f.StringVar(&v.lifetimes, "lifetimes", "poisson", "poisson: sessions are exponential (figure 13); pareto: of shape 1.1 (figure 14)")
	f.DurationVar(&v.cfg.Away, "away", time.Minute, "how long a departed node stays away")
	f.Float64Var(&v.minutes, "minutes", 5, "for how long nodes come and go, in virtual minutes")
	f.IntVar(&v.cfg.Nodes, "nodes", 60, "nodes, those that are away included")
	f.IntVar(&v.cfg.Replicas, "replicas", 7, "replicas of each tablet")
	f.IntVar(&v.cfg.Tablets, "tablets", 64, "tablets, a power of two")
	f.DurationVar(&v.cfg.ReplaceAfter, "replace-after", 10*time.Second, "grace before a silent node's share is copied elsewhere")
	f.IntVar(&v.cfg.Clients, "clients", 40, "clients")
	f.DurationVar(&v.cfg.Think, "think", 200*time.Millisecond, "how long a client pauses between two commands, on the average")
	f.BoolVar(&v.verbose, "verbose", false, "tell all that happens, as it happens")
	f.BoolVar(&v.asJSON, "json", false, "print JSON, one line for each median and seed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return v.run(cmd.Context()) }
	return cmd
}

// check says which value is wrong.
func (v *sessionsVerb) check() error {
	v.cfg.Length = time.Duration(v.minutes * float64(time.Minute))
	v.cfg.Quiet = !v.verbose
	switch v.lifetimes {
	case "poisson":
	case "pareto":
		v.cfg.Pareto = true
	default:
		return usagef("--lifetimes %q: want poisson or pareto", v.lifetimes)
	}
	for _, c := range []struct {
		flag string
		bad  bool
		want string
	}{
		{"seeds", v.seeds < 1, "at least 1"},
		{"median", len(v.medians) == 0, "at least one"},
		{"away", v.cfg.Away < 5*time.Second, "at least 5s"},
		{"nodes", v.cfg.Nodes < 1 || v.cfg.Nodes > 200, "1 to 200"},
		{"minutes", v.cfg.Length < time.Second || v.cfg.Length > 1000*time.Hour, "a second to a thousand hours"},
		{"replicas", v.cfg.Replicas < 1 || v.cfg.Replicas > 7, "1 to 7"},
		{"tablets", v.cfg.Tablets < 1 || v.cfg.Tablets > 16384 || v.cfg.Tablets&(v.cfg.Tablets-1) != 0, "a power of two up to 16384"},
		{"replace-after", v.cfg.ReplaceAfter < time.Second, "at least 1s"},
		{"clients", v.cfg.Clients < 1 || v.cfg.Clients > 1000, "1 to 1000"},
		{"think", v.cfg.Think < time.Millisecond, "at least 1ms"},
	} {
		if c.bad {
			return usagef("--%s: want %s", c.flag, c.want)
		}
	}
	for _, m := range v.medians {
		if m < time.Second || m > 1000*time.Hour {
			return usagef("--median %v: want a second to a thousand hours", m)
		}
	}
	return nil
}

// sessionsSummary is what one seed came to with one median.
type sessionsSummary struct {
	Seed       uint64       `json:"seed"`
	TraceHash  string       `json:"trace_hash"`
	Median     float64      `json:"median_s"`
	Lifetimes  string       `json:"lifetimes"`
	Hours      float64      `json:"virtual_hours"`
	Departures int          `json:"departures"`
	Living     float64      `json:"living"`
	Ops        int          `json:"ops"`
	Failed     sim.Failures `json:"failed"`
	Percent    float64      `json:"failed_percent"`
	Missed     int          `json:"missed"`
	Read       spread       `json:"read_ms"`
	Write      spread       `json:"write_ms"`
	Replaced   spread       `json:"replaced_ms"`
	Majority   sumUndecided `json:"tablets"`
	System     sumUndecided `json:"system_group"`
	Changes    int          `json:"replica_changes"`
	Settled    float64      `json:"settled_s"`
	Published  *published   `json:"published,omitempty"`
	Violations []string     `json:"violations"`
}

type sumUndecided struct {
	Dead        float64 `json:"without_majority_percent"`
	Spells      int     `json:"spells"`
	Longest     float64 `json:"longest_s"`
	Idle        float64 `json:"leaderless_percent"`
	IdleLongest float64 `json:"leaderless_longest_s"`
}

func summed(u sim.Undecided) sumUndecided {
	return sumUndecided{u.Dead, u.Spells, u.Longest.Seconds(), u.Idle, u.IdleLongest.Seconds()}
}

// published is what Scatter's authors measured, in percent.
type published struct {
	Failed float64 `json:"failed_percent"`
	Missed float64 `json:"missed_percent"`
}

// figure13 and figure14 are the operations that failed in Scatter, in percent, by the median session in hundreds of seconds.
// It missed no update.
var (
	figure13 = [...]float64{1: 1.09, .59, .42, .30, .27, .25, .22, .22, .20, .17}
	figure14 = [...]float64{1: 1.88, 1.09, .72, .50, .42, .37, .32, .30, .30, .27}
)

func (v *sessionsVerb) published(median time.Duration) *published {
	table := figure13[:]
	if v.cfg.Pareto {
		table = figure14[:]
	}
	n := int(median / (100 * time.Second))
	if n < 1 || n >= len(table) || median%(100*time.Second) != 0 {
		return nil
	}
	return &published{Failed: table[n]}
}

func (v *sessionsVerb) run(ctx context.Context) error {
	if err := v.check(); err != nil {
		return err
	}
	rows := [][]string{{
		"MEDIAN", "HOURS", "LIVING", "DEPARTURES", "OPERATIONS", "FAILED %", "PUBLISHED", "MISSED", "PUBLISHED",
		"READ MS", "P99", "WRITE MS", "P99", "WITHOUT MAJORITY %", "LONGEST", "LEADERLESS %", "SETTLED",
	}}
	failed := false
	for _, median := range v.medians {
		var all sessionsTotal
		for i := range v.seeds {
			cfg := v.cfg
			cfg.Seed += uint64(i)
			cfg.Median = median
			res, err := v.one(ctx, cfg)
			if err != nil {
				return err
			}
			all.add(res)
			if len(res.Violations) > 0 {
				failed = true
				fmt.Fprintf(v.err, "\nseed %d at commit %s, sessions of %v: %s\n\n%s", cfg.Seed, built(), median, res.Violations[0], res.Account)
			}
		}
		rows = append(rows, all.row(median, v.published(median)))
	}
	if !v.asJSON {
		if err := printTable(v.out, rows); err != nil {
			return err
		}
		fmt.Fprintf(v.out, "Counted: an operation that is not answered within 3 s, or with an error, or whose node departs, has failed; times are\n"+
			"of those that did not, and their medians; %s\n", strings.TrimSpace(v.setting()))
	}
	if failed {
		return errTold
	}
	return nil
}

func (v *sessionsVerb) setting() string {
	return fmt.Sprintf("%d nodes, %d tablets of %d replicas, a grace of %v, %v away, seeds %d to %d",
		v.cfg.Nodes, v.cfg.Tablets, v.cfg.Replicas, v.cfg.ReplaceAfter, v.cfg.Away, v.cfg.Seed, v.cfg.Seed+uint64(v.seeds)-1)
}

// one runs a seed with one median, and prints what it came to where that is wanted in JSON.
func (v *sessionsVerb) one(ctx context.Context, cfg sim.Churn) (*sim.ChurnResult, error) {
	begun := time.Now()
	cfg.Progress = func(p sim.Progress) {
		v.show(fmt.Sprintf("sessions of %v, seed %d, %s: %s, %d operations, %.1f times real time", cfg.Median, cfg.Seed, p.Phase,
			p.Now.Round(time.Second), p.Ops, p.Now.Seconds()/time.Since(begun).Seconds()))
	}
	if v.verbose {
		cfg.Tell = func(line string) { fmt.Fprintln(v.err, line) }
	}
	res, err := sim.RunChurn(ctx, cfg)
	v.show("")
	if err != nil || !v.asJSON {
		return res, err
	}
	s := sessionsSummary{
		Seed: res.Seed, TraceHash: fmt.Sprintf("%016x", res.Trace), Median: cfg.Median.Seconds(), Lifetimes: v.lifetimes,
		Hours: res.Virtual.Hours(), Departures: res.Departures, Living: res.Living, Ops: res.Asked, Failed: res.Failed,
		Percent: 100 * float64(res.Failed.Sum()) / float64(max(res.Asked, 1)), Missed: res.Missed, Read: spreadOf(res.Reads),
		Write: spreadOf(res.Writes), Replaced: spreadOf(res.Replaced), Majority: summed(res.Tablets), System: summed(res.System), Changes: res.Changes,
		Settled: res.Settled.Seconds(), Published: v.published(cfg.Median), Violations: []string{},
	}
	for _, x := range res.Violations {
		s.Violations = append(s.Violations, x.String())
	}
	return res, printJSON(v.out, s)
}

// spread is a median and a 99th percentile, in milliseconds.
type spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func spreadOf(sorted []time.Duration) (s spread) {
	if n := len(sorted); n > 0 {
		s = spread{sorted[n/2].Seconds() * 1000, sorted[n*99/100].Seconds() * 1000}
	}
	return s
}
