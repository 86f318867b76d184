package tablet

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/request"
	pb "go.etcd.io/raft/v3/raftpb"
)

var growths = flag.Int("growths", 40, "how many tablets grow and shrink through power cuts")

// A tablet is born once, on one node, and can be read and written there at once: without this a new cluster never
// serves its first request.
func TestBirth(t *testing.T) {
	w := born(t, 1, 1)
	w.until("the only replica leads", func() bool { return w.leader() != nil })
	c := w.newClient(0)
	c.expect("+OK\r\n", "SET", key("a"), "1")
	c.expect("$1\r\n1\r\n", "GET", key("a"))
	if g := w.leader().group; !g.Sole() || g.Keys() != 1 {
		t.Fatalf("sole %t, keys %d", g.Sole(), g.Keys())
	}
	w.nodes[0].crash()
	w.nodes[0].restart()
	c.expect("$1\r\n1\r\n", "GET", key("a"))
}

// One replica grows to three without ever resting at two voters, which would survive nothing; what was written
// before is on all three.
func TestGrowth(t *testing.T) {
	w := born(t, 2, 3)
	c := w.newClient(0)
	for i := range 300 {
		c.expect("+OK\r\n", "SET", key(string(rune('a'+i%26))), "before")
	}
	w.targets = []int{0, 1, 2}
	sawLearners := false
	w.until("three voters", func() bool {
		d := w.nodes[0].group.Descriptor()
		switch voters := len(d.Voters()); {
		case voters == 2:
			w.fatalf("two voters: %s", d)
		case voters == 1 && len(d.Replicas) == 3:
			sawLearners = true
		}
		return w.settled()
	})
	if !sawLearners || w.installed < 2 {
		t.Fatalf("learners seen: %t, snapshots installed: %d", sawLearners, w.installed)
	}
	c.expect("$6\r\nbefore\r\n", "GET", key("a"))
	w.mustAgree()
	// Any one of them may die now.
	w.nodes[0].crash()
	c.expect("$6\r\nbefore\r\n", "GET", key("z"))
	c.expect("+OK\r\n", "SET", key("z"), "after")
}

// A replica that is alone keeps its log without the library. When others come while clients write, the library goes on
// where the log stands, in the same term: nobody is told to ask again, and nothing is missing on the new replicas.
func TestALoneReplicaRejoins(t *testing.T) {
	w := born(t, 5, 3)
	c := w.newClient(0)
	n := w.nodes[0]
	for i := range 200 {
		c.expect(fmt.Sprintf(":%d\r\n", i+1), "INCR", key("n"))
	}
	if !n.group.sole.on {
		t.Fatal("the library is asked by a replica that is alone")
	}
	term := n.group.Term()
	n.group.revoke() // a read asks for an index then
	c.expect("$3\r\n200\r\n", "GET", key("n"))
	w.targets = []int{0, 1, 2}
	var asked []*told
	for number := uint64(1); !w.settled(); number++ {
		n.do(func() {
			if n.group.Waiting() > 3 {
				return
			}
			o := Origin{Node: nodeID(60), Boot: 1, Number: number, Low: number}
			answer := &told{}
			if r := n.group.Write(w.now, o, []request.Command{words("INCR", key("n"))}, answer); r == Taken {
				asked = append(asked, answer)
			}
		})
		if w.step(); number > 100_000 {
			w.fatalf("the tablet does not grow")
		}
		if g := n.group; g.sole.on && !g.Alone() {
			t.Fatalf("the library is not asked by one of %d replicas", len(g.Descriptor().Replicas))
		}
	}
	if n.group.Term() != term {
		t.Fatalf("term %d became %d", term, n.group.Term())
	}
	w.until("all are answered", func() bool { return n.group.Waiting() == 0 })
	for i, answer := range asked {
		if answer.done != 1 || answer.lost+answer.spent > 0 {
			t.Fatalf("write %d of %d: %+v", i+1, len(asked), answer)
		}
	}
	c.expect(fmt.Sprintf("$%d\r\n%d\r\n", len(strconv.Itoa(200+len(asked))), 200+len(asked)), "GET", key("n"))
	w.until("all hold the same", func() bool { return w.even() })
	w.mustAgree()
}

