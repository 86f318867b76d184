package tablet

import (
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/request"
	pb "go.etcd.io/raft/v3/raftpb"
)

// read asks a node for a key and returns what its client is told.
func (n *node) read(name string) *told {
	t := &told{}
	n.do(func() {
		if n.group.Read(n.mono(), []request.Command{words("GET", key(name))}, t) != Taken {
			t.lost++ // refused, which is as good
		}
	})
	return t
}

// leased returns a world of three replicas whose leader, node 0, has a lease, and that stays as it is.
func leased(t *testing.T, seed uint64) (*world, *client) {
	t.Helper()
	w := grown(t, seed, 3, 3)
	w.targets = nil
	c := w.newClient(0)
	c.guess = 0
	c.expect("+OK\r\n", "SET", key("a"), "old")
	w.until("the leader has a lease", func() bool { l := w.leader(); return l != nil && l.at == 0 && l.hasLease() })
	return w, c
}

func (n *node) hasLease() bool { return n.mono() < n.group.LeaseEnd(n.mono()) }

// Reads at a leader that has a lease are answered at once and cost no message: they are most of what a store is asked.
func TestReadsUnderALeaseAskNobody(t *testing.T) {
	w, _ := leased(t, 1)
	l := w.nodes[0]
	w.until("a new lease was given", func() bool { return l.group.LeaseEnd(l.mono())-l.mono() > 200*time.Millisecond })
	before := w.sent
	for range 1000 {
		if got := l.read("a"); got.done != 1 || got.reply != "$3\r\nold\r\n" {
			t.Fatalf("a read under a lease: %+v", *got)
		}
	}
	if w.sent != before {
		t.Errorf("1000 reads cost %d messages", w.sent-before)
	}
}

// A tablet that is read all the time waits for a majority once: its lease is renewed before it ends. Otherwise some
// reads of a busy key would be slow for no reason.
func TestALeaseIsRenewedBeforeItEnds(t *testing.T) {
	w, _ := leased(t, 2)
	l := w.nodes[0]
	for range 1000 { // ten seconds
		if got := l.read("a"); got.done != 1 {
			t.Fatalf("at %v a read had to wait", w.now)
		}
		w.pass(10 * time.Millisecond)
	}
}

// Without a lease a read asks, and what a majority answers is a lease for those that follow.
func TestAReadWithoutALeaseAsks(t *testing.T) {
	w, _ := leased(t, 3)
	l := w.nodes[0]
	w.until("the lease has ended", func() bool { return !l.hasLease() })
	before := w.sent
	got := l.read("a")
	if got.done != 0 || w.sent == before {
		t.Fatalf("a read without a lease was answered at once: %+v", *got)
	}
	w.until("it is answered", func() bool { return got.done == 1 })
	if !l.hasLease() {
		t.Error("what answered the read is no lease")
	}
}

// A process that was paused past its lease does not answer from what it knew: others have led and written meanwhile. Also
// what it had been asked before, or is asked as it wakes, is not answered so.
func TestPausedLeader(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w, c := leased(t, seed)
		old := w.nodes[0]
		old.pause()
		waiting := old.read("a") // it finds it when it wakes
		w.until("another leads", func() bool { l := w.leader(); return l != nil && l.at != 0 })
		c.guess = w.leader().at
		c.expect("+OK\r\n", "SET", key("a"), "new")
		old.resume()
		woken := old.read("a")
		for _, got := range []*told{waiting, woken} {
			if got.done > 0 {
				t.Fatalf("seed %d: woken after %v it read %q", seed, hangUpAfter, got.reply)
			}
		}
		w.until("both are told", func() bool { return waiting.lost+waiting.done == 1 && woken.lost+woken.done == 1 })
		for _, got := range []*told{waiting, woken} {
			if got.done == 1 && got.reply != "$3\r\nnew\r\n" {
				t.Fatalf("seed %d: it read %q", seed, got.reply)
			}
		}
	}
}

