package ring

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// A node looks for the places of a few of its tokens at a time. One whose search takes long must not take the turns of the
// others by beginning it again and again.
func TestATokenLooksForItsPlaceOnceAtATime(t *testing.T) {
	w := newWorld(t, Local(), 3)
	var nodes []ident.NodeID
	for n := 1; n <= 3; n++ {
		var places []ID
		for range 64 {
			places = append(places, w.randomID())
		}
		r := w.node(nodeID(n), places...)
		err := error(nil)
		if len(nodes) == 0 {
			err = r.Create(w.now)
		} else {
			err = r.Join(w.now, nodes)
		}
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, nodeID(n))
		w.collect(nodeID(n))
		w.after = func() {
			searches := map[ID]bool{}
			for _, l := range r.lookups.flight {
				if l.purpose == forJoin && searches[l.member] {
					t.Fatalf("node %d looks for the place of %v twice at a time", n, l.member.Short())
				}
				searches[l.member] = searches[l.member] || l.purpose == forJoin
			}
		}
		w.run(time.Second)
	}
}
