package core

import (
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ring"
)

// A node without any registry that can be read asks others for it, and is what it was. One of another cluster is none.
func TestDamagedRegistryIsAskedFor(t *testing.T) {
	w := newRing(t, 9, 4)
	for tab := range uint32(worldTablets) {
		w.must(w.nodes[0], "SET", key(tab), "value")
	}
	w.run(time.Second)
	for _, n := range w.nodes { // voters of the system group, and one that is none
		held := map[uint32]uint64{}
		for _, p := range append(n.core.places[:worldTablets:worldTablets], n.core.system) {
			if p.group != nil {
				held[p.tablet] = p.group.Replica()
			}
		}
		w.kill(n, nil)
		for _, k := range [][]byte{registryKey, cachedKey} {
			if _, err := n.store.Get(k); err == nil {
				n.flip(t, k, 200)
			}
		}
		w.start(n, w.nodes[(n.index+1)%len(w.nodes)])
		if n.core.registry != nil {
			t.Fatal("it knows its cluster: this shows nothing")
		}
		w.until(30*time.Second, "it is up", func() bool { return n.core.Ready() == nil })
		for tab, id := range held {
			if g := n.core.place(tab).group; g != nil && g.Replica() != id {
				t.Errorf("node %d: replica %d of tablet %d was replaced by %d", n.index, id, tab, g.Replica())
			}
		}
		w.settled(time.Minute)
		w.whole(time.Minute)
	}
	n := w.nodes[1]
	w.kill(n, nil)
	for _, k := range [][]byte{registryKey, cachedKey} {
		if _, err := n.store.Get(k); err == nil {
			n.flip(t, k, 200)
		}
	}
	for _, o := range w.nodes {
		if o != n {
			w.sever(n, o)
		}
	}
	w.start(n, w.foundWith(w.settings(), 2))
	w.run(10 * time.Second)
	told := false
	for _, e := range n.told {
		told = told || strings.Contains(e.Text, "does not name this node")
	}
	if !told {
		t.Error("it was told of no other cluster: this shows nothing")
	}
	if n.core == nil || n.core.registry != nil {
		t.Fatalf("it takes the registry of another cluster for its own, or has ended: %v", n.ended)
	}
	w.kill(n, nil)
	w.nodes = w.nodes[:4]
	w.heal()
	w.start(n, w.nodes[0])
	w.settled(time.Minute)
	w.whole(time.Minute)
	for tab := range uint32(worldTablets) {
		if got := w.must(n, "GET", key(tab)); got != "$5\r\nvalue\r\n" {
			t.Fatalf("tablet %d: %q", tab, got)
		}
	}
}

// Who is told an old registry, by which it is alone, makes no ring of its own: the others are in one, and connect in a moment.
func TestAToldRegistryMakesNoRing(t *testing.T) {
	w := newWorld(t, 11)
	n := w.found()
	old := w.add() // it learns of the cluster, and is stopped before it is admitted
	w.start(old, n)
	w.until(time.Second, "it knows the cluster", func() bool { return old.core.registry != nil })
	w.kill(old, func(unsynced int) int { return unsynced })
	for range 2 {
		w.start(w.add(), n)
	}
	w.settled(time.Minute)
	w.kill(n, nil)
	n.flip(t, registryKey, 200)
	n.flip(t, cachedKey, 200)
	w.start(old)
	for _, o := range w.nodes[2:] {
		w.sever(n, o)
		w.sever(old, o)
	}
	w.run(silence)
	n.told = nil
	w.start(n, old)
	w.until(time.Second, "it was told", func() bool { return n.core.registry != nil })
	if members := len(n.core.registry.Members()); members != 1 {
		t.Fatalf("it was told of %d members: this shows nothing", members)
	}
	w.run(time.Second)
	w.heal()
	w.settled(time.Minute)
	for _, e := range n.told {
		if strings.Contains(e.Text, ring.Created.String()) {
			t.Fatalf("it made a ring beside that of the others: %s", e.Text)
		}
	}
}

// A directory that has gone back in time is told nothing, also where its registry is damaged besides.
func TestOldDirectoryWithADamagedRegistryIsRefused(t *testing.T) {
	w := newRing(t, 10, 3)
	n := w.nodes[2]
	w.kill(n, nil)
	copied := n.store
	n.store = copied.Crash(nil)
	w.start(n)
	w.settled(time.Minute)
	for tab := range uint32(worldTablets) {
		w.must(w.nodes[0], "SET", key(tab), "value")
	}
	w.run(3 * time.Second)
	w.kill(n, nil)
	n.store = copied.Crash(nil)
	n.flip(t, registryKey, 200)
	n.flip(t, cachedKey, 200)
	n.refusals = nil
	w.start(n, w.nodes[0], w.nodes[1])
	w.run(10 * time.Second)
	if n.core.registry != nil || !strings.Contains(tail(n.refusals), "gone back in time") {
		t.Fatalf("it was told its registry; refused: %q", tail(n.refusals))
	}
}

// Damage to a registry must be found while there is somebody, or something, to mend it from: at the next start there may be
// nothing left.
func TestDamagedRegistryIsFound(t *testing.T) {
	w := newRing(t, 8, 3)
	for _, k := range [][]byte{registryKey, cachedKey} {
		n := w.nodes[1]
		n.flip(t, k, 200)
		w.until(time.Minute, "it is mended", func() bool {
			_, err := readRegistry(n.store, k)
			return err == nil
		})
	}
	w.whole(time.Minute)
}
