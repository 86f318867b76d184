package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/slot"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// A leader that could not answer a process before it died answers the next one of the same node. Taken for the answer
// to something else, it would acknowledge what never happened.
func TestAnswerToAnEarlierBoot(t *testing.T) {
	w := newRing(t, 200, 3)
	tab := uint32(3)
	lead := w.leader(tab)
	var asker, third *node
	for _, n := range w.nodes {
		switch {
		case n == lead:
		case asker == nil:
			asker = n
		default:
			third = n
		}
	}
	// The asker begins anew, so that its requests have small numbers.
	w.kill(asker, nil)
	w.start(asker)
	w.settled(time.Minute)
	w.kill(third, nil)
	w.run(100 * time.Millisecond)
	for i := range 40 {
		w.ask(asker, "SET", key(tab), fmt.Sprint("old", i))
	}
	named := asker.core.router.nextID - asker.boot<<bootShift
	w.run(1500 * time.Microsecond) // they reach the leader, which has nobody left to confirm them
	w.kill(asker, nil)
	w.start(asker)
	var calls []*call
	for i := range int(named) {
		calls = append(calls, w.ask(asker, "SET", fmt.Sprintf("{%s}%d", key(tab), i), fmt.Sprint("new", i)))
	}
	w.start(third)
	for i, c := range calls {
		w.until(10*time.Second, "an answer", c.over)
		if c.code() != "" {
			continue
		}
		k, want := fmt.Sprintf("{%s}%d", key(tab), i), fmt.Sprint("new", i)
		if got := w.must(lead, "GET", k); got != fmt.Sprintf("$%d\r\n%s\r\n", len(want), want) {
			t.Fatalf("SET %s was acknowledged, GET says %q", k, got)
		}
	}
}

// What a node remembers of a tablet's leader is a hint: a wrong one costs a hop, not the request.
func TestWrongHintIsCorrected(t *testing.T) {
	w := newRing(t, 201, 5)
	for tab := range uint32(worldTablets) {
		for _, n := range w.nodes {
			p := n.core.places[tab]
			if p.group != nil {
				continue
			}
			for _, wrong := range w.nodes {
				if wrong == n {
					continue
				}
				p.leader, p.epoch = wrong.id, 0
				begun := w.now
				w.must(n, "SET", key(tab), "x")
				if took := w.now - begun; took > 100*time.Millisecond {
					t.Errorf("tablet %d: with a wrong hint a write took %v", tab, took)
				}
				if p.leader != w.leader(tab).id {
					t.Errorf("tablet %d: node %d still takes %s for the leader", tab, n.index, p.leader.Short())
				}
			}
			// And with nothing known at all, the ring is asked.
			p.leader, p.replicas, p.epoch, p.named = ident.NodeID{}, nil, 0, 0
			w.must(n, "SET", key(tab), "y")
		}
	}
}

// Replicas move on while a node hears only answers: its list of replicas must follow.
func TestReplicasFollowAnswers(t *testing.T) {
	p := &place{}
	a, b := ident.NodeID{1}, ident.NodeID{2}
	p.learn(a, 3, []ident.NodeID{a})
	p.learn(a, 5, nil)
	p.learn(b, 5, []ident.NodeID{b})
	if p.leader != b || !slices.Equal(p.replicas, []ident.NodeID{b}) {
		t.Errorf("leader %s, replicas %v", p.leader.Short(), shorts(p.replicas))
	}
	p.learn(a, 4, []ident.NodeID{a})
	if p.leader != b || p.epoch != 5 {
		t.Errorf("an older descriptor is believed: %+v", p)
	}
}

