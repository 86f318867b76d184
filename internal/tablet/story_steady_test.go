package tablet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/request"
)

// While a new replica receives its snapshot clients write more than what may be on its way to it. It gets the rest from the log,
// which stays until it has: if it were cut when the snapshot has arrived, the replica would need another one, and so on for as
// long as the clients write at that pace.
func TestSteadyWritesDoNotCallForAnotherSnapshot(t *testing.T) {
	const length = 2 << 20
	w := grown(t, 7, 4, 3)
	c := w.newClient(0)
	for i := range 60 {
		c.expect("+OK\r\n", "SET", key(fmt.Sprint("old", i)), strings.Repeat("o", 1000))
	}
	n, before, installed := w.nodes[0], w.snapshots, w.installed
	w.chunk, w.slowest = 1000, 1 // a record at a time, and what is sent arrives in order
	w.targets = []int{0, 1, 2, 3}
	value, written := strings.Repeat("x", length), uint64(0)
	// write keeps one write under way.
	write := func() {
		n.do(func() {
			if n.group.Waiting() > 0 {
				return
			}
			written++
			o := Origin{Node: nodeID(60), Boot: 1, Number: written, Low: written}
			if r := n.group.Write(w.now, o, []request.Command{words("SET", key("new"), value)}, &told{}); r != Taken {
				w.fatalf("refused: %d", r)
			}
		})
	}
	for w.installed == installed {
		write()
		if w.step(); written > 500 {
			w.fatalf("%d snapshots sent, and none has arrived", w.snapshots-before)
		}
	}
	t.Logf("%d writes of %d bytes until the snapshot had arrived", written, length)
	if written*length < maxInflightBytes {
		t.Fatal("too little was written in that time to show anything")
	}
	for arrived := written; !w.settled(); {
		write()
		if w.step(); written > arrived+100 {
			w.fatalf("%d snapshots sent, and the new replica has not caught up", w.snapshots-before)
		}
	}
	if got := w.snapshots - before; got != 1 {
		t.Errorf("%d snapshots for one new replica", got)
	}
	w.until("the log is short again", func() bool {
		write()
		return n.group.log.last-n.group.log.start.Index <= 8
	})
	w.until("all is decided", func() bool { return n.group.Waiting() == 0 && w.even() })
	w.mustAgree()
}

// A replica that does not gain on those who write is given up, and so is one that was removed: the log must end somewhere.
func TestTrailsAreBounded(t *testing.T) {
	d := &Descriptor{Replicas: []Replica{{ID: 1}, {ID: 2}, {ID: 3}}}
	var none trails
	if none.needs(1, 1) {
		t.Error("the log is kept for a replica that no snapshot has reached")
	}
	for _, c := range []struct {
		lacked uint64
		lacks  []uint64
		want   []bool
	}{
		{1000, []uint64{1500, 2000, 2001, 1999}, []bool{true, true, false, false}},
		{1000, []uint64{900, trailEnd, trailEnd - 1, 900}, []bool{true, true, false, false}},
		{0, []uint64{leastTrail, leastTrail + 1}, []bool{true, false}},
	} {
		var tr trails
		tr.begin(2, c.lacked, d)
		for i, lacks := range c.lacks {
			if got := tr.needs(2, lacks); got != c.want[i] || tr.needs(3, lacks) {
				t.Errorf("it lacked %d, then %d: kept %t, want %t", c.lacked, c.lacks[:i+1], got, c.want[i])
			}
		}
	}
	var tr trails
	tr.begin(2, 1000, d)
	d.Replicas = slices.Delete(d.Replicas, 1, 2)
	if tr.begin(3, 1000, d); len(tr) != 1 {
		t.Errorf("kept for %v, of whom one was removed", tr)
	}
}
