package tablet

import (
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/request"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// ask writes past the clients, under a number of the test's choice.
func (n *node) ask(number uint64, w *told, command ...string) {
	n.do(func() {
		n.group.Write(n.mono(), Origin{Node: nodeID(99), Boot: 1, Number: number, Low: 1}, []request.Command{words(command...)}, w)
	})
}

// harm turns a bit of what a node stores under a key.
func (n *node) harm(t *testing.T, key string) {
	t.Helper()
	if !n.store.Flip(stored(key), 99) {
		t.Fatal("nothing was damaged")
	}
}

// becomingOne returns a world in which a tablet of two replicas, with two counters, is about to have one, and its leader, which
// stays.
func becomingOne(t *testing.T, seed uint64) (*world, *node) {
	t.Helper()
	w := grown(t, seed, 2, 2)
	c := w.newClient(0)
	c.expect("+OK\r\n", "SET", key("hurt"), "1000")
	c.expect("+OK\r\n", "SET", key("b"), "1")
	w.until("even", w.even)
	n := w.leader()
	w.targets = []int{n.at}
	w.until("joint", func() bool { return n.group.Descriptor().Joint })
	return w, n
}

func stored(key string) []byte { return record.AppendKey(nil, []byte(key), nil) }

// An entry meets damage while another voter is there to mend it. The next one ends that, and a third one, of the same batch,
// is the only voter's: it must not take the damage for its own, and go on as if the first had met none. The counter would
// begin anew.
func TestDamageIsNotForgottenInABatch(t *testing.T) {
	other := []request.Command{words("INCR", key("b"))}
	for name, third := range map[string]*entry{
		"a command": {kind: entryCommands, origin: Origin{Node: nodeID(99), Boot: 1, Number: 2, Low: 1}, maxValue: 1 << 20, commands: other},
		"an expiry": {kind: entryExpire, commands: []request.Command{words(key("b"))}},
	} {
		_, n := becomingOne(t, 1)
		n.harm(t, key("hurt"))

		g := n.group
		at := g.Applied()
		first := &entry{
			kind: entryCommands, origin: Origin{Node: nodeID(99), Boot: 1, Number: 1, Low: 1}, maxValue: 1 << 20,
			commands: []request.Command{words("INCR", key("hurt"))},
		}
		first.time, third.time = g.head.time, g.head.time
		leave, err := proto.Marshal(&pb.ConfChangeV2{})
		if err != nil {
			t.Fatal(err)
		}
		g.applying = []*pb.Entry{
			newEntry(at+1, g.term, pb.EntryNormal, appendEntry(nil, first)),
			newEntry(at+2, g.term, pb.EntryConfChangeV2, leave),
			newEntry(at+3, g.term, pb.EntryNormal, appendEntry(nil, third)),
		}
		turn := Turn{Now: n.mono(), Groups: []*Group{g}}
		if _, err := turn.Apply(); err != nil {
			t.Fatal(err)
		}
		if !g.Stuck() || g.Hurt() == nil || g.Applied() != at {
			t.Errorf("%s: stuck %t over %v, applied %d more", name, g.Stuck(), g.Hurt(), g.Applied()-at)
		}
		for _, op := range turn.State.State {
			if r, err := record.Decode(op.Key, op.Value); err == nil {
				t.Errorf("%s: %q is written to %q", name, r.Value, op.Key)
			}
		}
	}
}

// The same through a restart, which applies all of its log at once: the replica stands, its counter is not replaced, and it
// says what it needs. It is the only voter by then, but who was one still has the record.
func TestAStuckReplicaThatBecameTheOnlyVoterAsksForMending(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w, n := becomingOne(t, seed)
		end := n.group.ending.Index
		n.group.Write(n.mono(), Origin{Node: nodeID(99), Boot: 1, Number: 1, Low: 1}, []request.Command{words("INCR", key("hurt"))}, &told{})
		n.harm(t, key("hurt"))
		w.until("the end of the transition is proposed", func() bool { return n.group.ending.Index > end })
		n.ask(2, &told{}, "INCR", key("b"))
		w.pass(time.Second)
		n.crashKeeping(func(unsynced int) int { return unsynced })
		n.restart()
		w.pass(3 * time.Second)
		if !n.group.Stuck() || n.group.Hurt() == nil {
			t.Errorf("seed %d: stuck %t over %v", seed, n.group.Stuck(), n.group.Hurt())
		}
		b, err := n.store.Get(stored(key("hurt")))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := record.Decode(stored(key("hurt")), b); err == nil {
			t.Errorf("seed %d: the damaged counter was replaced by %q", seed, r.Value)
		}
	}
}

// Two learners are added by way of a joint configuration. In there the only voter is as little helped as later on.
func TestOnlyVoterLooksWhileLearnersAreAdded(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 3, 1)
		n := w.nodes[0]
		w.newClient(0).expect("+OK\r\n", "SET", key("hurt"), "value")
		n.harm(t, key("hurt"))
		w.targets = []int{0, 1, 2}
		w.until("learners", func() bool { return n.group.Descriptor().NextID > 2 })
		write := &told{}
		n.ask(1, write, "APPEND", key("hurt"), "more")
		w.pass(time.Second)
		if n.group.Stuck() || write.done > 0 {
			t.Errorf("seed %d: stuck %t, answered %d times", seed, n.group.Stuck(), write.done)
		}
	}
}

// A write is asked for again whose long result is damaged, while there are learners that cannot help.
func TestADamagedResultWhileOthersJoin(t *testing.T) {
	w := grown(t, 1, 3, 1)
	n := w.nodes[0]
	w.newClient(0).expect("+OK\r\n", "SET", key("a"), strings.Repeat("x", 1000))
	first := &told{}
	n.ask(1, first, "GETDEL", key("a"))
	w.until("it is answered", func() bool { return first.done == 1 })
	if !n.store.Flip(resultKey(theTablet, largeKey{nodeID(99), 1, 1}), 99) {
		t.Fatal("nothing was damaged")
	}
	w.targets = []int{0, 1, 2}
	w.until("learners", func() bool { return n.group.Descriptor().NextID > 2 && !n.group.Descriptor().Joint })
	again := &told{}
	n.ask(1, again, "GETDEL", key("a"))
	w.pass(200 * time.Millisecond)
	if n.group.Stuck() || again.done > 0 {
		t.Errorf("stuck %t, answered %d times", n.group.Stuck(), again.done)
	}
}
