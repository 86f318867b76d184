package store

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/quorddb/quord/internal/kv"
	"github.com/tidwall/btree"
)

// layer is state that is in the journal and that Pebble does not show yet: for each key the last change only, so that
// what is written over and over reaches Pebble once. The newest layer takes the changes of Apply; the others never
// change any more.
//
// A map finds a key. For what goes in order there are buckets besides, by the first three bytes of keys, which for records
// are the kind and the slot: an ordered map of few keys each, touched only when a key is new, where one of all keys would
// cost a dozen cache misses.
//
// A snapshot is the number of a Write: who reads as of then passes over what later ones have changed. So what a change
// takes the place of is kept while a snapshot may still ask for it.
//
// One goroutine changes a layer; any number read it. Each shard has a lock of its own. A reader must not see a key as it
// was before a DeleteRange once it has seen another as it was after, so the range is published before the keys go.
type layer struct {
	shards [layerShards]layerShard
	// cleared is what DeleteRange deleted below; changes of the layer itself come after it.
	cleared cleared
	bytes   atomic.Int64
}

const (
	layerShards = 64
	// itemCost estimates what a change takes besides its key and value.
	itemCost = 150
)

type layerShard struct {
	mu sync.RWMutex
	// All below is guarded by mu.
	items   map[string]*item
	buckets map[uint32]*bucket
}

type bucket = btree.Map[string, *item]

// item is the last change of a key, and those before that a snapshot may ask for; guarded by the lock of its shard.
type item struct {
	value []byte // nil when the key was deleted
	write uint64 // the number of the Write that made it
	older *item
}

// at returns the change that stood when Write number was the last one, or nil.
func (i *item) at(number uint64) *item {
	for i != nil && i.write > number {
		i = i.older
	}
	return i
}

// now is the number of a Write for who reads what is there.
const now = ^uint64(0)

// bucketOf orders buckets as their keys are ordered.
func bucketOf[T []byte | string](key T) uint32 {
	var id uint32
	for i := range 3 {
		id <<= 8
		if i < len(key) {
			id |= uint32(key[i])
		}
	}
	return id
}

func (l *layer) shard(bucket uint32) *layerShard { return &l.shards[bucket%layerShards] }

// get returns the value of key after the Write of that number, nil when it was deleted, and whether the layer knows.
func (l *layer) get(key []byte, number uint64) (value []byte, ok bool) {
	s := l.shard(bucketOf(key))
	s.mu.RLock()
	it := s.items[string(key)].at(number)
	if it != nil {
		value = it.value
	}
	s.mu.RUnlock()
	if it != nil {
		return value, true
	}
	return nil, l.cleared.holds(key, number)
}

// apply makes the changes of a Write with that number, and keeps their bytes. It begins with the last one and leaves out
// what a later one has overtaken, so that no reader sees a key as it was in the midst of the Write. snapshot is the number
// of the newest snapshot that is open, or 0.
func (l *layer) apply(ops []kv.Op, write, snapshot uint64) {
	ranged := false
	for i := len(ops) - 1; i >= 0; i-- {
		op := &ops[i]
		switch {
		case op.Kind == kv.DeleteRange:
			l.deleteRange(op.Key, op.Value, write, snapshot)
			ranged = true
		case ranged && covered(ops[i+1:], op.Key):
		case op.Kind == kv.Delete:
			l.set(op.Key, nil, write, snapshot)
		case op.Value == nil:
			l.set(op.Key, []byte{}, write, snapshot)
		default:
			l.set(op.Key, op.Value, write, snapshot)
		}
	}
}

// covered reports whether one of the ops deletes a range that holds key.
func covered(ops []kv.Op, key []byte) bool {
	for i := range ops {
		op := &ops[i]
		if op.Kind == kv.DeleteRange && bytes.Compare(key, op.Key) >= 0 && bytes.Compare(key, op.Value) < 0 {
			return true
		}
	}
	return false
}

func (l *layer) set(key, value []byte, write, snapshot uint64) {
	id := bucketOf(key)
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.items[string(key)]; it != nil {
		if it.write != write {
			l.bytes.Add(it.change(value, write, snapshot))
		}
		return
	}
	if s.items == nil {
		s.items, s.buckets = make(map[string]*item), make(map[uint32]*bucket)
	}
	b := s.buckets[id]
	if b == nil {
		b = btree.NewMap[string, *item](bucketDegree)
		s.buckets[id] = b
	}
	name, it := string(key), &item{value: value, write: write}
	s.items[name] = it
	b.Set(name, it)
	l.bytes.Add(int64(len(key)+len(value)) + itemCost)
}

// change makes a change, and returns by how much the layer grows.
func (i *item) change(value []byte, write, snapshot uint64) int64 {
	grown := int64(len(value) - len(i.value))
	if older := i.older; i.write <= snapshot {
		i.older = &item{i.value, i.write, older}
		grown += int64(len(i.value)) + itemCost
	} else if snapshot == 0 {
		i.older = nil
	}
	i.value, i.write = value, write
	return grown
}

// bucketDegree keeps the nodes of the many small buckets small.
const bucketDegree = 8

// deleteRange deletes what the layer and those below it have in [lower, upper), but for what the same Write changes later.
func (l *layer) deleteRange(lower, upper []byte, write, snapshot uint64) {
	if bytes.Compare(lower, upper) >= 0 {
		return
	}
	l.bytes.Add(l.cleared.add(keyRange{string(lower), string(upper), write}, snapshot))
	var gone []string
	l.buckets(lower, upper, func(s *layerShard, id uint32) {
		s.mu.Lock()
		defer s.mu.Unlock()
		b := s.buckets[id]
		gone = gone[:0]
		b.Ascend(string(lower), func(key string, it *item) bool {
			if key >= string(upper) {
				return false
			}
			switch {
			case it.write == write:
			case snapshot > 0:
				l.bytes.Add(it.change(nil, write, snapshot))
			default:
				gone = append(gone, key)
				l.bytes.Add(-int64(len(key)+len(it.value)) - itemCost)
			}
			return true
		})
		for _, key := range gone {
			b.Delete(key)
			delete(s.items, key)
		}
		if b.Len() == 0 {
			delete(s.buckets, id)
		}
	})
}

// buckets calls fn for each bucket with keys in [lower, upper), in no order. An empty upper means no bound.
func (l *layer) buckets(lower, upper []byte, fn func(s *layerShard, id uint32)) {
	first, last := bucketOf(lower), ^uint32(0)
	if len(upper) > 0 {
		last = bucketOf(upper)
	}
	if last-first < layerShards { // the range of a tablet: as many lookups as slots
		for id := first; ; id++ {
			if s := l.shard(id); s.has(id) {
				fn(s, id)
			}
			if id == last {
				return
			}
		}
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.RLock()
		ids := make([]uint32, 0, len(s.buckets))
		for id := range s.buckets {
			if id >= first && id <= last {
				ids = append(ids, id)
			}
		}
		s.mu.RUnlock()
		for _, id := range ids {
			fn(s, id)
		}
	}
}

func (s *layerShard) has(id uint32) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[id] != nil
}

func (l *layer) empty() bool { return l.bytes.Load() == 0 && l.cleared.empty() }
