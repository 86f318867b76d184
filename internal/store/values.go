package store

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/quorddb/quord/internal/kv"
	"github.com/tidwall/btree"
)

// values keeps hot values of state in memory, in front of Pebble: a hit costs a hash, a short lock and no allocation.
//
// What must hold: a reader never gets a value older than one that was visible before its read began. The argument:
//
//	Invariant: an entry that is not pending holds what Pebble shows for its key at this moment.
//
// Writer (one at a time, a checkpoint): begin marks the entries of all keys that it writes as pending, under the locks of their
// shards, and makes the version of each key's stripe odd; then Pebble commits; then end lifts the marks from entries,
// which by now hold the committed values, and makes the versions even. So from before the commit until after it,
// readers of these keys miss and ask Pebble itself. Between commit and end no other checkpoint commits, so what end
// uncovers is what Pebble shows.
//
// Reader: a miss notes the version of the key's stripe, reads Pebble, and may insert what it read only when that
// version is even and unchanged, under the shard's lock. Then no Write of that stripe was under way at any moment
// between the two, so Pebble still shows what was read; and one that begins later finds the entry and marks it.
//
// A checkpoint with a DeleteRange does the same with one version for all keys (ranges), made odd before the entries in the
// range are removed from shard after shard: an insertion that was checked before is found by the removal, one that
// is checked after is refused. What the ops set after the range is pending until the end, as all else.
//
// Bounds: each shard keeps to its share of the bytes, by CLOCK (a new entry has no second chance until it was hit, so
// a scan of cold keys does not push out hot ones); values above maxCachedValue are not kept.
type values struct {
	seed     maphash.Seed
	shards   []shard
	mask     uint64
	maxValue int
	// ranges is odd while a Write with a DeleteRange is under way.
	ranges atomic.Uint64

	// touched and ranged belong to the writer: what begin did, for end.
	touched []touch
	ranged  bool
}

const (
	maxCachedValue = 64 << 10
	maxShards      = 64
	minShardBytes  = 256 << 10
	stripes        = 64
	// entryCost estimates the bytes that an entry takes besides key and value: itself, its places in map, tree
	// and clock.
	entryCost = 200
)

type shard struct {
	mu sync.Mutex
	// All below is guarded by mu.
	entries map[string]*cached
	// order has the same entries, by key, so that a DeleteRange costs what it removes and not a sweep.
	order btree.Map[string, *cached]
	clock []*cached
	hand  int
	bytes int64
	limit int64
	// versions are odd while a Write of the stripe is under way.
	versions           [stripes]uint64
	hits, misses, cuts uint64
}

type cached struct {
	key   string
	value []byte
	// place is the index in the shard's clock, -1 when the entry is no longer in the cache.
	place int
	// used is set by a hit, cleared by the clock's hand.
	used bool
	// pending hides the entry while the Write that changes it is under way; gone says that it has no value to
	// come back with.
	pending, gone bool
}

func (e *cached) cost() int64 { return int64(len(e.key)+len(e.value)) + entryCost }

// ticket is what a reader that missed must show to insert what it read.
type ticket struct {
	hash, version, ranges uint64
}

type touch struct {
	hash  uint64
	entry *cached
}

// newValues returns a cache of at most bytes, or nil, which is a cache that keeps nothing, when bytes is not positive.
func newValues(bytes int64) *values {
	if bytes <= 0 {
		return nil
	}
	n := 1
	for n < maxShards && bytes/int64(2*n) >= minShardBytes {
		n *= 2
	}
	limit := bytes / int64(n)
	c := &values{
		seed: maphash.MakeSeed(), shards: make([]shard, n), mask: uint64(n - 1),
		maxValue: int(min(maxCachedValue, limit/8)),
	}
	for i := range c.shards {
		c.shards[i].entries = make(map[string]*cached)
		c.shards[i].limit = limit
	}
	return c
}

func (c *values) shard(hash uint64) *shard { return &c.shards[hash&c.mask] }

// stripe takes other bits of the hash than shard does.
func stripe(hash uint64) uint64 { return hash >> 32 % stripes }

// get returns the value of key, or a ticket to insert it with.
func (c *values) get(key []byte) ([]byte, ticket, bool) {
	if c == nil {
		return nil, ticket{}, false
	}
	hash := maphash.Bytes(c.seed, key)
	s := c.shard(hash)
	s.mu.Lock()
	if e, ok := s.entries[string(key)]; ok && !e.pending {
		e.used = true
		s.hits++
		v := e.value
		s.mu.Unlock()
		return v, ticket{}, true
	}
	s.misses++
	t := ticket{hash: hash, version: s.versions[stripe(hash)], ranges: c.ranges.Load()}
	s.mu.Unlock()
	return nil, t, false
}