// While the second new replica still receives its snapshot the first one waits for it, so that the group does not rest
// at two voters, which both have to live. Where the second one dies the first is promoted without it: two copies are
// better than one.
func TestTheFirstLearnerWaitsForTheSecond(t *testing.T) {
	w := born(t, 3, 3)
	c := w.newClient(0)
	for i := range 300 {
		c.expect("+OK\r\n", "SET", key(strconv.Itoa(i)), "before")
	}
	w.truncateAt(20)
	w.chunk = 500
	w.targets = []int{0, 1, 2}
	w.until("the second one receives", func() bool { return w.nodes[2].in != nil && w.nodes[2].in.stored == 1 })
	w.cut[[2]int{2, 0}], w.mute = true, true // it hears and is not heard, and nobody has noticed yet
	w.until("the first has caught up", func() bool { return w.nodes[0].group.caughtUp(2) })
	end := w.now + 3*time.Second
	for w.now < end {
		w.step()
		if d := w.nodes[0].group.Descriptor(); len(d.Voters()) != 1 {
			t.Fatalf("the first did not wait: %s", d)
		}
	}
	w.mute = false
	w.nodes[2].crash()
	w.until("the first is promoted alone", func() bool { return len(w.nodes[0].group.Descriptor().Voters()) == 2 })
	w.heal()
	w.nodes[2].restart()
	w.until("three voters", w.settled)
	w.mustAgree()
}

// A tablet that has one of two new replicas, and no budget for the other, must not hold the budget itself: with as many of
// them as the budget allows a cluster would never grow to three.
func TestWaitingForTheBudgetIsFree(t *testing.T) {
	w := born(t, 6, 3)
	c := w.newClient(0)
	c.expect("+OK\r\n", "SET", key("a"), "1")
	w.targets, w.budget = []int{0, 1, 2}, 1
	w.until("one is added", func() bool { return len(w.nodes[0].group.Descriptor().Replicas) == 2 })
	w.budget = 0
	w.until("it has caught up", func() bool { return w.nodes[0].group.caughtUp(2) })
	w.pass(time.Second)
	if n := w.nodes[0]; n.step != Waiting || n.step.Copies() || len(n.group.Descriptor().Voters()) != 1 {
		t.Fatalf("%s, %s", n.step, n.group.Descriptor())
	}
	w.budget = 1
	w.until("three voters", w.settled)
}

