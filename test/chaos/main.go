package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/workload"
)

// options are what the command line says.
type options struct {
	duration, round time.Duration
	seed            uint64
	nodes           int
	faults          []*fault
	more            string // the flags that a replay needs besides seed and duration
	keep, wait      bool
	debug           bool
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	if slices.ContainsFunc(o.faults, func(f *fault) bool { return strings.Contains(f.name, "disk") }) {
		if err := ownMounts(); err != nil {
			fmt.Printf("no full disks in this run: a small file system cannot be mounted here: %v\n", err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	stop()
	if clean := cluster.Cleanup(); clean != nil {
		fmt.Fprintln(os.Stderr, "chaos:", clean)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("chaos", flag.ContinueOnError)
	fs.DurationVar(&o.duration, "duration", 4*time.Minute, "how long faults are injected, over all rounds")
	fs.DurationVar(&o.round, "round", 4*time.Minute, "how long one round lasts; each has a new ring and the next seed")
	fs.Uint64Var(&o.seed, "seed", 0, "of the first round; 0 draws one")
	fs.IntVar(&o.nodes, "nodes", 0, "size of the ring at first; 0 lets the seed decide")
	fs.BoolVar(&o.keep, "keep", false, "keep the directories of rounds that went well, too")
	fs.BoolVar(&o.wait, "wait", false, "let the nodes of a round that went wrong run on, to be looked at, until interrupted")
	fs.BoolVar(&o.debug, "debug", false, "let the nodes log all that they can")
	names := fs.String("faults", "", "kinds of faults, separated by commas, those at once joined by +; when empty all but those off by default")
	list := fs.Bool("list", false, "list the kinds of faults and stop")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if *list {
		for _, f := range faults {
			fmt.Printf("%-12s %s\n", f.name, f.does)
		}
		return o, flag.ErrHelp
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q: want flags only", fs.Arg(0))
	}
	if o.duration <= 0 || o.round <= 0 {
		return o, fmt.Errorf("--duration %s --round %s: want more than 0", o.duration, o.round)
	}
	if o.nodes != 0 && o.nodes < minNodes {
		return o, fmt.Errorf("--nodes %d: want at least %d", o.nodes, minNodes)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000)
	}
	var err error
	o.faults, err = choose(*names)
	if *names != "" {
		o.more += " --faults " + *names
	}
	if o.nodes != 0 {
		o.more += fmt.Sprintf(" --nodes %d", o.nodes)
	}
	return o, err
}

// choose returns the faults that are named.
func choose(names string) ([]*fault, error) {
	var chosen []*fault
	if names == "" {
		for _, f := range faults {
			if !f.off {
				chosen = append(chosen, f)
			}
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		f, err := named(name)
		if err != nil {
			return nil, fmt.Errorf("--faults: %w", err)
		}
		chosen = append(chosen, f)
	}
	return chosen, nil
}

// run runs one round after the other until the time is over or one goes wrong.
func run(ctx context.Context, o options) error {
	workload.Quiet()
	total := newReport()
	for seed, left := o.seed, o.duration; left > 0; seed, left = seed+1, left-o.round {
		length := min(left, o.round)
		fmt.Printf("round of %s with seed %d\n", length, seed)
		result, err := runRound(ctx, o, seed, length)
		total.add(result)
		if err != nil {
			fmt.Printf("\n%s", total)
			return fmt.Errorf("%w\nthe same plan again: make chaos ARGS='--seed %d --duration %s%s'", err, seed, length, o.more)
		}
	}
	fmt.Printf("\n%s", total)
	return nil
}