// A leader that is cut off answers until its lease ends, and nobody else leads before; then it answers nothing more.
func TestALeaseEndsBeforeAnotherLeads(t *testing.T) {
	for seed := uint64(1); seed <= 50; seed++ {
		w, _ := leased(t, seed)
		w.pass(time.Duration(w.rng.IntN(500)) * time.Millisecond)
		w.sever(0)
		answered := 0
		for w.leader() == nil || w.leader().at == 0 {
			w.pass(time.Millisecond) // and each step looks whether a lease and another leader are there at once
			answered += w.nodes[0].read("a").done
		}
		if w.nodes[0].hasLease() {
			t.Fatalf("seed %d: it still has a lease", seed)
		}
		if got := w.nodes[0].read("a"); got.done > 0 {
			t.Fatalf("seed %d: it still answers", seed)
		}
	}
}

// A voter that restarts has forgotten which leader it heard from, and votes for nobody until any lease that it may have
// confirmed is over.
func TestARestartedVoterKeepsItsPromise(t *testing.T) {
	for seed := uint64(1); seed <= 50; seed++ {
		w, _ := leased(t, seed)
		w.part([]int{0}, []int{2}) // so the lease hangs on node 1 alone
		w.nodes[2].miss(0)
		w.nodes[0].miss(2)
		w.pass(time.Second + time.Duration(w.rng.IntN(400))*time.Millisecond)
		w.until("the lease has ended", func() bool { return !w.nodes[0].hasLease() })
		w.nodes[0].read("a")
		w.until("node 1 has confirmed it", w.nodes[0].hasLease)
		w.nodes[1].crash()
		w.part([]int{0}, []int{1})
		w.pass(time.Duration(w.rng.IntN(30)) * time.Millisecond)
		w.nodes[1].restart()
		w.until("another leads", func() bool { l := w.leader(); return l != nil && l.at != 0 })
	}
}

// From the moment a transfer begins there is no lease for the rest of the term, for the replica that was told to take
// over may do so at any time, lease or not. Reads ask a majority instead.
func TestATransferGivenUpEndsTheLease(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w, c := leased(t, seed)
		const away = 4 * time.Second
		w.hold = func(_, _ int, m *message) time.Duration {
			if m.GetType() == pb.MsgTimeoutNow {
				return away
			}
			return 0
		}
		l := w.nodes[0]
		begun := w.now
		l.do(func() { l.group.TransferTo(2) })
		if l.hasLease() {
			t.Fatalf("seed %d: a leader that hands over has a lease", seed)
		}
		w.until("it has given up", func() bool { return l.group.raft.BasicStatus().LeadTransferee == 0 })
		w.hold = nil
		for w.now < begun+away-20*time.Millisecond {
			c.expect("$3\r\nold\r\n", "GET", key("a"))
			if l.group.Term() == 0 || l.hasLease() {
				t.Fatalf("seed %d: a lease after a transfer that was given up", seed)
			}
			w.pass(10 * time.Millisecond)
		}
		w.sever(0) // what is under way to node 1 comes from it, and so is lost: tell it once more
		w.nodes[1].do(func() {
			m := newMessage()
			m.kind, m.from, m.to, m.term = pb.MsgTimeoutNow, 1, w.nodes[1].group.Replica(), l.group.Term()
			w.nodes[1].must(w.nodes[1].group.Step(w.nodes[1].mono(), nodeID(0), appendMessage(nil, &m.Message, m.beside)))
		})
		w.until("the replica that was told takes over", func() bool { l := w.leader(); return l != nil && l.at == 1 })
	}
}

// An answer that takes long proves nothing about now: a lease counts from when the request left, never from when the
// answer came.
func TestALateAnswerGivesAnOldLease(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w, _ := leased(t, seed)
		l := w.nodes[0]
		w.hold = func(_, to int, m *message) time.Duration {
			if to == 0 && (m.GetType() == pb.MsgAppResp || m.GetType() == pb.MsgHeartbeatResp) {
				return 220 * time.Millisecond
			}
			return 0
		}
		w.until("the lease has ended", func() bool { return !l.hasLease() })
		asked := l.mono()
		l.read("a")
		w.until("a late answer came", l.hasLease)
		if end := l.group.LeaseEnd(l.mono()); end > asked+l.group.cfg.Timing.leaseLasts() {
			t.Fatalf("seed %d: the lease ends %v after the question", seed, end-asked)
		}
		w.sever(0)
		w.until("another leads", func() bool { l := w.leader(); return l != nil && l.at != 0 })
	}
}