// A dead replica is replaced: one comes, one goes, in one change, and the tablet serves all the while.
func TestReplacement(t *testing.T) {
	w := grown(t, 4, 4, 3)
	c := w.newClient(0)
	c.expect("+OK\r\n", "SET", key("a"), "1")
	w.nodes[2].crash()
	w.targets = []int{0, 1, 3}
	w.until("the new node holds the tablet", func() bool {
		if l := w.leader(); l != nil && len(l.group.Descriptor().Voters()) != 3 {
			w.fatalf("not three voters: %s", l.group.Descriptor())
		}
		return w.settled()
	})
	c.expect("$1\r\n1\r\n", "GET", key("a"))
	// The dead one comes back, does not count, learns so, and is destroyed with all it held.
	w.nodes[2].restart()
	w.until("the old replica is destroyed", func() bool { return w.nodes[2].group == nil })
	w.pass(time.Second)
	n := w.nodes[2]
	if err := n.store.Scan([]byte{0}, nil, func(k, _ []byte) bool {
		if k[0] != prefixRetired {
			t.Errorf("the removed replica left %q", k)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	// It may be called again, under a new id.
	retired, err := Retired(n.store, theTablet)
	if err != nil || retired != 3 {
		t.Fatalf("retired %d, %v; want 3", retired, err)
	}
	w.targets = []int{0, 1, 2}
	w.until("it holds the tablet again", w.settled)
	if r, _ := w.leader().group.Descriptor().Find(n.id); r.ID <= 4 {
		t.Fatalf("replica id %d was used before", r.ID)
	}
	w.mustAgree()
}

// A replica that is still needed stays when a target is dead that never held the tablet: to drop it would leave two
// voters where three nodes live.
func TestSurplusStaysWhileATargetIsDead(t *testing.T) {
	w := grown(t, 5, 4, 3)
	w.nodes[3].crash()
	w.targets = []int{0, 1, 3}
	w.pass(20 * time.Second)
	if d := w.leader().group.Descriptor(); len(d.Voters()) != 3 {
		t.Fatalf("a dead target cost a living replica: %s", d)
	}
	w.nodes[3].restart()
	w.until("the target holds the tablet", w.settled)
}

// All replicas move elsewhere while clients write: no write is lost on the way, and the old ones leave nothing.
func TestMoveOfAllReplicas(t *testing.T) {
	w := grown(t, 6, 6, 3)
	w.chunk = 256
	c := w.newClient(0)
	w.targets = []int{3, 4, 5}
	n := 0
	w.until("all have moved", func() bool {
		if c.idle() && n < 400 {
			n++
			c.begin("INCR", key("n"))
		}
		return w.settled()
	})
	c.finish()
	c.expect(bulk(n), "GET", key("n"))
	w.until("the old ones are destroyed", func() bool {
		return w.nodes[0].group == nil && w.nodes[1].group == nil && w.nodes[2].group == nil
	})
	w.mustAgree()
}

// Leadership goes to the first target that lives, and back to the first of all when it returns.
func TestFirstLiveTargetLeads(t *testing.T) {
	w := grown(t, 7, 3, 3)
	w.targets = []int{2, 0, 1}
	w.until("the new first target leads", w.settled)
	w.nodes[2].crash()
	w.until("the next one leads", func() bool { l := w.leader(); return l != nil && l.at == 0 })
	w.nodes[2].restart()
	w.until("the first one leads again", w.settled)
}

// A change of replicas that a transfer of leadership interrupts is finished all the same; nobody has to write for it.
func TestTransitionSurvivesAFailedTransfer(t *testing.T) {
	for seed := uint64(100); seed < 130; seed++ {
		w := grown(t, seed, 4, 3)
		w.targets = []int{0, 1, 3}
		w.until("a transition", func() bool { return w.nodes[0].group.Descriptor().Joint })
		w.nodes[0].group.TransferTo(3) // as a node that wants to stop does
		w.isolate(2)                   // who never hears of it
		w.targets = []int{0, 1, 3}
		w.until("the transition has ended", w.settled)
	}
}

// Small clusters shrink in peace: from three replicas to one, the leader not the last to stay.
func TestShrink(t *testing.T) {
	w := grown(t, 8, 3, 3)
	c := w.newClient(0)
	c.expect(":1\r\n", "INCR", key("n"))
	w.targets = []int{1}
	w.until("one replica", w.settled)
	c.expect(":2\r\n", "INCR", key("n"))
	w.until("the others are destroyed", func() bool { return w.nodes[0].group == nil && w.nodes[2].group == nil })
}

// A leader that was cut off and replaced meanwhile does not cling to what it led: it learns that it was removed, and
// its node may hold the tablet again.
func TestARemovedLeaderLetsGo(t *testing.T) {
	w := grown(t, 9, 4, 3)
	c := w.newClient(0)
	c.expect(":1\r\n", "INCR", key("n"))
	w.isolate(0)
	w.targets = []int{1, 2, 3}
	w.until("it is replaced", w.settled)
	if !w.nodes[0].group.Leading() {
		t.Fatal("the old leader knows already")
	}
	c.guess = 1
	c.expect(":2\r\n", "INCR", key("n"))
	w.heal()
	w.until("its replica is destroyed", func() bool { return w.nodes[0].group == nil })
	w.targets = []int{0, 1, 2}
	w.until("it holds the tablet again", w.settled)
	c.expect(bulk(2), "GET", key("n"))
	w.mustAgree()
}

// A replica that has forgotten what it acknowledged refuses to go on; it does not take its node down, which holds a
// thousand other tablets.
func TestAForgetfulReplicaEndsNothing(t *testing.T) {
	w := grown(t, 10, 3, 3)
	g, err := Create(w.nodes[1].config(), 2, w.now)
	if err != nil {
		t.Fatal(err)
	}
	m := newMessage()
	m.kind, m.from, m.to, m.term, m.commit = pb.MsgHeartbeat, 1, 2, 2, 5
	if err := g.Step(w.now, nodeID(0), appendMessage(nil, &m.Message, m.beside)); err == nil {
		t.Error("a commit index beyond the log was taken")
	}
}

// A leader proposes a change of the replicas and loses its place before anybody has heard of it. When it leads again
// and nothing is to be changed any more, it is at rest: otherwise the cluster calls itself unhealthy for ever.
func TestALostChangeIsNotAwaited(t *testing.T) {
	w := born(t, 4, 4)
	w.targets = []int{0, 1, 2}
	w.until("three voters", w.settled)
	w.until("everybody knows", w.even)
	n := w.nodes[0]
	w.mute = true
	w.part([]int{0}, []int{1, 2})
	w.targets = []int{0, 1, 3}
	w.until("a learner is proposed", func() bool { return n.step == Adding })
	w.mute, w.targets = false, []int{1, 0, 2}
	w.until("another leads", w.settled)
	w.heal()
	w.targets = []int{0, 1, 2}
	w.until("it leads again", w.settled)
	for end := w.now + 4*changePatience; w.now < end; w.step() {
		if w.now > end-2*changePatience && n.step != Settled {
			t.Fatalf("it waits for a change that is lost: %s", n.step)
		}
	}
}

// Of two replicas one goes. Once it has gone nobody can vote but the one that stays, which must have kept that it may: the
// data would be there, on one disk, and never be served again.
func TestTwoBecomeOneThroughAPowerCut(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 2, 2)
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "b")
		w.targets = []int{0}
		w.until("the other one has gone", func() bool { return w.nodes[1].group == nil })
		w.nodes[0].crashKeeping(func(int) int { return 0 })
		w.pass(time.Second)
		w.nodes[0].restart()
		w.until("there is a leader", func() bool { return w.leader() != nil })
		c.expect("$1\r\nb\r\n", "GET", key("a"))
	}
}

