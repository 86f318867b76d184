package core

import (
	"testing"
	"time"
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
