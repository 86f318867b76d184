package storetest

import (
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/kv"
)

// A user reads back exactly what was stored, also when it is empty, binary or large, and after it changed.
func testGet(t *testing.T, h Harness) {
	s := h.Store()
	wantNone(t, s, "a")
	large := strings.Repeat("0123456789abcdef", 1<<20) // 16 MiB, the largest value that is served
	for key, value := range map[string]string{"a": "1", "": "no key", "\x00\xff": "\xff\x00", "empty": "", "large": large} {
		state(t, s, set(key, value))
		wantGet(t, s, key, value)
		wantGet(t, s, key, value) // a second time, from whatever remembers the first
	}
	state(t, s, set("a", "2"))
	wantGet(t, s, "a", "2")
	state(t, s, del("a"), del("never there"))
	wantNone(t, s, "a")
	wantNone(t, s, "a")
	h.Reopen(t)
	wantNone(t, h.Store(), "a")
	wantGet(t, h.Store(), "large", large)
	wantGet(t, h.Store(), "empty", "")
	if v, err := h.Store().Get([]byte("empty")); v == nil || err != nil {
		t.Fatalf("an empty value came back as %v, %v", v, err)
	}
}

// SCAN and snapshots of tablets miss keys, or return those of a neighbour, when bounds are off by one.
func testScan(t *testing.T, h Harness) {
	s := h.Store()
	state(t, s, set("b", "2"), set("a", "1"), set("c\xff\xff", "4"), set("c", "3"), set("\xff\xff", "5"), set("", "0"))
	wantDump(t, s, "", "", pair{"", "0"}, pair{"a", "1"}, pair{"b", "2"}, pair{"c", "3"}, pair{"c\xff\xff", "4"}, pair{"\xff\xff", "5"})
	wantDump(t, s, "a", "c", pair{"a", "1"}, pair{"b", "2"})
	wantDump(t, s, "a\x00", "c\x00", pair{"b", "2"}, pair{"c", "3"})
	wantDump(t, s, "d", "", pair{"\xff\xff", "5"})
	wantDump(t, s, "c", "c")
	wantDump(t, s, "c", "a")
	var seen int
	err := s.Scan(nil, nil, func(key, _ []byte) bool {
		seen++
		wantGet(t, s, "a", "1") // a scan may read
		return seen < 2
	})
	if err != nil || seen != 2 {
		t.Fatalf("a scan that was stopped after 2 keys saw %d, %v", seen, err)
	}
}

// What a snapshot sends to a new replica must be of one moment, whatever is written meanwhile.
func testSnapshot(t *testing.T, h Harness) {
	s := h.Store()
	state(t, s, set("a", "1"), set("b", "1"), set("c", "1"))
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	state(t, s, set("a", "2"), del("b"), set("d", "2"))
	state(t, s, delRange("c", "d"))
	wantDump(t, snap, "", "", pair{"a", "1"}, pair{"b", "1"}, pair{"c", "1"})
	wantGet(t, snap, "a", "1")
	wantGet(t, snap, "b", "1")
	wantNone(t, snap, "d")
	wantGet(t, s, "a", "2")
	wantDump(t, s, "", "", pair{"a", "2"}, pair{"d", "2"})
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := snap.Get([]byte("a")); err == nil {
		t.Fatal("a closed snapshot answers")
	}
	left, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	h.Reopen(t) // with a snapshot open
	if _, err := left.Get([]byte("a")); err == nil {
		t.Fatal("a snapshot of a closed store answers")
	}
	if err := left.Close(); err != nil {
		t.Fatalf("close a snapshot after its store: %v", err)
	}
}

// FLUSHALL and the removal of a tablet must take all of it, also what is cached, and nothing beside it.
func testDeleteRange(t *testing.T, h Harness) {
	s := h.Store()
	state(t, s, set("a", "1"), set("b", "1"), set("b\xff", "1"), set("c", "1"), set("d", "1"))
	for _, key := range []string{"a", "b", "b\xff", "c", "d"} {
		wantGet(t, s, key, "1")
	}
	state(t, s, delRange("b", "c"))
	wantDump(t, s, "", "", pair{"a", "1"}, pair{"c", "1"}, pair{"d", "1"})
	wantNone(t, s, "b")
	wantNone(t, s, "b\xff")
	wantGet(t, s, "c", "1")
	state(t, s, delRange("c", "c"), delRange("d", "a")) // empty ranges
	wantDump(t, s, "", "", pair{"a", "1"}, pair{"c", "1"}, pair{"d", "1"})
	state(t, s, set("b", "2"))
	wantGet(t, s, "b", "2")
	h.Reopen(t)
	wantDump(t, h.Store(), "", "", pair{"a", "1"}, pair{"b", "2"}, pair{"c", "1"}, pair{"d", "1"})
}

// A transaction that writes a key twice leaves the second value, whatever lies between.
func testOrderWithinAWrite(t *testing.T, h Harness) {
	s := h.Store()
	state(t, s, set("cached", "0"), set("r1", "0"), set("r2", "0"))
	wantGet(t, s, "cached", "0")
	state(t, s,
		set("twice", "1"), set("twice", "2"),
		set("gone", "1"), del("gone"),
		del("back"), set("back", "1"),
		set("cached", "1"), del("cached"), set("cached", "2"))
	for range 2 {
		wantGet(t, s, "twice", "2")
		wantNone(t, s, "gone")
		wantGet(t, s, "back", "1")
		wantGet(t, s, "cached", "2")
	}
	state(t, s, set("r1", "1"), delRange("r", "s"), set("r2", "1"), set("r3", "1"), del("r3"))
	for range 2 {
		wantNone(t, s, "r1")
		wantGet(t, s, "r2", "1")
		wantNone(t, s, "r3")
	}
}

// Apply's caller reuses the slices of a Write, though not the bytes that they point to; what was stored must not change
// with them.
func testWritesAreReused(t *testing.T, h Harness) {
	s := h.Store()
	w := kv.Write{
		Log: []kv.LogOp{{
			Group: 1, Append: []kv.Entry{{Index: 1, Term: 1, Data: []byte("data")}}, Hard: &kv.HardState{Term: 1},
		}},
		State: []kv.Op{{Kind: kv.Set, Key: []byte("key"), Value: []byte("value")}},
	}
	p, err := s.Apply(&w, true)
	if err != nil {
		t.Fatal(err)
	}
	w.Log[0].Hard.Term = 99
	w.Log[0].Append[0] = kv.Entry{}
	w.State[0] = kv.Op{}
	w.Log[0] = kv.LogOp{}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantGet(t, s, "key", "value")
		wantEntries(t, s, 1, 1, 2, unlimited, []kv.Entry{{Index: 1, Term: 1, Data: []byte("data")}})
		wantGroups(t, s, kv.Group{ID: 1, Hard: kv.HardState{Term: 1}, Last: 1})
		h.Reopen(t)
		s = h.Store()
	}
}
