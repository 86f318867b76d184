package tablet

import (
	"strconv"
	"testing"
)

// goingBack returns a world in which a hurt replica has applied more than the snapshot holds that is to mend it, and has its log
// from there on; and the two ends of that snapshot.
func goingBack(t *testing.T) (w *world, n *node, src *Source, sink *Sink) {
	t.Helper()
	w = grown(t, 1, 3, 3)
	c := w.newClient(0)
	for i := range 50 {
		c.expect("+OK\r\n", "SET", key(strconv.Itoa(i)), "before")
	}
	w.until("all have applied it", w.even)
	n = w.nodes[1]
	src, err := w.nodes[0].group.Snapshot()
	n.must(err)
	n.group.Wound(errHead)
	n.group.KeepFor(src.Position)
	for i := range 4 * truncateThreshold {
		c.expect("+OK\r\n", "SET", key(strconv.Itoa(i%50)), strconv.Itoa(i))
	}
	w.until("all have applied that", w.even)
	if g := n.group; !g.Wants(src.Position) || g.Applied() < src.Position.Index+3*truncateThreshold {
		t.Fatalf("wanted %t, the snapshot is at %d, applied %d", g.Wants(src.Position), src.Position.Index, g.Applied())
	}
	sink, err = NewSink(theTablet, n.id, n.group.cfg.Machine, n.store, src.Head)
	n.must(err)
	return w, n, src, sink
}

// What a replica had applied beyond the snapshot that mends it, it applies again, and comes to the same. Until then it must
// still know that it was decided, also after a crash in the midst of the move: others may rely on that who removed a replica.
func TestAMendGoesBack(t *testing.T) {
	w, n, src, sink := goingBack(t)
	applied := n.group.Applied()
	n.stage(src, sink, 500)
	n.must(src.Close())
	n.crash()
	n.restart()
	g := n.group
	if g == nil || g.log.start != src.Position || w.moved == 0 {
		t.Fatalf("after the crash: %s", n)
	}
	if g.log.hard.Commit < applied {
		t.Errorf("it had applied entry %d, and knows of %d that it is decided", applied, g.log.hard.Commit)
	}
	w.until("it has applied all again", w.even)
	w.mustAgree()
}

// Where an entry that would have to be applied again cannot be read any more the snapshot is declined: another one, of a later
// place, is none the worse for it.
func TestAMendThatCannotGoBack(t *testing.T) {
	_, n, src, sink := goingBack(t)
	if !n.store.FlipEntry(theTablet, src.Position.Index+truncateThreshold) {
		t.Fatal("nothing was damaged")
	}
	for last := false; !last; {
		var chunk []byte
		var err error
		chunk, last, err = src.Next(500)
		n.must(err)
		w, _, err := sink.Receive(chunk, n.group)
		switch {
		case last && !Damaged(err):
			t.Fatalf("it is taken: %v", err)
		case !last:
			n.must(err)
			n.write(w)
		}
	}
	n.must(src.Close())
}
