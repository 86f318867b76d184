package core

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/registry"
)

// Two replicas that are stuck over the same record, while the third is away, can do nothing but wait for it. They handed the
// leadership over to each other eight times a second, with writes to both disks each time.
func TestTwoStuckReplicasWait(t *testing.T) {
	w := newRing(t, 1, 3)
	const tab = 5
	k := key(tab)
	w.must(w.nodes[0], "SET", k, "value")
	w.run(time.Second)
	l, f := w.leader(tab), w.follower(tab)
	var third *node
	for _, n := range w.nodes {
		if n != l && n != f {
			third = n
		}
	}
	l.flip(t, storedKey(k), 77)
	f.flip(t, storedKey(k), 77)
	w.ask(f, "APPEND", k, "more")
	g, h := l.core.places[tab].group, f.core.places[tab].group
	w.until(10*time.Second, "both are stuck", func() bool { return g.Stuck() && h.Stuck() })
	w.kill(third, nil)
	w.run(5 * time.Second)
	if l.core.places[tab].group != g || f.core.places[tab].group != h || !g.Stuck() || !h.Stuck() {
		t.Fatal("one of them was mended: this shows nothing")
	}
	term := g.Term()
	w.run(30 * time.Second)
	if n := g.Term() - term; n > 10 {
		t.Errorf("%d elections in 30 s", n)
	}
	w.start(third)
	w.whole(time.Minute)
}

// The same with three of five replicas: each knows of both others that they are hurt, not only of the one that said so last.
func TestThreeStuckReplicasWait(t *testing.T) {
	w := newWorld(t, 1)
	first := w.foundWith(registry.Settings{Replicas: 5, Tablets: worldTablets, ReplaceAfter: replaceAfter, Format: Format}, 1)
	for range 4 {
		w.start(w.add(), first)
	}
	w.settled(2 * time.Minute)
	const tab = 5
	k := key(tab)
	w.must(first, "SET", k, "value")
	w.run(time.Second)
	l := w.leader(tab)
	stuck, others := []*node{l}, []*node{}
	for _, n := range w.nodes {
		switch {
		case n == l:
		case len(stuck) < 3:
			stuck = append(stuck, n)
		default:
			others = append(others, n)
		}
	}
	for _, n := range stuck {
		n.flip(t, storedKey(k), 77)
	}
	w.ask(others[0], "APPEND", k, "more")
	w.until(10*time.Second, "three are stuck", func() bool {
		for _, n := range stuck {
			if g := n.core.places[tab].group; g == nil || !g.Stuck() {
				return false
			}
		}
		return true
	})
	for _, n := range others {
		w.kill(n, nil)
	}
	w.run(5 * time.Second)
	term := uint64(0)
	for _, n := range stuck {
		g := n.core.places[tab].group
		if g == nil || !g.Stuck() {
			t.Fatal("one of them was mended: this shows nothing")
		}
		term = max(term, g.Term())
	}
	w.run(30 * time.Second)
	if n := l.core.places[tab].group.Term() - term; n > 20 {
		t.Errorf("%d elections in 30 s", n)
	} else {
		t.Logf("%d elections in 30 s", n)
	}
	for _, n := range others {
		w.start(n)
	}
	w.whole(time.Minute)
}
