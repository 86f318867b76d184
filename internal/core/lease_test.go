package core

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/request"
)

// tryRead asks a node for a key on the goroutine of a client; ok says that it was answered there.
func (w *world) tryRead(n *node, tab uint32, at time.Duration) (reply string, ok bool) {
	c := &call{n: n}
	c.req = request.Request{Tablet: tab, Commands: []request.Command{{[]byte("GET"), []byte(key(tab))}}, Owner: c}
	if !n.core.TryRead(at, &c.req) {
		return "", false
	}
	return string(c.req.Replies[0]), true
}

// A client of the leader reads without the node's worker, and so without a message, as long as the lease lasts; then one
// read goes through the worker, and those after it need not. It is looked at at each read, by the clock of that moment:
// what a process held before it was stopped says nothing when it wakes.
func TestReadsAtTheLeader(t *testing.T) {
	w := newRing(t, 300, 3)
	const tab = 3
	l := w.leader(tab)
	w.must(l, "SET", key(tab), "v")
	if got := w.must(l, "GET", key(tab)); got != "$1\r\nv\r\n" {
		t.Fatal(got)
	}
	for d := time.Duration(0); d < 100*time.Millisecond; d += time.Millisecond {
		if got, ok := w.tryRead(l, tab, w.now+d); !ok || got != "$1\r\nv\r\n" {
			t.Fatalf("%v after a read: %q %t", d, got, ok)
		}
	}
	for _, d := range []time.Duration{300 * time.Millisecond, time.Second, time.Hour} {
		if _, ok := w.tryRead(l, tab, w.now+d); ok {
			t.Fatalf("a process that was stopped for %v reads by what it knew", d)
		}
	}
	w.run(5 * time.Second)
	if _, ok := w.tryRead(l, tab, w.now); ok {
		t.Error("a tablet that nobody asks has a lease")
	}
	w.must(l, "GET", key(tab)) // which asks a majority
	w.must(l, "GET", key(tab)) // which opens the gate
	if _, ok := w.tryRead(l, tab, w.now); !ok {
		t.Error("the gate stays shut")
	}
	for _, n := range w.nodes {
		if _, ok := w.tryRead(n, tab, w.now); ok && n != l {
			t.Error("a follower reads by itself")
		}
	}
}

// A leader that is cut off reads by itself until its lease ends, and not once another node leads.
func TestReadsOfACutOffLeader(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 310+seed, 3)
		const tab = 5
		l := w.leader(tab)
		w.must(l, "SET", key(tab), "old")
		w.must(l, "GET", key(tab))
		w.split(l)
		answered := 0
		for w.leader(tab) == l {
			w.step()
			if got, ok := w.tryRead(l, tab, w.now); ok {
				if answered++; got != "$3\r\nold\r\n" || w.leader(tab) != l {
					t.Fatalf("seed %d: node %d reads %q by itself, and another leads", seed, l.index, got)
				}
			}
		}
		if answered == 0 {
			t.Errorf("seed %d: it had no lease: nothing was tested", seed)
		}
		w.must(w.leader(tab), "SET", key(tab), "new")
		late := w.ask(l, "GET", key(tab))
		w.run(time.Second)
		if late.over() && late.code() == "" {
			t.Fatalf("seed %d: it answers %q, and another leads", seed, late.reply())
		}
		if _, ok := w.tryRead(l, tab, w.now); ok {
			t.Fatalf("seed %d: it still reads by itself", seed)
		}
		w.heal()
		w.settled(time.Minute)
		if got := w.must(l, "GET", key(tab)); got != "$3\r\nnew\r\n" {
			t.Fatal(got)
		}
	}
}

// The gate is shut before the word to take over leaves the node: its new leader may write as soon as it arrives.
func TestGateClosesBeforeATransfer(t *testing.T) {
	w := newRing(t, 320, 3)
	const tab = 7
	l := w.leader(tab)
	w.must(l, "SET", key(tab), "v")
	w.must(l, "GET", key(tab))
	if _, ok := w.tryRead(l, tab, w.now); !ok {
		t.Fatal("the gate is shut")
	}
	c := l.core
	p := c.place(tab)
	c.At(l.time())
	for _, r := range p.group.Descriptor().Voters() {
		if r.Node != l.id {
			p.group.TransferTo(r.ID)
			break
		}
	}
	c.touch(p)
	c.Turn()
	left := 0
	c.Early(func(ident.NodeID, []byte) {
		left++
		if _, ok := w.tryRead(l, tab, w.now); ok {
			t.Error("the word leaves this node, and the gate is open")
		}
	})
	if left == 0 {
		t.Error("nothing was sent: nothing was tested")
	}
}

// When the node that leads a key dies, the key can be written again well within half a second: its lease has to run out,
// the next in line is elected, and what waited is tried again as soon as that is known. Keys that others lead feel nothing.
func TestWritesAfterALeadersDeath(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 330+seed, 3)
		victim := w.nodes[w.rng.IntN(3)]
		led := map[uint32]bool{}
		last, gap := map[uint32]time.Duration{}, map[uint32]time.Duration{}
		var stopped bool
		var next func(tab uint32)
		next = func(tab uint32) {
			n := w.nodes[w.rng.IntN(3)]
			if stopped {
				return
			}
			if n == victim {
				w.after(0, func() { next(tab) })
				return
			}
			c := w.ask(n, "INCR", key(tab))
			var wait func()
			wait = func() {
				switch {
				case !c.over():
					w.after(time.Millisecond, wait)
					return
				case c.code() == "":
					if at, ok := last[tab]; ok {
						gap[tab] = max(gap[tab], w.now-at)
					}
					last[tab] = w.now
				}
				w.after(time.Duration(w.rng.IntN(5))*time.Millisecond, func() { next(tab) })
			}
			wait()
		}
		for tab := range uint32(worldTablets) {
			led[tab] = w.leader(tab) == victim
			next(tab)
		}
		w.run(time.Second)
		clear(gap)
		w.kill(victim, nil)
		w.run(2 * time.Second)
		stopped = true
		t.Logf("seed %d: %v", seed, gap)
		for tab, longest := range gap {
			switch {
			case led[tab] && longest > 350*time.Millisecond:
				t.Errorf("seed %d: tablet %d could not be written for %v", seed, tab, longest)
			case !led[tab] && longest > 50*time.Millisecond:
				t.Errorf("seed %d: tablet %d, which another node leads, could not be written for %v", seed, tab, longest)
			}
		}
	}
}
