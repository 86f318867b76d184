package core

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/ring"
)

var worlds = flag.Int("worlds", 1, "how many seeds each story under load is told with")

// Three nodes started one after the other become one ring, and any of them serves any key.
func TestThreeNodes(t *testing.T) {
	w := newRing(t, 1, 3)
	for i := range 50 {
		k := fmt.Sprintf("k%d", i)
		if got := w.must(w.nodes[i%3], "SET", k, k); got != "+OK\r\n" {
			t.Fatalf("SET: %q", got)
		}
		for _, n := range w.nodes {
			if got, want := w.must(n, "GET", k), fmt.Sprintf("$%d\r\n%s\r\n", len(k), k); got != want {
				t.Fatalf("node %d answers %q, want %q", n.index, got, want)
			}
		}
	}
	w.run(time.Minute)
	if why := w.unsettled(); why != "" {
		t.Errorf("the ring does not stay settled: %s", why)
	}
}

// Every core in a world with the same seed sends the same frames, or no failure found there could be found again.
func TestSameSeedSameRun(t *testing.T) {
	run := func() uint64 {
		w := newRing(t, 7, 3)
		load := w.load(0, 1, 2)
		w.run(2 * time.Second)
		w.kill(w.nodes[1], nil)
		w.run(3 * time.Second)
		w.start(w.nodes[1])
		w.run(5 * time.Second)
		load.stop()
		w.settled(time.Minute)
		return w.trace.Sum64()
	}
	if a, b := run(), run(); a != b {
		t.Errorf("two runs with one seed differ: %x and %x", a, b)
	}
}

// The leader dies under load. Others lead within a second, what was under way ends with an exact outcome, and no
// increment is lost or done twice.
func TestLeaderKilled(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 10+seed, 3)
		load := w.load(0, 1, 2)
		w.run(time.Second)
		w.nodes[1].crashIn = 1 + int(seed)%8
		w.until(5*time.Second, "the crash", func() bool { return w.nodes[1].core == nil })
		died := w.now
		for tab := range uint32(worldTablets) {
			c := w.ask(w.nodes[0], "SET", key(tab), "x")
			w.until(6*time.Second, "a write after the crash", c.over)
			if c.code() != "" {
				t.Errorf("tablet %d: %s", tab, c.reply())
			}
		}
		if took := w.now - died; took > time.Second {
			t.Errorf("seed %d: it took %v until all tablets could be written", seed, took)
		}
		w.run(5 * time.Second)
		w.start(w.nodes[1])
		w.run(5 * time.Second)
		load.stop()
		w.settled(time.Minute)
		load.check()
	}
}

// A node that the others cannot reach says that a majority is out of reach; they go on without it.
func TestMinority(t *testing.T) {
	w := newRing(t, 20, 3)
	alone := w.nodes[2]
	w.split(alone)
	w.run(2 * time.Second)
	var calls []*call
	for tab := range uint32(worldTablets) {
		calls = append(calls, w.ask(alone, "SET", key(tab), "alone"), w.ask(alone, "GET", key(tab)))
	}
	for tab := range uint32(worldTablets) {
		if got := w.must(w.nodes[0], "SET", key(tab), "majority"); got != "+OK\r\n" {
			t.Fatalf("the majority answers %q", got)
		}
	}
	for _, c := range calls {
		w.until(6*time.Second, "an answer in the minority", c.over)
		if c.code() != request.ClusterDown {
			t.Errorf("in the minority: %s, want CLUSTERDOWN", c.reply())
		}
	}
	w.heal()
	w.settled(time.Minute)
	for tab := range uint32(worldTablets) {
		if got := w.must(alone, "GET", key(tab)); got != "$8\r\nmajority\r\n" {
			t.Errorf("tablet %d: after healing %q", tab, got)
		}
	}
}

// Writes that were under way when the network broke are uncertain, reads are not, and what is said not to have been
// applied was not.
func TestOutcomesAreExact(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 30+seed, 3)
		load := w.load(0, 1, 2)
		for range 6 {
			w.run(time.Duration(500+w.rng.IntN(1500)) * time.Millisecond)
			w.split(w.nodes[w.rng.IntN(3)])
			w.run(time.Duration(500+w.rng.IntN(8000)) * time.Millisecond)
			w.heal()
		}
		w.run(6 * time.Second)
		load.stop()
		w.settled(time.Minute)
		load.check()
		if load.uncertain == 0 && load.refused == 0 {
			t.Errorf("seed %d: six partitions under load and every request succeeded", seed)
		}
	}
}

