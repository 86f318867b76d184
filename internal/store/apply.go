package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/quorddb/quord/internal/kv"
)

const (
	// maxWriteBytes bounds one Write; the journal and Pebble could take 2 GiB.
	maxWriteBytes = 1 << 30
	// pointDeletes is the longest span of entries that is deleted one by one. A range tombstone costs every
	// read until it is compacted away, so it has to be worth it.
	pointDeletes = 16
)

// Apply implements kv.Store. Concurrent calls wait for each other, and for a checkpoint that is long overdue.
func (s *Store) Apply(w *kv.Write, sync bool) (kv.Pending, error) {
	s.pace()
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	if s.closed || s.gate.closed() {
		return nil, kv.ErrClosed
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if err := check(w); err != nil {
		return nil, err
	}
	defer s.unstage()
	if err := s.stage(w.Log); err != nil {
		return nil, err
	}
	number := s.journal.Last()
	if !w.Empty() {
		number = s.journal.Append(func(dst []byte) []byte {
			start := len(dst)
			dst = appendWrite(dst, w)
			s.volume.Add(int64(len(dst) - start))
			return dst
		})
		s.absorb(w, number)
	}
	if s.journal.Short() {
		s.keeper.kick()
	}
	if sync {
		return &pending{store: s, number: number}, nil
	}
	if err := s.journal.Spill(); err != nil {
		return nil, s.fail("write", err)
	}
	return durable{}, nil
}

// absorb makes w visible, whose log has been staged and whose number in the journal is given.
func (s *Store) absorb(w *kv.Write, number uint64) {
	(*s.layers.Load())[0].apply(w.State, number, s.newest.Load())
	s.publish(w.Log)
}

// check refuses what could not be stored.
func check(w *kv.Write) error {
	size := 0
	for i := range w.Log {
		for j := range w.Log[i].Append {
			size += len(w.Log[i].Append[j].Data) + logKeyLen + entryOverhead
		}
	}
	for i := range w.State {
		op := &w.State[i]
		switch op.Kind {
		case kv.Set, kv.Delete:
		case kv.DeleteRange:
			if len(op.Value) == 0 {
				return fmt.Errorf("%w: a DeleteRange without an upper bound", kv.ErrInvalid)
			}
		default:
			return fmt.Errorf("%w: an operation of kind %d", kv.ErrInvalid, op.Kind)
		}
		size += len(op.Key) + len(op.Value)
	}
	if size > maxWriteBytes {
		return fmt.Errorf("%w: %d bytes, a Write holds at most %d", kv.ErrInvalid, size, maxWriteBytes)
	}
	return nil
}

// fillState puts ops into b. Batch methods answer errors only to indexed batches.
func fillState(b *pebble.Batch, ops []kv.Op) {
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case kv.Set:
			d := b.SetDeferred(1+len(op.Key), len(op.Value))
			putStateKey(d.Key, op.Key)
			copy(d.Value, op.Value)
			_ = d.Finish()
		case kv.Delete:
			d := b.DeleteDeferred(1 + len(op.Key))
			putStateKey(d.Key, op.Key)
			_ = d.Finish()
		case kv.DeleteRange:
			d := b.DeleteRangeDeferred(1+len(op.Key), 1+len(op.Value))
			putStateKey(d.Key, op.Key)
			putStateKey(d.Value, op.Value)
			_ = d.Finish()
		}
	}
}

func putStateKey(dst, key []byte) {
	dst[0] = statePrefix
	copy(dst[1:], key)
}

func dropEntries(b *pebble.Batch, group uint32, span kv.Span) {
	if span.Len() > pointDeletes {
		d := b.DeleteRangeDeferred(logKeyLen, logKeyLen)
		putLogKey(d.Key, group, span.Lo)
		putLogKey(d.Value, group, span.Hi)
		_ = d.Finish()
		return
	}
	for i := span.Lo; i < span.Hi; i++ {
		d := b.DeleteDeferred(logKeyLen)
		putLogKey(d.Key, group, i)
		_ = d.Finish()
	}
}

// durable is the Pending of a Write that waits for nothing.
type durable struct{}

func (durable) Wait() error { return nil }

// pending is a Write on its way to the disk: whoever waits first takes it there, with all that were applied by then.
type pending struct {
	store  *Store
	number uint64
}

// Wait implements kv.Pending. Once the store has failed it does not vouch for any Write, even if this one's sync
// went well.
func (p *pending) Wait() error {
	s := p.store
	if err := s.journal.Sync(p.number); err != nil {
		return s.fail("sync", err)
	}
	return s.Err()
}
