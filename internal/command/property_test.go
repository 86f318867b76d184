package command_test

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"testing"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/gen"
	"github.com/quorddb/quord/internal/command/memview"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/slot"
	"pgregory.net/rapid"
)

// sequence draws a run of commands.
func sequence(t *rapid.T, now int64) *gen.Sequence {
	return gen.New(gen.Config{Seed: rapid.Uint64().Draw(t, "seed"), Now: now, MaxValue: 4096})
}

const anHour = 3_600_000

// Replicas evaluate the same entries, each on its own, and one that was rebuilt from a snapshot holds no expired
// keys that others still have. If any of that could be seen, a change of leader would change answers.
func TestReplicasStayTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := int64(1_700_000_000_000)
		commands := sequence(t, now)
		one := &memview.View{Time: now, Max: 4096}
		other := clone(one)
		for range 200 {
			args := commands.Next()
			before := gen.Format(args)
			x, y := run(one, args), run(other, args)
			if x != y {
				t.Fatalf("%s: %q and %q", before, x, y)
			}
			if !oneReply([]byte(x)) {
				t.Fatalf("%s: %q is not one reply", before, x)
			}
			if gen.Format(args) != before {
				t.Fatalf("%s has changed its arguments", before)
			}
			if dump(one) != dump(other) {
				t.Fatalf("%s: the data has come apart:\n%s\n%s", before, dump(one), dump(other))
			}
			switch rapid.IntRange(0, 20).Draw(t, "then") {
			case 0:
				other = clone(other) // a snapshot
			case 1:
				sweep(other, 3)
			case 2:
				one.Time += anHour
				other.Time = one.Time
			}
		}
	})
}

// A read goes past the log; if it changed anything, the replicas would come apart.
func TestReadsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commands := sequence(t, 1_000_000)
		v := &memview.View{Time: 1_000_000, Max: 4096}
		for range 200 {
			args := commands.Next()
			spec := command.Lookup(args[0])
			before := v.Changes
			run(v, args)
			if !spec.IsWrite() && v.Changes != before {
				t.Fatalf("%s has changed the data", gen.Format(args))
			}
		}
	})
}

// rangeless is a view that may not be scanned.
type rangeless struct {
	*memview.View
	scanned *bool
}

func (r rangeless) Scan(uint16, uint64, func(uint16, uint64, []byte, record.Record) bool) {
	*r.scanned = true
}

// Replicas evaluate different numbers of entries together and see ranges as they were before; a write that looked
// at one would bring them apart.
func TestWritesScanNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commands := sequence(t, 1_000_000)
		v := rangeless{&memview.View{Time: 1_000_000, Max: 4096}, new(bool)}
		for range 200 {
			args := commands.Next()
			if run(v, args); *v.scanned && command.Lookup(args[0]).IsWrite() {
				t.Fatalf("%s has scanned the data", gen.Format(args))
			}
			*v.scanned = false
		}
	})
	v := rangeless{&memview.View{}, new(bool)}
	if command.Evaluate(v, words("_clear"), nil); *v.scanned {
		t.Error("_CLEAR has scanned the data")
	}
	if command.Evaluate(v, words("_scan 0"), nil); !*v.scanned {
		t.Error("a scan is not noticed")
	}
}

// A value beyond the limit could never be read again by a client, nor sent to a new replica.
func TestValuesStayWithinTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commands := sequence(t, 1_000_000)
		v := &memview.View{Time: 1_000_000, Max: 4096}
		for range 200 {
			args := commands.Next()
			run(v, args)
			v.Scan(0, 0, func(_ uint16, _ uint64, key []byte, r record.Record) bool {
				// What a client sends is limited where it is read; INCRBYFLOAT writes at most 5 KiB.
				if len(r.Value) > 4096+1024 {
					t.Fatalf("%s: %d bytes at %q", gen.Format(args), len(r.Value), key)
				}
				return true
			})
		}
	})
}

// crowded is a view whose hashes collide: many keys share a cursor.
type crowded struct {
	memview.View
	bits uint
}

