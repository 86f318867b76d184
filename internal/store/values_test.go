package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/quorddb/quord/internal/kv"
)

func setOp(key, value string) kv.Op {
	return kv.Op{Kind: kv.Set, Key: []byte(key), Value: []byte(value)}
}

func delOp(key string) kv.Op { return kv.Op{Kind: kv.Delete, Key: []byte(key)} }

func rangeOp(lower, upper string) kv.Op {
	return kv.Op{Kind: kv.DeleteRange, Key: []byte(lower), Value: []byte(upper)}
}

func miss(t *testing.T, c *values, key string) ticket {
	t.Helper()
	v, ticket, ok := c.get([]byte(key))
	if ok {
		t.Fatalf("%q is cached as %q", key, v)
	}
	return ticket
}

func hit(t *testing.T, c *values, key, want string) {
	t.Helper()
	if v, _, ok := c.get([]byte(key)); !ok || string(v) != want {
		t.Fatalf("%q is cached as %q, %v; want %q", key, v, ok, want)
	}
}

func (c *values) write(ops ...kv.Op) {
	c.begin(ops)
	c.end()
}

// A reader that took its time brings back a value from before a Write. If it got into the cache, every later reader
// would see the past. One case for each moment at which the Write may have been under way.
func TestSlowReaderInsertsNothingStale(t *testing.T) {
	for name, ops := range map[string][]kv.Op{
		"set": {setOp("key", "new")}, "delete": {delOp("key")}, "range": {rangeOp("k", "l")},
		"set after a range": {rangeOp("k", "l"), setOp("key", "new")},
	} {
		t.Run(name, func(t *testing.T) {
			stale := func(t *testing.T, c *values, tk ticket) {
				t.Helper()
				c.insert(tk, []byte("key"), []byte("old"))
				if v, _, ok := c.get([]byte("key")); ok && string(v) == "old" {
					t.Fatal("a stale value is cached")
				}
			}
			t.Run("a Write between miss and insertion", func(t *testing.T) {
				c := newValues(1 << 20)
				tk := miss(t, c, "key")
				c.write(ops...)
				stale(t, c, tk)
			})
			t.Run("a Write that began between", func(t *testing.T) {
				c := newValues(1 << 20)
				tk := miss(t, c, "key")
				c.begin(ops)
				stale(t, c, tk)
				c.end()
				stale(t, c, tk)
			})
			t.Run("a Write that ended between", func(t *testing.T) {
				c := newValues(1 << 20)
				c.begin(ops)
				tk := miss(t, c, "key")
				c.end()
				stale(t, c, tk)
			})
			t.Run("within a Write", func(t *testing.T) {
				c := newValues(1 << 20)
				c.begin(ops)
				stale(t, c, miss(t, c, "key"))
				c.end()
				if v, _, ok := c.get([]byte("key")); ok && string(v) == "old" {
					t.Fatal("a stale value is cached")
				}
			})
		})
	}
}

// Between the commit in Pebble and its end in the cache, a reader that asks Pebble sees the new value; so no other may
// be served the old one.
func TestWriteUnderWayHidesTheOldValue(t *testing.T) {
	for name, op := range map[string]kv.Op{
		"set": setOp("key", "new"), "delete": delOp("key"), "range": rangeOp("key", "kez"),
		"too large": {Kind: kv.Set, Key: []byte("key"), Value: make([]byte, maxCachedValue+1)},
	} {
		c := newValues(1 << 20)
		c.write(setOp("key", "old"))
		hit(t, c, "key", "old")
		c.begin([]kv.Op{op})
		miss(t, c, "key")
		c.end()
		if name == "set" {
			hit(t, c, "key", "new")
		} else {
			miss(t, c, "key")
		}
	}
}

// What was written stays in memory for the read that follows, and so does what was read.
func TestCacheKeeps(t *testing.T) {
	c := newValues(1 << 20)
	c.insert(miss(t, c, "read"), []byte("read"), []byte("1"))
	hit(t, c, "read", "1")
	c.write(setOp("written", "2"), setOp("gone", "3"), delOp("gone"), delOp("back"), setOp("back", "4"))
	hit(t, c, "written", "2")
	miss(t, c, "gone")
	hit(t, c, "back", "4")
	c.write(rangeOp("written", "written\x00"))
	miss(t, c, "written")
	hit(t, c, "back", "4")
	c.insert(miss(t, c, "written"), []byte("written"), []byte("5"))
	hit(t, c, "written", "5")
	var none *values
	none.write(setOp("a", "1"))
	miss(t, none, "a")
}

// A cache that grows past its bound takes the node's memory; one that evicts what is hot is of no use.
func TestCacheIsBounded(t *testing.T) {
	for _, bytes := range []int64{1, 5000, 1 << 20, 40 << 20} {
		c := newValues(bytes)
		random := rand.New(rand.NewPCG(1, uint64(bytes)))
		hot := []byte("hot")
		c.write(setOp("hot", "value"))
		_, _, kept := c.get(hot)
		for i := range 30_000 {
			key := fmt.Appendf(nil, "key%d", random.IntN(20_000))
			value := make([]byte, random.IntN(200))
			if i%100 == 0 {
				value = make([]byte, random.IntN(2*maxCachedValue))
			}
			if i%2 == 0 {
				c.write(kv.Op{Kind: kv.Set, Key: key, Value: value})
			} else if _, tk, ok := c.get(key); !ok {
				c.insert(tk, key, value)
			}
			if _, _, ok := c.get(hot); ok != kept {
				t.Fatalf("%d bytes: what is read all the time was evicted", bytes)
			}
		}
		m := c.metrics()
		if m.Bytes > m.LimitBytes || m.LimitBytes > bytes {
			t.Errorf("%d bytes: %d are used, the limit is said to be %d", bytes, m.Bytes, m.LimitBytes)
		}
		var sum int64
		entries := 0
		for i := range c.shards {
			s := &c.shards[i]
			if len(s.entries) != len(s.clock) || s.order.Len() != len(s.clock) {
				t.Errorf("a shard has %d entries, %d in its clock, %d in order", len(s.entries), len(s.clock), s.order.Len())
			}
			for place, e := range s.clock {
				if e.place != place || s.entries[e.key] != e || e.pending {
					t.Errorf("entry %q does not know its place", e.key)
				}
				sum += e.cost()
			}
			entries += len(s.clock)
		}
		if sum != m.Bytes || entries != m.Entries {
			t.Errorf("%d bytes in %d entries, metrics say %d in %d", sum, entries, m.Bytes, m.Entries)
		}
	}
}
