package ring

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring/original"
)

// Zave 2012, AtMostOneRing: two joins are taken into a ring of two, both newcomers fail, and both old members
// promote second successors that skip each other. The published rules end with two rings, for good: half of
// the keys are lost to each half of the clients.
func TestZaveAtMostOneRingOriginal(t *testing.T) {
	o := original.New(64)
	o.Ideal(true, 0)
	o.Join(20, 0)
	o.Stabilize(20)
	o.Stabilize(0)
	o.Reconcile(0)
	o.Reconcile(20)
	if got := o.Rings(); len(got) != 1 || !slices.Equal(got[0], []int{0, 20}) {
		t.Fatalf("rings %v", got)
	}
	o.Join(10, 0)
	o.Stabilize(10)
	o.Stabilize(0)
	o.Join(30, 0)
	o.Stabilize(30)
	o.Stabilize(20)
	if got := o.Rings(); len(got) != 1 || !slices.Equal(got[0], []int{0, 10, 20, 30}) {
		t.Fatalf("rings %v", got)
	}
	o.Fail(10)
	o.Fail(30)
	o.Update(0)
	o.Update(20)
	if got := o.Rings(); len(got) != 2 || !slices.Equal(got[0], []int{0}) || !slices.Equal(got[1], []int{20}) {
		t.Errorf("the counterexample does not break the original rules: rings %v", got)
	}
}

// Zave 2012, AtLeastOneRing: a newcomer notifies its successor and fails; its predecessor adopts it from the
// successor's pointer without asking whether it lives, before lists are reconciled. No ring is left.
func TestZaveAtLeastOneRingOriginal(t *testing.T) {
	o := original.New(64)
	o.Ideal(false, 6)
	o.Join(12, 6)
	o.Stabilize(12)
	o.Stabilize(6)
	o.Join(10, 6)
	o.Stabilize(10)
	o.Fail(10)
	o.Stabilize(6) // adopts 10, which is dead
	o.Update(6)
	if got := o.Rings(); len(got) != 0 {
		t.Errorf("the counterexample does not break the original rules: rings %v", got)
	}
}

// zaveWorld is a ring of our rules with r = 2 on r+1 principals or more, watched after everything that happens.
func zaveWorld(t *testing.T, ids ...uint64) *world {
	t.Helper()
	cfg := LAN()
	cfg.Bits, cfg.Successors, cfg.MaxSuccessors = 6, 2, 2
	w := newWorld(t, cfg, 3)
	w.ring(ids...)
	w.after = func() { w.mustHold(ids) }
	return w
}

func (w *world) join(id uint64, through uint64) *member {
	w.t.Helper()
	return w.joinAs(Token{Space{w.cfg.Bits}.Of(id), nodeID(int(id))}, nodeID(int(through)))
}

func (w *world) head(id uint64) ID {
	return w.rings[nodeID(int(id))].members[0].list[0].ID
}

// The same happenings by our rules, from the smallest ring that may be: both newcomers are adopted, both fail
// at once at the worst moment, just when the old members have taken them as first successors.
func TestZaveAtMostOneRingOurs(t *testing.T) {
	w := zaveWorld(t, 0, 20, 40)
	w.run(2 * time.Second)
	w.join(10, 0)
	w.join(30, 20)
	w.until(10*time.Second, "10 and 30 are first successors", func() bool {
		return w.head(0) == six.Of(10) && w.head(20) == six.Of(30)
	})
	if broken := w.violation(true, nodeID(10), nodeID(30)); broken != "" {
		t.Fatalf("the deaths would not be within the operating assumption: %s", broken)
	}
	w.kill(nodeID(10))
	w.kill(nodeID(30))
	w.until(30*time.Second, "one ring of 0, 20 and 40", w.settled)
	if got := showTokens(w.members()); got != "0 20 40" {
		t.Errorf("members %s", got)
	}
}

// And here: 6 hears of 10 from 12, asks it, gets no answer, and does not adopt it.
func TestZaveAtLeastOneRingOurs(t *testing.T) {
	w := zaveWorld(t, 6, 12, 40)
	w.run(2 * time.Second)
	w.join(10, 6)
	twelve := w.rings[nodeID(12)].members[0]
	w.until(10*time.Second, "12 has taken 10 as its predecessor", func() bool { return twelve.pred.ID == six.Of(10) })
	w.kill(nodeID(10))
	asked := false
	w.trace = func(_, to ident.NodeID, m *Message) { asked = asked || to == nodeID(10) && m.Kind == Query }
	w.until(30*time.Second, "one ring of 6, 12 and 40", func() bool { return asked && w.settled() })
	if slices.ContainsFunc(w.log, func(s string) bool { return strings.Contains(s, "successor changed: token 6@") }) {
		t.Errorf("6 changed its successor")
	}
}

