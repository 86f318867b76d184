package lab

import (
	"fmt"
	"math/bits"

	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

// Paths measures how many nodes a lookup asks in a converged ring: SIGCOMM 2001, figure 10; theorem 2.
//
// Paper, without successor lists: a lookup ends at the first node whose finger table names the owner, and the nodes
// from there back to the one that asks are counted, the latter included and the owner not; so it is 1 at least. This
// is what reproduces the published figure also in small rings: SIGCOMM's finger[k] stands for all keys of the
// interval [n+2^k, n+2^(k+1)), so a node knows the owner of a key that no node precedes in it. Production does not
// use this, for a finger may be stale, and asks the predecessor as well; in large rings the mean is the same as that
// of the nodes between the one that asks and the owner. The paper's node does not look at its own arc first, either:
// a key that the asking node owns is looked up by a stranger with the same fingers, which owns nothing.
//
// Paper with successor lists, and Quord: every other node asked is counted, the owner among them, as ToN's tables
// have it, and as a client waits for it; a key of the asking node counts 0.
type Paths struct {
	Preset     Preset
	Nodes      int
	Lookups    int // of each ring
	Tokens     int // of each node
	Successors int // 1 is no list
	Mode       ring.Mode
	Seed       uint64
}

// PathsResult is what Paths prints as JSON.
type PathsResult struct {
	Nodes int    `json:"nodes"`
	Hops  Spread `json:"hops"`

	Known float64 `json:"-"` // other nodes that a node knows, in the mean
}

// PathsRing is what one ring gave.
type PathsRing struct {
	Hops  Counts
	Known Counts // of a sample of nodes, how many others each knows: its state
}

// knownSample is of how many nodes of a ring the state is counted.
const knownSample = 500

// Validate says which choice makes no sense.
func (p Paths) Validate() error {
	if err := all(
		in("nodes", p.Nodes, 2, MaxSize), in("lookups", p.Lookups, 1, 1<<30),
		in("tokens", p.Tokens, 1, ring.MaxTokens), in("successors", p.Successors, 1, ring.MaxList),
	); err != nil {
		return err
	}
	return worldSize(p.Preset, p.Nodes, p.Tokens, p.Successors)
}

// worldSize refuses worlds that are too large or too small.
func worldSize(p Preset, nodes, tokens, successors int) error {
	switch all := nodes * tokens; {
	case all > MaxSize:
		return fmt.Errorf("--nodes %d with --tokens %d: %d tokens on the ring, want at most %d", nodes, tokens, all, MaxSize)
	case p == Quord && nodes > MaxBalanced:
		return fmt.Errorf("--nodes %d: with --preset quord, whose tokens are chosen for balance, want at most %d", nodes, MaxBalanced)
	case p == Quord && tokens < placement.MinTokens:
		return fmt.Errorf("--tokens %d: with --preset quord, whose tokens are chosen for balance, want %d or more", tokens, placement.MinTokens)
	case successors >= all && successors > 1:
		return fmt.Errorf("--successors %d: a ring of %d tokens has no lists that long", successors, all)
	}
	return nil
}

// MaxBalanced is how many nodes may choose their tokens one after the other: it takes time by the square of them.
const MaxBalanced = 1024

// fig10 reports whether lengths are counted as figure 10 does.
func (p Paths) fig10() bool { return p.Preset == Paper && p.Successors == 1 }

// Counted says in a line how lengths are counted.
func (p Paths) Counted() string {
	if p.fig10() {
		return "nodes up to the first whose fingers name the owner, the asker included, the owner not"
	}
	return "nodes asked other than the asker, the owner included"
}

// Run measures one ring.
func (p Paths) Run(n int) (PathsRing, error) {
	var out PathsRing
	rng := random(p.Seed, n)
	at, err := p.Preset.places(p.Nodes, p.Tokens, rng)
	if err != nil {
		return out, err
	}
	w, standing := &world{}, len(at)
	c, err := w.settle(p.Preset.config(p.Successors), at, rng, nil)
	if err != nil {
		return out, err
	}
	var asked []int
	w.spied = func(_, to int, m *ring.Message) {
		if m.Kind == ring.Find || m.Kind == ring.Forward {
			asked = append(asked, to)
		}
	}
	for range p.Lookups {
		asker := rng.IntN(standing)
		target := randomID(rng)
		want := c.owner(target)
		asked = append(asked[:0], asker)
		if p.fig10() && want.Node == nodeID(asker) {
			if asker, err = w.stranger(asker, p.Preset.config(p.Successors)); err != nil {
				return out, err
			}
		}
		res, err := w.lookup(asker, target, p.Mode)
		if err != nil {
			return out, err
		}
		if res.Err != nil || res.Owner != want {
			return out, fmt.Errorf("the lookup of %v ended at %v (%w), the owner is %v", target.Short(), res.Owner, res.Err, want)
		}
		if p.fig10() {
			out.Hops.Add(w.traversed(at, asked, target, want))
		} else {
			out.Hops.Add(res.Hops)
		}
	}
	for range min(knownSample, standing) {
		out.Known.Add(len(w.rings[rng.IntN(standing)].Known()))
	}
	return out, nil
}

// traversed returns how many of the nodes asked, which hold one token each and stand at at, there are up to the first whose fingers
// name the owner of target.
func (w *world) traversed(at [][]ring.ID, asked []int, target ring.ID, owner ring.Token) int {
	space := ring.Space{Bits: ring.MaxBits}
	for i, n := range asked {
		id := at[n][0]
		e := max(bitLen(space.Distance(id, target))-1, 0)
		if target == id {
			e = space.Bits - 1 // all the way around
		}
		finger, known := w.rings[n].Finger(id, e)
		if finger == owner || !known && owner.ID == id { // a finger that would be the node itself is not kept
			return i + 1
		}
	}
	return len(asked)
}

// bitLen returns how many bits the number takes.
func bitLen(id ring.ID) int {
	for i, b := range id {
		if b != 0 {
			return 8*(len(id)-i-1) + bits.Len8(b)
		}
	}
	return 0
}

// stranger puts a node into the world that knows what a node of one token knows, but owns nothing.
func (w *world) stranger(n int, cfg ring.Config) (int, error) {
	s := w.rings[n].State()
	at := len(w.rings)
	s.Node = nodeID(at)
	s.Tokens[0].Predecessor, s.Tokens[0].Confirmed = ring.Token{}, false
	r, err := ring.New(cfg, s.Node, []ring.ID{s.Tokens[0].ID}, uint64(at))
	if err != nil {
		return 0, err
	}
	if err := r.Restore(w.now, s); err != nil {
		return 0, err
	}
	w.put(at, r)
	return at, nil
}

// Result sums rings up.
func (p Paths) Result(rings []PathsRing) PathsResult {
	var sum PathsRing
	for _, r := range rings {
		sum.Hops.Merge(r.Hops)
		sum.Known.Merge(r.Known)
	}
	return PathsResult{Nodes: p.Nodes, Hops: sum.Hops.Spread(), Known: sum.Known.Mean()}
}
