package ring

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/quorddb/quord/internal/ident"
)

// churn is a seeded world in which machines join, die, leave and come back, within Zave's operating assumption,
// while messages take their time and lookups run.
type churn struct {
	*world
	tokens  map[ident.NodeID][]ID // of machines that ever were
	pending map[ident.NodeID]map[uint64]ID
	gentle  bool // machines die only while the ring has got over the last death
	did     map[string]int
	last    []fingerprint
}

// fingerprint tells whether a member's pointers have changed; lists are never changed in place.
type fingerprint struct {
	id     ID
	phase  Phase
	pred   Token
	list   *Token
	length int
	floor  ID
}

// changed reports whether anything that the checks look at has changed since it was last asked.
func (c *churn) changed() bool {
	var now []fingerprint
	for _, id := range c.order {
		if r := c.rings[id]; r != nil {
			for _, m := range r.members {
				now = append(now, fingerprint{m.id, m.phase, m.pred, unsafe.SliceData(m.list), len(m.list), m.floor})
			}
		}
	}
	same := slices.Equal(now, c.last)
	c.last = now
	return !same
}

func newChurn(t *testing.T, cfg Config, seed uint64, machines, tokens int) *churn {
	t.Helper()
	c := &churn{
		world: newWorld(t, cfg, seed), tokens: map[ident.NodeID][]ID{},
		pending: map[ident.NodeID]map[uint64]ID{}, did: map[string]int{},
	}
	c.delay = func(_, _ ident.NodeID) time.Duration {
		return time.Millisecond + time.Duration(c.rng.Int64N(int64(20*time.Millisecond)))
	}
	c.after = c.check
	first := c.start(nodeID(1), max(tokens, cfg.Successors+1))
	if err := first.Create(0); err != nil {
		t.Fatal(err)
	}
	c.collect(nodeID(1))
	for n := 2; n <= machines; n++ {
		c.enter(n, tokens)
		c.run(time.Duration(c.rng.Int64N(int64(time.Second))))
	}
	return c
}

// start puts a machine into the world, under the tokens that it had before, if it did.
func (c *churn) start(id ident.NodeID, tokens int) *Ring {
	for len(c.tokens[id]) < tokens {
		c.tokens[id] = append(c.tokens[id], c.randomID())
	}
	c.pending[id] = map[uint64]ID{}
	c.results[id] = nil
	return c.node(id, c.tokens[id]...)
}

func (c *churn) enter(n, tokens int) {
	id := nodeID(n)
	contacts := slices.DeleteFunc(slices.Clone(c.order), func(o ident.NodeID) bool { return !c.alive(o) || o == id })
	r := c.start(id, tokens)
	if err := r.Join(c.now, contacts); err != nil {
		c.t.Fatal(err)
	}
	c.did["join"]++
}

func (c *churn) check() {
	broken := ""
	if c.changed() {
		broken = c.violation(false)
		if broken == "" {
			broken = c.shape()
		}
	}
	if broken == "" && len(c.alarms) > 0 {
		broken = fmt.Sprint(c.alarms)
	}
	if broken == "" {
		broken = c.judge()
	}
	if broken != "" {
		c.dump()
		c.t.Fatalf("at %v, after %v: %s", c.now, c.did, broken)
	}
}

// judge checks the lookups that ended: whoever is named as the owner must be a token that was, at that moment or
// shortly before, the only one to say so. Wrong answers are lost keys; errors are not.
func (c *churn) judge() string {
	for _, id := range c.order {
		for _, res := range c.results[id] {
			target, ok := c.pending[id][res.Ticket]
			if !ok {
				return fmt.Sprintf("lookup %d of %v ended twice, or was never asked", res.Ticket, id)
			}
			delete(c.pending[id], res.Ticket)
			if res.Target != target || res.Err == nil && (res.Owner.IsZero() || len(res.Successors) == 0) {
				return fmt.Sprintf("lookup of %v ended with %+v", target.Short(), res)
			}
			if res.Err != nil {
				c.did["lookup failed"]++
			} else {
				c.did["lookup"]++
			}
		}
		c.results[id] = c.results[id][:0]
	}
	if !c.gentle {
		return ""
	}
	// The owner's check itself: no two tokens own the same place.
	target := c.randomID()
	var owners []Token
	for _, r := range c.rings {
		if t, ok := r.Owns(target); ok {
			owners = append(owners, t)
		}
	}
	if len(owners) > 1 {
		return fmt.Sprintf("%v is owned by %v", target.Short(), owners)
	}
	return ""
}

