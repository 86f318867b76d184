package ring

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quorddb/quord/internal/ident"
)

// In a ring at rest every lookup of every key from every node finds the key's owner and its replicas, both ways,
// however few fingers there are. A wrong answer is a lost key.
func TestLookupFindsTheOwner(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := LAN()
		cfg.Bits = rapid.IntRange(5, 10).Draw(rt, "bits")
		cfg.Successors = rapid.IntRange(1, 4).Draw(rt, "r")
		cfg.MaxSuccessors = 4 * cfg.Successors
		w := newWorld(t, cfg, rapid.Uint64().Draw(rt, "seed"))
		ids := rapid.SliceOfNDistinct(rapid.Uint64Range(0, 1<<cfg.Bits-1), 2, 24, rapid.ID).Draw(rt, "tokens")
		var nodes [][]uint64
		for rest := ids; len(rest) > 0; {
			n := min(rapid.IntRange(1, 4).Draw(rt, "tokens of a node"), len(rest))
			nodes = append(nodes, rest[:n])
			rest = rest[n:]
		}
		w.converged(nodes...)
		w.run(time.Duration(rapid.IntRange(0, 20).Draw(rt, "seconds for fingers")) * time.Second)
		for range 5 {
			target := Space{cfg.Bits}.Of(rapid.Uint64().Draw(rt, "key"))
			at := rapid.SampledFrom(w.order).Draw(rt, "at")
			mode := Mode(rapid.IntRange(0, 1).Draw(rt, "mode"))
			want := w.successorOf(target)
			before := w.rings[want.Node].Walk(target)
			res := w.lookup(at, target, mode)
			if res.Err != nil || res.Owner != want {
				rt.Fatalf("%v lookup of %v at %v: %v, %v; want %v", mode, target.Short(), at.Short(), res.Owner, res.Err, want)
			}
			if got, ok := w.rings[want.Node].Owns(target); !ok || got != want {
				rt.Fatalf("the owner itself says %v, %t", got, ok)
			}
			// Lists still grow until they reach enough machines: the answer shows the owner's as it was on the way.
			walk := w.rings[want.Node].Walk(target)
			if !slices.Equal(walk[1:], res.Successors) && !slices.Equal(before[1:], res.Successors) {
				rt.Fatalf("the owner walked %v and walks %v, the lookup brought %v", before, walk, res.Successors)
			}
			if mode == Iterative && (len(res.Path) != res.Hops || res.Timeouts != 0) {
				rt.Fatalf("%d hops, %d timeouts, path %v", res.Hops, res.Timeouts, res.Path)
			}
		}
	})
}

// Whatever is lost on the way, each lookup ends, once, by its deadline, in the right owner or in an error: a
// client that waits for ever, or is told a lie, is worse off than one that is told to try again.
func TestLookupsAlwaysEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := LAN()
		cfg.Bits, cfg.Successors, cfg.MaxSuccessors = 6, 3, 3
		w := newWorld(t, cfg, rapid.Uint64().Draw(rt, "seed"))
		w.ring(lectures...)
		w.run(3 * time.Second)
		lost := rapid.IntRange(0, 100).Draw(rt, "percent lost")
		w.delay = func(_, _ ident.NodeID) time.Duration {
			if w.rng.IntN(100) < lost {
				return 1000 * time.Hour
			}
			return time.Duration(w.rng.Int64N(int64(700 * time.Millisecond)))
		}
		at := nodeID(20)
		asked := map[uint64]ID{}
		for range 8 {
			target := six.Of(w.rng.Uint64())
			timeout := time.Duration(1+w.rng.IntN(4000)) * time.Millisecond
			asked[w.rings[at].Lookup(w.now, target, Mode(w.rng.IntN(2)), timeout)] = target
		}
		w.collect(at)
		w.run(4*time.Second + time.Millisecond)
		for _, res := range w.results[at] {
			target, ok := asked[res.Ticket]
			if !ok {
				rt.Fatalf("lookup %d ended twice, or was never asked", res.Ticket)
			}
			delete(asked, res.Ticket)
			known := res.Err == nil || errors.Is(res.Err, ErrDeadline) || errors.Is(res.Err, ErrNoOwner) || errors.Is(res.Err, ErrHopLimit) || errors.Is(res.Err, ErrOutside)
			if res.Target != target || !known || res.Err == nil && res.Owner != w.successorOf(target) && len(w.alarms) == 0 && lost == 0 {
				rt.Fatalf("lookup of %v ended with %+v", target.Short(), res)
			}
		}
		if len(asked) > 0 {
			rt.Fatalf("lookups without an end: %v", asked)
		}
	})
}

