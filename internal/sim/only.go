package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A fault of a seed's plan is named by its place in it, the first being 0, so that a run of some of them can be told in a
// few words.

// Draw returns the plan that the options' seed brings, whatever Plan they have.
func Draw(opts Options) []Fault {
	opts = opts.withDefaults()
	return draw(New(opts.Config).generator("plan"), opts.Mix, opts.Length, opts.Zones > 1)
}

// Only returns those faults of a plan that a user names: places with commas between them, or "none".
func Only(plan []Fault, text string) (some []Fault, err error) {
	if text == "none" {
		return nil, nil
	}
	last := -1
	for word := range strings.SplitSeq(text, ",") {
		i, err := strconv.Atoi(word)
		switch {
		case err != nil || i < 0:
			return nil, fmt.Errorf("%q is no place in a plan: want none, or numbers with commas between them", word)
		case i >= len(plan):
			return nil, fmt.Errorf("the plan has no fault %d: it has %s, from 0 on", i, plural(len(plan), "fault"))
		case i <= last:
			return nil, fmt.Errorf("%d stands after %d: want them in the order of the plan", i, last)
		}
		some, last = append(some, plan[i]), i
	}
	return some, nil
}

// NameOnly returns what Only reads, for faults that a plan has, in its order.
func NameOnly(plan, some []Fault) string {
	if len(some) == 0 {
		return "none"
	}
	var words []string
	at := 0
	for _, f := range some {
		at += slices.Index(plan[at:], f) + 1
		words = append(words, strconv.Itoa(at-1))
	}
	return strings.Join(words, ",")
}
