package ring

import (
	"testing"
	"time"
)

// benchRing is a converged ring of 256 nodes, and one of them that has routed before.
func benchRing(t testing.TB) (*world, *Ring) {
	t.Helper()
	w := newWorld(t, Config{}, 1)
	w.constructed(256)
	r := w.rings[w.order[0]]
	r.routes()
	return w, r
}

// A hop of somebody else's lookup is what a node of a large ring does most: it must leave nothing behind for the
// garbage collector.
func TestRoutedHopAllocatesNothing(t *testing.T) {
	for _, kind := range []Kind{Find, Forward} {
		w, r := benchRing(t)
		targets := make([]ID, 64)
		for i := range targets {
			targets[i] = w.randomID()
		}
		i := 0
		hop := func() {
			msg := Message{Kind: kind, Seq: 1, To: r.members[0].id, Target: targets[i%len(targets)], Origin: nodeID(9), Limit: 64}
			r.Step(time.Second, nodeID(9), &msg)
			r.Take()
			i++
		}
		for range 64 {
			hop() // the slices of effects grow to their size
		}
		if n := testing.AllocsPerRun(500, hop); n != 0 {
			t.Errorf("%v: %v allocations for each hop", kind, n)
		}
	}
}

func BenchmarkRoutedHop(b *testing.B) {
	for _, kind := range []Kind{Find, Forward} {
		b.Run(kind.String(), func(b *testing.B) {
			w, r := benchRing(b)
			target := w.randomID()
			msg := Message{Kind: kind, Seq: 1, To: r.members[0].id, Target: target, Origin: nodeID(9), Limit: 64}
			b.ReportAllocs()
			for b.Loop() {
				r.Step(time.Second, nodeID(9), &msg)
				r.Take()
			}
		})
	}
}

func BenchmarkOwns(b *testing.B) {
	w, r := benchRing(b)
	id := w.randomID()
	b.ReportAllocs()
	for b.Loop() {
		r.Owns(id)
	}
}

// BenchmarkTable is what a change of one pointer costs the next lookup.
func BenchmarkTable(b *testing.B) {
	_, r := benchRing(b)
	b.ReportAllocs()
	for b.Loop() {
		r.table.dirty = true
		r.routes()
	}
}
