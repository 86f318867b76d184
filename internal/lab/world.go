package lab

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// nodeID names the node with that number, and number reads it back.
func nodeID(n int) (id ident.NodeID) {
	binary.BigEndian.PutUint64(id[:8], uint64(n)+1)
	return id
}

func number(id ident.NodeID) int { return int(binary.BigEndian.Uint64(id[:8])) - 1 }

// world is a network of rings and its virtual clock. Messages are delivered in the order of their arrival, those of
// the same moment in the order in which they were sent; what is sent to a dead node is lost.
type world struct {
	rings []*ring.Ring // by number; nil: dead, or not born yet
	now   time.Duration
	// delay says how long a message takes; nil: no time at all.
	delay func(from, to int) time.Duration
	// ticking lets the rings' own clocks run; otherwise only time limits of lookups pass, and pointers stand still.
	ticking bool
	// still is how long no ring of a world that does not tick may stabilize, though its lookups let time pass.
	still time.Duration
	// accepting makes a token that is asked as the owner accept, whatever its own check says: see Failures.
	accepting bool

	// tune gives each node of a ring that is constructed a configuration of its own.
	tune func(*ring.Config)

	ended func(node int, res ring.Result)
	told  func(node int, e ring.Event)
	spied func(from, to int, m *ring.Message) // sees each message when it is sent
	// touched is called with a node after each thing that has happened to it.
	touched func(node int)

	events  queue
	letters []letter
	free    []int32
	wake    []time.Duration // when each ticking ring is to be woken
	sent    uint64
}

type letter struct {
	from, to int
	msg      ring.Message
}

// clockless is the letter of an event that only wakes a ring.
const clockless = -1

func (w *world) alive(n int) bool { return n >= 0 && n < len(w.rings) && w.rings[n] != nil }

// put places a ring in the world, as the node with that number.
func (w *world) put(n int, r *ring.Ring) {
	for len(w.rings) <= n {
		w.rings = append(w.rings, nil)
		w.wake = append(w.wake, 0)
	}
	w.rings[n], w.wake[n] = r, never
	w.plan(n)
}

const never = time.Duration(1<<63 - 1)

// plan sees to it that a ring is woken when it wants to be.
func (w *world) plan(n int) {
	if !w.ticking {
		return
	}
	if at := max(w.rings[n].Next(), w.now); at < w.wake[n] {
		w.wake[n] = at
		w.sent++
		w.events.push(event{at: at, order: w.sent, letter: clockless, node: int32(n)})
	}
}

// collect puts what a ring wants done on its way.
func (w *world) collect(n int) {
	e := w.rings[n].Take()
	for i := range e.Messages {
		env := &e.Messages[i]
		to := number(env.To)
		if w.spied != nil {
			w.spied(n, to, &env.Msg)
		}
		if !w.alive(to) {
			continue
		}
		if w.accepting && env.Msg.Kind == ring.Route && env.Msg.Verdict == ring.Refused {
			env.Msg.Verdict = ring.Owner
		}
		at := w.now
		if w.delay != nil {
			at += w.delay(n, to)
		}
		w.post(at, letter{n, to, env.Msg})
	}
	if w.told != nil {
		for _, ev := range e.Events {
			w.told(n, ev)
		}
	}
	if w.ended != nil {
		for _, res := range e.Results {
			w.ended(n, res)
		}
	}
	if w.touched != nil {
		w.touched(n)
	}
	if w.alive(n) {
		w.plan(n)
	}
}

func (w *world) post(at time.Duration, l letter) {
	var slot int32
	if k := len(w.free); k > 0 {
		slot, w.free = w.free[k-1], w.free[:k-1]
		w.letters[slot] = l
	} else {
		slot = int32(len(w.letters))
		w.letters = append(w.letters, l)
	}
	w.sent++
	w.events.push(event{at: at, order: w.sent, letter: slot})
}

// step lets the next thing happen if it happens by the end, and reports whether it did.
func (w *world) step(end time.Duration) bool {
	if len(w.events) == 0 || w.events[0].at > end {
		return false
	}
	e := w.events.pop()
	w.now = max(w.now, e.at)
	if e.letter == clockless {
		n := int(e.node)
		if e.at == w.wake[n] {
			w.wake[n] = never
		}
		if !w.alive(n) {
			return true
		}
		if w.rings[n].Next() <= w.now {
			w.rings[n].Tick(w.now)
			w.collect(n)
		} else {
			w.plan(n)
		}
		return true
	}
	l := &w.letters[e.letter]
	if w.alive(l.to) {
		to := l.to
		msg := l.msg
		w.rings[to].Step(w.now, nodeID(l.from), &msg)
		w.letters[e.letter] = letter{}
		w.free = append(w.free, e.letter)
		w.collect(to)
		return true
	}
	w.letters[e.letter] = letter{}
	w.free = append(w.free, e.letter)
	return true
}

// lookup asks a node, and runs the world until the answer is there. In a world that does not tick, time passes only
// where the lookup waits for somebody who is dead.
func (w *world) lookup(asker int, target ring.ID, mode ring.Mode) (ring.Result, error) {
	var got *ring.Result
	before := w.ended
	w.ended = func(n int, res ring.Result) {
		if n == asker && res.Target == target {
			got = &res
		}
	}
	defer func() { w.ended = before }()
	w.rings[asker].Lookup(w.now, target, mode, 0)
	w.collect(asker)
	for got == nil {
		if w.step(never) {
			continue
		}
		at := w.rings[asker].Next()
		if at == never || at < w.now {
			return ring.Result{}, fmt.Errorf("node %d waits for nothing, but its lookup of %v has not ended", asker, target.Short())
		}
		w.now = at
		w.rings[asker].Tick(at)
		w.collect(asker)
	}
	return *got, nil
}
