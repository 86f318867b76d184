package tablet

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/request"
	pb "go.etcd.io/raft/v3/raftpb"
)

// A key whose time has passed is gone for good: once a leader has said so no later leader shows it again, whatever
// its clock says.
func TestExpiredStaysExpired(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := grown(t, seed, 3, 3)
		w.targets = nil
		for _, n := range w.nodes {
			n.wall = time.Duration(w.rng.IntN(600)-300) * time.Millisecond
		}
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "1", "PX", "700")
		gone := false
		for i := 0; i < 200 && w.now < 30*time.Second; i++ {
			switch o := c.do("GET", key("a")); {
			case o.failed != "":
			case o.reply == "_\r\n":
				gone = true
			case gone:
				w.fatalf("the key came back: %q", o.reply)
			}
			if i%10 == 9 {
				if l := w.leader(); l != nil {
					l.crash()
					w.after(300*time.Millisecond, l.restart)
				}
			}
			w.pass(20 * time.Millisecond)
		}
		if !gone {
			w.fatalf("the key never expired")
		}
		w.pass(5 * time.Second)
		if l := w.leader(); l.group.Keys() != 0 {
			w.fatalf("%d keys are left: nobody swept", l.group.Keys())
		}
		w.mustAgree()
	}
}

// A write that found a key expired binds all later leaders as well, though it does not remove it.
func TestAWriteThatSawAKeyExpiredBindsLaterReads(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 3, 3)
		w.targets = nil
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "1", "PX", "450")
		w.pass(449 * time.Millisecond)
		sawNothing := false
		for !sawNothing {
			got := w.ask(w.nodes[0], Origin{Node: nodeID(60), Boot: uint64(w.now), Number: 1}, "SET", key("a"), "2", "XX", "KEEPTTL")
			sawNothing = got.reply == "_\r\n"
		}
		w.nodes[0].crash()
		c.expect("_\r\n", "GET", key("a"))
		w.nodes[0].restart()
		w.mustAgree()
	}
}

// A leader's time is never before that of an entry that it has applied, also when it came to lead before it had
// applied what the leader before it wrote.
func TestTimeOfANewLeader(t *testing.T) {
	w := grown(t, 1, 3, 3)
	w.targets = nil
	// The others lag in applying: they hold entries that they do not know to be committed, with a time far ahead.
	w.pass(2 * time.Second)
	for _, n := range w.nodes {
		n.wall = time.Hour
	}
	n := w.nodes[0]
	n.observe()
	w.ask(n, Origin{Node: nodeID(60), Boot: 1, Number: 1}, "SET", key("a"), "1")
	high := n.group.head.time
	if high < worldStart+time.Hour.Milliseconds() {
		t.Fatalf("the time did not step: %d", high)
	}
	for _, n := range w.nodes {
		n.wall = 0
	}
	n.crash()
	w.until("another serves", func() bool { return w.leader() != nil })
	if now := w.leader().group.Time(w.now); now < high {
		t.Fatalf("the new leader's time is %d, an entry said %d", now, high)
	}
}

// The tablet's time never runs back, from entry to entry, under clocks that jump and leaders that die.
func TestTimeIsMonotone(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := grown(t, seed, 3, 3)
		c := w.newClient(0)
		for range 40 {
			n := w.nodes[w.rng.IntN(3)]
			n.wall = time.Duration(w.rng.IntN(7_200_000)-3_600_000) * time.Millisecond
			if w.rng.IntN(4) == 0 {
				n.crash()
				w.after(time.Duration(w.rng.IntN(1000))*time.Millisecond, n.restart)
			}
			c.do("INCR", key("n"))
			w.pass(time.Duration(w.rng.IntN(300)) * time.Millisecond)
		}
		last := int64(0)
		for _, i := range slices.Sorted(maps.Keys(w.times)) {
			if w.times[i] < last {
				w.fatalf("the time went back to %d at entry %d", w.times[i], i)
			}
			last = w.times[i]
		}
	}
}

// A follower that was away for longer than the log reaches back gets a snapshot, and from there on the log.
func TestCatchingUpBySnapshot(t *testing.T) {
	for _, chunk := range []int{1 << 20, 200} {
		t.Run(fmt.Sprintf("chunks of %d", chunk), func(t *testing.T) {
			w := grown(t, 1, 3, 3)
			w.chunk, w.move = chunk, 300
			w.installed = 0
			c := w.newClient(0)
			w.nodes[2].crash()
			for i := range 5 * truncateThreshold {
				c.expect("+OK\r\n", "SET", key(fmt.Sprint(i%100)), fmt.Sprint(i), "EX", "1000")
			}
			if start := w.nodes[0].group.log.start.Index; start < 4*truncateThreshold {
				t.Fatalf("the log still begins at %d", start)
			}
			w.nodes[2].restart()
			w.until("it has caught up", w.even)
			if w.installed != 1 {
				t.Errorf("%d snapshots were installed, want 1", w.installed)
			}
			c.expect("+OK\r\n", "SET", key("a"), "after")
			w.mustAgree()
		})
	}
}

