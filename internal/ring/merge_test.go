package ring

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

var merges = flag.Uint64("merges", 1, "how many seeds of each kind of merging rings are told")

// parted is a world of machines that a partition splits into parts. Every node is acquainted with every other one,
// those that are gone for good included.
type parted struct {
	*churn
	side   map[ident.NodeID]int
	placed map[ident.NodeID][]time.Duration // when each node asked another for the place of a token
}

// newParted returns machines with tokens of their own that have become one ring.
func newParted(t *testing.T, seed uint64, r, machines, tokens int) *parted {
	t.Helper()
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = r, 4*r
	p := &parted{
		churn: newChurn(t, cfg, seed, machines, tokens), side: map[ident.NodeID]int{},
		placed: map[ident.NodeID][]time.Duration{},
	}
	p.after = nil
	p.until(time.Minute, "one ring to begin with", p.settled)
	p.acquaint()
	p.cut = func(from, to ident.NodeID) bool { return p.side[from] != p.side[to] }
	p.trace = func(from, _ ident.NodeID, m *Message) {
		if m.Kind == Find && m.To == (ID{}) && !m.Joining {
			p.placed[from] = append(p.placed[from], p.now)
		}
	}
	return p
}

func (p *parted) acquaint() {
	for _, id := range p.order {
		if r := p.rings[id]; r != nil {
			r.Acquaint(p.now, p.order)
		}
	}
}

// split draws a side for each machine; none stays empty.
func (p *parted) split(sides int) {
	all := slices.Clone(p.order)
	p.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, id := range all {
		p.side[id] = p.rng.IntN(sides)
		if i < sides {
			p.side[id] = i
		}
	}
}

// others returns the living nodes of all sides but one.
func (p *parted) others(side int) (ids []ident.NodeID) {
	for _, id := range p.order {
		if p.alive(id) && p.side[id] != side {
			ids = append(ids, id)
		}
	}
	return ids
}

// apart reports whether each side has got over the partition: its tokens form one ideal ring of their own.
func (p *parted) apart(sides int) bool {
	for side := range sides {
		if !p.alone(side, p.settled) {
			return false
		}
	}
	return true
}

// alone lets cond see the nodes of one side only.
func (p *parted) alone(side int, cond func() bool) bool {
	all := p.rings
	p.rings = map[ident.NodeID]*Ring{}
	for id, r := range all {
		if p.side[id] == side {
			p.rings[id] = r
		}
	}
	ok := cond()
	p.rings = all
	return ok
}

// change lets something happen on one side, within Zave's assumption as that side sees it: the others are gone.
func (p *parted) change(side, tokens int) {
	id := p.order[p.rng.IntN(len(p.order))]
	switch gone := append(p.others(side), id); {
	case p.rng.IntN(2) == 0 && p.side[id] == side && p.alive(id) && p.violation(true, gone...) == "":
		p.kill(id)
		p.did["death"]++
	case len(p.order) < 16:
		n := len(p.order) + 1
		p.side[nodeID(n)] = side
		p.enter(n, 1+p.rng.IntN(tokens))
	}
	p.acquaint()
}

// heal ends the partition and waits for one ring. Nothing may be lost on the way: every member keeps a live successor,
// and every list its order.
func (p *parted) heal() time.Duration {
	p.t.Helper()
	clear(p.side)
	begun := p.now
	p.after = func() {
		if !p.changed() {
			return
		}
		for _, c := range p.chains(false) {
			if len(p.rings) > 1 && !slices.ContainsFunc(c.List, func(t Token) bool { return p.alive(t.Node) }) || !inOrder(c.Head.ID, c.List) {
				p.dump()
				p.t.Fatalf("while the rings merge, %v has %v", c.Head, c.List)
			}
		}
	}
	p.until(2*time.Minute, "one ring again", p.settled)
	took := p.now - begun
	// From here on the invariant holds as ever, and what was ceded adds up.
	p.after, p.alarms = p.check, nil // while it was apart the ring was beyond what its proof assumes
	p.gentle = true
	p.run(20 * time.Second)
	p.after = nil
	for range 20 {
		key := p.randomID()
		at := p.members()[0].Node
		if res := p.lookup(at, key, Mode(p.rng.IntN(2))); res.Err != nil || res.Owner != p.successorOf(key) {
			p.t.Fatalf("after the merge %v is found on %v (%v), want %v", key.Short(), res.Owner, res.Err, p.successorOf(key))
		}
	}
	return took
}

// paced checks the bound on what merging costs: at no time more than mergeWidth lookups of a node in an interval.
func (p *parted) paced() {
	p.t.Helper()
	for id, times := range p.placed {
		for i := range times {
			// The next question of a sweep may come early by the time that the first takes to arrive, no more.
			if j := i + mergeWidth + 1; j < len(times) && times[j]-times[i] < p.cfg.StabilizeEvery-100*time.Millisecond {
				p.t.Errorf("node %v placed %d tokens within %v", id.Short(), j-i+1, times[j]-times[i])
			}
		}
	}
}

// rounds is within how many intervals of stabilization two or three healed rings of these tests are one: a few to hear
// of the other, one for each mergeWidth tokens of a node, and a few for lists and deaths.
func rounds(tokens int) time.Duration { return time.Duration(20 + tokens/mergeWidth) }

