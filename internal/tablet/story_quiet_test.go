package tablet

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	pb "go.etcd.io/raft/v3/raftpb"
)

// atRest reports whether all replicas whose nodes are up rest.
func (w *world) atRest() bool {
	for _, n := range w.nodes {
		if n.up && n.group != nil && !n.group.Resting() {
			return false
		}
	}
	return true
}

// quiet returns a world of three replicas that rest, led by node 0, and a client of it.
func quiet(t *testing.T, seed uint64) (*world, *client) {
	t.Helper()
	w := grown(t, seed, 3, 3)
	w.targets = nil
	c := w.newClient(0)
	c.guess = 0
	c.expect(":1\r\n", "INCR", key("n"))
	w.until("all rest", w.atRest)
	return w, c
}

// Nothing happens to a group that nobody asks: no message, no tick. A node holds thousands, and nearly all of them are
// idle at any time.
func TestIdleGroupsAreQuiet(t *testing.T) {
	w, c := quiet(t, 1)
	if w.now > 10*time.Second {
		t.Errorf("it took %v", w.now)
	}
	before := w.sent
	w.pass(time.Hour)
	if w.sent != before {
		t.Errorf("%d messages in an hour", w.sent-before)
	}
	for _, n := range w.nodes {
		if n.tickAt < w.now+time.Hour {
			t.Errorf("node %d wants a tick in %v", n.at, n.tickAt-w.now)
		}
	}
	term := w.leader().group.Term()
	c.expect(":2\r\n", "INCR", key("n"))
	c.expect(bulk(2), "GET", key("n"))
	if w.atRest() {
		t.Error("it rests while it is used")
	}
	w.until("all rest again", w.atRest)
	w.mustAgree()
	if got := w.leader().group.Term(); got != term {
		t.Errorf("term %d, it was %d", got, term)
	}
}

// A read wakes a quiet group, is answered, and it rests again; the followers know that the leader is there.
func TestAReadWakesAQuietGroup(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w, c := quiet(t, seed)
		w.pass(time.Minute)
		term := w.leader().group.Term()
		for range 5 {
			begun := w.now
			c.expect(bulk(1), "GET", key("n"))
			if took := w.now - begun; took > 20*time.Millisecond {
				t.Errorf("seed %d: the read took %v", seed, took)
			}
			w.until("all rest again", w.atRest)
			w.pass(time.Duration(w.rng.IntN(5000)) * time.Millisecond)
		}
		if got := w.leader().group.Term(); got != term {
			t.Errorf("seed %d: term %d, it was %d", seed, got, term)
		}
	}
}

// When the node that leads a quiet group dies, the next in line leads without waiting for a lease that ended long ago.
func TestAQuietLeadersDeath(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w, c := quiet(t, seed)
		w.pass(time.Minute)
		dead := w.now
		w.nodes[0].crash()
		w.until("another leads", func() bool { return w.leader() != nil })
		if took := w.now - dead; took > 150*time.Millisecond {
			t.Errorf("seed %d: %v without a leader", seed, took)
		}
		c.expect(":2\r\n", "INCR", key("n"))
		w.until("those that are left rest", w.atRest)
		w.nodes[0].restart()
		w.until("and all three, once it has caught up", func() bool { return w.even() && w.atRest() })
		w.mustAgree()
	}
}

// What was written while a replica was away reaches it when it is back, although nobody asks for anything then: else it
// would never count again.
func TestAReplicaComesBackToAQuietGroup(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w, c := quiet(t, seed)
		if seed%2 == 0 {
			w.nodes[2].crash()
		} else {
			w.isolate(2)
		}
		w.pass(2 * time.Second)
		c.expect(":2\r\n", "INCR", key("n"))
		w.until("those that are connected rest", func() bool { return w.nodes[0].group.Resting() && w.nodes[1].group.Resting() })
		w.pass(time.Minute)
		w.heal()
		w.nodes[2].restart()
		w.until("all are even and rest", func() bool { return w.even() && w.atRest() })
		w.mustAgree()
	}
}