// However often who goes and who stays lose power in the midst of it, and whichever of them leads when: the tablet comes
// to be led by the one that stays.
func TestATabletMovesThroughPowerCuts(t *testing.T) {
	for seed := uint64(1); seed <= 150; seed++ {
		w := grown(t, seed, 2, 1)
		c := w.newClient(0)
		c.expect("+OK\r\n", "SET", key("a"), "b")
		w.targets = []int{1}
		for range 12 {
			w.pass(time.Duration(w.rng.Int64N(int64(600 * time.Millisecond))))
			n := w.nodes[w.rng.IntN(2)]
			n.crash()
			w.pass(time.Duration(w.rng.Int64N(int64(600 * time.Millisecond))))
			n.restart()
		}
		w.until("it has moved", w.settled)
		c.guess = 1
		c.expect("$1\r\nb\r\n", "GET", key("a"))
	}
}

// A replica that is to go and comes to lead in the midst of it does not decide its own end: it would be gone before the one
// that stays has heard, which waits for its vote for ever should that word get lost.
func TestWhoGoesDoesNotDecideItsOwnEnd(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := grown(t, seed, 2, 2)
		w.targets = []int{1}
		goes, stays := w.nodes[0], w.nodes[1]
		w.until("a transition is proposed", func() bool { return stays.group.proposedEpoch > stays.group.Descriptor().Epoch })
		stays.do(func() { stays.group.TransferTo(goes.group.Replica()) })
		led := false
		for end := w.now + time.Minute; !w.settled(); w.step() {
			if w.now > end {
				w.fatalf("it does not move")
			}
			if goes.group == nil && stays.group.Descriptor().Joint {
				w.fatalf("who goes is gone, and who stays does not know")
			}
			led = led || goes.group != nil && goes.group.Serving() && goes.group.Descriptor().Joint
		}
		if !led {
			t.Errorf("seed %d: who goes has not led in the transition: this shows nothing", seed)
		}
	}
}

// A replica that was removed while it could not hear it, and that does not vote, asks whether it is still one when nobody
// talks to it any more. It trusted in the last leader for ever, and its node refused each replica that was to take its place.
func TestARemovedLearnerLetsGo(t *testing.T) {
	w := grown(t, 11, 4, 3)
	n := w.nodes[3]
	w.targets = []int{0, 1, 3}
	w.until("there is a learner that knows its leader", func() bool {
		if n.group == nil || !n.group.Initialized() {
			return false
		}
		_, ok := n.group.Leader()
		return ok
	})
	if n.group.votes() {
		t.Fatal("it votes already")
	}
	w.mute = true // what is sent to it gets lost, without an end of the connections
	for i := range 3 {
		w.cut[[2]int{i, 3}] = true
	}
	w.targets = []int{0, 1, 2}
	w.until("it is dropped", w.settled)
	w.pass(500 * time.Millisecond)
	if n.group == nil {
		t.Fatal("it has heard of it")
	}
	clear(w.cut)
	w.until("its replica is destroyed", func() bool { return n.group == nil })
	w.targets = []int{0, 1, 3}
	w.until("its node holds the tablet again", w.settled)
}

