package store

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/quorddb/quord/internal/kv"
)

const (
	// maxWriteBytes bounds one Write; Pebble itself could take 4 GiB.
	maxWriteBytes = 1 << 30
	// pointDeletes is the longest span of entries that is deleted one by one. A range tombstone costs every
	// read until it is compacted away, so it has to be worth it.
	pointDeletes = 16
)

// Apply implements kv.Store. Concurrent calls wait for each other.
func (s *Store) Apply(w *kv.Write, sync bool) (kv.Pending, error) {
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
	b := s.db.NewBatch()
	s.fill(b, w)
	if b.Empty() {
		if !sync {
			_ = b.Close() // it holds nothing
			return durable{}, nil
		}
		if err := b.LogData(nil, nil); err != nil { // makes earlier Writes durable
			return nil, s.fail("sync", err)
		}
	}
	s.values.begin(w.State)
	if err := s.commit(b, sync); err != nil {
		return nil, err // what w changes stays hidden in the cache: nobody knows what Pebble shows
	}
	s.values.end()
	s.publish()
	if !sync {
		if err := b.Close(); err != nil {
			return nil, s.fail("release a batch", err)
		}
		return durable{}, nil
	}
	return s.track(b), nil
}

// check refuses what Pebble would not take.
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

// fill puts w into b, log first. The log has been staged. Batch methods answer errors only to indexed batches.
func (s *Store) fill(b *pebble.Batch, w *kv.Write) {
	for i := range w.Log {
		fillLog(b, &w.Log[i], &s.effects[i])
	}
	for i := range w.State {
		op := &w.State[i]
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
			if string(op.Key) >= string(op.Value) {
				continue
			}
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

func fillLog(b *pebble.Batch, op *kv.LogOp, e *kv.Effect) {
	dropEntries(b, op.Group, e.Drop)
	for i := range op.Append {
		entry := &op.Append[i]
		d := b.SetDeferred(logKeyLen, len(entry.Data)+entryOverhead)
		putLogKey(d.Key, op.Group, entry.Index)
		putEntry(d.Value, d.Key, entry)
		_ = d.Finish()
	}
	dropEntries(b, op.Group, e.Tail)
	dropEntries(b, op.Group, e.Head)
	switch {
	case !e.Exists:
		d := b.DeleteDeferred(hardKeyLen)
		putHardKey(d.Key, op.Group)
		_ = d.Finish()
	case e.HardChanged:
		d := b.SetDeferred(hardKeyLen, hardLen)
		putHardKey(d.Key, op.Group)
		putHard(d.Value, d.Key, &e.After)
		_ = d.Finish()
	}
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

// commit makes b visible and begins to write it. After an error the store has failed.
func (s *Store) commit(b *pebble.Batch, sync bool) error {
	err := guard(func() error {
		if sync {
			return s.db.ApplyNoSyncWait(b, pebble.Sync)
		}
		return s.db.Apply(b, pebble.NoSync)
	})
	if err != nil {
		return s.fail("commit", err)
	}
	return nil
}

// durable is the Pending of a Write that waits for nothing.
type durable struct{}

func (durable) Wait() error { return nil }

// pending is a batch on its way to the disk. Pebble writes to the batch until SyncWait has returned, so neither it
// nor the database may end before: Close waits for those that nobody has waited for.
type pending struct {
	store *Store
	batch *pebble.Batch
	once  sync.Once
	err   error
}

func (s *Store) track(b *pebble.Batch) *pending {
	p := &pending{store: s, batch: b}
	s.pendingMu.Lock()
	s.pending[p] = struct{}{}
	s.pendingMu.Unlock()
	return p
}

func (s *Store) pendings() []*pending {
	s.pendingMu.Lock()
	defer s.pendingMu.Unlock()
	all := make([]*pending, 0, len(s.pending))
	for p := range s.pending {
		all = append(all, p)
	}
	return all
}

// Wait implements kv.Pending. Once the store has failed it does not vouch for any Write, even if this one's sync
// went well.
func (p *pending) Wait() error {
	p.once.Do(func() {
		s := p.store
		if err := p.batch.SyncWait(); err != nil {
			p.err = s.fail("sync", err)
		} else {
			p.err = s.Err()
		}
		if err := p.batch.Close(); err != nil && p.err == nil {
			p.err = s.fail("release a batch", err)
		}
		p.batch = nil
		s.pendingMu.Lock()
		delete(s.pending, p)
		s.pendingMu.Unlock()
	})
	return p.err
}
