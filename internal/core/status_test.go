package core

import (
	"testing"
	"time"
)

// Who waits for a ring that is starting to become healthy, and goes on then, finds it healthy: also where leaders are still
// being changed at that moment, whose tablets nobody counts.
func TestHealthyStays(t *testing.T) {
	for seed := range uint64(40 * *worlds) {
		w := newWorld(t, 900+seed)
		w.found()
		for range 2 {
			w.start(w.add(), w.nodes[0])
			w.run(time.Duration(w.rng.Int64N(int64(60 * time.Millisecond))))
		}
		w.until(time.Minute, "healthy", func() bool {
			s := w.nodes[0].core.StatusInfo()
			return s.Healthy && s.Nodes.Up == 3
		})
		for end := w.now + 3*time.Second; w.now < end; {
			w.run(20 * time.Millisecond)
			if s := w.nodes[0].core.StatusInfo(); !s.Healthy {
				t.Errorf("seed %d: healthy, and then %q", seed, s.Why)
				break
			}
		}
	}
}
