package tablet

import (
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/request"
	pb "go.etcd.io/raft/v3/raftpb"
)

// When the leader's process dies the next replica in line leads within half a second, and the same one every time:
// the line of targets is what operators reason about.
func TestElectionAfterTheLeadersDeath(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 3, 3)
		w.pass(3 * time.Second)
		dead := w.now
		w.nodes[0].crash()
		w.until("another leads", func() bool { return w.leader() != nil })
		if took := w.now - dead; took > 500*time.Millisecond {
			t.Errorf("seed %d: %v without a leader", seed, took)
		}
		if l := w.leader(); l.at != 1 {
			t.Errorf("seed %d: node %d leads, not the next in line", seed, l.at)
		}
	}
}

// An election ends though answers take longer than a lease to come: on a machine with much to do, or a network that
// is slow. A candidate that begins again before it can have been answered would keep its tablet without a leader for as
// long as that lasts.
func TestAnElectionOnASlowNetworkEnds(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		for _, delay := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
			w := grown(t, seed, 3, 3)
			w.pass(3 * time.Second)
			w.hold = func(int, int, *message) time.Duration {
				return delay/2 + time.Duration(w.rng.Int64N(int64(delay/2)))
			}
			dead := w.now
			w.nodes[0].crash()
			w.until("another leads", func() bool { return w.leader() != nil })
			if took := w.now - dead; took > 12*time.Second { // of 3,200 such elections none took 9 s
				t.Errorf("seed %d, %v from node to node: %v without a leader", seed, delay, took)
			}
		}
	}
}

// Two replicas that campaign at the same time, as on a slow network they do, do not take each other's votes: the one that
// stands first in line is elected, as a rule, in the two rounds that an election takes. If it dies in the midst of that, the other one
// does not wait for it.
func TestTheNextInLineIsElected(t *testing.T) {
	others := 0
	for seed := uint64(1); seed <= 40; seed++ {
		w := grown(t, seed, 3, 3)
		w.pass(3 * time.Second)
		delay := 800 * time.Millisecond
		w.hold = func(int, int, *message) time.Duration {
			return delay/2 + time.Duration(w.rng.Int64N(int64(delay/2)))
		}
		w.nodes[0].crash()
		w.until("another leads", func() bool { return w.leader() != nil })
		if w.leader().at != 1 {
			others++
		}
	}
	if others > 2 { // 22 of these 40 where nobody yields; 3 of 440 where they do, for a vote may be on its way already
		t.Errorf("%d of 40 elections are not won by the next in line", others)
	}
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 5, 5)
		w.pass(3 * time.Second)
		last := w.nodes[4]
		w.nodes[0].crash()
		w.until("it is yielded to another one", func() bool { return last.mono() < last.group.elect.yields })
		gone := last.group.elect.yieldTo
		w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.group != nil && n.group.Replica() == gone })].crash()
		w.hold = func(int, int, *message) time.Duration { return time.Hour } // nobody else is heard of
		w.pass(20 * time.Millisecond)
		if e := &last.group.elect; last.mono() < e.yields {
			t.Errorf("seed %d: the last in line waits for one that has gone", seed)
		}
	}
}

// A replica that has long campaigned in vain does so again as soon as another is back: nobody waits for its patience to
// end when a majority is there.
func TestAReplicaThatIsBackIsAskedForItsVoteAtOnce(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 3, 3)
		w.targets = nil
		w.nodes[2].crash() // it lacks what is written now, so that it cannot be elected
		w.newClient(0).expect(":1\r\n", "INCR", key("n"))
		w.until("it is written on both", w.even)
		w.nodes[0].crash()
		w.pass(time.Minute)
		back := w.now
		w.nodes[2].restart()
		w.until("there is a leader", func() bool { return w.leader() != nil })
		if took := w.now - back; took > time.Second {
			t.Errorf("seed %d: %v after a majority was there again", seed, took)
		}
	}
}