// A partition that lasts leaves two rings, or three; while it lasts machines die and join on every side. When it has
// healed there is one ring again, soon and at a bounded cost, in which Zave's invariant holds: lookups that ended on
// the wrong side of a healed network would send users to nodes that never held their keys.
func TestRingsMerge(t *testing.T) {
	for _, c := range []struct{ r, machines, tokens, sides int }{
		{2, 9, 4, 2}, {2, 10, 3, 3}, {3, 12, 2, 2}, {4, 6, 17, 2}, {2, 12, 1, 2},
	} {
		for seed := range uint64(*merges) {
			t.Run(fmt.Sprintf("r=%d/tokens=%d/sides=%d/seed=%d", c.r, c.tokens, c.sides, seed), func(t *testing.T) {
				p := newParted(t, seed, c.r, c.machines, c.tokens)
				p.split(c.sides)
				p.run(30 * time.Second)
				if c.tokens > c.r && !p.apart(c.sides) { // a lone token has nobody to be in a ring with
					p.dump()
					t.Fatal("the sides have no rings of their own")
				}
				for range 6 {
					p.change(p.rng.IntN(c.sides), c.tokens)
					p.run(time.Duration(p.rng.Int64N(int64(4 * time.Second))))
				}
				took := p.heal()
				if limit := rounds(c.tokens) * p.cfg.StabilizeEvery; took > limit {
					t.Errorf("it took %v until there was one ring, want at most %v", took, limit)
				}
				p.paced()
				t.Logf("%d nodes, %d tokens, %v: one ring after %v", len(p.rings), len(p.members()), p.did, took.Round(time.Millisecond))
			})
		}
	}
}

// A network that comes and goes, and one that passes messages in one direction only, end in one ring too, once the
// network is whole.
func TestRingsMergeAfterAnUnsteadyPartition(t *testing.T) {
	for seed := range uint64(*merges) {
		for _, what := range []string{"flapping", "one direction"} {
			t.Run(fmt.Sprintf("%s/seed=%d", what, seed), func(t *testing.T) {
				p := newParted(t, 100+seed, 2, 10, 3)
				p.split(2)
				if what == "one direction" {
					p.cut = func(from, to ident.NodeID) bool { return p.side[from] < p.side[to] }
					p.run(time.Minute)
				} else {
					apart := false
					p.cut = func(from, to ident.NodeID) bool { return apart && p.side[from] != p.side[to] }
					for range 30 {
						apart = !apart
						p.run(time.Duration(p.rng.Int64N(int64(6 * time.Second))))
					}
				}
				if took, limit := p.heal(), rounds(3)*p.cfg.StabilizeEvery; took > limit {
					t.Errorf("it took %v until there was one ring, want at most %v", took, limit)
				}
			})
		}
	}
}

// A ring that winds around twice is a ring to every token in it, and half of the lookups in it fail. No step of the
// papers mends it; placing tokens through others does.
func TestRingThatWindsTwiceIsMended(t *testing.T) {
	cfg := LAN()
	cfg.Bits, cfg.Successors, cfg.MaxSuccessors = 6, 2, 2
	wind := func() *world {
		w := newWorld(t, cfg, 1)
		turn := []uint64{2, 12, 22, 32, 42, 52, 7, 17, 27, 37, 47, 57} // in the order in which one follows the other
		at := func(i int) Token {
			n := turn[(i+len(turn))%len(turn)]
			return Token{six.Of(n), nodeID(int(n))}
		}
		for i := range turn {
			list := []Token{at(i + 1), at(i + 2)}
			if !inOrder(at(i).ID, list) {
				list = list[:1]
			}
			s := Snapshot{Node: at(i).Node, Tokens: []TokenState{
				{ID: at(i).ID, Phase: Member, Confirmed: true, Predecessor: at(i - 1), Successors: list},
			}}
			if err := w.node(at(i).Node, at(i).ID).Restore(0, s); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	w := wind()
	w.run(time.Minute)
	if w.settled() {
		t.Fatal("a ring that winds twice mends by itself: this test shows nothing")
	}
	w = wind()
	for _, r := range w.rings {
		r.Acquaint(0, w.order)
	}
	w.until(rounds(1)*time.Second, "one ring that winds once", w.settled)
}

// Where there is one ring the search costs one lookup of a node now and then, and a member that is gone for good one
// message that stays without an answer: it makes no node suspect another ring, and nothing grows.
func TestSearchForRingsIsCheap(t *testing.T) {
	p := newParted(t, 200, 2, 6, 4)
	p.kill(nodeID(3))
	p.until(time.Minute, "the others are one ring", p.settled)
	clear(p.placed)
	const span = 10 * time.Minute
	p.log = nil
	p.run(span)
	for id, times := range p.placed {
		if most := int(span/p.cfg.withDefaults().MergeEvery) * 3 / 2; len(times) > most {
			t.Errorf("node %v asked %d others in %v, want at most %d", id.Short(), len(times), span, most)
		}
	}
	for id, r := range p.rings {
		if !r.merge.through.IsZero() || len(r.merge.known) > maxKnown || len(r.lookups.flight) > 2 {
			t.Errorf("node %v: %+v, %d lookups in flight", id.Short(), r.merge, len(r.lookups.flight))
		}
	}
	many := make([]ident.NodeID, 3*maxKnown)
	for i := range many {
		many[i] = nodeID(i + 1)
	}
	r := p.rings[nodeID(1)]
	if r.Acquaint(p.now, many); len(r.merge.known) != maxKnown {
		t.Errorf("%d nodes are known, want %d", len(r.merge.known), maxKnown)
	}
	if r.Acquaint(p.now, nil); r.nextMerge() != 1<<63-1 {
		t.Error("a node that knows nobody still wants to ask")
	}
}