// Clocks that run at different rates, within the bound, do no harm: no lease outlives the promises that it rests on. How
// far beyond the bound they begin to do harm is seen as well, for otherwise this test might see nothing at all.
func TestDriftingClocks(t *testing.T) {
	overlaps := func(seed uint64, leader, others int64) bool {
		w, _ := leased(t, seed)
		w.tolerant = true
		w.slowest = 100 * time.Microsecond
		w.nodes[0].drifts(leader)
		w.nodes[1].drifts(others)
		w.nodes[2].drifts(others)
		w.pass(5*time.Second + time.Duration(w.rng.IntN(500))*time.Millisecond)
		w.nodes[0].read("a")
		w.pass(5 * time.Millisecond)
		w.sever(0)
		for w.leader() == nil || w.leader().at == 0 {
			w.step()
			if old, _ := w.usurped(); old != nil {
				return true
			}
		}
		return false
	}
	beyond := 0
	for seed := uint64(1); seed <= 30; seed++ {
		if overlaps(seed, -25, 24) {
			t.Errorf("seed %d: clocks that drift within the bound let two lead", seed)
		}
		if overlaps(seed, -150, 150) {
			beyond++
		}
	}
	if beyond == 0 {
		t.Error("clocks that drift far beyond the bound did no harm: nothing was tested")
	}
}

// A lease needs a majority of the voters, of both halves in a joint configuration, and learners do not count: whoever can
// be elected without one who promised makes a stale read.
func TestWhoseAnswersMakeALease(t *testing.T) {
	const n = 8
	lasts := (&Timing{Lease: 300 * time.Millisecond}).leaseLasts()
	type roles = map[uint64]Role
	for _, c := range []struct {
		name     string
		replicas roles
		joint    bool
		answers  []uint64 // replicas that have answered; replica 1 leads
		want     bool
	}{
		{"alone", roles{1: Voter}, false, nil, true},
		{"one of two", roles{1: Voter, 2: Voter}, false, nil, false},
		{"both of two", roles{1: Voter, 2: Voter}, false, []uint64{2}, true},
		{"one of three", roles{1: Voter, 2: Voter, 3: Voter}, false, nil, false},
		{"two of three", roles{1: Voter, 2: Voter, 3: Voter}, false, []uint64{3}, true},
		{"two of four", roles{1: Voter, 2: Voter, 3: Voter, 4: Voter}, false, []uint64{3}, false},
		{"three of five", roles{1: Voter, 2: Voter, 3: Voter, 4: Voter, 5: Voter}, false, []uint64{2, 5}, true},
		{"a learner", roles{1: Voter, 2: Voter, 3: Voter, 4: Learner}, false, []uint64{4}, false},
		{"two learners", roles{1: Voter, 2: Voter, 3: Voter, 4: Learner, 5: Learner}, false, []uint64{4, 5}, false},
		{"a learner of a lone voter", roles{1: Voter, 2: Learner}, false, nil, true},
		{"both halves", roles{1: Voter, 2: Voter, 3: Outgoing, 4: Incoming}, true, []uint64{2}, true},
		{"the old half", roles{1: Voter, 2: Outgoing, 3: Outgoing, 4: Incoming, 5: Incoming}, true, []uint64{2}, false},
		{"the new half", roles{1: Voter, 2: Outgoing, 3: Outgoing, 4: Incoming, 5: Incoming}, true, []uint64{4}, false},
		{"one of each half", roles{1: Voter, 2: Outgoing, 3: Outgoing, 4: Incoming, 5: Incoming}, true, []uint64{3, 5}, true},
		{"a leader on its way out", roles{1: Outgoing, 2: Voter, 3: Voter, 4: Incoming}, true, []uint64{2}, false},
		{"and a majority of the rest", roles{1: Outgoing, 2: Voter, 3: Voter, 4: Incoming}, true, []uint64{2, 4}, true},
		{"one that was removed", roles{1: Voter, 2: Voter, 3: Voter}, false, []uint64{7}, false},
	} {
		d := Descriptor{Epoch: 1, NextID: n + 1, Joint: c.joint}
		for id := range uint64(n) {
			if role, ok := c.replicas[id]; ok {
				d.Replicas = append(d.Replicas, Replica{ID: id, Node: nodeID(int(id)), Role: role})
			}
		}
		g := &Group{cfg: Config{Timing: Timing{}.withDefaults()}, replica: 1, head: &head{descriptor: d}, term: 3, leading: true}
		g.head.applied.Term = 3
		now := time.Minute
		for _, id := range c.answers {
			g.lease.answered(id, now-time.Duration(id)*time.Millisecond, now)
		}
		end := g.LeaseEnd(now)
		if has := end > now; has != c.want {
			t.Errorf("%s: lease %t, want %t", c.name, has, c.want)
		}
		if len(c.answers) > 0 && c.want && end > now+lasts-time.Duration(slices.Min(c.answers))*time.Millisecond {
			t.Errorf("%s: the lease ends %v from now", c.name, end-now)
		}
		g.head.applied.Term = 2
		if g.LeaseEnd(now) != 0 {
			t.Errorf("%s: a lease before an entry of the own term is applied", c.name)
		}
	}
}

