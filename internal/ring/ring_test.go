package ring

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// A cluster of machines of many tokens starts, grows, loses one without a word, lets another go, is down to one
// machine, and grows again. Each time it must come back to one ring soon, or keys can no longer be found.
func TestMachinesComeAndGo(t *testing.T) {
	w := newWorld(t, Local(), 1)
	tokens := func() (ids []ID) {
		for range 24 {
			ids = append(ids, w.randomID())
		}
		return ids
	}
	soon := func(what string, limit time.Duration) {
		t.Helper()
		start := w.now
		w.until(limit, what, w.settled)
		t.Logf("%s: after %v", what, (w.now - start).Round(time.Millisecond))
	}
	if err := w.node(nodeID(1), tokens()...).Create(0); err != nil {
		t.Fatal(err)
	}
	w.collect(nodeID(1))
	join := func(n int) {
		t.Helper()
		if err := w.node(nodeID(n), tokens()...).Join(w.now, w.order); err != nil {
			t.Fatal(err)
		}
		soon("a machine joined", 10*time.Second)
	}
	for n := 2; n <= 5; n++ {
		join(n)
	}
	if known := w.rings[nodeID(3)].Known(); !slices.Equal(known, []ident.NodeID{nodeID(1), nodeID(2), nodeID(4), nodeID(5)}) {
		t.Errorf("node 3 knows %v", known)
	}
	w.kill(nodeID(3))
	soon("a machine died", 10*time.Second)
	w.kill(nodeID(4))
	for _, r := range w.rings {
		r.NodeDown(w.now, nodeID(4))
	}
	soon("a machine died, and the connections told", 6*time.Second)
	w.rings[nodeID(2)].Leave(w.now)
	w.collect(nodeID(2))
	w.kill(nodeID(2))
	soon("a machine left", 6*time.Second)
	w.kill(nodeID(5))
	soon("all died but one", 10*time.Second)
	join(6)
	if len(w.alarms) > 0 {
		t.Errorf("alarms: %v", w.alarms)
	}
}

// A graceful leave costs no time: the neighbours know their new neighbours, and own the leaver's arc, as soon as
// they have heard of it, without a timeout.
func TestLeaveHandsOver(t *testing.T) {
	w := lectureRing(t)
	w.run(3 * time.Second)
	w.rings[nodeID(20)].Leave(w.now)
	w.collect(nodeID(20))
	w.kill(nodeID(20)) // and gone at once
	w.until(500*time.Millisecond, "15 and 32 are neighbours", func() bool {
		_, owns := w.rings[nodeID(32)].Owns(six.Of(17))
		return owns && w.head(15) == six.Of(32) && w.rings[nodeID(32)].members[0].pred.ID == six.Of(15)
	})
	w.until(3*time.Second, "one ring without 20", w.settled)
}

// The same seed and events give the same effects, message by message: without that no simulated failure can be
// looked at twice.
func TestSameSeedSameRun(t *testing.T) {
	run := func() string {
		var b strings.Builder
		cfg := LAN()
		cfg.Successors, cfg.MaxSuccessors = 2, 8
		w := newWorld(t, cfg, 11)
		w.delay = func(_, _ ident.NodeID) time.Duration {
			return time.Duration(w.rng.Int64N(int64(20 * time.Millisecond)))
		}
		w.trace = func(from, to ident.NodeID, m *Message) {
			b.WriteString(w.now.String() + from.Short() + to.Short() + m.String() + "\n")
		}
		if err := w.node(nodeID(1), w.randomID(), w.randomID(), w.randomID()).Create(0); err != nil {
			t.Fatal(err)
		}
		for n := 2; n <= 6; n++ {
			if err := w.node(nodeID(n), w.randomID(), w.randomID()).Join(w.now, w.order); err != nil {
				t.Fatal(err)
			}
			w.run(700 * time.Millisecond)
		}
		w.kill(nodeID(4))
		w.run(10 * time.Second)
		return b.String()
	}
	if a, b := run(), run(); a != b || len(a) < 1000 {
		t.Errorf("two runs of one seed differ, or say too little: %d and %d bytes", len(a), len(b))
	}
}

