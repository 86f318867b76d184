package ring

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Of two nodes one dies, and all that the other one's tokens have as successors may be of the dead one: as many places in a
// row as a list is long. What is left is the token's own node, and a list reaches it.
func TestOneOfTwoDies(t *testing.T) {
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	w := newWorld(t, cfg, 1)
	s := Space{MaxBits}
	ids := func(of ...uint64) (list []ID) {
		for _, n := range of {
			list = append(list, s.Of(n))
		}
		return list
	}
	if err := w.node(nodeID(1), ids(10, 70, 80)...).Create(0); err != nil {
		t.Fatal(err)
	}
	w.collect(nodeID(1))
	if err := w.node(nodeID(2), ids(20, 30, 40, 50, 60)...).Join(0, []ident.NodeID{nodeID(1)}); err != nil {
		t.Fatal(err)
	}
	w.collect(nodeID(2))
	w.until(20*time.Second, "one ring", w.settled)
	w.run(10 * time.Second)
	for _, id := range w.order {
		for _, token := range w.rings[id].State().Tokens {
			of := map[ident.NodeID]bool{}
			for _, next := range token.Successors {
				of[next.Node] = true
			}
			if len(of) < 2 {
				t.Errorf("all successors of %v at %v are of one node: %v", token.ID, id, token.Successors)
			}
		}
	}
}
