package core

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/tablet"
)

// The grace counts from when a node fell silent. Where it counted from when all had agreed that it was down, a cluster in
// which nodes come and go would be without the replica for seconds longer than it was told to be, each time.
func TestTheGraceCountsFromTheSilence(t *testing.T) {
	w := newRing(t, 320, 5)
	dead := w.nodes[2]
	held := 0
	for tab := range uint32(worldTablets) {
		if dead.core.Replica(tab) != nil {
			held++
		}
	}
	w.kill(dead, nil)
	killed := w.now
	named := func() (n int) {
		for tab := range uint32(worldTablets) {
			if l := w.leader(tab); l == nil {
				n++
			} else if _, ok := l.core.Replica(tab).Descriptor().Find(dead.id); ok {
				n++
			}
		}
		return n
	}
	w.run(replaceAfter - time.Second)
	if n := named(); held == 0 || n != held {
		t.Errorf("of %d replicas of a node that may yet come back %d have been replaced", held, held-n)
	}
	w.until(10*time.Second, "the dead node's share to be copied elsewhere", func() bool { return named() == 0 })
	if took := w.now - killed; took > replaceAfter+2*time.Second {
		t.Errorf("a node's share was copied elsewhere after %v; the grace is %v", took, replaceAfter)
	}
}

// Nothing is copied elsewhere while the system group has no majority, for it calls nodes down. It holds little itself, so
// a voter that is down is replaced at once; where it waited for the grace like a tablet, three deaths within it stopped
// everything until one came back.
func TestTheSystemGroupGivesNoGrace(t *testing.T) {
	w := newRing(t, 321, 8)
	leader := w.leader(System)
	voters := func() (live, all int) {
		for _, r := range leader.core.system.group.Descriptor().Voters() {
			if all++; leader.core.live(r.Node) {
				live++
			}
		}
		return live, all
	}
	kill := func() (dead *node) {
		for _, n := range w.running() {
			if r, ok := leader.core.system.group.Descriptor().Find(n.id); ok && n != leader && r.Role == tablet.Voter {
				dead = n
			}
		}
		w.kill(dead, nil)
		return dead
	}
	for range 3 { // one after the other: had the dead stayed voters, the third would have taken the majority
		dead := kill()
		w.until(replaceAfter/3, "the voter that died to be replaced", func() bool {
			d := leader.core.system.group.Descriptor()
			_, stays := d.Find(dead.id)
			live, all := voters()
			return !stays && !d.Joint && live == 5 && all == 5
		})
	}
	// Nobody is left to take another one's place: it stays a voter until the grace is over.
	kill()
	w.run(replaceAfter / 2)
	if live, all := voters(); live != 4 || all != 5 {
		t.Errorf("of four nodes, and one that may yet come back, %d of %d voters live", live, all)
	}
}

// A zone that is lost takes no majority of the system group where there are three: else nobody could be called down, and
// nothing be copied elsewhere, although every tablet has a majority.
func TestALostZoneLeavesTheSystemGroup(t *testing.T) {
	w := newWorld(t, 322)
	first := w.found() // in no zone of the others, until it is started again
	for _, zone := range []string{"a", "a", "a", "b", "b", "c", "c"} {
		n := w.add()
		n.zone = zone
		w.start(n, first)
		w.until(time.Minute, "it is up", func() bool { return n.core.Ready() == nil })
	}
	w.kill(first, nil)
	first.zone = "a"
	w.start(first)
	w.settled(time.Minute)
	d := w.leader(System).core.system.group.Descriptor()
	w.run(10 * time.Second)
	if now := w.leader(System).core.system.group.Descriptor(); now.Epoch != d.Epoch {
		t.Errorf("settled, the system group changed from %s to %s", d, now)
	}
	var lost []*node
	for _, n := range w.running() {
		if n.zone == "a" {
			lost = append(lost, n)
		}
	}
	for _, n := range lost {
		w.kill(n, nil)
	}
	w.until(10*time.Second, "those that were lost to be called down", func() bool {
		for _, n := range lost {
			if w.state(n) != registry.Down {
				return false
			}
		}
		return true
	})
	for tab := range uint32(worldTablets) {
		w.must(w.nodes[5], "SET", key(tab), "value")
	}
	w.settled(2 * time.Minute)
}
