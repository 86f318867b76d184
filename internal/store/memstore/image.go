package memstore

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorddb/quord/internal/kv"
	"github.com/tidwall/btree"
)

// image is what a store holds at one moment. Values and the data of entries are never changed in place, so
// images share them.
type image struct {
	state *btree.Map[string, []byte]
	logs  map[uint32]*groupLog
	bytes int64 // what all of it takes
}

// overhead is what a record or an entry takes beside its bytes.
const overhead = 16

// groupLog is the log of one group; entries[0] has the index group.Start.Index+1, and one whose own Index is 0 is
// damaged. Nobody outside of the image keeps its array.
type groupLog struct {
	group   kv.Group
	entries []kv.Entry
}

func newImage() *image {
	return &image{state: new(btree.Map[string, []byte]), logs: make(map[uint32]*groupLog)}
}

// copy returns an image that changes apart from m. The tree is shared until either changes.
func (m *image) copy() *image {
	c := &image{state: m.state.IsoCopy(), logs: make(map[uint32]*groupLog, len(m.logs)), bytes: m.bytes}
	for id, l := range m.logs {
		c.logs[id] = &groupLog{group: l.group, entries: slices.Clone(l.entries)}
	}
	return c
}

func (m *image) get(key []byte) ([]byte, error) {
	if v, ok := m.state.Get(string(key)); ok {
		return v, nil
	}
	return nil, kv.ErrNotFound
}

func (m *image) scan(lower, upper []byte, fn func(key, value []byte) bool) {
	end := string(upper)
	m.state.Ascend(string(lower), func(key string, value []byte) bool {
		return (end == "" || key < end) && fn([]byte(key), value)
	})
}

// nothing reports whether no key lies in a range.
func (m *image) nothing(lower, upper []byte) bool {
	none := true
	m.state.Ascend(string(lower), func(key string, _ []byte) bool {
		none = len(upper) > 0 && key >= string(upper)
		return false
	})
	return none
}

// check refuses what kv says to refuse, before anything is changed.
func (m *image) check(w *kv.Write) error {
	for i := range w.State {
		switch op := &w.State[i]; op.Kind {
		case kv.Set, kv.Delete:
		case kv.DeleteRange:
			if len(op.Value) == 0 {
				return fmt.Errorf("%w: a DeleteRange without an upper bound", kv.ErrInvalid)
			}
		default:
			return fmt.Errorf("%w: an operation of kind %d", kv.ErrInvalid, op.Kind)
		}
	}
	staged := make(map[uint32]kv.Effect, len(w.Log))
	for i := range w.Log {
		op := &w.Log[i]
		before, ok := staged[op.Group]
		if l := m.logs[op.Group]; !ok && l != nil {
			before = kv.Effect{After: l.group, Exists: true}
		}
		e, err := op.Effect(before.After, before.Exists)
		if err != nil {
			return err
		}
		staged[op.Group] = e
	}
	return nil
}

// apply changes m by w, which was checked, and of which it keeps parts.
func (m *image) apply(w *kv.Write) {
	for i := range w.Log {
		m.applyLog(&w.Log[i])
	}
	for i := range w.State {
		switch op := &w.State[i]; op.Kind {
		case kv.Set:
			old, had := m.state.Set(string(op.Key), op.Value)
			m.bytes += recordBytes(len(op.Key), op.Value)
			if had {
				m.bytes -= recordBytes(len(op.Key), old)
			}
		case kv.Delete:
			m.remove(string(op.Key))
		case kv.DeleteRange:
			m.deleteRange(string(op.Key), string(op.Value))
		}
	}
}

func (m *image) deleteRange(lower, upper string) {
	var keys []string
	m.state.Ascend(lower, func(key string, _ []byte) bool {
		if key >= upper {
			return false
		}
		keys = append(keys, key)
		return true
	})
	for _, key := range keys {
		m.remove(key)
	}
}

func (m *image) remove(key string) {
	if old, had := m.state.Delete(key); had {
		m.bytes -= recordBytes(len(key), old)
	}
}

func recordBytes(key int, value []byte) int64 { return int64(key+len(value)) + overhead }

func entryBytes(entries []kv.Entry) (n int64) {
	for i := range entries {
		n += int64(len(entries[i].Data)) + overhead
	}
	return n
}

// growth is the room that w takes, before what it replaces and removes is given back.
func growth(w *kv.Write) (n int64) {
	for i := range w.Log {
		n += entryBytes(w.Log[i].Append)
	}
	for i := range w.State {
		if op := &w.State[i]; op.Kind == kv.Set {
			n += recordBytes(len(op.Key), op.Value)
		}
	}
	return n
}

func (m *image) applyLog(op *kv.LogOp) {
	var before groupLog
	l, exists := m.logs[op.Group]
	if exists {
		before = *l
	}
	e, err := op.Effect(before.group, exists)
	if err != nil {
		panic("memstore: a Write that was checked is invalid: " + err.Error())
	}
	m.bytes -= entryBytes(before.entries)
	if !e.Exists {
		delete(m.logs, op.Group)
		return
	}
	first, entries := before.group.Start.Index+1, before.entries
	if op.Destroy {
		first, entries = 1, nil
	}
	if op.Reset != nil {
		first, entries = op.Reset.Index+1, nil
	}
	if len(op.Append) > 0 {
		entries = append(entries[:op.Append[0].Index-first], op.Append...)
	}
	entries = entries[e.After.Start.Index+1-first:]
	m.logs[op.Group] = &groupLog{group: e.After, entries: entries}
	m.bytes += entryBytes(entries)
}

// clone copies w and all that it points to, for Apply may keep nothing of its caller's.
func clone(w *kv.Write) *kv.Write {
	c := &kv.Write{Log: slices.Clone(w.Log), State: slices.Clone(w.State)}
	for i := range c.Log {
		op := &c.Log[i]
		op.Append = slices.Clone(op.Append)
		for j := range op.Append {
			op.Append[j].Data = append([]byte{}, op.Append[j].Data...)
		}
		op.Reset, op.Truncate, op.Hard = cloneOf(op.Reset), cloneOf(op.Truncate), cloneOf(op.Hard)
	}
	for i := range c.State {
		op := &c.State[i]
		op.Key = bytes.Clone(op.Key)
		op.Value = append([]byte{}, op.Value...)
	}
	return c
}

func cloneOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
