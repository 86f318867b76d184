package lab

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ring"
)

// probed runs a world and asks, after all that happens, who owns the places where something has changed lately: at and
// right behind the tokens that have come, taken a predecessor, or gone. It returns how often some token owned the place,
// and how often that was another one than the observer's.
func (w *churnWorld) probed(t *testing.T) (owned, wrong int) {
	t.Helper()
	rng := random(w.Seed, 99)
	var hot []ring.ID
	told := w.told
	w.told = func(n int, e ring.Event) {
		told(n, e)
		if e.Kind == ring.Joined || e.Kind == ring.PredecessorChange || e.Kind == ring.Left {
			if len(hot) == 40 {
				hot = append(hot[:0], hot[10:]...)
			}
			hot = append(hot, e.Token.ID)
		}
	}
	w.touched = func(int) {
		if len(hot) == 0 {
			return
		}
		id := hot[rng.IntN(len(hot))]
		for _, id := range []ring.ID{id, ring.Space{Bits: ring.MaxBits}.AddPower(id, 0)} {
			for _, r := range w.rings {
				if r == nil {
					continue
				}
				if by, owns := r.Owns(id); owns {
					owned++
					if w.owner(id) != by {
						wrong++
					}
				}
			}
		}
	}
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	w.run()
	if w.err != nil {
		t.Fatal(w.err)
	}
	return owned, wrong
}

// No place has two owners, and none another one than a global observer says, in rings of which every node is another one
// within minutes. With a second owner, half of the lookups of a key end where it has never been written. And the observer
// must miss nobody: when all has come to rest, those that it knows are those that are there.
func TestTheObserverAgreesWithTheOwnersCheck(t *testing.T) {
	for _, c := range []Churn{
		{Preset: Quord, Nodes: 8, Successors: 16, Rate: 0.13, Hours: 0.015, Seed: 1},
		{Preset: Paper, Nodes: 30, Successors: 3, Rate: 0.09, Hours: 0.15, Seed: 2},
		{Preset: Paper, Nodes: 40, Successors: 5, Rate: 0.12, Hours: 0.5, Seed: 3},
		{Preset: Paper, Nodes: 100, Successors: 20, Rate: 0.3, Hours: 0.2, Seed: 4},
	} {
		for seed := range uint64(*scale) {
			c.Seed += 10 * seed
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			w := c.world(0)
			owned, wrong := w.probed(t)
			if wrong != 0 || w.out.Wrong != 0 {
				t.Errorf("%+v: %d of %d places had another owner than the observer's; %d wrong lookups", c, wrong, owned, w.out.Wrong)
			}
			if owned < 10000 || w.out.Joins < 3 || w.out.Departures < 3 {
				t.Errorf("%+v: too little happened: %d places looked at, %d joins, %d departures", c, owned, w.out.Joins, w.out.Departures)
			}
			for end := w.now + 5*time.Minute; w.step(end); {
			}
			known := map[ring.Token]bool{}
			for _, token := range w.truth {
				known[token] = true
			}
			there := 0
			for _, r := range w.rings {
				if r == nil {
					continue
				}
				for _, s := range r.State().Tokens {
					if there++; !known[ring.Token{ID: s.ID, Node: r.Self()}] {
						t.Errorf("%+v: the observer has missed %v of node %v", c, s.ID.Short(), r.Self())
					}
				}
			}
			if there != len(known) {
				t.Errorf("%+v: %d tokens are there, the observer knows %d", c, there, len(known))
			}
		}
	}
}

// The observer must be able to see a wrong owner: rings that take over what a dead token owned at once, without waiting
// for others to speak up, own places twice.
func TestTheObserverSeesTwoOwners(t *testing.T) {
	c := Churn{Preset: Paper, Nodes: 40, Successors: 5, Rate: 0.13, Hours: 0.5, Seed: 1}
	w := c.world(0)
	w.tune = func(cfg *ring.Config) {
		w.config(cfg)
		cfg.Settle = time.Millisecond
	}
	if owned, wrong := w.probed(t); wrong == 0 {
		t.Errorf("all of %d owners are the observer's", owned)
	}
}

// What the observer holds a join for. In the one case a newcomer's successor is a newcomer, too, and has had it as the
// predecessor from its own join on, so no change of a predecessor tells; an observer that waits for one never hears of
// it, and calls its answers wrong. In the other, the token that takes a newcomer as the predecessor is not the one that
// follows it; an observer that believes it calls the answers of the one that does follow wrong, though it alone owns the
// place and has not ceded it.
func TestWhenAJoinHasCompleted(t *testing.T) {
	p, a, b, x, s := ring.Token{Node: nodeID(0)}, ring.Token{Node: nodeID(1)}, ring.Token{Node: nodeID(2)}, ring.Token{Node: nodeID(3)}, ring.Token{Node: nodeID(4)}
	for i, at := range []*ring.Token{&p, &a, &b, &x, &s} {
		at.ID = ring.Space{Bits: ring.MaxBits}.Of(uint64(10 * (i + 1)))
	}
	observer := func() *churnWorld {
		w := Churn{Preset: Paper, Nodes: 8, Successors: 2}.world(0)
		w.rings = make([]*ring.Ring, 5)
		for i := range w.rings {
			w.rings[i] = &ring.Ring{} // alive
		}
		w.truth = []ring.Token{p, s}
		return w
	}
	type told struct {
		kind       ring.EventKind
		who, whose ring.Token
		owner      ring.Token // of what lies at a, afterwards
	}
	for name, story := range map[string][]told{
		"the successor came later, and was told of the newcomer when it joined": {
			{ring.Joined, a, p, s},
			{ring.Joined, b, a, s},
			{ring.PredecessorChange, s, b, a}, // with b's join a's has completed: b has it as the predecessor
		},
		"a token further on takes it, for it does not know the one between": {
			{ring.Joined, b, p, s},
			{ring.PredecessorChange, s, b, b},
			{ring.Joined, x, p, b},
			{ring.PredecessorChange, s, x, b},
			{ring.Joined, a, p, b},
			{ring.PredecessorChange, x, a, b}, // x does not know b, which owns the place and has to cede it
			{ring.PredecessorChange, x, b, b},
			{ring.PredecessorChange, b, a, a},
		},
	} {
		w := observer()
		for i, e := range story {
			w.hear(0, ring.Event{Kind: e.kind, Token: e.who, Peer: e.whose})
			if got := w.owner(a.ID); got != e.owner {
				t.Errorf("%s: after event %d %v owns the place of the newcomer, want %v", name, i, got, e.owner)
			}
		}
	}
}
