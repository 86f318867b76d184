package ring

import (
	"container/heap"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// world runs rings against each other on a virtual clock. Every message goes through the codec, so that what
// these tests show holds for what travels. The same seed gives the same run.
type world struct {
	t     testing.TB
	cfg   Config
	rng   *rand.Rand
	now   time.Duration
	order []ident.NodeID // all nodes that ever were
	rings map[ident.NodeID]*Ring
	queue mail
	sent  uint64
	lives uint64

	delay   func(from, to ident.NodeID) time.Duration
	cut     func(from, to ident.NodeID) bool // messages that are lost; nil: none
	results map[ident.NodeID][]Result
	alarms  []Event
	log     []string
	after   func() // called after each thing that happens
	trace   func(from, to ident.NodeID, m *Message)
}

type letter struct {
	at       time.Duration
	n        uint64
	from, to ident.NodeID
	msg      Message
}

type mail []letter

func (q mail) Len() int { return len(q) }
func (q mail) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].n < q[j].n
}
func (q mail) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *mail) Push(x any)   { *q = append(*q, x.(letter)) }
func (q *mail) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// nodeID returns the identifier of the n-th node of a test.
func nodeID(n int) (id ident.NodeID) {
	binary.BigEndian.PutUint64(id[:8], uint64(n))
	id[15] = 1
	return id
}

// shift makes other worlds of the same tests, to find those that pass by the luck of a seed.
var shift = flag.Uint64("shift", 0, "added to the seed of every world, times 2^32")

func newWorld(t testing.TB, cfg Config, seed uint64) *world {
	t.Helper()
	return &world{
		t: t, cfg: cfg, rng: rand.New(rand.NewPCG(seed+*shift<<32, 1)),
		rings: map[ident.NodeID]*Ring{}, results: map[ident.NodeID][]Result{},
		delay: func(_, _ ident.NodeID) time.Duration { return time.Millisecond },
	}
}

// node puts a node into the world that stands in no ring yet.
func (w *world) node(id ident.NodeID, tokens ...ID) *Ring {
	w.t.Helper()
	w.lives++
	r, err := New(w.cfg, id, tokens, w.rng.Uint64())
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.Contains(w.order, id) {
		w.order = append(w.order, id)
	}
	w.rings[id] = r
	return r
}

// ring builds a converged ring of one token per node: the n-th node stands at at[n].
func (w *world) ring(at ...uint64) {
	w.t.Helper()
	groups := make([][]uint64, len(at))
	for i, id := range at {
		groups[i] = []uint64{id}
	}
	w.converged(groups...)
}

// converged builds a converged ring; the n-th node holds the n-th group of tokens and is called after its first.
func (w *world) converged(nodes ...[]uint64) {
	w.t.Helper()
	space := Space{w.cfg.Bits}
	var all []Token
	for _, ids := range nodes {
		for _, id := range ids {
			all = append(all, Token{ID: space.Of(id), Node: nodeID(int(ids[0]))})
		}
	}
	slices.SortFunc(all, func(a, b Token) int { return a.ID.Compare(b.ID) })
	for _, ids := range nodes {
		tokens := make([]ID, len(ids))
		for i, id := range ids {
			tokens[i] = space.Of(id)
		}
		r := w.node(nodeID(int(ids[0])), tokens...)
		s := r.State()
		for i := range s.Tokens {
			s.Tokens[i] = ideal(all, s.Tokens[i].ID, r.cfg.Successors)
		}
		if err := r.Restore(w.now, s); err != nil {
			w.t.Fatal(err)
		}
	}
}

// ideal returns the state of the token at id in a converged ring of all tokens, which are sorted.
func ideal(all []Token, id ID, r int) TokenState {
	n := len(all)
	i := slices.IndexFunc(all, func(t Token) bool { return t.ID == id })
	s := TokenState{ID: id, Phase: Member, Confirmed: true, Predecessor: all[(i+n-1)%n]}
	for k := 1; k <= min(r, n-1); k++ {
		s.Successors = append(s.Successors, all[(i+k)%n])
	}
	return s
}

func (w *world) alive(id ident.NodeID) bool { return w.rings[id] != nil }

func (w *world) kill(id ident.NodeID) { delete(w.rings, id) }

// collect takes what a ring wants done.
func (w *world) collect(id ident.NodeID) {
	r := w.rings[id]
	e := r.Take()
	for _, env := range e.Messages {
		if env.To == id {
			w.t.Fatalf("node %v sends to itself: %v", id, env.Msg)
		}
		msg, err := DecodeMessage(env.Msg.Append(nil))
		if err != nil {
			w.t.Fatalf("%v: %v", err, env.Msg)
		}
		if w.cut != nil && w.cut(id, env.To) {
			continue
		}
		w.sent++
		heap.Push(&w.queue, letter{at: w.now + w.delay(id, env.To), n: w.sent, from: id, to: env.To, msg: msg})
	}
	w.results[id] = append(w.results[id], e.Results...)
	for _, ev := range e.Events {
		w.note("%v %v", id.Short(), ev)
		if ev.Alarm() {
			w.alarms = append(w.alarms, ev)
		}
	}
}

func (w *world) note(format string, args ...any) {
	if len(w.log) > 400 {
		w.log = append(w.log[:0], w.log[200:]...)
	}
	w.log = append(w.log, fmt.Sprintf("%8.3fs ", w.now.Seconds())+fmt.Sprintf(format, args...))
}

