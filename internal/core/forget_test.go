package core

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/tablet"
)

// forget makes a node that does not run forget whom its cluster has removed, as a registry does in time.
func (w *world) forget(n *node) {
	w.t.Helper()
	for _, k := range [][]byte{registryKey, cachedKey} {
		sealed, err := n.store.Get(k)
		if err != nil {
			continue
		}
		b, err := tablet.Unseal(k, sealed)
		if err != nil {
			w.t.Fatal(err)
		}
		var fields map[string]any
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		if err := d.Decode(&fields); err != nil {
			w.t.Fatal(err)
		}
		fields["removed"] = []any{}
		if b, err = json.Marshal(fields); err != nil {
			w.t.Fatal(err)
		}
		w.write(n, &kv.Write{State: []kv.Op{{Kind: kv.Set, Key: k, Value: tablet.Seal(k, b)}}})
	}
}

// A node was removed so long ago that nobody remembers. When somebody starts it, it must not become a member again with
// the replicas that it held then: those would vote with a memory of long ago.
func TestForgottenNodeStaysRemoved(t *testing.T) {
	w := newRing(t, 600, 4)
	gone := w.nodes[3]
	w.kill(gone, nil)
	w.until(5*time.Second, "called down", func() bool { return w.state(gone) == registry.Down })
	w.change(w.nodes[0], registry.Command{Remove: &registry.Remove{ID: gone.id}})
	w.settled(time.Minute)
	for _, n := range w.nodes[:3] {
		w.kill(n, nil)
		w.forget(n)
	}
	for _, n := range w.nodes[:3] {
		w.start(n)
	}
	w.settled(time.Minute)
	if _, remembered := w.nodes[0].core.registry.Removed(gone.id); remembered {
		t.Fatal("the removal is still remembered: this test shows nothing")
	}
	for range 2 { // what it learns as it ends it need not know when it is started again
		w.start(gone, w.nodes[0])
		w.until(10*time.Second, "its end", func() bool { return gone.core == nil })
		if gone.ended == nil || !strings.Contains(gone.ended.Error(), "removed from cluster") {
			t.Errorf("it ended with %v", gone.ended)
		}
		if _, ok := w.nodes[0].core.registry.Member(gone.id); ok {
			t.Error("it is a member again")
		}
	}
	w.settled(10 * time.Second)
}

// While a node is away all that held a tablet with it leave. When it is back nobody whom it knows of that tablet is there to
// say that its replica was removed, and it would refuse the one that is to come in its place.
func TestBackAfterAllCompanionsHaveLeft(t *testing.T) {
	w := newRing(t, 601, 7)
	away := w.nodes[6]
	var tab uint32
	for tab = range uint32(worldTablets) {
		if away.core.place(tab).group != nil {
			break
		}
	}
	companions := away.core.place(tab).group.Descriptor().Clone()
	w.kill(away, nil)
	w.settled(3 * time.Minute)
	for _, n := range w.nodes[:6] {
		if _, held := companions.Find(n.id); !held {
			continue
		}
		n.event(func() { n.core.Leave(func(error) {}) })
		w.until(2*time.Minute, "it has left", func() bool { return n.core == nil })
		w.settled(3 * time.Minute)
	}
	w.start(away)
	w.settled(2 * time.Minute)
	w.whole(time.Minute)
}

// A node that is started with a key that is not its own (a bit of it has turned over) must leave what is stored alone: no
// replica names it, which looks as if all had been removed.
func TestAnotherKeyDestroysNothing(t *testing.T) {
	for name, named := range map[string]bool{"a store that names its node": true, "one of an earlier build": false} {
		t.Run(name, func(t *testing.T) {
			w := newRing(t, 602, 1)
			n := w.nodes[0]
			w.must(n, "SET", "a", "b")
			w.run(time.Second)
			w.kill(n, nil)
			if !named {
				w.write(n, &kv.Write{State: []kv.Op{{Kind: kv.Delete, Key: ownerKey}}})
			}
			cfg := n.config()
			cfg.Key = w.add().key
			cfg.Boot++
			if _, err := New(cfg, n.time()); err == nil {
				t.Fatal("it starts")
			} else if named && !strings.Contains(err.Error(), "Put the right key back") {
				t.Fatal(err)
			}
			w.start(n)
			if got := w.must(n, "GET", "a"); got != "$1\r\nb\r\n" {
				t.Fatalf("after it has its own key again: %q", got)
			}
		})
	}
}

// Of a node that was removed nothing is kept in memory, however often that happens: neither what it was last told nor room for
// what it would be sent.
func TestNothingIsKeptOfARemovedNode(t *testing.T) {
	w := newRing(t, 602, 4)
	gone := w.nodes[3]
	w.kill(gone, nil)
	w.until(5*time.Second, "called down", func() bool { return w.state(gone) == registry.Down })
	w.change(w.nodes[0], registry.Command{Remove: &registry.Remove{ID: gone.id}})
	w.settled(time.Minute)
	w.run(2 * time.Second)
	for _, n := range w.nodes[:3] {
		if left := n.core.out.Retain(func(ident.NodeID) bool { return true }); left != 2 {
			t.Errorf("node %d keeps buffers for %d others, of which 2 are left", n.index, left)
		}
		if n.core.peers[gone.id] != nil {
			t.Errorf("node %d keeps what it knew of the removed node", n.index)
		}
	}
}