// Frames that are dropped because a queue was full cost time, never a write and never a double one.
func TestLoss(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 40+seed, 3)
		load := w.load(0, 1, 2)
		w.loss = 0.05
		w.run(20 * time.Second)
		w.loss = 0
		w.run(6 * time.Second)
		load.stop()
		w.settled(time.Minute)
		load.check()
		if load.uncertain+load.refused > load.ok/10 {
			t.Errorf("seed %d: %d ok, %d uncertain, %d refused", seed, load.ok, load.uncertain, load.refused)
		}
	}
}

// All nodes lose power at once and come back: the ring is revived, at other addresses too, and nothing that was
// acknowledged is missing.
func TestPowerCut(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 50+seed, 3)
		load := w.load(0, 1, 2)
		w.run(2 * time.Second)
		for _, n := range w.nodes {
			w.kill(n, func(unsynced int) int { return w.rng.IntN(unsynced + 1) })
		}
		w.run(time.Second)
		for i, n := range w.nodes {
			if seed%2 == 1 {
				n.move(100) // all at other addresses: seeds are the only way
				w.start(n, w.nodes[:i]...)
				continue
			}
			w.start(n)
		}
		w.run(10 * time.Second)
		load.stop()
		w.settled(time.Minute)
		load.check()
	}
}

// A silent node is called down, keeps its share for the grace period and loses it afterwards; it gets it back
// whenever it returns.
func TestSilentNode(t *testing.T) {
	w := newRing(t, 60, 4)
	gone := w.nodes[3]
	held := gone.core.Holds()
	w.kill(gone, nil)
	w.until(5*time.Second, "the silent node is called down", func() bool { return w.state(gone) == registry.Down })
	w.run(replaceAfter - 6*time.Second)
	for tab := range uint32(worldTablets) {
		if d := w.leader(tab).core.places[tab].group.Descriptor(); len(d.Voters()) != 3 {
			t.Errorf("tablet %d was changed within the grace period: %s", tab, d)
		}
	}
	w.start(gone)
	w.settled(30 * time.Second)
	if gone.core.Holds() < held-1 { // the system group may have moved
		t.Errorf("it held %d replicas before, %d after it came back in time", held, gone.core.Holds())
	}
	w.kill(gone, nil)
	w.run(replaceAfter)
	w.settled(time.Minute) // of the three that run
	w.start(gone)
	w.settled(time.Minute)
}

// The grace period is the users' protection from needless copies: it holds after a restart of all others, too.
func TestGraceOutlivesRestart(t *testing.T) {
	w := newRing(t, 61, 4)
	var before []uint64
	for tab := range uint32(worldTablets) {
		before = append(before, w.leader(tab).core.places[tab].group.Descriptor().Epoch)
	}
	w.kill(w.nodes[3], nil)
	w.until(5*time.Second, "the silent node is called down", func() bool { return w.state(w.nodes[3]) == registry.Down })
	w.run(2 * time.Second)
	for _, n := range w.nodes[:3] {
		w.kill(n, nil)
	}
	for _, n := range w.nodes[:3] {
		w.start(n)
	}
	w.run(replaceAfter / 2)
	for tab := range uint32(worldTablets) {
		l := w.leader(tab)
		if l == nil {
			t.Fatalf("tablet %d has no leader\n%s", tab, w.describe())
		}
		if d := l.core.places[tab].group.Descriptor(); d.Epoch != before[tab] {
			t.Errorf("tablet %d was changed within the grace period: %s", tab, d)
		}
	}
	w.run(replaceAfter)
	w.settled(time.Minute)
}

