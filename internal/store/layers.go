package store

import (
	"cmp"
	"slices"

	"github.com/quorddb/quord/internal/kv"
	"github.com/tidwall/btree"
)

// layers is what lies above Pebble, the newest first. The list never changes; another one takes its place.
type layers []*layer

// get returns the value of key after the Write of that number, nil when it was deleted, and whether some layer knows.
func (ls layers) get(key []byte, number uint64) (value []byte, ok bool) {
	for _, l := range ls {
		if value, ok = l.get(key, number); ok {
			return value, true
		}
	}
	return nil, false
}

// changes walks over what layers change in a range of keys, in the order of the keys.
type changes struct {
	cursors []cursor // the newest first
}

// between returns the changes in [lower, upper) after the Write of that number; an empty upper means no bound. Where the
// number is now, Apply must not run meanwhile, and of what it does later to the newest layer, changes of keys that were
// changed before may be seen.
func (ls layers) between(lower, upper []byte, number uint64) *changes {
	c := &changes{cursors: make([]cursor, len(ls))}
	for i, l := range ls {
		c.cursors[i].begin(l, lower, upper, number)
	}
	return c
}

// next returns the next key that some layer changes, and its value or nil when it was deleted.
func (c *changes) next() (key string, value []byte, ok bool) {
	for {
		from := -1
		for i := range c.cursors {
			if cur := &c.cursors[i]; cur.ok && (from < 0 || cur.key < key) {
				from, key, value = i, cur.key, cur.value
			}
		}
		if from < 0 {
			return "", nil, false
		}
		for i := from; i < len(c.cursors); i++ {
			if cur := &c.cursors[i]; cur.ok && cur.key == key {
				cur.next()
			}
		}
		if !hidden(c.cursors[:from], key) {
			return key, value, true
		}
	}
}

// hides reports whether a key that no layer changes was deleted with a range.
func (c *changes) hides(key []byte) bool { return hidden(c.cursors, string(key)) }

// hidden reports whether one of the layers deletes a range that holds key.
func hidden(newer []cursor, key string) bool {
	for i := range newer {
		if within(newer[i].ranges, key) {
			return true
		}
	}
	return false
}

// ops returns what makes Pebble show what the layers show.
func (ls layers) ops() (ops []kv.Op) {
	c := ls.between(nil, nil, now)
	for i := range c.cursors {
		for _, r := range c.cursors[i].ranges {
			ops = append(ops, kv.Op{Kind: kv.DeleteRange, Key: []byte(r.lower), Value: []byte(r.upper)})
		}
	}
	for key, value, ok := c.next(); ok; key, value, ok = c.next() {
		op := kv.Op{Kind: kv.Set, Key: []byte(key), Value: value}
		if value == nil {
			op.Kind = kv.Delete
		}
		ops = append(ops, op)
	}
	return ops
}

// cursor walks over the keys that one layer changed when it began: the buckets are copies, which share their nodes until
// they are written to.
type cursor struct {
	key    string
	value  []byte
	ok     bool
	ranges []keyRange

	lower, upper string
	bounded      bool
	number       uint64       // of the Write after which it reads
	buckets      []bucketCopy // in order, what is left
	shard        *layerShard  // of the bucket that it is in
	it           btree.MapIter[string, *item]
}

type bucketCopy struct {
	id    uint32
	shard *layerShard
	keys  *bucket
}

func (c *cursor) begin(l *layer, lower, upper []byte, number uint64) {
	*c = cursor{number: number, lower: string(lower), upper: string(upper), bounded: len(upper) > 0}
	c.ranges = l.cleared.between(c.lower, c.upper, c.bounded, number)
	l.buckets(lower, upper, func(s *layerShard, id uint32) {
		s.mu.Lock()
		if b := s.buckets[id]; b != nil {
			c.buckets = append(c.buckets, bucketCopy{id, s, b.Copy()})
		}
		s.mu.Unlock()
	})
	slices.SortFunc(c.buckets, func(a, b bucketCopy) int { return cmp.Compare(a.id, b.id) })
	c.enter()
}

// enter goes to the first key of the next bucket that has one in the range.
func (c *cursor) enter() {
	for c.ok = false; len(c.buckets) > 0 && !c.ok; c.buckets = c.buckets[1:] {
		c.shard, c.it = c.buckets[0].shard, c.buckets[0].keys.Iter()
		c.take(c.it.Seek(c.lower))
	}
}

func (c *cursor) next() {
	if c.take(c.it.Next()); !c.ok {
		c.enter()
	}
}

// take takes the key that the iterator is at, or the next one that was changed by then.
func (c *cursor) take(there bool) {
	for ; there && (!c.bounded || c.it.Key() < c.upper); there = c.it.Next() {
		c.shard.mu.RLock()
		it := c.it.Value().at(c.number)
		if it != nil {
			c.key, c.value = c.it.Key(), it.value
		}
		c.shard.mu.RUnlock()
		if it != nil {
			c.ok = true
			return
		}
	}
	c.ok = false
}
