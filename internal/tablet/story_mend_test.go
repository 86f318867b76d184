package tablet

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/request"
)

// stage receives a whole snapshot in chunks of about size bytes. One of a single chunk is not staged: it returns the Write that
// installs it.
func (n *node) stage(src *Source, sink *Sink, size int) *kv.Write {
	for last := false; !last; {
		var chunk []byte
		var err error
		chunk, last, err = src.Next(size)
		n.must(err)
		w, whole, err := sink.Receive(chunk, n.group)
		n.must(err)
		if whole {
			return w
		}
		n.write(w)
	}
	return nil
}

// A replica that is mended has acknowledged entries beyond the snapshot's place, and the entry at that place cannot be read
// any more, from a log that is not needed otherwise. What it acknowledged must stay: it may have been decided with its help.
func TestAMendKeepsWhatWasAcknowledged(t *testing.T) {
	for name, size := range map[string]int{"one chunk": 1 << 20, "many chunks": 500} {
		t.Run(name, func(t *testing.T) {
			w := grown(t, 1, 3, 3)
			c := w.newClient(0)
			for i := range 50 {
				c.expect("+OK\r\n", "SET", key(strconv.Itoa(i)), "before")
			}
			w.until("all have applied it", w.even)
			leader, n := w.nodes[0], w.nodes[1]
			g := n.group
			g.Wound(kv.ErrCorrupt)
			g.hurt.stuck = true
			src, err := leader.group.Snapshot()
			n.must(err)
			for i := range 50 {
				c.expect("+OK\r\n", "SET", key(strconv.Itoa(i)), "after")
			}
			w.until("the hurt one has it all in its log", func() bool { return g.log.last == leader.group.log.last })
			if !g.Wants(src.Position) || !n.store.FlipEntry(theTablet, src.Position.Index) {
				t.Fatal("the snapshot is not wanted, or its place is not in the log: this shows nothing")
			}
			sink, err := NewSink(theTablet, n.id, g.cfg.Machine, n.store, src.Head)
			n.must(err)
			end := n.stage(src, sink, size)
			if end == nil { // as after a crash in the midst of the move
				sink, err = Staged(theTablet, n.id, g.cfg.Machine, n.store)
				n.must(err)
				var last bool
				end, last, err = sink.Move(g.Log())
				n.must(err)
				if !last {
					t.Fatal("the move takes more than one Write")
				}
			}
			left, err := Logged(end, g.Log())
			n.must(err)
			if left.Start != src.Position || left.Last != g.log.last {
				t.Fatalf("of a log from %d to %d, of which all after %d was acknowledged, %d to %d is left",
					g.log.start.Index, g.log.last, src.Position.Index, left.Start.Index, left.Last)
			}
			n.must(src.Close())
		})
	}
}

// Of a replica whose head is damaged nobody knows what it had applied. Where the entry at a snapshot's place cannot be read
// either, what lies behind it would be lost: another snapshot has to make up for it.
func TestALostReplicaKeepsWhatWasAcknowledged(t *testing.T) {
	w := grown(t, 2, 3, 3)
	c := w.newClient(0)
	for i := range 20 {
		c.expect("+OK\r\n", "SET", key(strconv.Itoa(i)), "value")
	}
	w.until("all have applied it", w.even)
	n := w.nodes[1]
	stored := n.group.Log()
	lost := LoseTo(errHead, n.store, stored)
	at := func(i uint64) kv.Position { return kv.Position{Index: i, Term: stored.Hard.Term} }
	if held, err := lost.Has(at(stored.Last - 1)); !held || err != nil || !lost.Makes(at(stored.Last-1)) {
		t.Fatalf("held %t, %v; makes up %t", held, err, lost.Makes(at(stored.Last-1)))
	}
	n.store.FlipEntry(theTablet, stored.Last-1)
	if held, err := lost.Has(at(stored.Last - 1)); !Damaged(err) || lost.Makes(at(stored.Last-1)) {
		t.Fatalf("held %t, %v; makes up %t", held, err, lost.Makes(at(stored.Last-1)))
	}
	if held, err := lost.Has(at(stored.Last)); !held || err != nil || !lost.Makes(at(stored.Last)) {
		t.Fatalf("held %t, %v; makes up %t", held, err, lost.Makes(at(stored.Last)))
	}
}

