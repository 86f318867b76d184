package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
)

// checked is what invariants prints as JSON.
type checked struct {
	Steps      int `json:"steps"`
	Violations int `json:"violations"`
}

func (a *app) invariants() *cobra.Command {
	var s setup
	var nodes, successors, steps int
	var rules string
	cmd := a.bareExperiment("invariants", "Whether the ring can come apart (Zave 2012 and 2017)",
		"Checks Zave's invariant after every step: each member has a living successor in its list, and r+1 members are\n"+
			"principals, whom no list skips. Nodes fail only as far as her operating assumption allows.\n\n"+
			"--rules ours runs the production rules. Rings of up to 6 nodes, without --steps, are checked exhaustively: every\n"+
			"single step from every state that satisfies the invariant, and every state that can be reached. Otherwise\n"+
			"--rings seeded worlds of that many steps are run, in which machines of several tokens die whole.\n"+
			"--rules original runs the rules as they were published, and looks for the shortest sequences that break what\n"+
			"was claimed of them; --steps bounds the states that it visits.\n\n"+
			"Convention: a step is one move in an exhaustive check, and in a seeded world one message or timer. Exit code 1\n"+
			"if the production rules break the invariant; the sequence that does is printed.", &s)
	f := cmd.Flags()
	f.IntVar(&nodes, "nodes", 0, "nodes of the ring (ours 5; original 4, and 6 in addition)")
	f.IntVar(&successors, "successors", 0, "r, the length of successor lists (2; for more than 6 nodes 8, or what fits)")
	f.IntVar(&steps, "steps", 0, "steps of each seeded world (1000000 for more than 6 nodes)")
	f.StringVar(&rules, "rules", "ours", "ours or original")
	if err := f.Set("rings", "1"); err != nil {
		panic(err) // the flag is there
	}
	f.Lookup("rings").DefValue, f.Lookup("rings").Changed = "1", false
	f.Lookup("rings").Usage = "how many seeded worlds"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := s.check(cmd); err != nil {
			return err
		}
		if nodes < 0 || successors < 0 || steps < 0 {
			return usagef("--nodes, --successors and --steps: want 1 or more")
		}
		if rules == "original" {
			if successors != 0 && successors != 2 {
				return usagef("--successors %d: the original rules have lists of 2", successors)
			}
			return a.original(&s, nodes, steps)
		}
		if rules != "ours" {
			return usagef("--rules %q: want ours or original", rules)
		}
		if nodes == 0 {
			nodes = 5
		}
		if successors == 0 {
			if successors = 2; nodes > 6 {
				successors = min(8, lab.MostSuccessors(nodes))
			}
		}
		if steps == 0 && nodes <= 6 {
			if cmd.Flags().Changed("rings") || cmd.Flags().Changed("seed") {
				return usagef("--rings and --seed: an exhaustive check leaves nothing to chance; with --steps the world is seeded")
			}
			return a.exhaustive(&s, lab.Exhaustive{Nodes: nodes, Successors: successors})
		}
		if steps == 0 {
			steps = 1e6
		}
		return a.seeded(cmd, &s, lab.Seeded{Nodes: nodes, Successors: successors, Steps: steps, Seed: s.seed})
	}
	return cmd
}

// original looks for counterexamples to the published rules.
func (a *app) original(s *setup, nodes, steps int) error {
	sizes := []int{nodes}
	if nodes == 0 {
		sizes = []int{4, 6}
	}
	if steps == 0 {
		steps = 1 << 24
	}
	var sum checked
	found := map[string]bool{}
	for _, n := range sizes {
		o := lab.Original{Nodes: n, States: steps}
		if err := o.Validate(); err != nil {
			return usageError{err}
		}
		res := o.Run()
		sum.Steps += res.Steps
		for _, c := range res.Found {
			found[c.Property] = true
		}
		if !s.json {
			if err := a.tellOriginal(o, res); err != nil {
				return err
			}
		}
	}
	sum.Violations = len(found)
	if s.json {
		return printJSON(a.out, sum)
	}
	_, err := fmt.Fprintf(a.out, "The published rules break %d of the 7 properties that were claimed.\n", sum.Violations)
	return err
}

func (a *app) tellOriginal(o lab.Original, res lab.OriginalResult) error {
	var b strings.Builder
	start := "a ring of one, node 0; all events"
	if o.Nodes > 4 {
		start = "an ideal ring of every other node; joins, stabilizations and failures only"
	}
	all := "all states that can be reached"
	if !res.All {
		all = "the nearest states"
	}
	fmt.Fprintf(&b, "%d nodes, from %s: %d events from %d states (%s)\n", o.Nodes, start, res.Steps, res.States, all)
	for _, c := range res.Found {
		needed := "believed"
		if c.Required {
			needed = "required"
		}
		fmt.Fprintf(&b, "\n%s (%s) is broken after %d events:\n", c.Property, needed, len(c.Events))
		for i, e := range c.Events {
			fmt.Fprintf(&b, "  %2d. %s\n", i+1, e)
		}
		fmt.Fprintf(&b, "  then %s\n", c.State)
	}
	fmt.Fprintln(&b)
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

// exhaustive checks tiny rings.
func (a *app) exhaustive(s *setup, e lab.Exhaustive) error {
	if err := e.Validate(); err != nil {
		return usageError{err}
	}
	a.show("every state of a tiny ring ...")
	res, err := e.Run()
	a.show("")
	if err != nil {
		return err
	}
	if !s.json {
		if _, err := fmt.Fprintf(a.out, "%d nodes, lists of %d: %d states satisfy the invariant, %d can be reached from a ring of %d; %d steps taken,\n"+
			"of which %d differ in what they read and were carried out on the production rules.\n",
			e.Nodes, e.Successors, res.Satisfying, res.Reachable, e.Successors+1, res.Steps, res.Performed); err != nil {
			return err
		}
	}
	return a.verdict(s, res.Steps, []*lab.Violation{res.Violation})
}

// seeded runs random worlds.
func (a *app) seeded(cmd *cobra.Command, s *setup, w lab.Seeded) error {
	if err := w.Validate(); err != nil {
		return usageError{err}
	}
	worlds, err := measure(cmd.Context(), a, fmt.Sprintf("invariants, %d nodes", w.Nodes), s.rings, w.Run)
	if err != nil {
		return err
	}
	steps := 0
	var violations []*lab.Violation
	for i, res := range worlds {
		steps += res.Steps
		violations = append(violations, res.Violation)
		if !s.json {
			if _, err := fmt.Fprintf(a.out, "world %d: %d steps, %d members at the end; %v\n", i, res.Steps, res.Members, res.Did); err != nil {
				return err
			}
		}
	}
	return a.verdict(s, steps, violations)
}

// verdict prints the end of a check of the production rules.
func (a *app) verdict(s *setup, steps int, violations []*lab.Violation) error {
	sum := checked{Steps: steps}
	for _, v := range violations {
		if v == nil {
			continue
		}
		sum.Violations++
		fmt.Fprintf(a.err, "%s is broken:\n", v.Broken)
		for i, e := range v.Events {
			fmt.Fprintf(a.err, "  %2d. %s\n", i+1, e)
		}
		fmt.Fprintf(a.err, "  then %s\n", v.State)
	}
	var err error
	if s.json {
		err = printJSON(a.out, sum)
	} else {
		_, err = fmt.Fprintf(a.out, "%d steps, %d violations\n", sum.Steps, sum.Violations)
	}
	if err == nil && sum.Violations > 0 {
		return errTold
	}
	return err
}
