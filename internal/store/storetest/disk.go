package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quorddb/quord/internal/kv"
)

// An acknowledged write is there after the power failed; a Write that was not synced is there whole or not at all.
func testDurability(t *testing.T, h Harness) {
	s := h.Store()
	for round := range 5 {
		durable := fmt.Sprintf("durable%d", round)
		lost := fmt.Sprintf("lost%d", round)
		first := uint64(2*round + 1)
		apply(t, s, false, kv.Write{ // made durable by the next
			Log:   []kv.LogOp{{Group: 1, Append: entries(first, first+1, 1)}},
			State: []kv.Op{set(durable+"a", "1")},
		})
		apply(t, s, true, kv.Write{
			Log:   []kv.LogOp{{Group: 1, Append: entries(first+1, first+2, 1), Hard: &kv.HardState{Commit: first}}},
			State: []kv.Op{set(durable+"b", "1"), set("counter", durable)},
		})
		apply(t, s, false, kv.Write{
			Log:   []kv.LogOp{{Group: 1, Append: entries(first+2, first+9, 1)}, {Group: 2, Append: entries(1, 9, 1)}},
			State: []kv.Op{set(lost, "1"), set("counter", lost), delRange("durable", "durablf")},
		})
		if _, err := s.Apply(&kv.Write{State: []kv.Op{set(lost+"b", "1")}}, false); err != nil {
			t.Fatal(err)
		}
		wantGet(t, s, "counter", lost)
		h.Crash(t)
		s = h.Store()
		wantGet(t, s, "counter", durable)
		wantNone(t, s, lost)
		wantNone(t, s, lost+"b")
		for r := range round + 1 {
			wantGet(t, s, fmt.Sprintf("durable%da", r), "1")
			wantGet(t, s, fmt.Sprintf("durable%db", r), "1")
		}
		wantGroups(t, s, kv.Group{ID: 1, Hard: kv.HardState{Commit: first}, Last: first + 1})
		wantEntries(t, s, 1, 1, first+2, unlimited, entries(1, first+2, 1))
	}
	h.Reopen(t)
	h.Crash(t)
	wantGet(t, h.Store(), "counter", "durable4")
}

// An empty synced Write is how a node makes durable what it applied before.
func testEmptySync(t *testing.T, h Harness) {
	apply(t, h.Store(), false, kv.Write{State: []kv.Op{set("a", "1")}})
	apply(t, h.Store(), false, kv.Write{})
	apply(t, h.Store(), true, kv.Write{})
	h.Crash(t)
	wantGet(t, h.Store(), "a", "1")
}

// After a failed fsync nothing is acknowledged any more: what the disk holds is unknown.
func testFailedSync(t *testing.T, h Harness) {
	s := h.Store()
	state(t, s, set("a", "1"))
	h.Fail()
	p, err := s.Apply(&kv.Write{State: []kv.Op{set("a", "2")}}, true)
	if err == nil {
		err = p.Wait()
	}
	if !errors.Is(err, kv.ErrFailed) {
		t.Fatalf("a Write whose sync failed: %v", err)
	}
	for range 3 {
		for _, sync := range []bool{true, false} {
			if _, err := s.Apply(&kv.Write{State: []kv.Op{set("b", "1")}}, sync); !errors.Is(err, kv.ErrFailed) {
				t.Fatalf("a Write after a failed sync: %v", err)
			}
		}
	}
	if _, err := s.Get([]byte("a")); err != nil {
		t.Fatalf("a failed store reads no more: %v", err)
	}
	h.Crash(t)
	wantGet(t, h.Store(), "a", "1")
	wantNone(t, h.Store(), "b")
	state(t, h.Store(), set("b", "2"))
	wantGet(t, h.Store(), "b", "2")
}

// A request that comes too late gets an error, not a crash of the process; a Write that nobody waited for is durable.
func testClosed(t *testing.T, h Harness) {
	s := h.Store()
	state(t, s, set("a", "1"))
	p, err := s.Apply(&kv.Write{State: []kv.Op{set("b", "1")}}, true)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, false, kv.Write{State: []kv.Op{set("c", "1")}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("the second Close: %v", err)
	}
	if err := p.Wait(); err != nil {
		t.Fatalf("Wait after Close: %v", err)
	}
	errs := make([]error, 6)
	_, errs[0] = s.Get([]byte("a"))
	errs[1] = s.Scan(nil, nil, func(_, _ []byte) bool { return true })
	_, errs[2] = s.Snapshot()
	_, errs[3] = s.Apply(&kv.Write{}, true)
	errs[4] = s.Groups(func(kv.Group) error { return nil })
	_, errs[5] = s.Entries(1, 1, 2, 1)
	for i, err := range errs {
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("call %d on a closed store: %v", i, err)
		}
	}
	h.Reopen(t)
	wantGet(t, h.Store(), "b", "1")
	wantGet(t, h.Store(), "c", "1")
}