// A node that leaves hands over all that it holds, is told so, and is no member afterwards.
func TestLeave(t *testing.T) {
	w := newRing(t, 70, 4)
	load := w.load(0, 1, 2)
	w.run(time.Second)
	gone := w.nodes[3]
	var left error = errors.New("not yet")
	gone.event(func() { gone.core.Leave(func(err error) { left = err }) })
	w.until(time.Minute, "the node has left", func() bool { return gone.core == nil })
	if left != nil || !errors.Is(gone.ended, ErrLeft) {
		t.Errorf("Leave ended with %v, the process with %v", left, gone.ended)
	}
	w.run(2 * time.Second)
	load.stop()
	w.settled(time.Minute)
	load.check()
	if load.uncertain+load.refused > 0 {
		t.Errorf("leaving in peace cost clients %d uncertain and %d refused requests", load.uncertain, load.refused)
	}
	if _, ok := w.nodes[0].core.registry.Removed(gone.id); !ok {
		t.Error("the registry does not say that the node was removed")
	}
	// Its directory is of no use any more.
	if _, err := New(gone.config(), gone.time()); err == nil {
		gone.boot++
		w.start(gone, w.nodes[0])
		w.run(5 * time.Second)
		if gone.core != nil && gone.core.Ready() == nil || len(gone.refusals) == 0 {
			t.Errorf("a node that left serves again: %v", gone.refusals)
		}
	}
}

// The last node cannot leave: it would be told to wait for ever.
func TestLastNodeCannotLeave(t *testing.T) {
	w := newRing(t, 71, 1)
	n := w.nodes[0]
	var left error
	told := false
	n.event(func() { n.core.Leave(func(err error) { left, told = err, true }) })
	w.until(6*time.Second, "an answer", func() bool { return told })
	if left == nil {
		t.Error("the last node left")
	}
	w.run(time.Second)
	if s := w.state(n); s != registry.Up {
		t.Errorf("afterwards it is %s", s)
	}
	w.must(n, "SET", "a", "b")
}

// A leaving node's farewell may be heard late: by then it may have been called down and up again, which ends its leaving,
// and hold replicas anew. To take it out all the same would take those replicas from their tablets, for good.
func TestALateFarewellRemovesNobody(t *testing.T) {
	for seed := range 2 {
		lateFarewell(t, seed)
	}
}

func lateFarewell(t *testing.T, seed int) {
	t.Helper()
	w := newRing(t, 73, 4)
	gone := w.nodes[3]
	gone.event(func() { gone.core.Leave(func(error) {}) })
	w.until(time.Minute, "all is handed over", func() bool { return gone.core.Holds() == 0 })
	l := w.leader(System)
	l.event(func() {
		states := []registry.State{registry.Down, registry.Up}
		for _, s := range states[:1+seed%2] {
			l.core.Change(registry.Command{SetState: &registry.SetState{ID: gone.id, State: s, Boot: gone.boot}}, func(err error) {
				if err != nil {
					t.Errorf("the node could not be called %s: %v", s, err)
				}
			})
		}
	})
	var last registry.State
	seen := map[registry.State]bool{}
	w.until(time.Minute, "the node has left", func() bool {
		if m, ok := l.core.registry.Member(gone.id); ok {
			last, seen[m.State] = m.State, true
		} else if last != registry.Leaving {
			t.Fatalf("it was taken out while the registry called it %s", last)
		}
		return gone.core == nil
	})
	if !seen[registry.Down] && !seen[registry.Up] {
		t.Error("it was leaving all the time: this shows nothing")
	}
	w.settled(time.Minute)
}

// A node that is called down while it leaves, and up again when it is back, still leaves; also where the registry that it
// hears next says no more that it leaves.
func TestLeaveSurvivesSilence(t *testing.T) {
	for seed := range uint64(16) {
		w := newRing(t, 72+seed, 4)
		gone := w.nodes[3]
		var left error = errors.New("not yet")
		gone.event(func() { gone.core.Leave(func(err error) { left = err }) })
		w.until(5*time.Second, "leaving", func() bool { return w.state(gone) == registry.Leaving })
		w.change(w.nodes[0], registry.Command{SetState: &registry.SetState{ID: gone.id, State: registry.Down}})
		w.until(time.Minute, "the node has left", func() bool { return gone.core == nil })
		if left != nil {
			t.Errorf("seed %d: Leave ended with %v", seed, left)
		}
		w.settled(time.Minute)
	}
}