// Nothing is proposed that only those out of reach could decide, or that would leave too few who can be reached: it would be
// decided when they are back, when it is wrong, and a transition has no way back.
func TestNoChangeWithoutAMajority(t *testing.T) {
	for _, c := range []struct {
		what    string
		targets []int
		live    []int
	}{
		{"the leader is alone", []int{0}, []int{0}},
		{"the leader is alone with a new node", []int{0, 3}, []int{0, 3}},
		{"one of the two that would stay is gone", []int{0, 1}, []int{0, 2}},
	} {
		w := grown(t, 12, 4, 3)
		w.targets = nil
		g := w.nodes[0].group
		var targets []ident.NodeID
		for _, i := range c.targets {
			targets = append(targets, nodeID(i))
		}
		live := func(n ident.NodeID) bool {
			return slices.ContainsFunc(c.live, func(i int) bool { return nodeID(i) == n })
		}
		if step, why := g.Plan(w.nodes[0].mono(), targets, live, live, 8); step != Stuck || g.proposed > 0 || g.proposedEpoch > 0 {
			t.Errorf("%s: %s: %s", c.what, step, why)
		}
	}
}

// A tablet grows from one replica to three and shrinks again, over and over, and nodes lose power at any moment of it, in the
// midst of a write to the log too: what a lone replica wrote by itself the library reads, and the other way round. Each
// increment that was acknowledged is there, once.
func TestAloneAndTogetherThroughPowerCuts(t *testing.T) {
	ackedAll, aloneAll := 0, 0
	for seed := uint64(1); seed <= uint64(*growths); seed++ {
		w := born(t, seed, 3)
		w.targets = []int{0}
		w.truncateAt(uint64(4 + w.rng.IntN(60)))
		c := w.newClient(0)
		acked, unknown, alone := 0, 0, 0
		for range 30 {
			if w.rng.IntN(3) == 0 {
				w.targets = w.rng.Perm(3)[:1+w.rng.IntN(3)]
			}
			for range w.rng.IntN(8) {
				switch o := c.do("INCR", key("n")); {
				case o.failed == "":
					acked++
				case o.uncertain():
					unknown++
				}
				for _, n := range w.nodes {
					if n.group != nil && n.group.sole.on {
						alone++
					}
				}
			}
			if w.rng.IntN(2) == 0 {
				n := w.nodes[w.rng.IntN(3)]
				w.after(time.Duration(w.rng.Int64N(int64(20*time.Millisecond))), n.crash)
				w.after(time.Duration(30+w.rng.IntN(800))*time.Millisecond, n.restart)
			}
			w.pass(time.Duration(w.rng.Int64N(int64(time.Second))))
		}
		w.pass(time.Second)
		for _, n := range w.nodes {
			n.restart()
		}
		w.until("the replicas are the targets", w.settled)
		var got int
		for o := c.do("GET", key("n")); ; o = c.do("GET", key("n")) {
			if o.failed != "" {
				continue
			}
			if _, err := fmt.Sscanf(o.reply, "$%d\r\n%d\r\n", new(int), &got); err != nil && acked > 0 {
				t.Fatalf("seed %d: %q: %v", seed, o.reply, err)
			}
			break
		}
		if got < acked || got > acked+unknown {
			t.Errorf("seed %d: %d after %d increments, and %d of unknown outcome", seed, got, acked, unknown)
		}
		w.until("all hold the same", w.even)
		w.mustAgree()
		ackedAll, aloneAll = ackedAll+acked, aloneAll+alone
	}
	if n := *growths; ackedAll < 40*n || aloneAll < 10*n {
		t.Errorf("%d increments in %d worlds, %d of them alone: this shows little", ackedAll, n, aloneAll)
	}
}
