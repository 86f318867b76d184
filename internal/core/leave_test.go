package core

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/registry"
)

// All are asked to leave at once: each of them saw another one that was up. Nobody would be left to take over anything, so
// one of them has to stay, and to say so to whoever asked it; the others leave.
func TestAllLeaveAtOnce(t *testing.T) {
	for _, size := range []int{2, 3} {
		w := newRing(t, 840, size)
		load := w.load(0, 1)
		left := make([]error, size)
		for i, n := range w.nodes {
			left[i] = errors.New("not yet")
			n.event(func() { n.core.Leave(func(err error) { left[i] = err }) })
		}
		w.until(time.Minute, "one is left", func() bool { return len(w.running()) == 1 })
		w.run(5 * time.Second)
		load.stop()
		w.settled(time.Minute)
		load.check()
		for i, n := range w.nodes {
			if stays := n.core != nil; stays != (left[i] != nil) {
				t.Errorf("of %d nodes node %d runs: %t; Leave ended with %v", size, i, stays, left[i])
			}
		}
	}
}

// The only node that was to stay dies for good while the others leave: one of them stays instead, once the grace is over or
// the dead one removed.
func TestLeaverStaysWhenNobodyElseDoes(t *testing.T) {
	for _, remove := range []bool{false, true} {
		leaverStays(t, remove)
	}
}

func leaverStays(t *testing.T, remove bool) {
	t.Helper()
	w := newRing(t, 841, 3)
	var left [2]error
	for i, n := range w.nodes[:2] {
		n.event(func() { n.core.Leave(func(err error) { left[i] = err }) })
	}
	w.until(5*time.Second, "two are leaving", func() bool {
		return w.state(w.nodes[0]) == registry.Leaving && w.state(w.nodes[1]) == registry.Leaving
	})
	dead := w.nodes[2]
	w.kill(dead, nil)
	w.until(5*time.Second, "called down", func() bool { return w.state(dead) == registry.Down })
	if remove {
		w.change(w.nodes[0], registry.Command{Remove: &registry.Remove{ID: dead.id}})
	}
	w.until(2*time.Minute, "one is left", func() bool { return len(w.running()) == 1 })
	w.settled(time.Minute)
	if (left[0] == nil) == (left[1] == nil) {
		t.Errorf("Leave ended with %v and %v", left[0], left[1])
	}
}

// A node that stays after all, having handed over what it held and left the ring before it was called down and up again, has
// to be in the ring again.
func TestLeaverThatHadGoneStays(t *testing.T) {
	w := newRing(t, 842, 2)
	n := w.nodes[1]
	var left error
	n.event(func() {
		c := n.core
		c.member.phase, c.member.stays = phaseLeaving, true
		c.toLeave(true)
		c.member.left = func(err error) { left = err }
		c.ring.Leave(c.now.Mono)
		c.takeRing()
	})
	w.until(time.Minute, "it stays", func() bool { return n.core.member.phase == phaseUp })
	w.eventually(time.Minute, "one ring", func() bool { return w.rings() == "" })
	w.settled(time.Minute)
	if left == nil {
		t.Error("who asked it to leave is told that it has")
	}
	w.kill(n, nil)
	w.start(n) // and it does not leave after all
	w.settled(time.Minute)
}

// A node that has just been started again is asked to leave, and called down before the others have taken note that it is
// back. Whoever asked was promised that it leaves, and must not wait for ever.
func TestLeaveOfANodeThatHasJustStarted(t *testing.T) {
	w := newRing(t, 843, 4)
	n := w.nodes[3]
	w.kill(n, nil)
	w.until(5*time.Second, "called down", func() bool { return w.state(n) == registry.Down })
	w.start(n)
	n.core.member.callAt = w.now + 8*time.Second // it is slow to say that it is back
	n.core.Leave(func(err error) {
		if err == nil || !strings.Contains(err.Error(), "try again") {
			t.Errorf("before it is connected: %v", err)
		}
	})
	w.until(time.Second, "it sees the others", func() bool { return n.core.live(w.nodes[0].id) && n.core.live(w.nodes[1].id) })
	left := errors.New("not yet")
	n.event(func() { n.core.Leave(func(err error) { left = err }) })
	w.until(5*time.Second, "it is leaving", func() bool { return w.state(n) == registry.Leaving })
	w.run(100 * time.Millisecond)
	w.split(n)
	w.until(5*time.Second, "called down", func() bool { return w.state(n) == registry.Down })
	if n.core.member.phase != phaseAdmitted {
		t.Fatal("it is back already: this shows nothing")
	}
	w.heal()
	w.until(time.Minute, "it has left", func() bool { return n.core == nil })
	if left != nil {
		t.Errorf("Leave ended with %v", left)
	}
	w.settled(time.Minute)
}

// A node that loses power as soon as it leaves, and is called down, leaves when it is started again, also at the second time.
func TestLeaveSurvivesAStart(t *testing.T) {
	w := newRing(t, 844, 4)
	n := w.nodes[3]
	n.event(func() { n.core.Leave(func(error) {}) })
	w.until(5*time.Second, "it knows that it is leaving", func() bool { return n.core.member.phase == phaseLeaving })
	w.kill(n, nil)
	w.until(5*time.Second, "called down", func() bool { return w.state(n) == registry.Down })
	w.start(n)
	w.until(5*time.Second, "it sees that it was called down", func() bool {
		m, _ := n.core.registry.Member(n.id)
		return m.State == registry.Down
	})
	w.kill(n, nil) // again, before it has said anything
	w.start(n)
	w.until(time.Minute, "it has left", func() bool { return n.core == nil })
	if !errors.Is(n.ended, ErrLeft) {
		t.Errorf("it ended with %v", n.ended)
	}
	w.settled(time.Minute)
}

// Who is asked to leave again while it gives up an earlier wish, for nobody was left, judges the new wish by who is there now.
func TestLeaveAgainWhileItStays(t *testing.T) {
	w := newRing(t, 845, 3)
	n := w.nodes[1]
	left := errors.New("not yet")
	n.event(func() {
		c := n.core
		c.member.phase, c.member.stays = phaseLeaving, true
		c.toLeave(true)
		c.Leave(func(err error) { left = err })
	})
	w.until(time.Minute, "it has left", func() bool { return n.core == nil })
	if left != nil {
		t.Errorf("Leave ended with %v", left)
	}
	w.settled(time.Minute)
}