// No replica votes against a leader within a lease of hearing from it, nor within a lease of its own start: else a
// leader that answers reads under a lease would not be the only one.
func TestNoVoteWithinALease(t *testing.T) {
	w := grown(t, 1, 3, 3)
	w.pass(3 * time.Second) // since the start of all
	g := w.nodes[2].group
	request := func(kind pb.MessageType, context string) []byte {
		term, from, to, last := g.Term()+1, uint64(2), g.Replica(), g.log.last+10
		logTerm := g.Term()
		return appendMessage(nil, &pb.Message{
			Type: &kind, From: &from, To: &to, Term: &term, Index: &last, LogTerm: &logTerm, Context: []byte(context),
		}, beside{})
	}
	asked := func(kind pb.MessageType, context string) bool {
		g = w.nodes[2].group
		w.nodes[2].late = nil
		if err := g.Step(w.now, w.nodes[1].id, request(kind, context)); err != nil {
			t.Fatal(err)
		}
		var turn Turn
		turn.Out = (*nodeOutbox)(w.nodes[2])
		turn.Now = w.now
		if err := g.Ready(&turn); err != nil {
			t.Fatal(err)
		}
		w.nodes[2].apply(&turn)
		turn.Persisted()
		return slices.ContainsFunc(w.nodes[2].late, func(p parcel) bool {
			m, err := decodeMessage(p.encoded)
			return err == nil && (m.GetType() == pb.MsgVoteResp || m.GetType() == pb.MsgPreVoteResp)
		})
	}
	heard := g.elect.lastHeard
	w.nodes[0].read("a")
	w.until("the leader was heard again", func() bool { return w.nodes[2].group.elect.lastHeard > heard && !w.nodes[2].busy })
	w.now += 100 * time.Millisecond
	for _, kind := range []pb.MessageType{pb.MsgPreVote, pb.MsgVote} {
		if asked(kind, "") {
			t.Errorf("%s was answered 100ms after the leader was heard", kind)
		}
	}
	w.nodes[2].crash()
	w.nodes[2].restart()
	w.until("no turn is under way", func() bool { return !w.nodes[2].busy })
	w.now += 100 * time.Millisecond
	if asked(pb.MsgVote, "") {
		t.Errorf("a vote was given 100ms after the start")
	}
	// A transfer is the leader's own wish.
	if !asked(pb.MsgVote, campaignTransfer) {
		t.Errorf("the replica that the leader chose gets no vote")
	}
}

// A follower that starts again does not depose a leader that is alive and well: every restart would otherwise cost
// each tablet of the node an election.
func TestARestartDoesNotDisturbTheLeader(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		w := grown(t, seed, 3, 3)
		w.targets = nil
		w.pass(time.Duration(w.rng.IntN(1000)) * time.Millisecond)
		term := w.leader().group.Term()
		w.nodes[1+seed%2].crash()
		w.pass(time.Duration(w.rng.IntN(1000)) * time.Millisecond)
		w.nodes[1+seed%2].restart()
		w.pass(5 * time.Second)
		if l := w.leader(); l == nil || l.at != 0 || l.group.Term() != term {
			t.Errorf("seed %d: term %d after a follower's restart, it was %d", seed, l.group.Term(), term)
		}
	}
}

// Nor does a follower whose connection to the leader breaks and comes back.
func TestABrokenConnectionDoesNotDisturbTheLeader(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		w := grown(t, seed, 3, 3)
		w.targets = nil
		w.pass(time.Duration(w.rng.IntN(1000)) * time.Millisecond)
		term := w.leader().group.Term()
		w.nodes[2].miss(0)
		w.pass(5 * time.Second)
		if l := w.leader(); l == nil || l.at != 0 || l.group.Term() != term {
			t.Errorf("seed %d: term %d after a connection broke, it was %d", seed, l.group.Term(), term)
		}
	}
}

// A leader that is cut off answers no read, however long: the others may have written since. Its waiting writes and
// reads are told Lost once it learns of its successor, and the same write, asked for again, is done once.
func TestDeposedLeader(t *testing.T) {
	w := grown(t, 2, 3, 3)
	w.targets = nil
	c := w.newClient(0)
	c.expect(":1\r\n", "INCR", key("n"))
	old := w.nodes[0]
	w.isolate(0)
	w.pass(w.nodes[0].group.cfg.Timing.leaseLasts())
	read, write := &told{}, &told{}
	old.do(func() {
		if r := old.group.Read(w.now, []request.Command{words("GET", key("n"))}, read); r != Taken {
			t.Errorf("the read was refused: %d", r)
		}
		if r := old.group.Write(w.now, Origin{Node: nodeID(50), Boot: 1, Number: 1, Low: 1},
			[]request.Command{words("INCR", key("n"))}, write); r != Taken {
			t.Errorf("the write was refused: %d", r)
		}
	})
	w.until("another leads", func() bool { l := w.leader(); return l != nil && l.at != 0 })
	c.guess = w.leader().at
	c.expect(":2\r\n", "INCR", key("n"))
	w.pass(5 * time.Second)
	if *read != (told{}) || *write != (told{}) {
		t.Fatalf("a leader without a majority answered: read %+v, write %+v", *read, *write)
	}
	w.heal()
	w.until("the old leader follows", func() bool { return !old.group.Leading() })
	if read.lost != 1 || write.lost != 1 || read.done+write.done > 0 {
		t.Fatalf("after it was deposed: read %+v, write %+v, want both lost once", *read, *write)
	}
	c.expect(bulk(2), "GET", key("n"))
	w.mustAgree()
}