// A node that died a moment ago must not be waited for once its connection is known to be down, nor may the hint
// alone change a pointer: it may be the connection that failed.
func TestNodeDownIsAHint(t *testing.T) {
	w := lectureRing(t)
	w.run(3 * time.Second)
	r := w.rings[nodeID(15)]
	r.NodeDown(w.now, nodeID(20)) // though 20 lives
	if r.Next() > w.now {
		t.Error("the successor is not looked after at once")
	}
	w.run(3 * time.Second)
	if w.head(15) != six.Of(20) {
		t.Errorf("20 lives, and 15 has %v", w.head(15))
	}
	w.kill(nodeID(20))
	r.NodeDown(w.now, nodeID(20))
	start := w.now
	w.until(5*time.Second, "15 has dropped 20", func() bool { return w.head(15) == six.Of(32) })
	if took := w.now - start; took > r.cfg.SuspectTimeout+50*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// What cannot work is refused when the node starts, with a reason, not found out later.
func TestRefusals(t *testing.T) {
	for what, cfg := range map[string]Config{
		"bits":       {Bits: 257},
		"successors": {Successors: -1},
		"list":       {Successors: 20, MaxSuccessors: 10},
		"proximity":  {Proximity: 1000},
		"hops":       {HopLimit: 256},
		"interval":   {StabilizeEvery: time.Microsecond},
		"timeout":    {LookupTimeout: -time.Second},
	} {
		if _, err := New(cfg, nodeID(1), []ID{six.Of(1)}, 1); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	for what, tokens := range map[string][]ID{
		"none":    nil,
		"twice":   {six.Of(4), six.Of(4)},
		"outside": {Space{8}.Of(200)},
		"many":    make([]ID, MaxTokens+1),
	} {
		if _, err := New(Config{Bits: 6}, nodeID(1), tokens, 1); !errors.Is(err, ErrTokens) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for name, cfg := range map[string]Config{"Local": Local(), "LAN": LAN(), "zero": {}} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c := cfg.withDefaults(); c.LookupTimeout < c.QueryTimeout*time.Duration(c.Attempts)+c.Settle {
			t.Errorf("%s: lookups give up before a death has been got over", name)
		}
	}
	w := lectureRing(t)
	r := w.rings[nodeID(4)]
	if err := r.Create(0); !errors.Is(err, ErrTokens) {
		t.Error(err)
	}
	if err := r.Join(0, nil); !errors.Is(err, ErrMember) {
		t.Error(err)
	}
	if err := r.Restore(0, r.State()); !errors.Is(err, ErrMember) {
		t.Error(err)
	}
	if err := w.node(nodeID(99), six.Of(1)).Restore(0, r.State()); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}

// A state that was taken is put back as it was: experiments construct rings with it.
func TestRestoreTakesWhatStateShows(t *testing.T) {
	w := lectureRing(t)
	w.run(20 * time.Second)
	for _, id := range w.order {
		before := w.rings[id].State()
		after := w.node(id, before.Tokens[0].ID)
		if err := after.Restore(w.now, before); err != nil {
			t.Fatal(err)
		}
		got := after.State().Tokens[0]
		if was := before.Tokens[0]; got.Predecessor != was.Predecessor || !slices.Equal(got.Successors, was.Successors) ||
			!slices.Equal(got.Fingers, was.Fingers) || got.Owns != was.Owns || got.Floor != was.Floor {
			t.Errorf("%+v became %+v", was, got)
		}
	}
}

// A newcomer knows no machine but those that it is told of, and yet its successor list must reach several: with
// all successors on one machine, that machine's death would cut it off.
func TestNewcomersListReachesOtherMachines(t *testing.T) {
	cfg := LAN()
	cfg.Bits, cfg.Successors, cfg.MaxSuccessors, cfg.DistinctNodes = 6, 2, 8, 3
	w := newWorld(t, cfg, 1)
	w.converged([]uint64{4, 40}, []uint64{20, 21, 22, 23}, []uint64{30}, []uint64{50})
	w.run(20 * time.Second)
	m := w.joinAs(Token{six.Of(10), nodeID(10)}, nodeID(4))
	w.until(time.Second, "10 joined", func() bool { return m.phase == Member })
	if got := showTokens(m.list); got != "20 21 22 23 30 40" {
		t.Errorf("its successors are %s", got)
	}
}

// A hint that a connection is down must not hide a key for ever: when nobody else owns it, the node is asked.
func TestLookupAsksTheSuspectLast(t *testing.T) {
	w := lectureRing(t)
	w.run(3 * time.Second)
	for _, id := range w.order {
		if id != nodeID(44) {
			w.rings[id].NodeDown(w.now, nodeID(44))
		}
	}
	r := w.rings[nodeID(8)]
	r.Tick(w.now)
	if res := w.lookup(nodeID(8), six.Of(40), Iterative); res.Err != nil || res.Owner.ID != six.Of(44) || res.Took > time.Second {
		t.Errorf("%+v", res)
	}
}

// When the operating assumption breaks, and all successors of a token die at once, it says so, owns nothing in
// doubt, and finds its way back into the ring by whomever its node still knows.
func TestIsolatedTokenAlarmsAndJoinsAnew(t *testing.T) {
	w := lectureRing(t) // successor lists of three
	w.run(20 * time.Second)
	for _, id := range []int{20, 32, 35} {
		w.kill(nodeID(id))
	}
	w.until(time.Minute, "one ring of the others", w.settled)
	if len(w.alarms) == 0 || w.alarms[0].Kind != AlarmIsolated || w.alarms[0].Token.ID != six.Of(15) {
		t.Errorf("alarms: %v", w.alarms)
	}
	if got := showTokens(w.members()); got != "4 8 15 44 58" {
		t.Errorf("members %s", got)
	}
}

// ToN 2003, section V-F: among the ideal finger and its successors the nearest by round trip becomes the finger,
// as long as it lies before the next finger's place. Otherwise every hop may cross an ocean.
func TestFingerIsTheNearestCandidate(t *testing.T) {
	cfg := LAN()
	cfg.Bits, cfg.Successors, cfg.MaxSuccessors, cfg.Proximity = 6, 1, 1, 3
	w := newWorld(t, cfg, 1)
	w.ring(0, 4, 32, 36, 40, 44, 48)
	r := w.rings[nodeID(0)]
	for node, rtt := range map[int]time.Duration{32: 80, 36: 90, 40: 20, 44: 1} {
		r.health.measured(nodeID(node), rtt*time.Millisecond)
	}
	finger := func(exponent int, owner uint64, successors ...uint64) string {
		var list []Token
		for _, s := range successors {
			list = append(list, Token{six.Of(s), nodeID(int(s))})
		}
		r.setFinger(r.members[0], exponent, Token{six.Of(owner), nodeID(int(owner))}, list)
		f, _ := r.Finger(six.Of(0), exponent)
		return f.ID.Short()
	}
	if got := finger(5, 32, 36, 40, 44); got != "40" { // 44 is nearer, and not among the first three
		t.Errorf("finger 5 is %s", got)
	}
	if got := finger(4, 32, 36); got != "32" { // already behind the next finger's place: no choice
		t.Errorf("finger 4 is %s", got)
	}
	r.NodeDown(0, nodeID(40))
	if got := finger(5, 32, 36, 40); got != "32" {
		t.Errorf("finger 5 with 40 down is %s", got)
	}
}