// mayGo reports whether a machine's end is within the operating assumption: every token keeps a live successor,
// and r+1 principals remain, whichever of the answers under way arrive.
func (c *churn) mayGo(id ident.NodeID) bool { return c.violation(true, id) == "" }

// mayReturn reports whether nobody still waits for an answer of the machine's former life: a step's question is
// answered or times out while the one asked stays dead, which makes the step atomic.
func (c *churn) mayReturn(id ident.NodeID) bool {
	for _, r := range c.rings {
		for _, m := range r.members {
			if m.op != idle && (m.peer.Node == id || r.foundDead(id, m.began)) {
				return false
			}
		}
	}
	return true
}

// calm reports whether no death is still to be discovered or got over.
func (c *churn) calm() bool {
	for _, r := range c.rings {
		for _, m := range r.members {
			if m.phase != Member {
				continue
			}
			if !m.confirmed || m.settleAt != 0 || !c.alive(m.pred.Node) {
				return false
			}
			for _, t := range m.list {
				if !c.alive(t.Node) {
					return false
				}
			}
		}
	}
	return true
}

// act lets one thing happen to some machine.
func (c *churn) act(tokens, most int) {
	id := c.order[c.rng.IntN(len(c.order))]
	switch what := c.rng.IntN(10); {
	case what < 3 && len(c.rings) < most:
		c.enter(len(c.order)+1, 1+c.rng.IntN(tokens))
	case what < 5 && c.alive(id) && c.mayGo(id) && (!c.gentle || c.calm()):
		c.kill(id)
		c.did["death"]++
		if c.rng.IntN(2) == 0 { // the connections tell
			for _, r := range c.rings {
				r.NodeDown(c.now, id)
			}
		}
	case what < 6 && c.alive(id) && c.mayGo(id):
		c.rings[id].Leave(c.now)
		c.collect(id)
		if c.rng.IntN(2) == 0 {
			c.kill(id)
		}
		c.did["leave"]++
	case what < 8 && len(c.tokens[id]) > 0 && (!c.alive(id) || !c.rings[id].active()) && c.mayReturn(id):
		c.enter(int(id[7])|int(id[6])<<8, 0)
		c.did["return"]++
	case c.alive(id):
		target := c.randomID()
		c.pending[id][c.rings[id].Lookup(c.now, target, Mode(c.rng.IntN(2)), 0)] = target
		c.collect(id)
	}
	c.check()
}

// Zave's invariant, and one ring, after everything that happens in random worlds: machines of one and of several
// tokens that join, die whole, leave and return under their tokens at once, messages that take up to 20 ms and
// overtake each other. Each lookup ends once. Where deaths do not come faster than they are discovered, no two
// tokens ever own one place. In the end there is one ideal ring, and every lookup in it finds the owner.
func TestInvariantUnderChurn(t *testing.T) {
	for _, c := range []struct {
		r, machines, tokens, most, acts int
	}{
		{2, 3, 1, 8, 100},
		{2, 4, 3, 8, 80},
		{3, 5, 3, 8, 60},
		{4, 10, 1, 14, 80},
		{8, 4, 10, 5, 25},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("r=%d/tokens=%d/seed=%d", c.r, c.tokens, seed), func(t *testing.T) {
				cfg := LAN()
				cfg.Successors, cfg.MaxSuccessors = c.r, 4*c.r
				w := newChurn(t, cfg, seed, c.machines, c.tokens)
				w.gentle = seed%2 == 0
				for range c.acts {
					w.act(c.tokens, c.most)
					pause := 400 * time.Millisecond
					if w.gentle {
						pause = 2 * time.Second
					}
					w.run(time.Duration(w.rng.Int64N(int64(pause))))
				}
				for _, id := range w.order { // who has left is not to come back
					if r := w.rings[id]; r != nil && !r.active() {
						w.kill(id)
					}
				}
				w.until(2*time.Minute, "one ideal ring", w.settled)
				w.after = nil
				for range 40 {
					at := w.members()[0].Node
					key := w.randomID()
					res := w.lookup(at, key, Mode(w.rng.IntN(2)))
					if want := w.successorOf(key); res.Err != nil || res.Owner != want || !inOrder(want.ID, res.Successors) {
						w.dump()
						t.Logf("%+v", res)
						t.Logf("%+v", w.rings[want.Node].State())
						t.Fatalf("%v lookup of %v: %v, %v; want %v", res.Mode, key.Short(), res.Owner, res.Err, want)
					}
				}
				t.Log(w.did)
			})
		}
	}
}
