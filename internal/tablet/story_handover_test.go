package tablet

import (
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A leader that is to go hands over to a voter that lives. It chose the first that had caught up, dead or not, again and again,
// and took no writes meanwhile.
func TestWhoGoesHandsOverToOneWhoLives(t *testing.T) {
	w := grown(t, 1, 4, 3)
	c := w.newClient(0)
	c.expect("+OK\r\n", "SET", key("a"), "b")
	w.nodes[1].crash()
	w.pass(5 * time.Second)
	w.targets = []int{1, 2, 3} // the dead one is not given up yet
	w.until("another one leads", func() bool { return w.leader() != nil && w.leader().at != 0 })
	c.guess = w.leader().at
	c.expect("+OK\r\n", "SET", key("a"), "c")
	w.nodes[1].restart()
	w.until("the replicas are the targets", w.settled)
}

// A voter on its way out that comes to lead in a transition hands over to one that lives, and to another one if the first dies:
// the transition would have no end, and no dead replica be replaced.
func TestWhoGoesFindsAnotherToHandOverTo(t *testing.T) {
	w := grown(t, 1, 4, 3)
	c := w.newClient(0)
	c.expect("+OK\r\n", "SET", key("a"), "b")
	w.targets = []int{0, 1, 3}
	l := w.nodes[0]
	w.until("a transition is proposed", func() bool { return l.step == Changing && l.group.log.last > l.group.Applied() })
	victim := -1
	w.hold = func(from, to int, m *message) time.Duration {
		if from == 2 && m.kind == pb.MsgTimeoutNow && victim < 0 {
			victim = to
			return time.Hour
		}
		return 0
	}
	l.do(func() { l.group.TransferTo(3) })
	w.until("who goes leads and hands over", func() bool { return victim >= 0 })
	w.nodes[victim].crash()
	w.until("the transition has ended", func() bool { l := w.leader(); return l != nil && !l.group.Descriptor().Joint })
	c.expect("$1\r\nb\r\n", "GET", key("a"))
}

// A replica at rest was removed by a leader that it is not connected to, so nobody told it. When that connection is back it asks.
func TestWhoRestsHearsThatItWasRemoved(t *testing.T) {
	w := grown(t, 1, 4, 3)
	w.until("all rest", w.atRest)
	w.part([]int{1}, []int{2})
	w.pass(3 * time.Second)
	w.targets = []int{1, 0, 2}
	w.until("one leads that it does not reach", func() bool { return w.leader() != nil && w.leader().at == 1 })
	w.pass(5 * time.Second)
	w.targets = []int{1, 0, 3}
	w.until("it is removed", w.settled)
	w.pass(5 * time.Second)
	if g := w.nodes[2].group; g == nil || !g.Resting() {
		t.Fatal("it does not rest: this shows nothing")
	}
	w.heal()
	w.until("it has heard", func() bool { return w.nodes[2].group == nil })
}
