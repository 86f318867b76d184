package tablet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/slot"
)

// Data is the machine of a tablet of keys: Redis' commands over records. It never changes and may be shared.
type Data struct {
	first, last uint16 // slots
}

// NewData returns the machine of tablet t of tablets.
func NewData(t uint32, tablets int) *Data {
	first, last := slot.Range(t, tablets)
	return &Data{first: first, last: last}
}

// Apply implements Machine.
func (d *Data) Apply(m *Moment, commands []request.Command) [][]byte {
	v := d.writing(m)
	defer v.done()
	replies := make([][]byte, len(commands))
	size := 0
	for i, c := range commands {
		if size > maxReplyBytes || v.written > maxEntryBytes {
			return replies[:i]
		}
		mark, keys, soonest := m.Tx.mark(), *m.Keys, *m.Soonest
		replies[i] = command.Evaluate(v, c, nil)
		if err := m.Tx.err; err != nil && m.Alone && Damaged(err) {
			m.Tx.back(mark)
			*m.Keys, *m.Soonest = keys, soonest
			m.Wounds++
			replies[i] = unreadable(nil, err)
		}
		size += len(replies[i])
	}
	return replies
}

// What one entry may change, and what one request may answer, is bounded, whatever its commands: a short APPEND writes a
// long value anew. Beyond the bounds the next command is left for another request. Every replica must leave the same ones,
// so these are as good as a format.
const (
	maxEntryBytes = 64 << 20 // of records, beside those of the last command
	maxReplyBytes = 8 << 20  // of replies, beside the last one
)

// unreadable is what a client is told whose command needs a record that no replica can read.
func unreadable(dst []byte, err error) []byte {
	return fmt.Appendf(dst, "-ERR a stored record is damaged, and there is no other replica to mend it from (SET replaces it): %v\r\n", err)
}

// Read implements Machine.
func (d *Data) Read(r *Reading, commands []request.Command, replies [][]byte) (out, expired [][]byte) {
	v := readViews.Get().(*readView)
	defer func() { *v = readView{view: view{key: v.key[:0]}}; readViews.Put(v) }()
	v.data, v.now, v.r = d, r.Time, r
	size := 0
	for i, c := range commands {
		if size > maxReplyBytes {
			break
		}
		var reply []byte
		if i < cap(replies) {
			reply = replies[:i+1][i][:0] // the space of an earlier reply
		}
		spec := command.Find(c[0])
		if spec == nil || spec.IsWrite() {
			replies = append(replies, unknown(c[0]))
			continue
		}
		v.err = nil
		reply = command.Evaluate(v, c, reply)
		if v.err != nil {
			reply = unreadable(reply[:0], v.err)
			if Damaged(v.err) {
				r.Damage = v.err
			}
		}
		replies = append(replies, reply)
		size += len(reply)
	}
	return replies, v.expired
}

func unknown(name []byte) []byte {
	return fmt.Appendf(nil, "-ERR '%.64s' is no read that the replica knows\r\n", name)
}

// Damage implements Machine.
func (d *Data) Damage(state kv.Reader, commands []request.Command) error {
	for _, c := range commands {
		spec := command.Find(c[0])
		if spec == nil {
			continue
		}
		for _, key := range spec.Keys(c) {
			stored := record.AppendKey(nil, key, nil)
			b, err := state.Get(stored)
			if err == nil {
				_, err = record.Decode(stored, b)
			}
			if Damaged(err) {
				return fmt.Errorf("key %q: %w", key, err)
			}
		}
	}
	return nil
}

// Expire implements Machine.
func (d *Data) Expire(m *Moment, keys [][]byte) (n int) {
	v := d.writing(m)
	defer v.done()
	for _, k := range keys {
		mark := m.Tx.mark()
		r, ok := v.stored(k)
		if m.Alone && Damaged(m.Tx.err) {
			// Nobody has to read what is removed, and nobody else could. Of its expiry the index is left (see overdue).
			m.Tx.back(mark)
			m.Tx.Delete(bytes.Clone(v.key))
			*m.Keys--
			m.Wounds++
			n++
		} else if ok && r.Expired(m.Time) {
			v.Delete(k)
			n++
		}
	}
	return n
}