// told is a waiter that counts what it hears.
type told struct {
	done, lost, spent int
	reply             string
}

func (w *told) Done(replies [][]byte) { w.done++; w.reply = string(replies[0]) }
func (w *told) Lost()                 { w.lost++ }
func (w *told) Spent()                { w.spent++ }

// A leader reads nothing before an entry of its own term is applied: until then it may not know of writes that the
// one before it acknowledged.
func TestNoReadBeforeAnEntryOfTheOwnTerm(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := grown(t, seed, 3, 3)
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "old")
		w.pass(2 * time.Second)
		// Node 1 acknowledges the new value but does not know that it is committed.
		c.expect("+OK\r\n", "SET", key("a"), "new")
		w.nodes[0].crash()
		w.until("another is elected", func() bool {
			return slices.ContainsFunc(w.nodes, func(n *node) bool { return n.group != nil && n.group.Leading() })
		})
		for _, n := range w.nodes {
			if n.group == nil || !n.group.Leading() {
				continue
			}
			seen := &told{}
			n.do(func() { n.group.Read(w.now, []request.Command{words("GET", key("a"))}, seen) })
			w.until("the read is answered", func() bool { return seen.done+seen.lost > 0 })
			if seen.done == 1 && seen.reply != "$3\r\nnew\r\n" {
				t.Fatalf("seed %d: a new leader read %q", seed, seen.reply)
			}
		}
	}
}

// A lone voter that has restarted with an old idea of who its replicas are does not rule alone over what the others
// decide: its log tells it that the group has grown.
func TestARestartDoesNotForgetTheGroup(t *testing.T) {
	for seed := uint64(1); seed <= 60; seed++ {
		w := born(t, seed, 3)
		w.until("the first leads", func() bool { return w.leader() != nil })
		c := w.newClient(0)
		c.expect(":1\r\n", "INCR", key("n"))
		w.targets = []int{0, 1, 2}
		w.pass(time.Duration(w.rng.IntN(120)) * time.Millisecond)
		w.nodes[0].crashKeeping(nil)
		w.pass(time.Duration(w.rng.IntN(400)) * time.Millisecond)
		w.nodes[0].restart()
		c.expect(":2\r\n", "INCR", key("n"))
		w.until("three voters", w.settled)
		c.expect(bulk(2), "GET", key("n"))
		w.mustAgree()
	}
}