// A crash in the middle of receiving or moving a snapshot costs time, never data, wherever it strikes.
func TestCrashDuringASnapshot(t *testing.T) {
	moves := 0
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 3, 3)
		w.chunk, w.move = 300, 200
		w.truncateAt(20)
		c := w.newClient(0)
		w.nodes[2].crash()
		for i := range 5 * 20 {
			c.expect("+OK\r\n", "SET", key(fmt.Sprint(i%40)), fmt.Sprint(i))
		}
		w.nodes[2].restart()
		w.until("a snapshot is on its way", func() bool { return w.nodes[2].in != nil })
		patience := 20 * time.Millisecond
		if seed%2 == 0 {
			w.until("it has arrived", func() bool { return w.nodes[2].in == nil || w.nodes[2].in.installing })
			patience = 3 * time.Millisecond // in which it is synced and moved
		}
		w.pass(time.Duration(w.rng.Int64N(int64(patience))))
		w.nodes[2].crash()
		w.moved = 0
		w.nodes[2].restart()
		if w.moved > 0 {
			moves++
		}
		c.expect("+OK\r\n", "SET", key("a"), "after")
		w.mustAgree()
	}
	if moves == 0 {
		t.Errorf("no crash left a stage that was complete")
	}
}

// A snapshot that arrives when the replica has long held what it stands for is not installed: entries that the
// replica has acknowledged since would be lost with the old log.
func TestALateSnapshotLosesNothing(t *testing.T) {
	w := grown(t, 1, 3, 3)
	w.targets = nil
	c := w.newClient(0)
	c.expect("+OK\r\n", "SET", key("a"), "1")
	w.mustAgree()
	n := w.nodes[2]
	// Node 1 takes no part, so that the entries below rest on nodes 0 and 2 alone, and node 2 knows of no commit.
	w.isolate(1)
	src, err := w.nodes[0].group.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	position := src.Position
	position.Index += 2
	w.hold = func(from, to int, m *message) time.Duration {
		early := from == 2 && m.kind == pb.MsgAppResp && m.index <= position.Index // else the last entry would tell of a commit
		if early || to == 2 && m.commit >= position.Index {
			return time.Hour
		}
		return 0
	}
	commands := []request.Command{words("INCR", key("n"))}
	w.nodes[0].do(func() {
		for i := range uint64(3) {
			w.nodes[0].group.Write(w.now, Origin{Node: nodeID(50), Boot: 1, Number: i}, commands, &told{})
		}
	})
	w.until("the entries are acknowledged", func() bool { return n.group.log.last == position.Index+1 && !n.busy })
	position.Term = w.nodes[0].group.Term()
	if n.group.log.hard.Commit >= position.Index {
		t.Fatalf("the follower knows of the commit already: %s; %v", n, position)
	}
	if n.group.Wants(position) {
		t.Errorf("a replica that acknowledged entry %d wants a snapshot at %d", n.group.log.last, position.Index)
	}
	if !n.group.Holds(position) {
		t.Errorf("it does not know that it holds entry %d", position.Index)
	}
	if other := (kv.Position{Index: position.Index, Term: position.Term + 1}); !n.group.Wants(other) {
		t.Errorf("a snapshot whose entry is another one is not wanted")
	}
}

// A leader that has lost its majority does not fill its log, its disk and its memory with the expiry of the same keys, again
// and again: what it has proposed is enough.
func TestWhatExpiresIsProposedOnce(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		w := grown(t, seed, 3, 3)
		w.targets = nil
		c := w.newClient(0)
		c.guess = 0
		for i := range 2 * sweepLimit {
			c.expect("+OK\r\n", "SET", key(fmt.Sprint(i)), "1", "PX", "10000")
		}
		l := w.nodes[0]
		w.nodes[1].crash()
		w.nodes[2].crash()
		w.pass(15 * time.Second)
		if l.group.Keys() != 2*sweepLimit || l.group.lastIndex() == l.group.Applied() {
			w.fatalf("nothing has expired, or all is gone: this shows nothing")
		}
		last := l.group.lastIndex()
		w.pass(30 * time.Second)
		if n := l.group.lastIndex() - last; n > 1 {
			t.Errorf("seed %d: %d entries in half a minute in which nothing was decided", seed, n)
		}
		w.nodes[1].restart()
		w.until("all of them are gone", func() bool { return w.leader() != nil && w.leader().group.Keys() == 0 })
	}
}