// A lookup goes around dead hops without waiting for the ring to mend, and shows which they were.
func TestIterativeGoesAroundDeadHops(t *testing.T) {
	cfg := LAN()
	cfg.StabilizeEvery = time.Hour // nothing mends by itself
	w := newWorld(t, cfg, 5)
	w.constructed(128)
	asker := w.order[0]
	key := w.randomID()
	before := w.lookup(asker, key, Iterative)
	for range 20 { // whom it asks first must not be the owner
		if before.Err == nil && before.Hops >= 2 {
			break
		}
		key = w.randomID()
		before = w.lookup(asker, key, Iterative)
	}
	if before.Err != nil || before.Hops < 2 {
		t.Fatalf("%+v", before)
	}
	first := before.Path[0].Token.Node
	w.kill(first)
	after := w.lookup(asker, key, Iterative)
	if after.Err != nil || after.Owner != before.Owner || after.Timeouts != 1 || !after.Path[0].TimedOut || after.Path[0].Token.Node != first {
		t.Errorf("%+v", after)
	}
	// Once known to be dead it costs nothing more, and neither does one whose connection is known to be down.
	if again := w.lookup(asker, key, Iterative); again.Err != nil || again.Timeouts != 0 {
		t.Errorf("%+v", again)
	}
}

// Bounds hold: a node in no ring says so at once, and so does one with too many lookups in flight.
func TestLookupRefusals(t *testing.T) {
	w := newWorld(t, Config{Bits: 6, Successors: 2, MaxLookups: 3}, 1)
	outsider := w.node(nodeID(99), six.Of(50))
	outsider.Lookup(0, six.Of(1), Iterative, 0)
	if res := outsider.Take().Results; len(res) != 1 || !errors.Is(res[0].Err, ErrOutside) {
		t.Errorf("%+v", res)
	}
	w.ring(lectures...)
	r := w.rings[nodeID(4)]
	for range 5 {
		r.Lookup(0, six.Of(40), Recursive, 0)
	}
	res := r.Take().Results
	if len(res) != 2 || !errors.Is(res[0].Err, ErrTooManyLookups) {
		t.Errorf("%+v", res)
	}
	r.Leave(0)
	if res := r.Take().Results; len(res) != 3 || !errors.Is(res[0].Err, ErrOutside) {
		t.Errorf("after leaving: %+v", res)
	}
}

// hopRing returns one node of a constructed ring of 1000 with its tables warm, and keys that it must pass on.
func hopRing(b *testing.B) (*Ring, []ID) {
	b.Helper()
	w := newWorld(b, LAN(), 1)
	w.constructed(1000)
	r := w.rings[w.order[0]]
	var keys []ID
	for len(keys) < 256 {
		if id := w.randomID(); r.owner(id) == nil {
			keys = append(keys, id)
		}
	}
	r.routes()
	return r, keys
}

// BenchmarkFindHop is one hop of an iterative lookup at the node asked.
func BenchmarkFindHop(b *testing.B) {
	r, keys := hopRing(b)
	from := nodeID(5000)
	msg := Message{Kind: Find, Seq: 1}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		msg.Target = keys[i%len(keys)]
		r.Step(0, from, &msg)
		r.Take()
	}
}

// BenchmarkForwardHop is one hop of a recursive lookup.
func BenchmarkForwardHop(b *testing.B) {
	r, keys := hopRing(b)
	from := nodeID(5000)
	msg := Message{Kind: Forward, Seq: 1, Origin: from, Hops: 1, Limit: 64}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		msg.Target = keys[i%len(keys)]
		r.Step(0, from, &msg)
		r.Take()
	}
}

// BenchmarkIdleSecond is what a second of rest costs a node of 64 tokens in a ring of three such machines, of
// all three together.
func BenchmarkIdleSecond(b *testing.B) {
	w := newWorld(b, Local(), 1)
	for n := 1; n <= 3; n++ {
		ids := make([]ID, 64)
		for i := range ids {
			ids[i] = w.randomID()
		}
		r := w.node(nodeID(n), ids...)
		if n == 1 {
			if err := r.Create(0); err != nil {
				b.Fatal(err)
			}
			w.collect(nodeID(1))
		} else if err := r.Join(w.now, w.order); err != nil {
			b.Fatal(err)
		}
	}
	w.until(time.Minute, "one ring", w.settled)
	w.run(90 * time.Second)
	sent := w.sent
	b.ReportAllocs()
	for b.Loop() {
		w.run(time.Second)
	}
	b.ReportMetric(float64(w.sent-sent)/float64(b.N), "messages/op")
}

// A frame that a network delivers twice does not make two of a lookup: one that took sixty hops, around tokens that did not
// answer, doubled with each of them, and a ring was busy with nothing else.
func TestLookupDeliveredTwice(t *testing.T) {
	cfg := LAN()
	cfg.Bits = 8
	w := newWorld(t, cfg, 1)
	w.converged([]uint64{10, 110}, []uint64{60, 160}, []uint64{200, 250})
	target := Space{cfg.Bits}.Of(205)
	origin, at := w.order[0], w.order[1]
	passed := func(hops uint8) int {
		w.rings[at].Step(w.now, origin, &Message{
			Kind: Forward, To: Space{cfg.Bits}.Of(160), Target: target, Origin: origin, Seq: 77, Hops: hops, Limit: 64,
		})
		n := 0
		for _, m := range w.rings[at].Take().Messages {
			if m.Msg.Seq == 77 {
				n++
			}
		}
		return n
	}
	if n := passed(3); n != 1 {
		t.Errorf("a lookup is passed on %d times, want once", n)
	}
	if n := passed(3); n != 0 {
		t.Errorf("its second copy is passed on %d times", n)
	}
	if n := passed(9); n != 1 { // around the ring, and here again
		t.Errorf("a lookup that comes back is passed on %d times, want once", n)
	}
}