// A node that was removed while it was away is told why it cannot come back, and ends.
func TestRemovedNodeEnds(t *testing.T) {
	w := newRing(t, 73, 4)
	gone := w.nodes[3]
	w.kill(gone, nil)
	if _, _, err := w.nodes[0].core.RemovalOf(gone.id.Short(), false); err == nil {
		t.Error("a node that was alive a moment ago may be removed")
	}
	w.until(5*time.Second, "called down", func() bool { return w.state(gone) == registry.Down })
	_, cmd, err := w.nodes[0].core.RemovalOf(gone.id.Short(), false)
	if err != nil {
		t.Fatal(err)
	}
	w.change(w.nodes[0], cmd)
	w.settled(time.Minute)
	w.start(gone, w.nodes[0])
	w.run(10 * time.Second)
	if gone.core != nil || gone.ended == nil || !strings.Contains(gone.ended.Error(), "removed from cluster") {
		t.Errorf("the removed node ended with %v", gone.ended)
	}
	w.settled(10 * time.Second)
}

// Of two nodes one leaves, and the other one starts again in the midst of that: the first of its tokens has just come into the
// ring of the one that goes, and stands alone when that is gone. It makes a ring of its own, as nobody else is left.
func TestWhoStaysStartsAgainWhileTheOtherLeaves(t *testing.T) {
	for seed := range uint64(5) {
		w := newRing(t, 760+seed, 2)
		stays, gone := w.nodes[0], w.nodes[1]
		w.kill(stays, nil)
		w.run(3 * time.Second)
		w.start(stays, gone)
		inRing := func() (n int) {
			s, _ := stays.core.RingState()
			for _, token := range s.Tokens {
				if token.Phase == ring.Member {
					n++
				}
			}
			return n
		}
		w.until(time.Minute, "one token is in the ring", func() bool { return inRing() == 1 })
		alone := stays.core.Registry().Clone()
		if res := alone.Apply(registry.Command{Remove: &registry.Remove{ID: gone.id, Force: true}}, epoch); res.Err() != nil {
			t.Fatal(res.Err())
		}
		stays.event(func() { stays.core.adoptRegistry(alone) })
		w.kill(gone, nil)
		s, _ := stays.core.RingState()
		w.until(time.Minute, "a ring of its own", func() bool { return inRing() == len(s.Tokens) })
	}
}

// A node that was cut off when its leave took effect learns it when it is back: who asked it to leave waits for that.
func TestALeaverThatWasCutOffLearnsThatItHasLeft(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		w := newRing(t, 77, 4)
		gone := w.nodes[3]
		var left error = errors.New("not yet")
		gone.event(func() { gone.core.Leave(func(err error) { left = err }) })
		w.until(time.Minute, "all is handed over", func() bool { return gone.core.Holds() == 0 })
		for _, n := range w.nodes[:3] {
			w.sever(gone, n)
		}
		l := w.leader(System)
		l.event(func() { l.core.Change(registry.Command{Remove: &registry.Remove{ID: gone.id}}, func(error) {}) })
		w.until(10*time.Second, "it is removed", func() bool { _, ok := l.core.registry.Removed(gone.id); return ok })
		w.run(time.Second)
		if gone.core == nil {
			t.Fatal("it knew at once: this shows nothing")
		}
		if restarted {
			w.kill(gone, nil)
			w.start(gone, w.nodes[0])
		}
		w.heal()
		w.run(10 * time.Second)
		if gone.core != nil || !errors.Is(gone.ended, ErrLeft) || !restarted && left != nil {
			t.Errorf("started again: %t: Leave ended with %v, the process with %v", restarted, left, gone.ended)
		}
	}
}

// Two clusters never merge, whoever dials whom.
func TestOtherCluster(t *testing.T) {
	w := newRing(t, 74, 1)
	other := w.foundWith(w.settings(), 2)
	w.run(time.Second)
	other.seeds = w.nodes[:1]
	w.shake(other, w.nodes[0])
	if !strings.Contains(tail(other.refusals)+tail(w.nodes[0].refusals), "never merge") {
		t.Errorf("refusals: %q and %q", other.refusals, w.nodes[0].refusals)
	}
	if w.conn(other, w.nodes[0]) != nil {
		t.Error("they are connected")
	}
}

