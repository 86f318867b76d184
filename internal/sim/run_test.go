package sim

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	seeds     = flag.Int("seeds", 2, "how many worlds to run")
	firstSeed = flag.Uint64("seed", 1, "the first seed")
	minutes   = flag.Float64("minutes", 1, "for how long faults happen in each, in virtual minutes")
)

func newMix(t *testing.T, text string) Mix {
	t.Helper()
	mix, err := ParseMix(text)
	if err != nil {
		t.Fatal(err)
	}
	return mix
}

func newRun(t *testing.T, opts Options) *Result {
	t.Helper()
	res, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Whole clusters live through whatever their seed brings. When this fails, a user has lost a write that was
// acknowledged, read one that was overwritten, or waits for an answer that never comes; `quordsim world --seed N` tells
// which, and how.
func TestWorlds(t *testing.T) {
	ringChecks := 0
	for i := range uint64(*seeds) {
		opts := Options{Config: Config{Seed: *firstSeed + i, Quiet: true}, Mix: newMix(t, "swarm"), Length: time.Duration(*minutes * float64(time.Minute))}
		opts.Nodes = 3 + int(i)%3
		flags := ""
		switch i % 4 {
		case 1:
			opts.Nodes, opts.Zones = 6, 3
			flags = " --zones 3"
		case 2:
			opts.Fleeting, opts.Batch = 1000, 8
			flags = " --fleeting 1000 --batch 8"
		case 3:
			opts.Tablets, opts.Fill, opts.Bandwidth, opts.Think = 4, 4_000_000, 1<<24, 30*ms
			flags = " --tablets 4 --fill 4000000 --bandwidth 16777216 --think 30ms"
		}
		t.Run(fmt.Sprintf("seed %d with %d nodes%s", opts.Seed, opts.Nodes, flags), func(t *testing.T) {
			res := newRun(t, opts)
			for _, v := range res.Violations {
				t.Errorf("%v\nfaults: %v\nsee it with: quordsim world --seed %d --nodes %d --minutes %v%s", v, res.Faults, opts.Seed, opts.Nodes, *minutes, flags)
			}
			ringChecks += res.RingChecks
			if res.OK < res.Ops/4 || res.Ops == 0 {
				t.Errorf("of %d operations only %d had an answer: such a world proves little", res.Ops, res.OK)
			}
		})
	}
	if ringChecks == 0 {
		t.Error("in none of these worlds was the ring ever judged")
	}
}

// A failure that cannot be seen again cannot be mended: the same seed gives the same world, frame by frame.
func TestSameSeedSameTrace(t *testing.T) {
	opts := Options{Config: Config{Seed: 99}, Mix: newMix(t, "all"), Length: 40 * time.Second}
	a := newRun(t, opts)
	opts.Quiet = true // the account changes nothing
	b := newRun(t, opts)
	if a.Trace != b.Trace || a.Ops != b.Ops || a.Steps != b.Steps {
		t.Errorf("two runs with one seed differ: %x after %d steps, %x after %d", a.Trace, a.Steps, b.Trace, b.Steps)
	}
	opts.Seed++
	if c := newRun(t, opts); c.Trace == a.Trace {
		t.Error("another seed gives the same trace: it says nothing")
	}
}

// Whoever stops a long run gets what there is, and is told that it is not all.
func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	opts := Options{Config: Config{Seed: 1}, Length: time.Hour, Progress: func(p Progress) {
		if p.Now > 10*time.Second {
			cancel()
		}
	}}
	res, err := Run(ctx, opts)
	if err == nil || res.Virtual > time.Minute {
		t.Errorf("stopped after %v with %v", res.Virtual, err)
	}
}

// A mix that is read as another one lets a user believe that something was tested.
func TestParseMix(t *testing.T) {
	names, _ := Kinds()
	for _, c := range []struct {
		text  string
		kinds int
		swarm bool
	}{
		{"", len(names), true},
		{"swarm", len(names), true},
		{"all", len(names), false},
		{"none", 0, false},
		{"kill,pause", 2, false},
		{"-kill", len(names) - 1, true},
		{"all,-kill,-pause", len(names) - 2, false},
	} {
		if m := newMix(t, c.text); len(m.Kinds) != c.kinds || m.Swarm != c.swarm {
			t.Errorf("%q: %d kinds, swarm %t", c.text, len(m.Kinds), m.Swarm)
		}
	}
	if _, err := ParseMix("kill,meteor"); err == nil {
		t.Error("a fault that does not exist is taken")
	}
}