func (c *crowded) place(key []byte) (uint16, uint64) {
	h := record.HashOf(key)
	return uint16(h % 3), h << (64 - c.bits) // the low bits, which lie above the 14 that a cursor loses
}

func (c *crowded) Scan(s uint16, hash uint64, fn func(uint16, uint64, []byte, record.Record) bool) {
	type item struct {
		slot uint16
		hash uint64
		key  []byte
		rec  record.Record
	}
	var items []item
	c.View.Scan(0, 0, func(_ uint16, _ uint64, key []byte, r record.Record) bool {
		at, h := c.place(key)
		if at > s || at == s && h >= hash {
			items = append(items, item{at, h, key, r})
		}
		return true
	})
	slices.SortFunc(items, func(a, b item) int {
		switch {
		case a.slot != b.slot:
			return int(a.slot) - int(b.slot)
		case a.hash != b.hash:
			if a.hash < b.hash {
				return -1
			}
			return 1
		}
		return bytes.Compare(a.key, b.key)
	})
	for _, i := range items {
		if !fn(i.slot, i.hash, i.key, i.rec) {
			return
		}
	}
}

// A scan that misses a key that was there all the time makes a backup that is not one. That holds whatever comes
// and goes meanwhile, for any COUNT that changes from call to call, and where keys share a cursor.
func TestScanReturnsWhatWasThereThroughout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := &crowded{bits: uint(rapid.IntRange(0, 6).Draw(t, "bits"))}
		v.Time = 1000
		name := func(i int) []byte { return strconv.AppendInt([]byte("k"), int64(i), 10) }
		n := rapid.IntRange(0, 60).Draw(t, "keys")
		for i := range n {
			r := record.Record{Kind: record.String}
			if i%5 == 4 {
				r.ExpireAt = 500 // gone, and in the way
			}
			v.Put(name(i), r)
		}
		touched := map[string]bool{}
		found := map[string]int{}
		o := command.ScanOptions{Count: 1}
		for calls := 0; ; calls++ {
			if calls > 200 {
				t.Fatal("the scan does not end")
			}
			o.Count = rapid.Int64Range(1, 9).Draw(t, "count")
			next, keys, err := command.ParseScanReply(command.Evaluate(v, o.Command(), nil))
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range keys {
				found[string(k)]++
			}
			if next == 0 {
				break
			}
			if next <= o.Cursor {
				t.Fatalf("the cursor goes from %d to %d", o.Cursor, next)
			}
			o.Cursor = next
			k := name(rapid.IntRange(0, 80).Draw(t, "other"))
			touched[string(k)] = true
			if rapid.Bool().Draw(t, "put") {
				v.Put(k, record.Record{Kind: record.String})
			} else {
				v.Delete(k)
			}
		}
		for i := range n {
			k := string(name(i))
			switch {
			case touched[k]:
			case i%5 == 4 && found[k] > 0:
				t.Fatalf("%s has expired and was returned", k)
			case i%5 != 4 && found[k] != 1:
				t.Fatalf("%s was there throughout and was returned %d times", k, found[k])
			}
		}
	})
}

// One call on a large tablet must not hold up the others: it looks at a bounded number of keys and bytes.
func TestScanIsBounded(t *testing.T) {
	v := &memview.View{}
	for i := range 3 * command.ScanBound {
		v.Put(strconv.AppendInt(nil, int64(i), 10), record.Record{Kind: record.String})
	}
	seen := 0
	counting := scanCounter{v, &seen}
	reply := command.Evaluate(counting, words("_scan 0 count 1000000000 match nothing"), nil)
	if next, keys, err := command.ParseScanReply(reply); err != nil || next == 0 || len(keys) != 0 {
		t.Errorf("next %d, %d keys, %v", next, len(keys), err)
	}
	if seen > command.ScanBound+1 {
		t.Errorf("one call has looked at %d keys", seen)
	}

	long := &memview.View{}
	for i := range 64 {
		long.Put(strconv.AppendInt(bytes.Repeat([]byte("x"), 100_000), int64(i), 10), record.Record{Kind: record.String})
	}
	if reply := command.Evaluate(long, words("_scan 0 count 1000"), nil); len(reply) > command.ScanBytes+200_000 {
		t.Errorf("one call has answered %d bytes", len(reply))
	}
}