// The last heartbeat may be lost; who has not heard it asks, and no leader is deposed for it.
func TestALostLastHeartbeat(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w, c := quiet(t, seed)
		term := w.leader().group.Term()
		w.hold = func(_, to int, m *message) time.Duration {
			if to == 2 && m.GetType() == pb.MsgHeartbeat && m.beside.rest {
				return time.Hour
			}
			return 0
		}
		c.expect(":2\r\n", "INCR", key("n"))
		w.pass(4 * time.Second)
		if w.nodes[2].group.Resting() || !w.nodes[1].group.Resting() {
			t.Fatalf("seed %d: the replica that did not hear it rests, or the other does not", seed)
		}
		w.hold = nil
		w.until("all rest", w.atRest)
		if got := w.leader().group.Term(); got != term {
			t.Errorf("seed %d: term %d, it was %d", seed, got, term)
		}
	}
}

// A replica that alone has lost its connection to the leader does not depose it: the others rest, and yet they know.
func TestACutOffFollowerOfAQuietGroup(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w, c := quiet(t, seed)
		term := w.leader().group.Term()
		w.part([]int{0}, []int{2})
		w.pass(time.Minute)
		if l := w.leader(); l == nil || l.at != 0 || l.group.Term() != term {
			t.Errorf("seed %d: the leader was deposed", seed)
		}
		w.heal()
		c.guess = 0
		c.expect(":2\r\n", "INCR", key("n"))
		w.until("all are even and rest", func() bool { return w.even() && w.atRest() })
	}
}

// A leader that steps down without its node dying is replaced, although its followers rest and trust in its connection.
func TestAQuietLeaderStepsDown(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w, c := quiet(t, seed)
		l := w.nodes[0]
		l.do(func() {
			m := newMessage()
			m.kind, m.from, m.to, m.term = pb.MsgAppResp, 3, 1, l.group.Term()+1
			l.must(l.group.Step(l.mono(), nodeID(2), appendMessage(nil, &m.Message, m.beside)))
		})
		down := w.now
		w.until("it has stepped down", func() bool { return !l.group.Leading() })
		w.until("one leads", func() bool { return w.leader() != nil })
		if took := w.now - down; took > 3*time.Second {
			t.Errorf("seed %d: %v without a leader", seed, took)
		}
		c.expect(":2\r\n", "INCR", key("n"))
		w.until("all rest", w.atRest)
	}
}

// Keys expire in a quiet tablet as in any other.
func TestExpiryInAQuietGroup(t *testing.T) {
	w, c := quiet(t, 1)
	c.expect("+OK\r\n", "SET", key("short"), "x", "PX", "60000")
	w.until("all rest", w.atRest)
	keys := w.nodes[0].group.Keys()
	w.pass(50 * time.Second)
	if got := w.nodes[0].group.Keys(); got != keys || !w.atRest() {
		t.Fatalf("%d keys of %d after 50 s; at rest: %t", got, keys, w.atRest())
	}
	w.pass(12 * time.Second)
	if got := w.nodes[0].group.Keys(); got != keys-1 {
		t.Errorf("%d keys of %d after 62 s", got, keys)
	}
}

// A replica that is alone has nobody to say goodbye to, and rests all the same: a node by itself is idle too.
func TestALoneReplicaRests(t *testing.T) {
	w := grown(t, 1, 1, 1)
	c := w.newClient(0)
	c.expect(":1\r\n", "INCR", key("n"))
	w.until("it rests", w.atRest)
	if n := w.nodes[0]; n.group.Tick(w.now, 0, func(ident.NodeID) bool { return true }) != Never {
		t.Error("it wants a tick")
	}
	w.pass(time.Hour)
	c.expect(":2\r\n", "INCR", key("n"))
	w.until("it rests again", w.atRest)
}