// What a replica answers counts only in the term in which it heard the question. One that has voted for another since
// confirms nothing to the leader before, whatever else is under way.
func TestAnswersAreOfTheirTerm(t *testing.T) {
	w, _ := leased(t, 1)
	n := w.nodes[1]
	g := n.group
	w.until("no turn is under way", func() bool { return !n.busy })
	n.late, n.busy = nil, true // the test takes the turns
	request := func(kind pb.MessageType, from uint64, term uint64, sent time.Duration, context string) {
		m := newMessage()
		m.kind, m.from, m.to, m.term, m.beside.sent = kind, from, g.Replica(), term, sent
		m.index, m.commit = g.log.last, g.log.last
		m.logTerm, _ = g.log.Term(g.log.last)
		m.Context = []byte(context)
		n.must(g.Step(w.now, nodeID(int(from)-1), appendMessage(nil, &m.Message, m.beside)))
	}
	term := g.Term()
	request(pb.MsgApp, 1, term, w.now, "")
	request(pb.MsgVote, 3, term+1, 0, campaignTransfer) // which is granted
	request(pb.MsgApp, 1, term, w.now+time.Millisecond, "")
	turn := Turn{Out: (*nodeOutbox)(n), Now: w.now}
	n.must(g.Ready(&turn))
	voted := false
	for _, p := range append(n.early, n.late...) {
		m, err := decodeMessage(p.encoded)
		n.must(err)
		voted = voted || m.GetType() == pb.MsgVoteResp && !m.GetReject()
		if m.beside.sent > 0 {
			t.Errorf("%s of term %d confirms what left at %v, and a vote was given in the same turn", m.GetType(), m.GetTerm(), m.beside.sent)
		}
	}
	if !voted {
		t.Error("no vote was given: nothing was tested")
	}
}

// A leader that sees many replicas come and go in one term has a lease all the same: those that are gone take nobody's place.
func TestALeaseAfterManyChanges(t *testing.T) {
	w := grown(t, 1, 5, 3)
	c := w.newClient(0)
	c.guess = 0
	l := w.nodes[0]
	term := l.group.Term()
	for i := 0; l.group.Descriptor().NextID <= 2*maxReplicas; i++ {
		w.targets = [][]int{{0, 3, 4}, {0, 1, 2}}[i%2]
		w.until("the replicas have changed", w.settled)
		c.expect("+OK\r\n", "SET", key("a"), "value")
	}
	w.targets = nil
	l.read("a")
	w.pass(50 * time.Millisecond)
	if l.group.Term() != term {
		t.Fatal("it was elected again: this shows nothing")
	}
	if !l.hasLease() {
		t.Error("what the present replicas have answered is no lease")
	}
}
