package core

import (
	"testing"
	"time"
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