// A node that comes back under its name at once, while others still point to it, harms nothing (Zave 2017,
// section III): it joins once its predecessor has noticed that it had lost its state.
func TestZaveImmediateRejoin(t *testing.T) {
	w := zaveWorld(t, 4, 8, 15, 20, 32, 44)
	w.run(2 * time.Second)
	w.kill(nodeID(15))
	m := w.join(15, 32)
	at := w.now
	w.until(5*time.Second, "15 is a member again", func() bool { return m.phase == Member })
	w.until(10*time.Second, "one ring again", w.settled)
	if took := w.now - at; took > w.cfg.Settle+2*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Zave 2017, section IV: the invariant is inductive. From every state of five members, and of four members and
// a dead one, that satisfies it for r = 2, every kind of step is taken alone: each member stabilizes, with all
// that follows (from-predecessor, notify, rectify), and the dead one comes back and joins while others still
// point to it. The invariant holds after each message, and there is one ring. Only cyclic order matters to the
// steps, so one choice of identifiers stands for all; of the predecessors a step reads only that of the
// successor asked and that of the member notified, so all are set to the same member, in turn.
func TestZaveEverySingleStep(t *testing.T) {
	cfg := LAN()
	cfg.Bits, cfg.Successors, cfg.MaxSuccessors, cfg.Proximity, cfg.Nudge = 3, 2, 2, 1, cfg.StabilizeEvery
	three := Space{3}
	ids := []uint64{0, 1, 2, 3, 4}
	token := func(x uint64) Token { return Token{three.Of(x), nodeID(int(x) + 1)} }
	lists := func(x uint64) (all [][]Token) { // all that are in order, over living and dead tokens
		for _, a := range ids {
			for _, b := range ids {
				if list := []Token{token(a), token(b)}; inOrder(three.Of(x), list) {
					all = append(all, list)
				}
			}
		}
		return all
	}
	states, steps := 0, 0
	for _, live := range [][]uint64{{0, 1, 2, 3, 4}, {0, 1, 2, 4}} {
		members := make([]Token, len(live))
		for i, x := range live {
			members[i] = token(x)
		}
		place := func(chains []Chain, pred uint64) *world {
			w := newWorld(t, cfg, 1)
			for i, c := range chains {
				p := token(pred)
				if p == c.Head {
					p = members[(i+len(members)-1)%len(members)]
				}
				s := Snapshot{Node: c.Head.Node, Tokens: []TokenState{
					{ID: c.Head.ID, Phase: Member, Confirmed: true, Predecessor: p, Successors: c.List},
				}}
				if err := w.node(s.Node, c.Head.ID).Restore(0, s); err != nil {
					t.Fatal(err)
				}
			}
			return w
		}
		var extend func(chains []Chain)
		extend = func(chains []Chain) {
			if n := len(chains); n < len(live) {
				for _, list := range lists(live[n]) {
					extend(append(chains[:n:n], Chain{members[n], list}))
				}
				return
			}
			if len(Principals(members, chains)) < 3 || place(chains, 0).violation(false) != "" {
				return
			}
			states++
			for _, pred := range ids {
				for _, stepper := range members {
					steps += place(chains, pred).everyStepOf(stepper.Node, chains)
				}
				if len(live) < len(ids) {
					w := place(chains, pred)
					m := w.joinAs(token(3), members[0].Node)
					w.after = func() {
						steps++
						w.mustHold(chains)
					}
					w.until(time.Minute, "the dead one is back", func() bool { return m.phase == Member })
				}
			}
		}
		extend(nil)
	}
	t.Logf("%d steps from %d states", steps, states)
	if states < 100 {
		t.Errorf("only %d states satisfied the invariant: the enumeration is broken", states)
	}
}

func (w *world) joinAs(t Token, through ident.NodeID) *member {
	w.t.Helper()
	r := w.node(t.Node, t.ID)
	if err := r.Join(w.now, []ident.NodeID{through}); err != nil {
		w.t.Fatal(err)
	}
	return r.members[0]
}

// mustHold fails unless the invariant holds and there is one ring.
func (w *world) mustHold(from any) {
	w.t.Helper()
	for _, broken := range []string{w.violation(false), w.shape()} {
		if broken != "" {
			w.dump()
			w.t.Fatalf("from %v, at %v: %s", from, w.now, broken)
		}
	}
}

// everyStepOf lets one member stabilize to the end, then its successor hear of it, checking after each message.
func (w *world) everyStepOf(id ident.NodeID, from any) (steps int) {
	r := w.rings[id]
	m := r.members[0]
	r.now = w.now
	r.stabilize(m)
	r.settle()
	w.collect(id)
	for range 200 {
		steps++
		w.mustHold(from)
		if len(w.queue) > 0 {
			l := w.queue[0]
			w.queue = w.queue[:copy(w.queue, w.queue[1:])]
			if to := w.rings[l.to]; to != nil {
				to.Step(w.now, l.from, &l.msg)
				w.collect(l.to)
			}
			continue
		}
		// Nothing under way: whoever waits does so for a dead token.
		waiting := false
		for _, other := range w.order {
			x := w.rings[other].members[0]
			if x.op != idle {
				waiting = true
				w.now = max(w.now, x.deadline)
				x.tries = w.cfg.Attempts
				w.rings[other].now = w.now
				w.rings[other].unanswered(x)
				w.rings[other].settle()
				w.collect(other)
			}
		}
		if !waiting {
			return steps
		}
	}
	w.t.Fatal("the step does not end")
	return steps
}