// Overdue implements Machine.
func (d *Data) Overdue(r *Reading, limit int) (keys [][]byte, next int64, err error) {
	// One look at all slots comes first: a node that takes over hundreds of tablets sweeps them all at once, and most
	// hold nothing that expires.
	some := false
	from, to := d.expiries()
	if err := r.State.Scan(from, to, func(_, _ []byte) bool { some = true; return false }); err != nil || !some {
		return nil, 0, err
	}
	for s := int(d.first); s <= int(d.last); s++ {
		lower, upper := prefixRange(binary.BigEndian.AppendUint16([]byte{prefixExpiry}, uint16(s)))
		scanErr := r.State.Scan(lower, upper, func(k, _ []byte) bool {
			if len(k) < expiryHead {
				err = fmt.Errorf("an expiry of slot %d: %w", s, kv.ErrCorrupt)
				return false
			}
			at := int64(binary.BigEndian.Uint64(k[3:]))
			if at <= r.Time && len(keys) < limit {
				var due bool
				if due, err = overdue(r, k[expiryHead:], at); due {
					keys = append(keys, bytes.Clone(k[expiryHead:]))
				}
				return err == nil
			}
			if next == 0 || at < next {
				next = at
			}
			return false
		})
		if err = errors.Join(err, scanErr); err != nil {
			return nil, 0, err
		}
	}
	return keys, next, nil
}

// overdue reports whether what the index says of a key's expiry still holds: where a damaged record was replaced or removed
// without being read it does not. Damage to the record is noted.
func overdue(r *Reading, key []byte, at int64) (bool, error) {
	stored := record.AppendKey(nil, key, nil)
	b, err := r.State.Get(stored)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	var rec record.Record
	if err == nil {
		rec, err = record.Decode(stored, b)
	}
	if Damaged(err) {
		r.Damage = err
		return true, nil
	}
	return rec.ExpireAt == at, err
}

// Ranges implements Machine.
func (d *Data) Ranges() [][2][]byte {
	lower, upper := record.Range(d.first, d.last)
	from, to := d.expiries()
	return [][2][]byte{{lower, upper}, {from, to}}
}

// expiries returns the range of the index of what expires.
func (d *Data) expiries() (from, to []byte) {
	from = binary.BigEndian.AppendUint16([]byte{prefixExpiry}, d.first)
	_, to = prefixRange(binary.BigEndian.AppendUint16([]byte{prefixExpiry}, d.last))
	return from, to
}

// Installed implements Machine: nothing of the state is kept elsewhere.
func (d *Data) Installed(kv.Reader) error { return nil }

const expiryHead = 1 + 2 + 8

func expiryKey(s uint16, at int64, key []byte) []byte {
	b := make([]byte, 0, expiryHead+len(key))
	b = binary.BigEndian.AppendUint16(append(b, prefixExpiry), s)
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	return append(b, key...)
}

// view is what reads and writes share of command.View.
type view struct {
	data *Data
	now  int64
	key  []byte // scratch
}

// Now implements command.View.
func (v *view) Now() int64 { return v.now }

// scan walks the records of a reader from a place on; decoding errors end it.
func (v *view) scan(r kv.Reader, s uint16, hash uint64, fn func(slot uint16, hash uint64, key []byte, r record.Record) bool) error {
	if s < v.data.first {
		s, hash = v.data.first, 0
	}
	if s > v.data.last {
		return nil
	}
	_, upper := record.Range(v.data.first, v.data.last)
	var bad error
	err := r.Scan(record.AppendPosition(nil, s, hash), upper, func(stored, value []byte) bool {
		var at uint16
		var h uint64
		var key, field []byte
		if at, h, key, field, bad = record.ParseKey(stored); bad != nil {
			return false
		}
		if len(field) > 0 {
			return true
		}
		var rec record.Record
		if rec, bad = record.Decode(stored, value); bad != nil {
			return false
		}
		return fn(at, h, key, rec)
	})
	return errors.Join(err, bad)
}

// writeView is the view of an entry that is being applied.
type writeView struct {
	view
	m       *Moment
	written int // bytes of records
}

// writeViews are kept for reuse, like readViews.
var writeViews = sync.Pool{New: func() any { return new(writeView) }}

func (d *Data) writing(m *Moment) *writeView {
	v := writeViews.Get().(*writeView)
	v.data, v.now, v.m = d, m.Time, m
	return v
}

func (v *writeView) done() {
	*v = writeView{view: view{key: v.key[:0]}}
	writeViews.Put(v)
}

// stored returns what lies under key, expired or not, and leaves the stored key in v.key.
func (v *writeView) stored(key []byte) (record.Record, bool) {
	v.key = record.AppendKey(v.key[:0], key, nil)
	b := v.m.Tx.Get(v.key)
	if b == nil {
		return record.Record{}, false
	}
	r, err := record.Decode(v.key, b)
	if err != nil {
		v.m.Tx.fail(fmt.Errorf("key %q: %w", key, err))
		return record.Record{}, false
	}
	return r, true
}

