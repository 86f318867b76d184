package ring

import (
	"testing"
	"time"
)

// A cluster that starts, grows by machines of many tokens, loses one without a word and lets another go must
// come back to one ring each time, or keys can no longer be found.
func TestGrowLoseLeave(t *testing.T) {
	cfg := Local()
	w := newWorld(t, cfg, 1)
	tokens := func() (ids []ID) {
		for range 24 {
			var id ID
			for i := range id {
				id[i] = byte(w.rng.Uint32())
			}
			ids = append(ids, id)
		}
		return ids
	}
	first := w.node(nodeID(1), tokens()...)
	if err := first.Create(0); err != nil {
		t.Fatal(err)
	}
	w.collect(nodeID(1))
	for n := 2; n <= 5; n++ {
		r := w.node(nodeID(n), tokens()...)
		if err := r.Join(w.now, w.order); err != nil {
			t.Fatal(err)
		}
		w.until(20*time.Second, "one ring after a join", w.settled)
		t.Logf("%d nodes after %v", n, w.now)
	}
	w.kill(nodeID(3))
	at := w.now
	w.until(20*time.Second, "one ring after a death", w.settled)
	t.Logf("mended after %v", w.now-at)
	w.rings[nodeID(2)].Leave(w.now)
	w.collect(nodeID(2))
	w.kill(nodeID(2))
	at = w.now
	w.until(20*time.Second, "one ring after a leave", w.settled)
	t.Logf("mended after %v", w.now-at)
	if len(w.alarms) > 0 {
		t.Errorf("alarms: %v", w.alarms)
	}
}
