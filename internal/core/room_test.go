package core

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/tablet"
)

const testFloor = 1 << 20

// room lets a node know how much of its disk is free.
func (n *node) room(free uint64) { n.event(func() { n.core.Room(free) }) }

func (w *world) leads(n *node) (count int) {
	for _, p := range n.core.places {
		if p.group != nil && p.group.Leading() {
			count++
		}
	}
	return count
}

// A node whose disk is almost full must not go on until it dies of it: others lead, and clients notice nothing.
func TestLowDiskHandsLeadershipAway(t *testing.T) {
	w := newRing(t, 1, 3)
	n := w.nodes[1]
	before := w.leads(n)
	if before == 0 {
		t.Fatal("the node leads nothing to begin with")
	}
	n.room(testFloor - 1)
	w.until(10*time.Second, "nothing is led where the disk is low", func() bool { return w.leads(n) == 0 })
	for tab := range uint32(worldTablets) {
		for _, asked := range w.nodes {
			w.must(asked, "SET", key(tab), "value")
		}
	}
	n.room(testFloor + 1) // not enough yet: it would go to and fro
	w.run(5 * time.Second)
	if w.leads(n) != 0 {
		t.Error("leadership came back as soon as the mark was passed")
	}
	n.room(2 * testFloor)
	w.until(20*time.Second, "it leads again when there is room", func() bool { return w.leads(n) == before })
}

// Where nobody has room a write is refused at once and says why; reads and what frees room are served.
func TestLowDisksRefuseWrites(t *testing.T) {
	w := newRing(t, 2, 3)
	w.must(w.nodes[0], "SET", key(3), "value")
	for _, n := range w.nodes {
		n.room(testFloor / 2)
	}
	w.run(5 * time.Second)
	for _, n := range w.nodes {
		at := w.now
		c := w.ask(n, "SET", key(3), "other")
		w.until(time.Second, "the refusal", c.over)
		if c.code() != request.NoRoom {
			t.Fatalf("a write without room: %s %s after %v", c.code(), c.reply(), w.now-at)
		}
		if got := w.must(n, "GET", key(3)); got != "$5\r\nvalue\r\n" {
			t.Fatalf("a read: %q", got)
		}
	}
	w.must(w.nodes[0], "DEL", key(3))
	for _, n := range w.nodes {
		n.room(2 * testFloor)
	}
	w.settled(30 * time.Second)
	w.must(w.nodes[0], "SET", key(3), "again")
}

// A follower without room takes nothing more, and catches up later; a leader does not count on a majority of such.
func TestTightDisksTakeNoEntries(t *testing.T) {
	w := newRing(t, 3, 3)
	n := w.nodes[2]
	n.room(testFloor / 8)
	w.until(10*time.Second, "nothing is led where the disk is tight", func() bool { return w.leads(n) == 0 })
	had := map[uint32]uint64{}
	for _, p := range n.core.places {
		had[p.tablet] = p.group.Applied()
	}
	for tab := range uint32(worldTablets) {
		w.must(w.nodes[0], "SET", key(tab), "value")
	}
	for tab, index := range had {
		if g := n.core.places[tab].group; g.Applied() > index {
			t.Errorf("tablet %d went on from %d to %d", tab, index, g.Applied())
		}
	}
	w.nodes[1].room(testFloor / 8)
	w.run(3 * time.Second)
	c := w.ask(w.nodes[0], "SET", key(5), "other")
	w.until(time.Second, "the refusal", c.over)
	if c.code() != request.NoRoom {
		t.Fatalf("a write that two of three have no room for: %s %s", c.code(), c.reply())
	}
	n.room(2 * testFloor)
	w.nodes[1].room(2 * testFloor)
	w.until(30*time.Second, "all replicas catch up", func() bool {
		for tab := range uint32(worldTablets) {
			l := w.leader(tab)
			if l == nil || !l.core.places[tab].group.Descriptor().Majority(func(tablet.Replica) bool { return true }) ||
				n.core.places[tab].group.Applied() != l.core.places[tab].group.Applied() {
				return false
			}
		}
		return true
	})
	w.settled(30 * time.Second)
}

// OOM promises that nothing was applied. A write that was done, and whose answer was lost, is asked for again; when no
// disk has room by then that promise must not be given.
func TestNoRoomDoesNotDenyWhatWasDone(t *testing.T) {
	w := newRing(t, 4, 3)
	const tab = 3
	leader := w.leader(tab)
	asked := w.nodes[(leader.index+1)%3]
	g := leader.core.places[tab].group
	applied := g.Applied()
	c := w.ask(asked, "INCR", key(tab))
	w.until(time.Second, "the leader has done it", func() bool { return g.Applied() > applied })
	if c.over() {
		t.Fatalf("it was answered too soon: %s", c.reply())
	}
	w.hangUp(asked, leader, hangUp)
	for _, n := range w.nodes {
		n.room(testFloor / 2)
	}
	w.until(6*time.Second, "an answer", c.over)
	if c.code() != request.Uncertain {
		t.Errorf("done, and asked for again where there is no room: %s", c.reply())
	}
	if got := w.must(asked, "GET", key(tab)); got != "$1\r\n1\r\n" {
		t.Errorf("the key is %q", got)
	}
}
