package storetest

import (
	"errors"
	"testing"

	"github.com/quorddb/quord/internal/kv"
)

// Raft trusts its log: an entry that is lost, stale or of another group breaks agreement.
func testLog(t *testing.T, h Harness) {
	s := h.Store()
	logOps(t, s,
		kv.LogOp{Group: 7, Append: entries(1, 6, 1), Hard: &kv.HardState{Term: 1, Vote: 2, Commit: 3}},
		kv.LogOp{Group: 8, Append: entries(1, 3, 4)})
	check := func(g kv.Group, want []kv.Entry) {
		t.Helper()
		for range 2 {
			wantGroups(t, s, g, kv.Group{ID: 8, Last: 2})
			if len(want) > 0 {
				wantEntries(t, s, 7, want[0].Index, g.Last+1, unlimited, want)
			}
			wantNoEntry(t, s, 7, g.Start.Index)
			wantNoEntry(t, s, 7, g.Last+1)
			wantEntries(t, s, 8, 1, 3, unlimited, entries(1, 3, 4))
			h.Reopen(t)
			s = h.Store()
		}
	}
	hard := kv.HardState{Term: 1, Vote: 2, Commit: 3}
	check(kv.Group{ID: 7, Hard: hard, Last: 5}, entries(1, 6, 1))

	logOps(t, s, kv.LogOp{Group: 7, Append: entries(4, 5, 2)}) // overwrite 4, drop 5
	check(kv.Group{ID: 7, Hard: hard, Last: 4}, append(entries(1, 4, 1), entries(4, 5, 2)...))

	logOps(t, s, kv.LogOp{Group: 7, Truncate: &kv.Position{Index: 2, Term: 1}})
	after := append(entries(3, 4, 1), entries(4, 5, 2)...)
	check(kv.Group{ID: 7, Hard: hard, Start: kv.Position{Index: 2, Term: 1}, Last: 4}, after)
	logOps(t, s, kv.LogOp{Group: 7, Truncate: &kv.Position{Index: 1, Term: 1}}) // already gone
	check(kv.Group{ID: 7, Hard: hard, Start: kv.Position{Index: 2, Term: 1}, Last: 4}, after)

	hard.Term = 9
	logOps(t, s, kv.LogOp{Group: 7, Reset: &kv.Position{Index: 100, Term: 9}, Hard: &hard})
	check(kv.Group{ID: 7, Hard: hard, Start: kv.Position{Index: 100, Term: 9}, Last: 100}, nil)
	logOps(t, s, kv.LogOp{Group: 7, Append: entries(101, 103, 9)})
	check(kv.Group{ID: 7, Hard: hard, Start: kv.Position{Index: 100, Term: 9}, Last: 102}, entries(101, 103, 9))

	logOps(t, s, kv.LogOp{Group: 7, Destroy: true}, kv.LogOp{Group: 9, Destroy: true})
	for range 2 {
		wantGroups(t, s, kv.Group{ID: 8, Last: 2})
		wantNoEntry(t, s, 7, 101)
		h.Reopen(t)
		s = h.Store()
	}
	logOps(t, s, kv.LogOp{Group: 7, Append: entries(1, 2, 1)}) // born again, without what it was
	check(kv.Group{ID: 7, Last: 1}, entries(1, 2, 1))
}

// Long spans take another way to be deleted than short ones; neither may touch a neighbour.
func testLogIsLarge(t *testing.T, h Harness) {
	s := h.Store()
	const n = 3000
	for _, group := range []uint32{0, 5, 6, 7, ^uint32(0)} {
		logOps(t, s, kv.LogOp{Group: group, Append: entries(1, n, 1)})
	}
	logOps(t, s,
		kv.LogOp{Group: 0, Truncate: &kv.Position{Index: n - 1, Term: 1}},
		kv.LogOp{Group: 6, Append: entries(2, 4, 2)},
		kv.LogOp{Group: ^uint32(0), Reset: &kv.Position{Index: 5, Term: 2}})
	for range 2 {
		wantGroups(t, s,
			kv.Group{ID: 0, Start: kv.Position{Index: n - 1, Term: 1}, Last: n - 1},
			kv.Group{ID: 5, Last: n - 1}, kv.Group{ID: 6, Last: 3}, kv.Group{ID: 7, Last: n - 1},
			kv.Group{ID: ^uint32(0), Start: kv.Position{Index: 5, Term: 2}, Last: 5})
		wantEntries(t, s, 5, 1, n, unlimited, entries(1, n, 1))
		wantEntries(t, s, 6, 1, n, unlimited, append(entries(1, 2, 1), entries(2, 4, 2)...))
		wantEntries(t, s, 7, 1, n, unlimited, entries(1, n, 1))
		h.Reopen(t)
		s = h.Store()
	}
}

