package core

import (
	"fmt"
	"strings"
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

// What a node receives of many tablets at once is written in parts: the store refuses a Write beyond its bound, and the node
// would end whenever it tried to take its share.
func TestWhatOneTurnReceivesIsBounded(t *testing.T) {
	const value, bound = 600 << 10, 1 << 20
	w := newWorld(t, 32)
	first := w.found()
	for tab := range uint32(worldTablets) {
		for i := range 3 {
			w.must(first, "SET", fmt.Sprintf("{%s}%d", key(tab), i), strings.Repeat("x", value))
		}
	}
	n := w.add()
	w.start(n, first)
	n.core.turnBytes = bound
	w.until(30*time.Second, "two nodes with their share", func() bool {
		return len(first.core.registry.Members()) == 2 && first.core.StatusInfo().Healthy
	})
	if n.largest < value {
		t.Errorf("the largest Write had %d bytes: nothing was tested", n.largest)
	}
	if n.largest > bound+2*value {
		t.Errorf("one Write had %d bytes, the bound is %d and a value more", n.largest, bound)
	}
}

// TestManyTabletsOfThree: three nodes that begin together are whole as soon as the copying allows. What has to wait for its
// turn, at the budget of transfers, at a lookup in the ring, or with a leader that has just been given it, is not left to the
// round in which an idle node looks at all of its tablets: that takes eight seconds here.
func TestManyTabletsOfThree(t *testing.T) {
	w := newWorld(t, 32)
	s := w.settings()
	s.Tablets = 2048
	first := w.foundWith(s, 1)
	w.start(w.add(), first)
	w.start(w.add(), first)
	w.until(6*time.Second, "three nodes with their share", func() bool {
		return len(first.core.registry.Members()) == 3 && first.core.StatusInfo().Healthy
	})
}