// Whatever a replica has promised is on its disk when the promise leaves: a vote, and the entries that it says it
// holds. A node that promised too early and lost its power would vote twice, or take back what a client was told.
func TestPromisesAreOnDisk(t *testing.T) {
	for seed := uint64(1); seed <= 16; seed++ {
		w := grown(t, seed, 3, 3)
		c := w.newClient(0)
		c.ended = func(*operation) { c.begin("INCR", key("n")) }
		c.begin("INCR", key("n"))
		left := w.rng.IntN(30)
		checked := false
		w.promise = func(n *node, m *message) {
			vote := m.GetType() == pb.MsgVoteResp && !m.GetReject()
			ack := m.GetType() == pb.MsgAppResp && !m.GetReject() && seed%2 == 0
			if checked || !vote && !ack {
				return
			}
			if left--; !vote && left > 0 {
				return
			}
			checked = true
			n.store = n.store.Crash(nil)
			if err := n.store.Groups(func(g kv.Group) error {
				switch {
				case g.Hard.Term < m.GetTerm():
					w.fatalf("node %d answered in term %d and has %d on disk", n.at, m.GetTerm(), g.Hard.Term)
				case vote && g.Hard.Vote != m.GetTo():
					w.fatalf("node %d gave its vote to %d and has %d on disk", n.at, m.GetTo(), g.Hard.Vote)
				case ack && g.Last < m.GetIndex():
					w.fatalf("node %d acknowledged entry %d, its log on disk ends at %d", n.at, m.GetIndex(), g.Last)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			n.up, n.group = false, nil
		}
		w.pass(time.Second)
		if seed%2 == 1 {
			w.nodes[0].crash()
		}
		w.pass(time.Second)
		if !checked {
			t.Errorf("seed %d: nothing was promised", seed)
		}
	}
}

// Entries are never on disk without what their leader knew to be committed. A replica that restarts must not campaign
// under a membership that entries in its own log have left behind: two leaders could be elected by two memberships.
func TestCommitIsWrittenBeforeItIsApplied(t *testing.T) {
	for name, size := range map[string]int{"what one turn applies": 1, "more than one turn applies": maxApplyPerTurn / 8} {
		t.Run(name, func(t *testing.T) { commitIsWritten(t, size) })
	}
}

func commitIsWritten(t *testing.T, size int) {
	w := grown(t, 1, 3, 3)
	w.until("all are even", w.even)
	n := w.nodes[2]
	g := n.group
	const entries = 12
	m := newMessage()
	m.kind, m.from, m.to, m.term = pb.MsgApp, 1, g.Replica(), g.Term()
	m.index, m.commit = g.log.last, g.log.last+entries
	m.logTerm, _ = g.log.Term(m.index)
	value := make([]byte, size)
	for i := range uint64(entries) {
		e := entry{kind: entryCommands, origin: Origin{Node: nodeID(50), Boot: 1, Number: i}, maxValue: 1 << 30}
		e.commands = []request.Command{words("SET", key("a"), string(value))}
		data := appendEntry(nil, &e)
		m.Entries = append(m.Entries, newEntry(m.index+1+i, m.term, pb.EntryNormal, data))
	}
	if err := g.Step(w.now, nodeID(0), appendMessage(nil, &m.Message, m.beside)); err != nil {
		t.Fatal(err)
	}
	turn := Turn{Out: (*nodeOutbox)(n), Now: w.now}
	n.must(g.Ready(&turn))
	if len(g.ready.CommittedEntries) == 0 {
		t.Fatal("nothing is to be applied: nothing is tested")
	}
	if op := turn.Write.Log[0]; len(op.Append) != entries || op.Hard == nil || op.Hard.Commit != m.commit {
		t.Errorf("%d entries are written with %+v; %d are committed", len(op.Append), op.Hard, m.commit)
	}
	p, err := n.store.Apply(&turn.Write, true)
	n.must(err)
	n.must(p.Wait())
	n.crashKeeping(nil)
	n.restart()
	if commit := n.group.log.hard.Commit; commit != m.commit {
		t.Errorf("after a restart %d are known to be committed, want %d", commit, m.commit)
	}
}

// A connection that breaks and is back within moments may be both in one turn, with the leader's word behind them. A
// follower that then went on without a leader, for as long as appends kept it from campaigning, would call the cluster
// unhealthy and ask around for each request.
func TestALeaderThatIsBackAtOnceIsKnown(t *testing.T) {
	w := grown(t, 1, 3, 3)
	w.targets = nil
	w.pass(3 * time.Second)
	leader, n := w.leader(), w.nodes[1]
	kind, from, to, term := pb.MsgHeartbeat, leader.group.Replica(), n.group.Replica(), leader.group.Term()
	beat := appendMessage(nil, &pb.Message{Type: &kind, From: &from, To: &to, Term: &term}, beside{})
	n.do(func() {
		if !n.group.NodeLost(n.mono(), leader.id, n.rank()) {
			t.Fatal("the loss of its leader's node does not concern the follower")
		}
		if err := n.group.Step(n.mono(), leader.id, beat); err != nil {
			t.Fatal(err)
		}
	})
	c := w.newClient(0)
	c.guess = 0
	for range 40 {
		c.do("INCR", key("n"))
		w.pass(50 * time.Millisecond)
	}
	if l, ok := n.group.Leader(); !ok || l != leader.id {
		t.Errorf("after 40 writes the follower knows no leader: %v", n)
	}
}

// A follower is told to lead while its turn waits for the disk, and has applied and truncated what the library does not know
// to be applied yet. The library looks at those entries, and would end the process where they are gone.
func TestALeaderIsMadeInTheMidstOfATurn(t *testing.T) {
	w := grown(t, 1, 3, 3)
	w.pass(3 * time.Second)
	leader, n := w.nodes[0].group, w.nodes[1]
	g := n.group
	g.truncateAt = 1
	from, to, term, last, next, logTerm := leader.Replica(), g.Replica(), g.Term(), g.log.last, g.log.last+1, g.Term()
	turn := Turn{Out: (*nodeOutbox)(n), Now: n.mono()}
	step := func(m *pb.Message) {
		m.From, m.To, m.Term = &from, &to, &term
		if err := g.Step(n.mono(), w.nodes[0].id, appendMessage(nil, m, beside{})); err != nil {
			t.Fatal(err)
		}
	}
	app, now := pb.MsgApp, pb.MsgTimeoutNow
	step(&pb.Message{Type: &app, Index: &last, LogTerm: &logTerm, Commit: &next, Entries: []*pb.Entry{newEntry(next, term, pb.EntryNormal, nil)}})
	if err := g.Ready(&turn); err != nil {
		t.Fatal(err)
	}
	if _, err := turn.Apply(); err != nil || g.Applied() != next {
		t.Fatalf("applied up to %d, want %d: %v", g.Applied(), next, err)
	}
	step(&pb.Message{Type: &now})
	turn.Persisted()
}
