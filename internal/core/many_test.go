package core

import (
	"testing"
	"time"
)

// TestManyTablets: a node that joins has its share soon, also where the tablets are many: a tablet that is on its way does
// not wait until the balance has gone through all others. Afterwards all rest.
func TestManyTablets(t *testing.T) {
	w := newWorld(t, 31)
	s := w.settings()
	s.Tablets = 2048
	first := w.foundWith(s, 1)
	w.start(w.add(), first)
	w.until(8*time.Second, "two nodes with their share", func() bool {
		return len(first.core.registry.Members()) == 2 && first.core.StatusInfo().Healthy
	})
	w.until(5*time.Second, "nodes at rest", func() bool {
		return len(w.nodes[0].core.alarms)+len(w.nodes[1].core.alarms) == 0
	})
}