// A node that is no member yet may ask to be admitted, and nothing else: it reads no data, writes none, and removes
// nobody.
func TestStrangerMayOnlyAskToBeAdmitted(t *testing.T) {
	w := newRing(t, 202, 3)
	stranger := ident.NodeID{0xee}
	at := w.leader(System)
	reply := func(m *wire.Request) (got []wire.Response) {
		out := wire.NewOutbox()
		out.Add(at.id, false, m)
		var frame []byte
		out.Early(func(_ ident.NodeID, f []byte) { frame = slices.Clone(f) })
		at.event(func() {
			if err := at.core.Receive(stranger, frame); err != nil {
				t.Error(err)
			}
			at.core.out.Early(func(to ident.NodeID, f []byte) {
				if to != stranger {
					return
				}
				if err := wire.Each(slices.Clone(f), func(m any) error {
					if r, ok := m.(*wire.Response); ok {
						got = append(got, *r)
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		})
		return got
	}
	tab := slices.IndexFunc(at.core.places, func(p *place) bool { return p.led })
	data := tablet.AppendCommands(nil, []request.Command{{[]byte("SET"), []byte(key(uint32(tab))), []byte("stranger")}})
	if got := reply(&wire.Request{ID: 1, Tablet: uint32(tab), Write: true, Boot: 1, Number: 1, Low: 1, Commands: data}); len(got) > 0 {
		t.Errorf("a stranger's write is answered: %+v", got)
	}
	b, err := (&registry.Command{Remove: &registry.Remove{ID: w.nodes[1].id, Force: true}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	remove := tablet.AppendCommands(nil, []request.Command{{[]byte(systemCommand), b}})
	got := reply(&wire.Request{ID: 2, Tablet: System, Write: true, Boot: 1, Number: 1, Low: 1, Commands: remove})
	if len(got) != 1 || got[0].Status != wire.Rejected || !strings.Contains(got[0].Text, "only ask to be admitted") {
		t.Errorf("a stranger's removal of a member is answered: %+v", got)
	}
	w.run(2 * time.Second)
	if got := w.must(at, "GET", key(uint32(tab))); got != "_\r\n" {
		t.Errorf("the stranger's value is there: %q", got)
	}
	if w.state(w.nodes[1]) != registry.Up {
		t.Error("the stranger removed a member")
	}
	// Nor does it end what others asked.
	for _, n := range w.nodes {
		n.event(func() {
			for id := range uint64(2000) {
				n.core.response(stranger, &wire.Response{ID: n.boot<<bootShift + id, Status: wire.Done})
			}
		})
	}
}

// A member that sends nonsense for a tablet gets an error, and nothing of it reaches the log.
func TestCommandsOfOthersAreChecked(t *testing.T) {
	w := newRing(t, 203, 1)
	c := w.nodes[0].core
	cmd := func(args ...string) []request.Command {
		var out request.Command
		for _, a := range args {
			out = append(out, []byte(a))
		}
		return []request.Command{out}
	}
	k := key(0)
	for _, bad := range []struct {
		tablet uint32
		write  bool
		cmds   []request.Command
	}{
		{0, true, cmd("NOSUCH", k)},
		{0, true, cmd("SET", k)},
		{0, true, cmd("GET", k)},
		{0, false, cmd("SET", k, "v")},
		{1, true, cmd("SET", k, "v")},
		{System, true, cmd("SET", k, "v")},
		{System, true, cmd(systemCommand)},
		{0, true, cmd(systemCommand, "x")},
	} {
		if err := c.checkCommands(bad.tablet, bad.write, bad.cmds); err == nil {
			t.Errorf("tablet %d takes %q, write %t", bad.tablet, bad.cmds, bad.write)
		}
	}
	if err := c.checkCommands(0, true, cmd("SET", k, "v")); err != nil {
		t.Error(err)
	}
}

// A read on the goroutine of a client is allowed only while no other node could have acknowledged a write: for good only
// while the group has no second voter, and with a lease until its end.
func TestGateClosesBeforeMembershipGrows(t *testing.T) {
	w := newWorld(t, 204)
	n := w.found()
	w.until(5*time.Second, "the gates are open", func() bool {
		for tab := range uint32(worldTablets) {
			if n.core.gates.Load().of[tab].until.Load() == 0 {
				return false
			}
		}
		return true
	})
	read := func(at *node, tab uint32) bool {
		c := &call{n: at}
		c.req = request.Request{Tablet: tab, Commands: []request.Command{{[]byte("GET"), []byte(key(tab))}}, Owner: c}
		return at.core.TryRead(w.now, &c.req)
	}
	for tab := range uint32(worldTablets) {
		w.must(n, "SET", key(tab), "v")
		if !read(n, tab) {
			t.Errorf("tablet %d cannot be read at once by its only replica", tab)
		}
	}
	w.start(w.add(), n)
	w.start(w.add(), n)
	end := w.now + 10*time.Second
	for w.now < end {
		w.step()
		for _, n := range w.running() {
			for tab := range uint32(len(n.core.places)) {
				until := time.Duration(n.core.gates.Load().of[tab].until.Load())
				if until <= w.now {
					continue
				}
				for _, o := range w.running() {
					p := o.core.place(tab)
					if o == n || p == nil || p.group == nil || !p.group.Initialized() {
						continue
					}
					if r, ok := p.group.Descriptor().Find(o.id); until > w.now+time.Second && ok && r.Role.Counts() {
						t.Fatalf("node %d reads tablet %d by itself for good, and node %d votes in it", n.index, tab, o.index)
					}
					if g := n.core.place(tab).group; p.group.Leading() && (g == nil || p.group.Term() > g.Term()) {
						t.Fatalf("node %d reads tablet %d by itself, and node %d leads it", n.index, tab, o.index)
					}
				}
			}
		}
	}
	w.settled(time.Minute)
	w.run(time.Second)
	if read(n, 0) || n.core.TryRead(w.now, &request.Request{Tablet: System}) || n.core.TryRead(w.now, &request.Request{Tablet: worldTablets}) {
		t.Error("a read is answered past a closed gate")
	}
}

// Frames get lost while nodes join: every question is asked again, so each still becomes a member.
func TestJoinUnderLoss(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newWorld(t, 210+seed)
		w.found()
		w.loss = 0.3
		w.start(w.add(), w.nodes[0])
		w.start(w.add(), w.nodes[0], w.nodes[1])
		w.run(10 * time.Second)
		w.loss = 0
		w.settled(2 * time.Minute)
	}
}

// A node dies at every point of its way into the cluster, and comes back: it becomes a member all the same, once.
func TestCrashWhileJoining(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 220+seed, 2)
		n := w.add()
		w.start(n, w.nodes[0])
		for range 12 {
			n.crashIn = 1 + w.rng.IntN(12)
			w.run(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
			if n.core == nil {
				w.start(n, w.nodes[0])
			}
		}
		n.crashIn = 0
		w.settled(2 * time.Minute)
		if got := len(w.nodes[0].core.registry.Members()); got != 3 {
			t.Errorf("the cluster has %d members, want 3", got)
		}
	}
}

// Tablets of many chunks move while the connection breaks and the receiver dies: they arrive whole.
func TestLargeTabletsMove(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 230+seed, 2)
		value := strings.Repeat("0123456789abcdef", 4<<10) // 64 KiB
		for i := range 6 * worldTablets {
			w.must(w.nodes[0], "SET", fmt.Sprint("large", i), value+fmt.Sprint(i))
		}
		n := w.add()
		w.start(n, w.nodes[0])
		for i := range 10 {
			w.run(time.Duration(w.rng.IntN(1200)) * time.Millisecond)
			switch {
			case n.core == nil:
				w.start(n, w.nodes[0])
			case i%2 == 0:
				n.crashIn = 1 + w.rng.IntN(30)
			default:
				for _, o := range w.nodes[:2] {
					w.hangUp(n, o, silence)
				}
			}
		}
		n.crashIn = 0
		if n.core == nil {
			w.start(n, w.nodes[0])
		}
		w.settled(3 * time.Minute)
		w.run(time.Minute)
		for _, n := range w.nodes {
			if len(n.core.moves.in) > 0 || len(n.core.moves.out) > 0 {
				t.Errorf("node %d: %d snapshots still come and %d go", n.index, len(n.core.moves.in), len(n.core.moves.out))
			}
		}
		// The new node must have all of it: the others go.
		for i := range 6 * worldTablets {
			k := fmt.Sprint("large", i)
			tab := slot.Tablet(slot.Of([]byte(k)), worldTablets)
			r := tablet.Reading{State: n.store, Time: n.time().Wall}
			replies, _ := n.core.gates.Load().machines[tab].Read(&r, []request.Command{{[]byte("GET"), []byte(k)}}, nil)
			if want := value + fmt.Sprint(i); string(replies[0]) != fmt.Sprintf("$%d\r\n%s\r\n", len(want), want) {
				t.Errorf("the new node holds %d bytes under %s, want %d", len(replies[0]), k, len(want))
			}
		}
	}
}

// A node that stops in peace hands over what it leads, so that its clients' next requests do not wait for an election.
func TestHandOver(t *testing.T) {
	w := newRing(t, 250, 3)
	load := w.load(0, 1)
	n := w.nodes[2]
	w.run(time.Second)
	load.longest = 0
	begun := w.now
	for left := -1; left != 0; {
		n.event(func() { left = n.core.HandOver() })
		w.run(20 * time.Millisecond)
		if w.now > begun+3*time.Second {
			t.Fatalf("%d tablets are not handed over\n%s", left, w.describe())
		}
	}
	if took := w.now - begun; took > 500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	w.run(2 * time.Second)
	if f := n.core.Figures(); f.Leads > 0 {
		t.Errorf("it leads %d tablets again", f.Leads)
	}
	w.kill(n, nil)
	w.run(2 * time.Second)
	load.stop()
	load.check()
	if load.uncertain+load.refused > 0 {
		t.Errorf("%d uncertain, %d refused", load.uncertain, load.refused)
	}
	if load.longest > 50*time.Millisecond {
		t.Errorf("a request took %v", load.longest)
	}
}

// What a stopping node has taken ends, each once, with what is certain about it, and in the order in which it came, so
// that two runs of one seed are the same.
func TestStopEndsWhatIsUnderWay(t *testing.T) {
	w := newRing(t, 251, 3)
	n := w.nodes[0]
	w.kill(w.nodes[1], nil)
	w.kill(w.nodes[2], nil)
	w.run(500 * time.Millisecond) // until no lease answers reads any more
	var calls []*call
	for tab := range uint32(worldTablets) {
		calls = append(calls, w.ask(n, "SET", key(tab), "v"), w.ask(n, "GET", key(tab)))
	}
	n.core.Stop(&request.Failure{Code: request.TryAgain, Message: "this node is stopping"})
	for i, c := range calls {
		if c.ends != 1 {
			t.Errorf("a request ended %d times", c.ends)
		}
		if i > 0 && c.nth < calls[i-1].nth {
			t.Errorf("request %d ended before the one that came before it", i)
		}
		if !c.req.Write && c.code() != request.TryAgain {
			t.Errorf("a read ends with %s", c.reply())
		}
	}
	if got := n.core.Figures(); got.Pending != 0 || got.Sending != 0 {
		t.Errorf("left behind: %+v", got)
	}
}

// More than a node can hold is refused at once, and what was taken ends all the same.
func TestBoundOfWritesToOneTablet(t *testing.T) {
	w := newRing(t, 252, 3)
	n := w.nodes[0]
	w.split(n)
	var calls []*call
	for range maxFlight + 10 {
		calls = append(calls, w.ask(n, "INCR", key(0)))
	}
	for _, c := range calls[maxFlight:] {
		if c.code() != request.TryAgain || c.took > 0 {
			t.Errorf("beyond the bound: %q after %v", c.reply(), c.took)
		}
	}
	w.until(6*time.Second, "the end of all", func() bool { return !slices.ContainsFunc(calls, func(c *call) bool { return !c.over() }) })
	w.heal()
	w.settled(time.Minute)
	w.must(n, "SET", key(0), "v")
	w.run(6 * time.Second)
	if r, p := &n.core.router, n.core.places[0]; len(p.numbers.flight) > 0 || len(r.pending) > 0 || len(r.retries) > 0 ||
		len(r.deadlines.items) > r.deadlines.head || len(r.attempts.items) > r.attempts.head {
		t.Errorf("left behind: %d in flight, %+v", len(p.numbers.flight), r)
	}
}

// A node that is told that it was removed ends, and says so.
func TestRemovedWhileRunning(t *testing.T) {
	w := newRing(t, 253, 4)
	n := w.nodes[3]
	w.change(w.nodes[0], registry.Command{Remove: &registry.Remove{ID: n.id, Force: true}})
	w.until(time.Second, "its end", func() bool { return n.core == nil })
	if n.ended == nil || errors.Is(n.ended, ErrLeft) || !strings.Contains(n.ended.Error(), "removed from cluster") {
		t.Errorf("it ended with %v", n.ended)
	}
	w.settled(time.Minute)
}

// A cluster may shrink to one node: the one that stays then needs nobody.
func TestLeaveTwoToOne(t *testing.T) {
	w := newRing(t, 254, 2)
	for tab := range uint32(worldTablets) {
		w.must(w.nodes[1], "SET", key(tab), "v")
	}
	gone := w.nodes[1]
	gone.event(func() { gone.core.Leave(func(error) {}) })
	w.until(time.Minute, "the node has left", func() bool { return gone.core == nil })
	w.settled(time.Minute)
	for tab := range uint32(worldTablets) {
		if got := w.must(w.nodes[0], "GET", key(tab)); got != "$1\r\nv\r\n" {
			t.Errorf("tablet %d: %q", tab, got)
		}
	}
}

// A node dies while it leaves: when it is back it has left in the end, or is up again, and nothing in between.
func TestCrashWhileLeaving(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 260+seed, 4)
		load := w.load(0, 1, 2)
		gone := w.nodes[3]
		gone.event(func() { gone.core.Leave(func(error) {}) })
		for range 3 {
			if gone.core == nil {
				break
			}
			gone.crashIn = 1 + w.rng.IntN(40)
			w.run(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
			if gone.core == nil && gone.ended == nil {
				w.start(gone)
			}
		}
		gone.crashIn = 0
		w.run(10 * time.Second)
		load.stop()
		switch w.state(gone) {
		case registry.Removed:
			if gone.core != nil {
				w.settledBut(gone, time.Minute)
				break
			}
			w.settled(time.Minute)
		default:
			if gone.core == nil {
				t.Fatalf("a member does not run: %v", gone.ended)
			}
			w.settled(time.Minute)
		}
		load.check()
	}
}

// Nodes are away for longer than the grace period, one at a time, by death or behind a cut: their replicas are
// replaced while they hold them, they come back to what others hold by then, and no write is missing or done twice.
func TestChurnWithReplacement(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newWorld(t, 280+seed)
		s := w.settings()
		s.ReplaceAfter = time.Second
		w.foundWith(s, 1)
		for range 4 {
			w.start(w.add(), w.nodes[0])
		}
		w.settled(time.Minute)
		load := w.load(0, 1, 2, 3, 4)
		for range 6 {
			n := w.nodes[w.rng.IntN(len(w.nodes))]
			if w.rng.IntN(2) == 0 {
				w.split(n)
				w.run(time.Duration(w.rng.IntN(12000)) * time.Millisecond)
				w.heal()
			} else {
				n.crashIn = 1 + w.rng.IntN(10)
				w.until(10*time.Second, "the crash", func() bool { return n.core == nil })
				w.run(time.Duration(w.rng.IntN(12000)) * time.Millisecond)
				w.start(n)
			}
			w.run(time.Duration(1000+w.rng.IntN(3000)) * time.Millisecond)
		}
		w.run(6 * time.Second)
		load.stop()
		w.settled(2 * time.Minute)
		load.check()
	}
}

// A node that lived on behind a cut is back in the ring of the others soon after the cut has ended, whether they had
// called it down or not, and however many they are.
func TestCutOffNodeComesBack(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		for _, cut := range []time.Duration{1500 * time.Millisecond, 10 * time.Second} {
			w := newRing(t, 290, size)
			for _, n := range w.nodes[:2] {
				w.split(n)
				w.run(cut)
				w.heal()
				w.run(10 * time.Second)
				w.settled(20 * time.Second)
				if why := w.rings(); why != "" {
					t.Errorf("%d nodes, cut for %v: %s", size, cut, why)
				}
			}
		}
	}
}