// A data directory that was restored from an earlier copy would vote with a memory that it does not have.
func TestRestoredDirectoryIsRefused(t *testing.T) {
	for _, bootToo := range []bool{true, false} {
		w := newRing(t, 75, 3)
		n := w.nodes[2]
		w.kill(n, nil)
		copied, boot := n.store, n.boot
		w.start(n)
		// The copy is taken now; what follows is forgotten by it.
		w.settled(time.Minute)
		w.kill(n, nil)
		image := n.store.Crash(nil)
		n.store = image
		w.start(n)
		for i := range 20 {
			w.must(w.nodes[0], "SET", fmt.Sprint("k", i), "v")
		}
		w.run(3 * time.Second)
		w.kill(n, nil)
		n.refusals = nil
		n.store = copied.Crash(nil)
		if bootToo {
			n.boot = boot - 1 // start counts up
		}
		w.start(n)
		w.run(5 * time.Second)
		if !strings.Contains(tail(n.refusals), "gone back in time") {
			t.Errorf("boot goes back: %t; it is told %q", bootToo, tail(n.refusals))
		}
		for _, o := range w.nodes[:2] {
			if o.core.live(n.id) {
				t.Errorf("node %d is connected to it", o.index)
			}
		}
	}
}

// The system group grows with the cluster, to three and to five, and shrinks with it.
func TestSystemGroupFollowsTheCluster(t *testing.T) {
	w := newRing(t, 76, 3)
	w.start(w.add(), w.nodes[0])
	w.settled(time.Minute)
	w.start(w.add(), w.nodes[0])
	w.settled(time.Minute) // five voters
	for _, gone := range []*node{w.nodes[4], w.nodes[3]} {
		gone.event(func() { gone.core.Leave(func(error) {}) })
		w.until(time.Minute, "the node has left", func() bool { return gone.core == nil })
		w.settled(time.Minute)
	}
}

// One node joins while another leaves, under load.
func TestJoinWhileLeaving(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 80+seed, 3)
		load := w.load(0, 1)
		w.run(time.Second)
		gone := w.nodes[2]
		w.start(w.add(), w.nodes[0])
		w.run(time.Duration(seed) * 300 * time.Millisecond)
		gone.event(func() { gone.core.Leave(func(error) {}) })
		w.until(time.Minute, "the node has left", func() bool { return gone.core == nil })
		w.run(time.Second)
		load.stop()
		w.settled(time.Minute)
		load.check()
	}
}

// Nodes come, die, and come back at random, under load.
func TestChurn(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 90+seed, 4)
		load := w.load(0, 1, 2, 3)
		for range 8 {
			n := w.nodes[w.rng.IntN(len(w.nodes))]
			switch {
			case n.core != nil && len(w.running()) == len(w.nodes):
				n.crashIn = 1 + w.rng.IntN(20)
			case n.core == nil:
				w.start(n)
			}
			w.run(time.Duration(w.rng.IntN(8000)) * time.Millisecond)
		}
		for _, n := range w.nodes {
			n.crashIn = 0
			if n.core == nil {
				w.start(n)
			}
		}
		w.run(6 * time.Second)
		load.stop()
		w.settled(2 * time.Minute)
		load.check()
	}
}

// A node that comes back as the same member at another address is found again by the others.
func TestOtherAddress(t *testing.T) {
	w := newRing(t, 100, 3)
	n := w.nodes[1]
	w.kill(n, nil)
	n.move(500)
	w.start(n)
	w.settled(time.Minute)
	if m, _ := w.nodes[0].core.registry.Member(n.id); m.Addresses != n.addrs || m.Boot != n.boot {
		t.Errorf("the registry has %+v", m)
	}
	// Now the others must dial it.
	w.kill(w.nodes[0], nil)
	w.start(w.nodes[0])
	w.settled(time.Minute)
}

// state returns what the registry says of a node, as the system group's leader has it.
func (w *world) state(n *node) registry.State {
	l := w.leader(System)
	if l == nil {
		return 0
	}
	m, ok := l.core.registry.Member(n.id)
	if !ok {
		return registry.Removed
	}
	return m.State
}

// change changes the registry through a node.
func (w *world) change(n *node, cmd registry.Command) {
	w.t.Helper()
	err := errors.New("not yet")
	ended := false
	n.event(func() { n.core.Change(cmd, func(e error) { err, ended = e, true }) })
	w.until(6*time.Second, "the change of the registry", func() bool { return ended })
	if err != nil {
		w.t.Fatal(err)
	}
}

// settledBut is settled for all nodes but one, which runs apart.
func (w *world) settledBut(apart *node, limit time.Duration) {
	w.t.Helper()
	c := apart.core
	apart.core = nil
	w.settled(limit)
	apart.core = c
}
