package lab

import (
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/ring"
)

// Failures measures lookups right after nodes have died all at once, before anybody has noticed: ToN 2003, table II;
// theorems IV.5 and IV.6.
//
// Stabilization stands still, and what a lookup finds out about the dead is forgotten by the next one, as in the
// paper. Counted are the nodes that answered, the owner among them, and those that did not, each timeout once; both
// of lookups that ended at the living token that follows the key. A lookup fails if it ends anywhere else, or nowhere.
//
// Departs from production in one thing: the owner's check refuses a key whose token's predecessor has died, until
// the ring around it has settled, and here it never will. So a token that is asked as the owner accepts, as the
// paper's does, and the world judges whether it was right.
type Failures struct {
	Preset     Preset
	Nodes      int
	Successors int
	Fail       float64 // the share of nodes that die
	Lookups    int     // of each ring
	Seed       uint64
}

// Lost is a distribution of timeouts.
type Lost struct {
	Mean float64 `json:"mean"`
	P1   int     `json:"p1"`
	P99  int     `json:"p99"`
}

// FailuresResult is what Failures prints as JSON.
type FailuresResult struct {
	Hops     Spread `json:"hops"`
	Timeouts Lost   `json:"timeouts"`
	Failed   int64  `json:"failed"`
}

// FailuresRing is what one ring gave.
type FailuresRing struct {
	Hops, Timeouts Counts
	Failed         int64
}

// Validate says which choice makes no sense.
func (f Failures) Validate() error {
	if !(f.Fail >= 0 && f.Fail < 1) {
		return fmt.Errorf("--fail %v: want 0 or more, and less than 1", f.Fail)
	}
	if f.Preset != Paper {
		return fmt.Errorf("--preset %v: table II is about rings of one token a node; what production does when nodes die is in `churn`", f.Preset)
	}
	return all(
		in("nodes", f.Nodes, 2, MaxSize), in("lookups", f.Lookups, 1, 1<<30), in("successors", f.Successors, 1, ring.MaxList),
		worldSize(f.Preset, f.Nodes, 1, f.Successors),
	)
}

// Run measures one ring.
func (f Failures) Run(n int) (FailuresRing, error) {
	var out FailuresRing
	rng := random(f.Seed, n)
	at, err := f.Preset.places(f.Nodes, 1, rng)
	if err != nil {
		return out, err
	}
	cfg := f.Preset.config(f.Successors)
	cfg.HopTimeout, cfg.LookupTimeout = time.Millisecond, time.Second
	w := &world{accepting: true, still: 10 * time.Minute}
	c, err := w.settle(cfg, at, rng, nil)
	if err != nil {
		return out, err
	}
	var living []ring.Token
	var askers []int
	for _, t := range c.tokens {
		if rng.Float64() < f.Fail {
			w.rings[number(t.Node)] = nil
			continue
		}
		living = append(living, t)
		askers = append(askers, number(t.Node))
	}
	if len(living) == 0 {
		return out, fmt.Errorf("no node of %d lived", f.Nodes)
	}
	truth := newCircle(living)
	for range f.Lookups {
		asker, target := askers[rng.IntN(len(askers))], randomID(rng)
		owner := truth.owner(target)
		for owner.Node == nodeID(asker) && len(askers) > 1 {
			target = randomID(rng)
			owner = truth.owner(target)
		}
		res, err := w.lookup(asker, target, ring.Iterative)
		if err != nil {
			return out, err
		}
		if res.Err != nil || res.Owner != owner {
			out.Failed++
			continue
		}
		out.Hops.Add(res.Hops)
		out.Timeouts.Add(res.Timeouts)
	}
	return out, nil
}

// Result sums rings up.
func (f Failures) Result(rings []FailuresRing) FailuresResult {
	var sum FailuresRing
	for _, r := range rings {
		sum.Hops.Merge(r.Hops)
		sum.Timeouts.Merge(r.Timeouts)
		sum.Failed += r.Failed
	}
	return FailuresResult{
		Hops: sum.Hops.Spread(), Timeouts: sum.Timeouts.lost(), Failed: sum.Failed,
	}
}

func (c Counts) lost() Lost { return Lost{round(c.Mean(), 4), c.Percentile(1), c.Percentile(99)} }
