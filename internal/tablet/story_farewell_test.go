package tablet

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/kv"
)

// The end of a transition is decided, and of those who stay only the leader knows when it dies for good. Who was removed
// must still be there: those who stay need its vote to find out, and waited for ever for one that had been destroyed.
func TestWhoWasRemovedVotesUntilItsSuccessorsKnow(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 4, 3)
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "b")
		leader, goes := w.nodes[0], w.nodes[2]
		before, end := leader.group.ending.Index, uint64(0)
		w.hold = func(from, to int, m *message) time.Duration {
			if at := leader.group.ending.Index; end == 0 && at > before {
				end = at
			}
			if from == 0 && to != 2 && end > 0 && m.commit >= end {
				return time.Hour
			}
			return 0
		}
		w.targets = []int{0, 1, 3}
		w.until("the end of a transition is decided", func() bool {
			return end > 0 && !leader.group.Descriptor().Joint
		})
		w.pass(time.Duration(w.rng.Int64N(int64(900 * time.Millisecond))))
		for _, i := range []int{1, 3} {
			if !w.nodes[i].group.Descriptor().Joint {
				w.fatalf("node %d has heard of the end of the transition: this shows nothing", i)
			}
		}
		w.hold = nil
		leader.crash()
		w.targets = []int{1, 3}
		w.until("those who stay have a leader", w.settled)
		c.guess = 1
		c.expect("$1\r\nb\r\n", "GET", key("a"))
		w.until("who was removed has gone", func() bool { return goes.group == nil })
		w.mustAgree()
	}
}

// Whoever dies for good in the midst of a change, whatever got lost before, and whoever else lost power: where a majority of the old replicas and of
// the new ones lives, the tablet comes to be led. Who was removed counts among the living, for it is there until a majority
// of those who stay has on disk that it may go.
func TestOneDiesForGoodInTheMidstOfAChange(t *testing.T) {
	removed := 0
	for seed := uint64(1); seed <= uint64(*growths)*25; seed++ {
		w := grown(t, seed, 5, 3)
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "b")
		w.targets = []int{0, 1, 3}
		if seed%2 == 0 {
			w.targets = []int{0, 3, 4}
		}
		w.loss = float64(seed%3) * 0.1
		w.until("a change begins", func() bool { return w.leader() != nil && w.leader().group.Descriptor().Joint })
		for range w.rng.IntN(3) {
			w.mute = true // nobody notices
			w.cut[[2]int{w.rng.IntN(5), w.rng.IntN(5)}] = true
		}
		for range w.rng.IntN(3) {
			n := w.nodes[w.rng.IntN(5)]
			w.after(time.Duration(w.rng.Int64N(int64(20*time.Millisecond))), n.crash)
			w.after(time.Duration(30+w.rng.IntN(800))*time.Millisecond, n.restart)
		}
		w.pass(time.Duration(w.rng.Int64N(int64(20 * time.Millisecond))))
		victim := w.nodes[w.rng.IntN(2)*w.rng.IntN(5)] // the leader most of all
		victim.crash()
		victim.dead = true
		w.pass(time.Duration(w.rng.Int64N(int64(time.Second))))
		w.pass(time.Second) // all others are back
		w.mute = false
		w.heal()
		live := w.targets[:0:0]
		for _, i := range w.targets {
			if i != victim.at {
				live = append(live, i)
			}
		}
		w.targets = live
		w.until("the living have a leader", func() bool { return w.leader() != nil })
		w.until("the replicas are the targets", w.settled)
		c.guess = live[0]
		c.expect("$1\r\nb\r\n", "GET", key("a"))
		w.until("who is not wanted has gone", func() bool {
			for _, n := range w.nodes {
				wanted := false
				for _, i := range w.targets {
					wanted = wanted || i == n.at
				}
				if n.up && n.group != nil && !wanted {
					return false
				}
			}
			return true
		})
		removed += w.destroyed
		w.mustAgree()
	}
	if removed < 20**growths {
		t.Errorf("%d replicas were removed in all: this shows little", removed)
	}
}

// Who stays has the dismissal of those who go on disk, and has applied the end of the transition before. Then its head is
// damaged, and a snapshot comes from a replica that does not know of the end. The hard state must say that it is decided: or
// the mended replica campaigns in the transition, and asks for the votes of those who are gone.
func TestADamagedHeadDoesNotHideTheEndOfATransition(t *testing.T) {
	shown := 0
	for seed := uint64(1); seed <= 10; seed++ {
		w := grown(t, seed, 4, 3)
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "b")
		leader := w.nodes[0]
		w.targets = []int{0, 1, 3}
		w.until("a transition", func() bool { return leader.group.Descriptor().Joint })
		end := uint64(0)
		w.until("its end is decided", func() bool {
			end = leader.group.ending.Index
			return !leader.group.Descriptor().Joint
		})
		for _, i := range []int{1, 3} {
			n := w.nodes[i]
			w.until("it has an entry from after the end", func() bool { return n.group.log.last > end })
			var stored kv.Group
			n.must(n.store.Groups(func(g kv.Group) error { stored = g; return nil }))
			if h := n.group.head.applied.Index; h >= end && h < stored.Last {
				shown++
			}
			if log := LoseTo(errHead, n.store, stored).Log(); log.Hard.Commit < end {
				w.fatalf("without its head node %d knows that all up to %d is decided, of a log that ends at %d; the end of the transition is %d",
					i, log.Hard.Commit, log.Last, end)
			}
		}
	}
	if shown == 0 {
		t.Error("nobody had applied the end before: this shows nothing")
	}
}
