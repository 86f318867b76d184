package tablet

import (
	"bytes"
	"errors"

	"github.com/quorddb/quord/internal/kv"
)

// Tx is what a machine sees and changes while entries of one tablet are applied in one turn: the state in the
// store with the turn's own changes on top. It is used by one goroutine and emptied after each turn.
//
// Reads do not fail into wrong answers: the first error of the store is kept, and the replica stops when the
// turn's changes are collected.
type Tx struct {
	store kv.Reader
	ops   []kv.Op
	bytes int // of ops
	// index finds the last change of a key in ops, once there are more than a few.
	index map[string]int
	err   error
}

// fewOps is how many changes are searched one by one before the index is made.
const fewOps = 8

// Get returns the value of a state key, or nil where there is none.
func (t *Tx) Get(key []byte) []byte {
	if op := t.find(key); op != nil {
		if op.Kind == kv.Set {
			return op.Value
		}
		return nil
	}
	v, err := t.store.Get(key)
	if err != nil {
		if !errors.Is(err, kv.ErrNotFound) {
			t.fail(err)
		}
		return nil
	}
	return v
}

// find returns the last change that concerns key.
func (t *Tx) find(key []byte) *kv.Op {
	if t.index != nil {
		if i, ok := t.index[string(key)]; ok {
			return &t.ops[i]
		}
		for i := len(t.ops) - 1; i >= 0; i-- { // ranges are rare: FLUSHALL
			if op := &t.ops[i]; op.Kind == kv.DeleteRange && inRange(key, op) {
				return op
			}
		}
		return nil
	}
	for i := len(t.ops) - 1; i >= 0; i-- {
		op := &t.ops[i]
		if op.Kind == kv.DeleteRange && inRange(key, op) || op.Kind != kv.DeleteRange && bytes.Equal(op.Key, key) {
			return op
		}
	}
	return nil
}

func inRange(key []byte, op *kv.Op) bool {
	return bytes.Compare(key, op.Key) >= 0 && bytes.Compare(key, op.Value) < 0
}

// Set writes a state key. key and value must not be modified afterwards.
func (t *Tx) Set(key, value []byte) { t.add(kv.Op{Kind: kv.Set, Key: key, Value: value}) }

// Delete deletes a state key. key must not be modified afterwards.
func (t *Tx) Delete(key []byte) { t.add(kv.Op{Kind: kv.Delete, Key: key}) }

// DeleteRange deletes the state keys in [lower, upper).
func (t *Tx) DeleteRange(lower, upper []byte) {
	for k := range t.index {
		if b := []byte(k); bytes.Compare(b, lower) >= 0 && bytes.Compare(b, upper) < 0 {
			delete(t.index, k)
		}
	}
	t.add(kv.Op{Kind: kv.DeleteRange, Key: lower, Value: upper})
}

func (t *Tx) add(op kv.Op) {
	t.ops = append(t.ops, op)
	t.bytes += len(op.Key) + len(op.Value)
	switch {
	case t.index != nil:
		if op.Kind != kv.DeleteRange {
			t.index[string(op.Key)] = len(t.ops) - 1
		}
	case len(t.ops) > fewOps:
		t.index = make(map[string]int, 4*fewOps)
		for i := range t.ops {
			o := &t.ops[i]
			if o.Kind == kv.DeleteRange {
				for k := range t.index {
					if inRange([]byte(k), o) {
						delete(t.index, k)
					}
				}
				continue
			}
			t.index[string(o.Key)] = i
		}
	}
}

// mark is a place among the changes to which back returns. Errors since are forgotten too.
func (t *Tx) mark() int { return len(t.ops) }

func (t *Tx) back(mark int) {
	for _, op := range t.ops[mark:] {
		t.bytes -= len(op.Key) + len(op.Value)
	}
	t.ops, t.index, t.err = t.ops[:mark], nil, nil // a later change makes the index anew
}

func (t *Tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// take appends the changes since the last take to ops.
func (t *Tx) take(ops []kv.Op) ([]kv.Op, error) {
	ops, err := append(ops, t.ops...), t.err
	if cap(t.ops) > maxSpareOps {
		t.ops = nil
	}
	clear(t.ops)
	t.ops, t.bytes, t.index, t.err = t.ops[:0], 0, nil, nil
	return ops, err
}

// maxSpareOps is how many places for changes are kept for the next turn.
const maxSpareOps = 64