// insert keeps value, which the caller gives away, unless a Write may have changed it since the ticket was issued.
func (c *values) insert(t ticket, key, value []byte) {
	if c == nil || t.version&1 != 0 || t.ranges&1 != 0 || len(value) > c.maxValue {
		return
	}
	s := c.shard(t.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.versions[stripe(t.hash)] != t.version || c.ranges.Load() != t.ranges {
		return
	}
	if _, ok := s.entries[string(key)]; ok {
		return // another reader was faster
	}
	s.add(&cached{key: string(key), value: value})
	s.shrink()
}

// begin hides what the ops will change. It must be called before they are committed, and end after.
func (c *values) begin(ops []kv.Op) {
	if c == nil {
		return
	}
	for i := range ops {
		if ops[i].Kind == kv.DeleteRange {
			c.ranged = true
		}
	}
	if c.ranged {
		c.ranges.Add(1)
	}
	for i := range ops {
		if op := &ops[i]; op.Kind == kv.DeleteRange {
			c.removeRange(string(op.Key), string(op.Value))
		} else {
			c.hide(op)
		}
	}
}

// hide marks the entry of one key as pending and gives it the value that the key will have.
func (c *values) hide(op *kv.Op) {
	keep := op.Kind == kv.Set && len(op.Value) <= c.maxValue
	var value []byte
	if keep {
		value = op.Value
	}
	hash := maphash.Bytes(c.seed, op.Key)
	s := c.shard(hash)
	s.mu.Lock()
	if v := &s.versions[stripe(hash)]; *v&1 == 0 {
		*v++
	}
	e, ok := s.entries[string(op.Key)]
	switch {
	case ok:
		s.bytes += int64(len(value) - len(e.value))
		e.value, e.pending, e.gone = value, true, !keep
	case keep:
		e = &cached{key: string(op.Key), value: value, pending: true}
		s.add(e)
	}
	s.shrink()
	s.mu.Unlock()
	c.touched = append(c.touched, touch{hash: hash, entry: e})
}

// end uncovers what begin hid.
func (c *values) end() {
	if c == nil {
		return
	}
	for i := range c.touched {
		t := &c.touched[i]
		s := c.shard(t.hash)
		s.mu.Lock()
		if e := t.entry; e != nil && e.place >= 0 {
			if e.gone {
				s.remove(e)
			} else {
				e.pending = false
			}
		}
		if v := &s.versions[stripe(t.hash)]; *v&1 != 0 {
			*v++
		}
		s.mu.Unlock()
	}
	if c.ranged {
		c.ranges.Add(1)
		c.ranged = false
	}
	clear(c.touched) // an entry that was evicted must not be kept alive from here
	c.touched = c.touched[:0]
	if cap(c.touched) > maxScratch {
		c.touched = nil
	}
}

// removeRange removes the entries with keys in [lower, upper).
func (c *values) removeRange(lower, upper string) {
	var found []*cached
	for i := range c.shards {
		s := &c.shards[i]
		found = found[:0]
		s.mu.Lock()
		s.order.Ascend(lower, func(key string, e *cached) bool {
			if key >= upper {
				return false
			}
			found = append(found, e)
			return true
		})
		for _, e := range found {
			s.remove(e)
		}
		s.mu.Unlock()
	}
}

func (s *shard) add(e *cached) {
	e.place = len(s.clock)
	s.clock = append(s.clock, e)
	s.entries[e.key] = e
	s.order.Set(e.key, e)
	s.bytes += e.cost()
}

func (s *shard) remove(e *cached) {
	last := len(s.clock) - 1
	moved := s.clock[last]
	s.clock[e.place], moved.place = moved, e.place
	s.clock[last] = nil
	s.clock = s.clock[:last]
	e.place = -1
	delete(s.entries, e.key)
	s.order.Delete(e.key)
	s.bytes -= e.cost()
}

// shrink evicts until the shard keeps to its limit. It ends: a second round of the hand meets no used entry.
func (s *shard) shrink() {
	for s.bytes > s.limit && len(s.clock) > 0 {
		if s.hand >= len(s.clock) {
			s.hand = 0
		}
		e := s.clock[s.hand]
		if e.used {
			e.used = false
			s.hand++
			continue
		}
		s.remove(e)
		s.cuts++
	}
}

// metrics adds up the shards, one after the other.
func (c *values) metrics() ValueCacheMetrics {
	var m ValueCacheMetrics
	if c == nil {
		return m
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		m.Entries += len(s.clock)
		m.Bytes += s.bytes
		m.LimitBytes += s.limit
		m.Hits += s.hits
		m.Misses += s.misses
		m.Evictions += s.cuts
		s.mu.Unlock()
	}
	return m
}
