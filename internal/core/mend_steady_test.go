package core

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A replica that is damaged is mended while clients write to its tablet all the time, though the snapshot takes longer than a
// write does: the replica goes on to apply what comes, and is not asked to stand where the snapshot does.
func TestMendedUnderSteadyWrites(t *testing.T) {
	w := newRing(t, 1, 3)
	const tab = 5
	k := key(tab)
	for i := range 40 { // several chunks, more than may be on their way at a time
		w.must(w.nodes[0], "SET", fmt.Sprintf("%d{%s}", i, k), strings.Repeat("x", 64<<10))
	}
	w.must(w.nodes[0], "SET", k, "value")
	w.run(time.Second)
	written := 0
	var again func()
	var last *call
	again = func() {
		if last == nil || last.over() {
			written++
			last = w.ask(w.nodes[written%3], "INCR", "n{"+k+"}")
		}
		w.after(time.Millisecond, again)
	}
	again()
	w.run(time.Second)
	n := w.leader(tab)
	n.flip(t, storedKey(k), 77)
	before := written
	if got := w.must(w.nodes[1], "GET", k); got != "$5\r\nvalue\r\n" {
		t.Fatalf("%q", got)
	}
	w.until(5*time.Second, "it is mended, with the first snapshot or the second", func() bool { return n.core.Figures().Mended == 1 })
	t.Logf("%d writes until it was mended", written-before)
	again = func() {}
	w.settled(30 * time.Second)
	w.whole(30 * time.Second)
	if got, want := w.must(n, "GET", "n{"+k+"}"), fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(written)), written); got != want {
		t.Errorf("after %d increments it reads %q", written, got)
	}
}
