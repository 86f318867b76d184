package core

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/registry"
)

// All nodes but one that is called down are killed at once and started again. They make their ring anew without it, for they
// are a majority of all. But requests do not wait even for that: replicas know each other.
func TestRequestsDoNotWaitForTheRing(t *testing.T) {
	w := newRing(t, 991, 5)
	w.kill(w.nodes[4], nil)
	w.run(4 * time.Second)
	whole := func(unsynced int) int { return unsynced } // a process that is killed loses nothing that it has written
	for _, n := range w.running() {
		w.kill(n, whole)
	}
	w.run(300 * time.Millisecond)
	began := w.now
	for _, n := range w.nodes[:4] {
		w.start(n)
	}
	var calls []*call
	for _, n := range w.running() {
		for tab := range uint32(worldTablets) {
			calls = append(calls, w.ask(n, "SET", key(tab), "x"))
		}
	}
	over := func() bool {
		for _, c := range calls {
			if !c.over() {
				return false
			}
		}
		return true
	}
	w.until(time.Second, "all keys written through all nodes", over)
	for _, c := range calls {
		if c.code() != "" {
			t.Errorf("a write failed: %s", c.reply())
		}
	}
	if w.rings() == "" {
		t.Error("there is a ring already: the test shows nothing")
	}
	w.eventually(3*time.Second, "one ring", func() bool { return w.rings() == "" })
	t.Logf("one ring %v after the start", w.now-began)
}

// A node that was away while all others were replaced is found by those who are there now, for they know it, and learns from
// them what has become of its cluster.
func TestANodeThatKnowsNoneOfTheMembers(t *testing.T) {
	w := newRing(t, 992, 3)
	n := w.nodes[0]
	w.kill(n, nil)
	w.until(5*time.Second, "called down", func() bool { return w.state(n) == registry.Down })
	for range 3 {
		w.start(w.add(), w.nodes[1])
	}
	w.settled(time.Minute)
	for _, o := range w.nodes[1:3] {
		o.event(func() { o.core.Leave(func(error) {}) })
		w.until(time.Minute, "it has left", func() bool { return o.core == nil })
	}
	w.start(n)
	w.until(20*time.Second, "it is up", func() bool { return n.core.Ready() == nil })
	w.settled(time.Minute)
}
