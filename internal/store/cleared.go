package store

import (
	"sort"
	"sync/atomic"

	"github.com/tidwall/btree"
)

// cleared is what the DeleteRanges of a layer delete below it: ranges in order, of which no two overlap. A node that
// receives the snapshots of thousands of tablets clears a range or two for each, so neither adding one nor looking for
// one may walk over all.
//
// Of two Writes that cleared the same key the earlier one decides: who reads as of a moment after it finds nothing below.
// So a range that is added takes only the room that older ones have left. Where no open snapshot lies between two Writes
// it makes no difference which of them it was, and what touches becomes one range.
//
// One goroutine adds; any number read what is shown, which never changes.
type cleared struct {
	spans btree.Map[string, span] // by their lower bounds
	shown atomic.Pointer[btree.Map[string, span]]
}

// span is what follows from the lower bound of a range on.
type span struct {
	upper string
	write uint64
}

// keyRange is what a Write deleted.
type keyRange struct {
	lower, upper string
	write        uint64
}

func (r *keyRange) cost() int64 { return int64(len(r.lower)+len(r.upper)) + itemCost }

// add adds a range that is not empty, and returns by how much the layer grows. snapshot is the number of the newest
// snapshot that is open, or 0.
func (c *cleared) add(r keyRange, snapshot uint64) (grown int64) {
	near := c.near(r.lower, r.upper)
	if len(near) == 1 && near[0].lower <= r.lower && near[0].upper >= r.upper {
		return 0
	}
	kept := near[:0]
	for _, old := range near {
		if old.write <= snapshot {
			kept = append(kept, old)
			continue
		}
		c.spans.Delete(old.lower)
		grown -= old.cost()
		r.lower, r.upper = min(r.lower, old.lower), max(r.upper, old.upper)
	}
	put := func(lower, upper string) {
		if lower < upper {
			c.spans.Set(lower, span{upper, r.write})
			grown += (&keyRange{lower: lower, upper: upper}).cost()
		}
	}
	from := r.lower
	for _, old := range kept {
		put(from, old.lower)
		from = max(from, old.upper)
	}
	put(from, r.upper)
	c.shown.Store(c.spans.Copy())
	return grown
}

// near returns the ranges that overlap [lower, upper) or touch it, in order.
func (c *cleared) near(lower, upper string) (out []keyRange) {
	c.spans.Descend(lower, func(from string, s span) bool {
		if from < lower && s.upper >= lower {
			out = append(out, keyRange{from, s.upper, s.write})
		}
		return from == lower // which is found below
	})
	c.spans.Ascend(lower, func(from string, s span) bool {
		if from <= upper {
			out = append(out, keyRange{from, s.upper, s.write})
		}
		return from <= upper
	})
	return out
}

// empty reports whether nothing is cleared.
func (c *cleared) empty() bool { return c.shown.Load() == nil }

// holds reports whether key was cleared by the Write of that number.
func (c *cleared) holds(key []byte, number uint64) (held bool) {
	shown := c.shown.Load()
	if shown == nil {
		return false
	}
	shown.Descend(string(key), func(_ string, s span) bool {
		held = string(key) < s.upper && s.write <= number
		return false
	})
	return held
}

// between returns what was cleared of [lower, upper) by the Write of that number, in order; an empty upper means no bound.
func (c *cleared) between(lower, upper string, bounded bool, number uint64) (out []keyRange) {
	shown := c.shown.Load()
	if shown == nil {
		return nil
	}
	shown.Descend(lower, func(from string, s span) bool {
		if from < lower && s.upper > lower && s.write <= number {
			out = append(out, keyRange{from, s.upper, s.write})
		}
		return from == lower
	})
	shown.Ascend(lower, func(from string, s span) bool {
		if bounded && from >= upper {
			return false
		}
		if s.write <= number {
			out = append(out, keyRange{from, s.upper, s.write})
		}
		return true
	})
	return out
}

// within reports whether one of some ranges in order, of which no two overlap, holds key.
func within(ranges []keyRange, key string) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].lower > key }) - 1
	return i >= 0 && key < ranges[i].upper
}