// step lets the next thing happen, and reports whether there was one before the end.
func (w *world) step(end time.Duration) bool {
	next, who := time.Duration(1<<63-1), ident.NodeID{}
	for _, id := range w.order {
		if r := w.rings[id]; r != nil {
			if at := max(r.Next(), w.now); at < next {
				next, who = at, id
			}
		}
	}
	if len(w.queue) > 0 && w.queue[0].at <= next {
		next = w.queue[0].at
		if next > end {
			return false
		}
		l := heap.Pop(&w.queue).(letter)
		w.now = next
		if w.trace != nil {
			w.trace(l.from, l.to, &l.msg)
		}
		if r := w.rings[l.to]; r != nil {
			r.Step(w.now, l.from, &l.msg)
			w.collect(l.to)
		}
	} else {
		if next > end {
			return false
		}
		w.now = next
		w.rings[who].Tick(w.now)
		w.collect(who)
	}
	if w.after != nil {
		w.after()
	}
	return true
}

// run lets the given time pass.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for w.step(end) {
	}
	w.now = end
}

// until lets time pass until cond holds, and fails when it does not in the given time.
func (w *world) until(d time.Duration, what string, cond func() bool) {
	w.t.Helper()
	end := w.now + d
	for !cond() {
		if !w.step(end) {
			w.dump()
			w.t.Fatalf("after %v still not: %s", d, what)
		}
	}
}

// lookup asks a node and waits for the answer.
func (w *world) lookup(at ident.NodeID, target ID, mode Mode) Result {
	w.t.Helper()
	ticket := w.rings[at].Lookup(w.now, target, mode, 0)
	w.collect(at)
	var got *Result
	w.until(time.Minute, "an end of the lookup", func() bool {
		for i, res := range w.results[at] {
			if res.Ticket == ticket {
				got = &w.results[at][i]
			}
		}
		return got != nil
	})
	return *got
}

// members returns all tokens that are members on living nodes, sorted.
func (w *world) members() []Token {
	var all []Token
	for _, id := range w.order {
		if r := w.rings[id]; r != nil {
			for _, m := range r.members {
				if m.phase == Member {
					all = append(all, r.token(m))
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Token) int { return a.ID.Compare(b.ID) })
	return all
}

// settled reports whether all tokens of living nodes form one ideal ring.
func (w *world) settled() bool {
	all := w.members()
	want := 0
	index := map[ID]int{}
	for i, t := range all {
		index[t.ID] = i
	}
	n := len(all)
	for _, r := range w.rings {
		want += len(r.members)
		for _, m := range r.members {
			i, ok := index[m.id]
			if !ok || n > 1 && (!m.confirmed || !m.floorSet || m.floor != m.pred.ID) || len(m.list) < min(r.cfg.Successors, n-1) || n > 1 && m.pred != all[(i+n-1)%n] {
				return false
			}
			for k, t := range m.list {
				if t != all[(i+1+k)%n] {
					return false
				}
			}
		}
	}
	return want == n
}

func (w *world) dump() {
	for _, line := range w.log[max(0, len(w.log)-40):] {
		w.t.Log(line)
	}
	shown := 0
	for _, id := range w.order {
		if r := w.rings[id]; r != nil {
			for _, m := range r.members {
				if shown++; shown > 12 {
					return
				}
				w.t.Logf("%v@%v %v op %d confirmed %t pred %v list %v", m.id.Short(), id.Short(), m.phase, m.op, m.confirmed, m.pred, m.list)
			}
		}
	}
}

func (w *world) randomID() ID {
	var id ID
	for i := 0; i < len(id); i += 8 {
		binary.BigEndian.PutUint64(id[i:], w.rng.Uint64())
	}
	return Space{w.cfg.withDefaults().Bits}.wrap(words(id))
}

// successorOf returns the member that owns id by definition.
func (w *world) successorOf(id ID) Token {
	all := w.members()
	i, _ := slices.BinarySearchFunc(all, id, func(t Token, id ID) int { return t.ID.Compare(id) })
	return all[i%len(all)]
}

// constructed puts a converged ring of n nodes of one token each in place, fingers included.
func (w *world) constructed(n int) {
	w.t.Helper()
	cfg := w.cfg.withDefaults()
	space := Space{cfg.Bits}
	all := make([]Token, n)
	for i := range all {
		all[i] = Token{ID: w.randomID(), Node: nodeID(i + 1)}
	}
	slices.SortFunc(all, func(a, b Token) int { return a.ID.Compare(b.ID) })
	for _, t := range all {
		s := Snapshot{Node: t.Node, Tokens: []TokenState{ideal(all, t.ID, cfg.Successors)}}
		ts := &s.Tokens[0]
		for e := cfg.Bits - 1; e >= 0; e-- {
			point := space.AddPower(t.ID, e)
			if Within(t.ID, point, ts.Successors[0].ID) {
				break
			}
			i, _ := slices.BinarySearchFunc(all, point, func(t Token, id ID) int { return t.ID.Compare(id) })
			ts.Fingers = append(ts.Fingers, all[i%n])
		}
		if err := w.node(t.Node, t.ID).Restore(w.now, s); err != nil {
			w.t.Fatal(err)
		}
	}
}
