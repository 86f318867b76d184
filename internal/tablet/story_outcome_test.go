package tablet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/request"
)

// ask proposes a write on a node under a name of its own and waits for what the waiter is told.
func (w *world) ask(n *node, o Origin, args ...string) *told {
	w.Helper()
	t := &told{}
	n.do(func() {
		if r := n.group.Write(w.now, o, []request.Command{words(args...)}, t); r != Taken {
			w.fatalf("%q was refused: %d", args, r)
		}
	})
	w.until("the write is answered", func() bool { return t.done+t.lost+t.spent > 0 })
	return t
}

// A write that is asked for again gets the first answer, on whichever replica leads by then, and is not done again:
// else a lost answer counts an INCR twice.
func TestRepeatedWrite(t *testing.T) {
	w := grown(t, 1, 3, 3)
	o := Origin{Node: nodeID(50), Boot: 3, Number: 7, Low: 7}
	if got := w.ask(w.nodes[0], o, "INCR", key("n")); got.reply != ":1\r\n" {
		t.Fatalf("first: %+v", got)
	}
	if got := w.ask(w.nodes[0], o, "INCR", key("n")); got.reply != ":1\r\n" {
		t.Fatalf("again: %+v", got)
	}
	w.targets = nil
	w.nodes[0].crash()
	w.until("another leads", func() bool { return w.leader() != nil })
	if got := w.ask(w.leader(), o, "INCR", key("n")); got.reply != ":1\r\n" {
		t.Fatalf("at another leader: %+v", got)
	}
	// Below the mark, and from an earlier boot, no answer is left.
	w.ask(w.leader(), Origin{Node: o.Node, Boot: 3, Number: 9, Low: 9}, "INCR", key("n"))
	if got := w.ask(w.leader(), o, "INCR", key("n")); got.spent != 1 {
		t.Fatalf("below the mark: %+v", got)
	}
	if got := w.ask(w.leader(), Origin{Node: o.Node, Boot: 4, Number: 1, Low: 1}, "INCR", key("n")); got.reply != ":3\r\n" {
		t.Fatalf("a later boot: %+v", got)
	}
	if got := w.ask(w.leader(), Origin{Node: o.Node, Boot: 3, Number: 10, Low: 9}, "INCR", key("n")); got.spent != 1 {
		t.Fatalf("an earlier boot: %+v", got)
	}
	w.mustAgree()
}

