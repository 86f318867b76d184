package core

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/wire"
)

// All nodes say within moments that the registry has changed. One that asked each of them would be sent it as often as the
// cluster has nodes, all of them the same, and a large cluster in which nodes come and go would do little else.
func TestOneIsAskedForANewRegistry(t *testing.T) {
	w := newRing(t, 310, 5)
	n := w.nodes[4]
	c, now := n.core, n.time()
	hear := func(revision uint64, from ...*node) (asked []ident.NodeID) {
		c.At(now)
		for _, o := range from {
			out := wire.NewOutbox()
			out.Add(n.id, false, &wire.Pulse{Wall: now.Wall, Revision: revision})
			out.Early(func(_ ident.NodeID, frame []byte) {
				if err := c.Receive(o.id, frame); err != nil {
					t.Fatal(err)
				}
			})
		}
		count := func(to ident.NodeID, frame []byte) {
			if err := wire.Each(frame, func(m any) error {
				if _, ok := m.(wire.Ask); ok {
					asked = append(asked, to)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		c.Turn()
		c.Early(count)
		c.Apply()
		c.Applied()
		c.Persisted(count)
		return asked
	}
	leader := w.leader(System)
	if leader == n {
		t.Fatal("the node that is watched leads the system group")
	}
	c.askChanged()
	if asked := hear(0); len(asked) != 1 || asked[0] != leader.id {
		t.Errorf("the registry was changed for a node: it asked %v, not the leader that changed it", asked)
	}
	newer := c.Registry().Revision() + 1
	if asked := hear(newer, w.nodes[:4]...); len(asked) != 1 || asked[0] != w.nodes[0].id {
		t.Errorf("four nodes know a newer registry: asked %v", asked)
	}
	now.Mono += askAgain / 2
	if asked := hear(newer, w.nodes[2]); len(asked) != 0 {
		t.Errorf("the answer is awaited: asked %v", asked)
	}
	now.Mono += askAgain
	if asked := hear(newer, w.nodes[3]); len(asked) != 1 {
		t.Errorf("nobody answered: asked %v", asked)
	}
	now.Mono += time.Second
	if asked := hear(newer-1, w.nodes[:4]...); len(asked) != 0 {
		t.Errorf("nobody knows a newer one: asked %v", asked)
	}
}