type scanCounter struct {
	*memview.View
	seen *int
}

func (c scanCounter) Scan(s uint16, hash uint64, fn func(uint16, uint64, []byte, record.Record) bool) {
	c.View.Scan(s, hash, func(s uint16, h uint64, key []byte, r record.Record) bool {
		*c.seen++
		return fn(s, h, key, r)
	})
}

// Cursors order keys as the store does, so a scan may go on where another node holds the tablet.
func TestCursorsOrderAsTheStoreDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := func(label string) (uint16, uint64) {
			return rapid.Uint16Range(0, 16383).Draw(t, label), rapid.Uint64().Draw(t, label)
		}
		s1, h1 := place("a")
		s2, h2 := place("b")
		c1, c2 := command.Cursor(s1, h1), command.Cursor(s2, h2)
		if stored := bytes.Compare(record.AppendPosition(nil, s1, h1), record.AppendPosition(nil, s2, h2)); (stored < 0 && c1 > c2) || (stored > 0 && c1 < c2) {
			t.Fatalf("%d and %d are in another order than what they stand for", c1, c2)
		}
		s, h := command.ParseCursor(c1)
		if s != s1 || h > h1 || h1-h >= 1<<14 || command.Cursor(s, h) != c1 {
			t.Fatalf("cursor %d of (%d, %d) stands for (%d, %d)", c1, s1, h1, s, h)
		}
	})
}

// The view in memory judges others, so it has to be right itself: it is compared with a map and a sorted list.
func TestMemviewIsAnOrderedMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, model := &memview.View{Time: 100}, map[string]int64{}
		keys := rapid.SampledFrom([]string{"", "a", "b", "c", "{a}", "{a}1", "{a}2", "{b}1"})
		for range 30 {
			key := keys.Draw(t, "key")
			switch rapid.IntRange(0, 20).Draw(t, "what") {
			case 0:
				v.Clear()
				clear(model)
			case 1, 2, 3:
				v.Delete([]byte(key))
				delete(model, key)
			case 4, 5, 6:
				sweep(v, 100)
				for key, at := range model {
					if at != 0 && at <= v.Time {
						delete(model, key)
					}
				}
			case 7:
				v.Time += 10
			default:
				at := rapid.SampledFrom([]int64{0, v.Time - 1, v.Time, v.Time + 1, v.Time + 15}).Draw(t, "expiry")
				v.Put([]byte(key), record.Record{Kind: record.String, ExpireAt: at})
				model[key] = at
			}
			at, stored := model[key]
			if r, ok := v.Get([]byte(key)); ok != (stored && (at == 0 || at > v.Time)) || ok && r.ExpireAt != at {
				t.Fatalf("at %d, %q (stored: %v, until %d) is %v, %v", v.Time, key, stored, at, r, ok)
			}
			if v.Len() != int64(len(model)) {
				t.Fatalf("%d keys instead of %d", v.Len(), len(model))
			}
			from := slot.Of([]byte(keys.Draw(t, "from")))
			var want, got [][]byte
			for key := range model {
				if slot.Of([]byte(key)) >= from {
					want = append(want, []byte(key))
				}
			}
			slices.SortFunc(want, func(a, b []byte) int {
				return cmp.Or(cmp.Compare(slot.Of(a), slot.Of(b)), cmp.Compare(record.HashOf(a), record.HashOf(b)), bytes.Compare(a, b))
			})
			v.Scan(from, 0, func(s uint16, hash uint64, key []byte, r record.Record) bool {
				if s != slot.Of(key) || hash != record.HashOf(key) || r.ExpireAt != model[string(key)] {
					t.Fatalf("%q is shown at (%d, %d), until %d", key, s, hash, r.ExpireAt)
				}
				got = append(got, key)
				return true
			})
			if !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("from slot %d on there are %q instead of %q", from, got, want)
			}
		}
	})
}