// A large result is kept for the one who asks again, too, and leaves when it is no longer needed.
func TestLargeResult(t *testing.T) {
	w := grown(t, 2, 3, 3)
	value := strings.Repeat("x", 10*largeResult)
	want := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	w.ask(w.nodes[0], Origin{Node: nodeID(50), Boot: 1, Number: 1, Low: 1}, "SET", key("a"), value)
	o := Origin{Node: nodeID(50), Boot: 1, Number: 2, Low: 2}
	for range 2 {
		if got := w.ask(w.nodes[0], o, "GETDEL", key("a")); got.reply != want {
			t.Fatalf("%d bytes, want %d", len(got.reply), len(want))
		}
	}
	w.targets = nil
	w.nodes[0].crash()
	w.until("another leads", func() bool { return w.leader() != nil })
	if got := w.ask(w.leader(), o, "GETDEL", key("a")); got.reply != want {
		t.Fatalf("at another leader: %d bytes, want %d", len(got.reply), len(want))
	}
	w.ask(w.leader(), Origin{Node: o.Node, Boot: 1, Number: 3, Low: 3}, "DEL", key("b"))
	lower, upper := resultRange(theTablet)
	if err := w.leader().store.Scan(lower, upper, func(k, _ []byte) bool {
		t.Errorf("%q is still there", k)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	w.nodes[0].restart()
	w.mustAgree()
}

// A node that has restarted and writes under the numbers of its former boot is never given the answers to what that
// boot wrote.
func TestNoAnswerOfAnEarlierBoot(t *testing.T) {
	w := grown(t, 3, 3, 3)
	w.targets = nil
	n := w.nodes[0]
	earlier, later := &told{}, &told{}
	n.do(func() {
		n.group.Write(w.now, Origin{Node: nodeID(50), Boot: 1, Number: 1, Low: 1},
			[]request.Command{words("SET", key("a"), "earlier")}, earlier)
		n.group.Write(w.now, Origin{Node: nodeID(50), Boot: 2, Number: 1, Low: 1},
			[]request.Command{words("STRLEN", key("a")), words("INCR", key("n"))}, later)
	})
	w.until("both are answered", func() bool { return earlier.done+earlier.lost > 0 && later.done+later.lost > 0 })
	if later.done != 1 || later.reply != ":7\r\n" {
		t.Fatalf("the later boot was told %+v", *later)
	}
}

// A write asked for again while the first attempt is still under way waits for that one; the log does not grow with
// the impatience of those who ask.
func TestImpatience(t *testing.T) {
	w := grown(t, 4, 3, 3)
	w.targets = nil
	n := w.nodes[0]
	w.isolate(0)
	var waiters []*told
	last := n.group.log.last
	for range 100 {
		t := &told{}
		waiters = append(waiters, t)
		n.do(func() {
			n.group.Write(w.now, Origin{Node: nodeID(50), Boot: 1, Number: 1, Low: 1},
				[]request.Command{words("INCR", key("n"))}, t)
		})
		w.pass(time.Millisecond)
	}
	if grew := n.group.log.last - last; grew != 1 {
		t.Errorf("one write asked for a hundred times made %d entries", grew)
	}
	w.heal()
	w.until("the write is answered", func() bool { return waiters[99].done == 1 })
	if waiters[99].reply != ":1\r\n" {
		t.Errorf("the last one who asked was told %q", waiters[99].reply)
	}
	for i, other := range waiters[:99] {
		if other.done+other.lost+other.spent > 1 {
			t.Errorf("who asked as number %d was told %+v", i, *other)
		}
	}
}

// What may wait in one group is bounded; beyond it the answer is a refusal at once.
func TestWaitingIsBounded(t *testing.T) {
	w := grown(t, 5, 3, 3)
	w.targets = nil
	w.isolate(0)
	g := w.nodes[0].group
	w.pass(g.cfg.Timing.leaseLasts())
	commands := []request.Command{words("INCR", key("n"))}
	for i := range maxWaiting {
		if r := g.Write(w.now, Origin{Node: nodeID(50), Boot: 1, Number: uint64(i), Low: 0}, commands, &told{}); r != Taken {
			t.Fatalf("write %d was refused: %d", i, r)
		}
		if r := g.Read(w.now, []request.Command{words("GET", key("n"))}, &told{}); r != Taken {
			t.Fatalf("read %d was refused: %d", i, r)
		}
	}
	if r := g.Write(w.now, Origin{Node: nodeID(50), Boot: 1, Number: 1 << 20}, commands, &told{}); r != Busy {
		t.Errorf("one write more: %d, want Busy", r)
	}
	if r := g.Read(w.now, []request.Command{words("GET", key("n"))}, &told{}); r != Busy {
		t.Errorf("one read more: %d, want Busy", r)
	}
}

// The windows of results are bounded, in origins and in results of each, and what falls out leaves nothing behind.
func TestWindowsAreBounded(t *testing.T) {
	var w windows
	large := make([]byte, largeResult+1)
	kept := map[largeKey]bool{}
	drop := func(keys []largeKey) {
		for _, k := range keys {
			if !kept[k] {
				t.Fatalf("%v is dropped but was not kept", k)
			}
			delete(kept, k)
		}
	}
	index := uint64(0)
	for node := range maxOrigins + 10 {
		for number := range uint64(maxWindow + 5) {
			if node > 1 && number > 3 {
				break
			}
			index++
			o := Origin{Node: nodeID(node), Boot: 1, Number: number}
			v, _, dropped := w.admit(o, index)
			drop(dropped)
			if v != fresh {
				t.Fatalf("write %d of origin %d: %d", number, node, v)
			}
			kept[largeKey{o.Node, o.Boot, o.Number}] = true
			_, over := w.store(o, large)
			drop(over)
		}
	}
	if len(w.origins) != maxOrigins {
		t.Errorf("%d origins, want %d", len(w.origins), maxOrigins)
	}
	total := 0
	for _, o := range w.origins {
		if len(o.results) > maxWindow {
			t.Errorf("%d results of one origin", len(o.results))
		}
		total += len(o.results)
	}
	if total != len(kept) {
		t.Errorf("%d results, but %d large ones lie in the store", total, len(kept))
	}
	if _, _, dropped := w.admit(Origin{Node: nodeID(maxOrigins + 9), Boot: 2}, index+1); len(dropped) != 4 {
		t.Errorf("a later boot drops %d results, want 4", len(dropped))
	}
}

// The head of a tablet is written with every turn: what it keeps of results must not make it grow without bound, and
// what is kept apart for that must be found again.
func TestResultsInTheHeadAreBounded(t *testing.T) {
	var w windows
	apart := 0
	for number := range uint64(maxWindow) {
		o := Origin{Node: nodeID(1), Boot: 1, Number: number}
		w.admit(o, number)
		if a, _ := w.store(o, make([]byte, largeResult)); a {
			apart++
		}
	}
	if size := len(w.append(nil)); size > maxInline+8*maxWindow || w.inline > maxInline || apart != maxWindow-maxInline/largeResult {
		t.Errorf("%d bytes, %d of them results; %d results lie apart", size, w.inline, apart)
	}
	var again windows
	r := reader{b: w.append(nil)}
	if again.decode(&r); again.inline != w.inline {
		t.Errorf("read back, %d bytes of results are %d", w.inline, again.inline)
	}
	w.admit(Origin{Node: nodeID(1), Boot: 1, Number: maxWindow, Low: maxWindow}, maxWindow)
	if w.inline != 0 {
		t.Errorf("%d bytes are left of no results", w.inline)
	}
}

// Nothing acknowledged is lost and nothing is applied twice when a node loses what it had applied but not synced:
// its state goes back, its log does not, and it applies the same again.
func TestApplyIsRepeatedExactlyAfterACrash(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := born(t, seed, 3)
		if seed%2 == 0 {
			w = grown(t, seed, 3, 3)
		}
		w.until("a leader", func() bool { return w.leader() != nil })
		c := w.newClient(0)
		rolledBack := false
		for i := 1; i <= 60; i++ {
			c.expect(fmt.Sprintf(":%d\r\n", i), "INCR", key("n"))
			if i%10 != 0 {
				continue
			}
			n := w.leader()
			before := n.group.Applied()
			n.crashKeeping(nil)
			n.restart()
			if h, err := n.store.Get(headKey(theTablet)); err != nil {
				t.Fatal(err)
			} else if head, err := decodeHead(h); err != nil {
				t.Fatal(err)
			} else if head.applied.Index < before {
				rolledBack = true
			}
		}
		if !rolledBack {
			t.Errorf("seed %d: no crash lost what was applied", seed)
		}
		c.expect(bulk(60), "GET", key("n"))
		w.mustAgree()
	}
}
