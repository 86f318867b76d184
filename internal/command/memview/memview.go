// Package memview is a command.View in memory: the data of one tablet for tests and for judging other views.
//
// It owns a copy of everything that is put into it and an order of the keys; nothing is bounded but by memory. The
// clock is a number that the test sets. It is not safe for concurrent use.
package memview

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/slot"
)

// DefaultMaxValue is the limit of values where nothing else is set.
const DefaultMaxValue = 32 << 20

// View is a command.View in memory. The zero value is empty, at time 0, and ready for use.
type View struct {
	// Time is what Now answers: milliseconds since 1970. It must not run back.
	Time int64
	// Max is what MaxValue answers; 0 means DefaultMaxValue.
	Max int
	// Changes counts the calls of Put, Delete and Clear, so that a test can tell that there were none.
	Changes int

	byKey map[string]*entry
	// order holds the entries by slot, hash and key.
	order []*entry
}

var _ command.View = (*View)(nil)

type entry struct {
	slot uint16
	hash uint64
	key  []byte
	rec  record.Record
}

func newEntry(key []byte) *entry {
	return &entry{slot: slot.Of(key), hash: record.HashOf(key), key: key}
}

func (e *entry) compare(o *entry) int {
	return cmp.Or(cmp.Compare(e.slot, o.slot), cmp.Compare(e.hash, o.hash), bytes.Compare(e.key, o.key))
}

// Get implements command.View.
func (v *View) Get(key []byte) (record.Record, bool) {
	e := v.byKey[string(key)]
	if e == nil || e.rec.Expired(v.Time) {
		return record.Record{}, false
	}
	return e.rec, true
}

// Put implements command.View.
func (v *View) Put(key []byte, r record.Record) {
	v.Changes++
	r.Value = bytes.Clone(r.Value)
	if e := v.byKey[string(key)]; e != nil {
		e.rec = r
		return
	}
	e := newEntry(bytes.Clone(key))
	e.rec = r
	if v.byKey == nil {
		v.byKey = make(map[string]*entry)
	}
	v.byKey[string(key)] = e
	i, _ := slices.BinarySearchFunc(v.order, e, (*entry).compare)
	v.order = slices.Insert(v.order, i, e)
}

// Delete implements command.View.
func (v *View) Delete(key []byte) {
	v.Changes++
	e := v.byKey[string(key)]
	if e == nil {
		return
	}
	delete(v.byKey, string(key))
	i, _ := slices.BinarySearchFunc(v.order, e, (*entry).compare)
	v.order = slices.Delete(v.order, i, i+1)
}

// Scan implements command.View.
func (v *View) Scan(s uint16, hash uint64, fn func(uint16, uint64, []byte, record.Record) bool) {
	i, _ := slices.BinarySearchFunc(v.order, &entry{slot: s, hash: hash}, (*entry).compare)
	for _, e := range v.order[i:] {
		if !fn(e.slot, e.hash, e.key, e.rec) {
			return
		}
	}
}

// Len implements command.View.
func (v *View) Len() int64 { return int64(len(v.order)) }

// Clear implements command.View.
func (v *View) Clear() {
	v.Changes++
	v.byKey, v.order = nil, nil
}

// Now implements command.View.
func (v *View) Now() int64 { return v.Time }

// MaxValue implements command.View.
func (v *View) MaxValue() int { return cmp.Or(v.Max, DefaultMaxValue) }