// One turn of a worker may do all of it to one group; the order is part of the contract.
func testLogOrderWithinAnOp(t *testing.T, h Harness) {
	s := h.Store()
	logOps(t, s, kv.LogOp{Group: 1, Append: entries(1, 40, 1), Hard: &kv.HardState{Term: 5, Vote: 1}})
	logOps(t, s, kv.LogOp{
		Group: 1, Destroy: true, Reset: &kv.Position{Index: 10, Term: 2}, Append: entries(11, 21, 3),
		Truncate: &kv.Position{Index: 15, Term: 3}, Hard: &kv.HardState{Term: 3},
	}, kv.LogOp{Group: 1, Append: entries(18, 19, 4)})
	for range 2 {
		wantGroups(t, s, kv.Group{
			ID: 1, Hard: kv.HardState{Term: 3}, Start: kv.Position{Index: 15, Term: 3}, Last: 18,
		})
		wantEntries(t, s, 1, 16, 30, unlimited, append(entries(16, 18, 3), entries(18, 19, 4)...))
		wantNoEntry(t, s, 1, 19)
		h.Reopen(t)
		s = h.Store()
	}
}

// A Write that would leave a hole in a log is refused as a whole, and the store goes on.
func testLogRefusals(t *testing.T, h Harness) {
	s := h.Store()
	logOps(t, s, kv.LogOp{Group: 1, Append: entries(1, 9, 1)},
		kv.LogOp{Group: 1, Truncate: &kv.Position{Index: 3, Term: 1}})
	want := []kv.Group{{ID: 1, Start: kv.Position{Index: 3, Term: 1}, Last: 8}}
	gap := append(entries(9, 10, 1), entries(11, 12, 1)...)
	for name, w := range map[string]kv.Write{
		"a gap before":         {Log: []kv.LogOp{{Group: 1, Append: entries(10, 11, 1)}}},
		"a gap within":         {Log: []kv.LogOp{{Group: 1, Append: gap}}},
		"a truncated entry":    {Log: []kv.LogOp{{Group: 1, Append: entries(3, 5, 1)}}},
		"a new group's entry":  {Log: []kv.LogOp{{Group: 2, Append: entries(2, 3, 1)}}},
		"beyond the end":       {Log: []kv.LogOp{{Group: 1, Truncate: &kv.Position{Index: 9, Term: 1}}}},
		"an unknown operation": {State: []kv.Op{{Kind: 99}}},
		"an unbounded range":   {State: []kv.Op{{Kind: kv.DeleteRange, Key: []byte("a")}}},
	} {
		w.Log = append([]kv.LogOp{{Group: 3, Append: entries(1, 2, 1)}}, w.Log...)
		w.State = append([]kv.Op{set("a", "1")}, w.State...)
		if _, err := s.Apply(&w, true); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
		wantNone(t, s, "a")
		wantGroups(t, s, want...)
	}
	logOps(t, s, kv.LogOp{Group: 1, Append: entries(9, 10, 1)})
	wantEntries(t, s, 1, 4, 10, unlimited, entries(4, 10, 1))
}

// Replication to a slow follower reads in portions: each must make progress and none may be boundless.
func testEntriesLimits(t *testing.T, h Harness) {
	s := h.Store()
	logOps(t, s, kv.LogOp{Group: 1, Append: entries(1, 6, 1)}) // 3 bytes of data each
	for _, c := range []struct{ lo, hi, maxBytes, until uint64 }{
		{1, 6, unlimited, 6},
		{2, 4, unlimited, 4},
		{1, 6, 0, 2},
		{1, 6, 5, 2},
		{1, 6, 6, 3},
		{3, 100, 8, 5},
		{5, 100, unlimited, 6},
		{3, 3, unlimited, 3},
		{9, 2, unlimited, 9},
	} {
		var want []kv.Entry
		if c.until > c.lo {
			want = entries(c.lo, c.until, 1)
		}
		wantEntries(t, s, 1, c.lo, c.hi, c.maxBytes, want)
	}
	wantNoEntry(t, s, 1, 0)
	wantNoEntry(t, s, 1, 6)
	wantNoEntry(t, s, 2, 1)
	wantEntries(t, s, 1, 1, 2, unlimited, entries(1, 2, 1))
}

// A node that starts finds its groups here; fn may use the store while it learns of them.
func testGroups(t *testing.T, h Harness) {
	s := h.Store()
	wantGroups(t, s)
	logOps(t, s,
		kv.LogOp{Group: 300, Hard: &kv.HardState{Term: 1}},
		kv.LogOp{Group: 2, Reset: &kv.Position{Index: 5, Term: 1}},
		kv.LogOp{Group: 1 << 31, Append: entries(1, 2, 1)},
		kv.LogOp{Group: 4}) // nothing: no group
	want := []kv.Group{
		{ID: 2, Start: kv.Position{Index: 5, Term: 1}, Last: 5},
		{ID: 300, Hard: kv.HardState{Term: 1}},
		{ID: 1 << 31, Last: 1},
	}
	for range 2 {
		wantGroups(t, s, want...)
		h.Reopen(t)
		s = h.Store()
	}
	stop, seen := errors.New("stop"), 0
	err := s.Groups(func(g kv.Group) error {
		seen++
		apply(t, s, false, kv.Write{Log: []kv.LogOp{{Group: g.ID, Hard: &kv.HardState{Term: 7}}}})
		if seen == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || seen != 2 {
		t.Fatalf("groups after a stop: %v, %d seen", err, seen)
	}
}
