package tablet

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/record"
)

// stick damages a record of a replica that follows, and has an entry decided that needs it.
func (n *node) stick(c *client) {
	n.w.Helper()
	c.expect("+OK\r\n", "SET", key("hurt"), "value")
	n.w.until("all have applied it", n.w.even)
	if !n.store.Flip(record.AppendKey(nil, []byte(key("hurt")), nil), 99) {
		n.w.fatalf("nothing was damaged")
	}
	c.expect(":9\r\n", "APPEND", key("hurt"), "more")
	n.w.until("the damaged replica is stuck", func() bool { return n.group.Stuck() })
}

// A replica that is stuck holds, in its log, the dismissal of one that was removed; the leader dies for good then, and the third
// lags behind. The stuck one alone knows how the change ended, and has to lead until the third knows it too. It did not look
// at what it could not apply, and waited for the vote of the one that was gone.
func TestAStuckReplicaFollowsAChangeOfReplicas(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := grown(t, seed, 4, 3)
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "b")
		leader, stuck, goes, third := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
		stuck.stick(c)
		w.hold = func(from, to int, m *message) time.Duration {
			if from == 0 && to == 3 && leader.group != nil && leader.group.Descriptor().Joint {
				w.cut[[2]int{0, 3}] = true
			}
			return 0
		}
		w.targets = []int{0, 1, 3}
		w.until("who was removed is gone", func() bool { return goes.group == nil })
		if !stuck.group.Stuck() || !third.group.Descriptor().Joint && len(third.group.Descriptor().Replicas) == 3 {
			w.fatalf("the stuck one is not, or the third one knows: this shows nothing")
		}
		leader.crash()
		leader.dead = true
		if seed%2 == 0 { // what it followed is not on disk: it follows again
			stuck.crash()
			stuck.restart()
		}
		w.hold, w.targets = nil, nil
		w.until("the third one leads", func() bool {
			if stuck.group.Leading() {
				stuck.do(func() { stuck.group.HandOver(stuck.live) }) // as package core does for what is damaged
			}
			return w.leader() == third
		})
		c.guess = 3
		c.expect("$1\r\nb\r\n", "GET", key("a"))
		c.expect("$9\r\nvaluemore\r\n", "GET", key("hurt"))
	}
}

// A replica that is stuck is in no configuration that its log has left behind: together with a removed voter that never heard
// of its removal it would make a leader beside the one that there is.
func TestAStuckReplicaLeadsNoFormerVoters(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := grown(t, seed, 4, 3)
		c := w.newClient(0)
		stuck, removed := w.nodes[1], w.nodes[2]
		stuck.stick(c)
		w.isolate(2)
		w.targets = []int{0, 1, 3}
		w.until("one of those that cannot be reached is replaced", w.settled)
		w.until("the stuck one has it all in its log", func() bool {
			return stuck.group.log.last == w.nodes[0].group.log.last && stuck.group.log.hard.Commit == stuck.group.log.last
		})
		w.heal()
		w.part([]int{0, 3}, []int{1, 2})
		for end := w.now + 20*time.Second; w.now < end; w.step() {
			if stuck.group.Leading() || removed.group != nil && removed.group.Leading() {
				w.fatalf("there are two leaders")
			}
		}
	}
}
