package ring

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// A node that lives leaves its places and takes those of a dead one. Where others still know its old tokens, as fingers
// and behind the successors that they hear of, they must not send it there, to itself, when it looks for its new places:
// each token would wait for a lookup to end in time, and the ring for most of a minute.
func TestANodeTakesOtherPlaces(t *testing.T) {
	w := newWorld(t, Local(), 0)
	places := func() (ids []ID) {
		for range 64 {
			ids = append(ids, w.randomID())
		}
		return ids
	}
	var first []ident.NodeID
	for n := 1; n <= 2; n++ {
		r := w.node(nodeID(n), places()...)
		var err error
		if n == 1 {
			err = r.Create(w.now)
		} else {
			err = r.Join(w.now, first)
		}
		if err != nil {
			t.Fatal(err)
		}
		first = append(first, nodeID(n))
		w.collect(nodeID(n))
		w.until(time.Minute, "one ring", w.settled)
	}
	dead, late := nodeID(4), nodeID(5)
	seats := places()
	for id, ids := range map[ident.NodeID][]ID{dead: seats, late: places()} {
		if err := w.node(id, ids...).Join(w.now, first); err != nil {
			t.Fatal(err)
		}
		w.collect(id)
		w.until(time.Minute, "one ring", w.settled)
	}
	w.run(10 * time.Second) // fingers find all tokens
	w.kill(dead)
	w.until(time.Minute, "one ring without the dead one", w.settled)

	w.rings[late].Leave(w.now)
	w.collect(late)
	if err := w.node(late, seats...).Revive(w.now, append(first[:2:2], late), nil); err != nil {
		t.Fatal(err)
	}
	w.collect(late)
	w.until(6*time.Second, "the dead one's places taken", w.settled)
}