// In the midst of a move the state is neither the old one nor the new one. Should what is left of the snapshot be lost then,
// nobody may take it for a replica.
func TestAHalfMovedReplicaIsNone(t *testing.T) {
	w := grown(t, 3, 3, 3)
	c := w.newClient(0)
	for i := range 50 {
		c.expect("+OK\r\n", "SET", key(strconv.Itoa(i)), "value")
	}
	w.until("all have applied it", w.even)
	n := w.nodes[1]
	src, err := w.nodes[0].group.Snapshot()
	n.must(err)
	sink, err := NewSink(theTablet, n.id, n.group.cfg.Machine, n.store, src.Head)
	n.must(err)
	n.stage(src, sink, 500)
	n.must(src.Close())
	log := n.group.Log()
	n.group.Abandon()
	n.group = nil
	sink.step = 200
	wr, last, err := sink.Move(log)
	n.must(err)
	if last {
		t.Fatal("the move is over: this shows nothing")
	}
	n.write(wr)
	lower, upper := StageRange(theTablet)
	n.write(&kv.Write{State: []kv.Op{{Kind: kv.DeleteRange, Key: lower, Value: upper}}})
	if _, err := Open(n.config(), log, n.mono()); !Damaged(err) {
		t.Fatalf("it opens: %v", err)
	}
}

// The only voter of a tablet, whose former companion is about to be dismissed, answers an error where a damaged record is
// needed, and goes on: nobody is there to mend it from, and the dismissal stands behind the entry in its log.
func TestTheLastVoterIsAloneBesideAFormerOne(t *testing.T) {
	w := grown(t, 1, 2, 2)
	c := w.newClient(0)
	c.expect("+OK\r\n", "SET", key("a"), "b")
	w.targets = []int{0}
	l := w.nodes[0]
	w.until("the other one is former", func() bool { return l.group.Descriptor().Parting() })
	if !l.group.Alone() || l.group.sole.on {
		t.Fatalf("alone %t, without the library %t", l.group.Alone(), l.group.sole.on)
	}
	w.until("it is dismissed", w.settled)
}

// A key whose record is damaged expires like any other, where there is no other replica to mend it from: nobody has to read
// what is removed. The tablet stood still for ever, for its log asked for the record.
func TestADamagedRecordExpiresAtTheOnlyReplica(t *testing.T) {
	w := grown(t, 1, 1, 1)
	c := w.newClient(0)
	n := w.nodes[0]
	c.expect("+OK\r\n", "SET", key("a"), "value", "PX", "1000")
	c.expect("+OK\r\n", "SET", key("b"), "other")
	if !n.store.Flip(record.AppendKey(nil, []byte(key("a")), nil), 99) {
		t.Fatal("nothing was damaged")
	}
	w.until("it has expired", func() bool { return n.group.Keys() == 1 })
	c.expect("$5\r\nother\r\n", "GET", key("b"))
	c.expect("_\r\n", "GET", key("a"))
	w.until("it rests", w.atRest)
}

// Where a damaged record was replaced without being read, nobody knows when the old one would have expired. What is left of
// that keeps nobody busy.
func TestAReplacedRecordLeavesNothingToExpire(t *testing.T) {
	w := grown(t, 1, 1, 1)
	c := w.newClient(0)
	n := w.nodes[0]
	c.expect("+OK\r\n", "SET", key("a"), "value", "PX", "1000")
	c.expect("+OK\r\n", "SET", key("c"), "value", "PX", "5000")
	if !n.store.Flip(record.AppendKey(nil, []byte(key("a")), nil), 99) {
		t.Fatal("nothing was damaged")
	}
	c.expect("+OK\r\n", "SET", key("a"), "new")
	w.pass(3 * time.Second)
	w.until("it rests", w.atRest)
	at := n.group.Applied()
	w.pass(time.Second)
	if now := n.group.Applied(); now != at {
		t.Fatalf("%d entries in a second in which nothing was asked for", now-at)
	}
	c.expect("$3\r\nnew\r\n", "GET", key("a"))
	w.until("the other one has expired", func() bool { return n.group.Keys() == 1 })
}

// The only replica is asked for a write again whose long reply was damaged: nobody knows any more what was answered, and all
// else goes on.
func TestADamagedResultAtTheOnlyReplica(t *testing.T) {
	w := grown(t, 1, 1, 1)
	c := w.newClient(0)
	n := w.nodes[0]
	c.expect("+OK\r\n", "SET", key("a"), strings.Repeat("x", 1000))
	o := Origin{Node: nodeID(99), Boot: 1, Number: 1, Low: 1}
	first, again := &told{}, &told{}
	ask := func(t *told) {
		n.do(func() {
			if r := n.group.Write(n.mono(), o, []request.Command{words("GETDEL", key("a"))}, t); r != Taken {
				w.fatalf("refused: %d", r)
			}
		})
	}
	ask(first)
	w.until("it is answered", func() bool { return first.done == 1 })
	if !n.store.Flip(resultKey(theTablet, largeKey{o.Node, o.Boot, o.Number}), 99) {
		t.Fatal("nothing was damaged")
	}
	ask(again)
	w.until("it is answered", func() bool { return again.spent+again.done+again.lost == 1 })
	if again.spent != 1 {
		t.Fatalf("%+v", *again)
	}
	c.expect("+OK\r\n", "SET", key("b"), "other")
}
