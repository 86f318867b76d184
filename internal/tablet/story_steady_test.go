package tablet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/request"
)

// keepWriting writes a value where no write is under way, and counts it.
func (n *node) keepWriting(written *uint64, value string) {
	n.do(func() {
		if n.group.Waiting() > 0 {
			return
		}
		*written++
		o := Origin{Node: nodeID(60), Boot: 1, Number: *written, Low: *written}
		if r := n.group.Write(n.w.now, o, []request.Command{words("SET", key("new"), value)}, &told{}); r != Taken {
			n.w.fatalf("refused: %d", r)
		}
	})
}

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
	write := func() { n.keepWriting(&written, value) }
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

// While a snapshot is on its way many short entries are written, and when it has arrived its receiver takes nothing more,
// and the entries are long. What is kept for it has a bound in bytes, or the leader's disk would fill.
func TestTheLogIsNotKeptForWhoFallsBehind(t *testing.T) {
	w := grown(t, 7, 4, 3)
	c := w.newClient(0)
	for i := range 60 {
		c.expect("+OK\r\n", "SET", key(fmt.Sprint("old", i)), strings.Repeat("o", 1000))
	}
	n, installed := w.nodes[0], w.installed
	written := uint64(0)
	write := func(value string) { n.keepWriting(&written, value) }
	w.chunk, w.slowest = 300, 1
	w.targets = []int{0, 1, 2, 3}
	w.until("the snapshot is nearly there", func() bool { write("short"); return w.nodes[3].in != nil && w.nodes[3].in.stored >= 30 })
	w.mute = true
	w.until("the snapshot has arrived", func() bool { write("short"); return w.installed > installed })
	w.cut[[2]int{0, 3}] = true
	w.until("the leader knows", func() bool { write("short"); return len(n.out) == 0 })
	begun := written
	t.Logf("%d short writes", begun)
	long := strings.Repeat("x", 1<<20)
	w.until("the log is cut", func() bool {
		write(long)
		if written > begun+40 {
			w.fatalf("%d MiB are kept: the log begins at %d and ends at %d", written-begun, n.group.log.start.Index, n.group.log.last)
		}
		return written > begun+2 && n.group.log.last-n.group.log.start.Index <= 8
	})
}