// Get implements command.View.
func (v *writeView) Get(key []byte) (record.Record, bool) {
	r, ok := v.stored(key)
	if !ok || r.Expired(v.now) {
		return record.Record{}, false
	}
	return r, true
}

// Put implements command.View.
func (v *writeView) Put(key []byte, r record.Record) {
	mark := v.m.Tx.err
	old, had := v.stored(key)
	if mark == nil && v.m.Alone && Damaged(v.m.Tx.err) {
		v.m.Tx.err, had = nil, true // what nobody can read is replaced; its expiry, if it had one, is stale
		v.m.Wounds++
	}
	if !had {
		*v.m.Keys++
	} else if old.ExpireAt != 0 && old.ExpireAt != r.ExpireAt {
		v.m.Tx.Delete(expiryKey(slot.Of(key), old.ExpireAt, key))
	}
	if r.ExpireAt != 0 && (!had || old.ExpireAt != r.ExpireAt) {
		v.m.Tx.Set(expiryKey(slot.Of(key), r.ExpireAt, key), nil)
		if *v.m.Soonest < 0 || *v.m.Soonest > r.ExpireAt {
			*v.m.Soonest = r.ExpireAt
		}
	}
	r.Version = v.m.Index
	both := make([]byte, 0, len(v.key)+len(r.Value)+record.Overhead)
	both = append(both, v.key...)
	stored := both[:len(v.key):len(v.key)]
	value := r.Append(both[len(stored):], stored)
	v.m.Tx.Set(stored, value)
	v.written += len(stored) + len(value)
}

// Delete implements command.View.
func (v *writeView) Delete(key []byte) {
	old, had := v.stored(key)
	if !had {
		return
	}
	*v.m.Keys--
	if old.ExpireAt != 0 {
		v.m.Tx.Delete(expiryKey(slot.Of(key), old.ExpireAt, key))
	}
	v.m.Tx.Delete(bytes.Clone(v.key))
}

// Clear implements command.View.
func (v *writeView) Clear() {
	for _, r := range v.data.Ranges() {
		v.m.Tx.DeleteRange(r[0], r[1])
	}
	*v.m.Keys, *v.m.Soonest = 0, -1
}

// MaxValue implements command.View.
func (v *writeView) MaxValue() int { return v.m.MaxValue }

// Len implements command.View.
func (v *writeView) Len() int64 { return *v.m.Keys }

// Scan implements command.View. A write that walks a tablet would have to see the turn's own changes in order;
// no command does.
func (v *writeView) Scan(uint16, uint64, func(uint16, uint64, []byte, record.Record) bool) {
	panic("tablet: a write command scans")
}

// readViews are kept for reuse: reads are many, on many goroutines, and short.
var readViews = sync.Pool{New: func() any { return new(readView) }}

// readView is the view of a read on the leader.
type readView struct {
	view
	r       *Reading
	expired [][]byte
	err     error
}

// Get implements command.View.
func (v *readView) Get(key []byte) (record.Record, bool) {
	v.key = record.AppendKey(v.key[:0], key, nil)
	b, err := v.r.State.Get(v.key)
	if err != nil {
		if !errors.Is(err, kv.ErrNotFound) {
			v.err = err
		}
		return record.Record{}, false
	}
	r, err := record.Decode(v.key, b)
	if err != nil {
		v.err = err
		return record.Record{}, false
	}
	if r.Expired(v.now) {
		v.expired = append(v.expired, append([]byte(nil), key...))
		return record.Record{}, false
	}
	return r, true
}

// Scan implements command.View.
func (v *readView) Scan(s uint16, hash uint64, fn func(slot uint16, hash uint64, key []byte, r record.Record) bool) {
	if err := v.scan(v.r.State, s, hash, fn); err != nil {
		v.err = err
	}
}

// MaxValue implements command.View; nothing grows in a read.
func (v *readView) MaxValue() int { return 0 }

// Len implements command.View.
func (v *readView) Len() int64 { return v.r.Keys }

// Put implements command.View; a read command that writes is a defect of the command table.
func (v *readView) Put([]byte, record.Record) { panic("tablet: a read command writes") }

// Delete implements command.View, like Put.
func (v *readView) Delete([]byte) { panic("tablet: a read command deletes") }

// Clear implements command.View, like Put.
func (v *readView) Clear() { panic("tablet: a read command clears") }
