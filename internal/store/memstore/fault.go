package memstore

import (
	"bytes"
	"slices"

	"github.com/quorddb/quord/internal/kv"
)

// SetCapacity bounds the bytes that fit on the disk; 0 is no bound. A Write that does not fit fails the store, with an
// error that wraps kv.ErrNoSpace. Crash and Tear hand the bound on.
func (s *Store) SetCapacity(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = n
}

// Room returns how many bytes still fit, and how many fit in all; both 0 while there is no bound.
func (s *Store) Room() (free, total uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return uint64(max(0, s.capacity-s.now.bytes)), uint64(s.capacity)
}

// Flip turns over one bit of a stored value, as a failing disk does; bit counts from the first and wraps. It reports
// whether there is such a key with a value to damage. Snapshots taken before keep what they saw.
func (s *Store) Flip(key []byte, bit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.now.state.Get(string(key))
	if !ok || len(value) == 0 {
		return false
	}
	damaged := bytes.Clone(value)
	bit %= 8 * len(damaged)
	damaged[bit/8] ^= 1 << (bit % 8)
	s.now.state.Set(string(key), damaged)
	if old, ok := s.disk.state.Get(string(key)); ok && bytes.Equal(old, value) {
		s.disk.state.Set(string(key), damaged)
	}
	return true
}

// FlipEntry damages a stored entry of a log: a store has a checksum over each, so Entries answers kv.ErrCorrupt there
// until it is replaced. It reports whether there is such an entry.
func (s *Store) FlipEntry(group uint32, index uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disk.damage(group, index)
	return s.now.damage(group, index)
}

func (m *image) damage(group uint32, index uint64) bool {
	l, ok := m.logs[group]
	if !ok || index <= l.group.Start.Index || index > l.group.Last {
		return false
	}
	l.entries[index-l.group.Start.Index-1].Index = 0
	return true
}

// Tear cuts the power like Crash, and in the midst of a Write: of the n Writes that were not durable the first whole
// survive, and of at most logs of those that follow what they append to their logs, and the hard states. That ends at
// the first Write that takes entries away, for what it removes goes no sooner than the state that was written with it.
func (s *Store) Tear(cut func(unsynced int) (whole, logs int)) *Store {
	s.mu.Lock()
	s.closed = true
	unsynced := len(s.queue)
	s.mu.Unlock()
	whole, logs := cut(unsynced)
	s.mu.Lock()
	defer s.mu.Unlock()
	whole = min(max(whole, 0), len(s.queue))
	disk := s.disk.copy()
	for _, w := range s.queue[:whole] {
		disk.apply(w)
	}
	for _, w := range s.queue[whole:min(whole+max(logs, 0), len(s.queue))] {
		if slices.ContainsFunc(w.Log, func(op kv.LogOp) bool { return op.Destroy || op.Reset != nil || op.Truncate != nil }) {
			break
		}
		disk.apply(&kv.Write{Log: w.Log})
	}
	next := start(disk)
	next.capacity = s.capacity
	return next
}

// Durable returns a copy of what is on the disk now, as a backup would have it.
func (s *Store) Durable() *Store {
	s.mu.RLock()
	defer s.mu.RUnlock()
	next := start(s.disk.copy())
	next.capacity = s.capacity
	return next
}

// Bytes returns how many bytes of the disk are taken.
func (s *Store) Bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.now.bytes
}

// Failed reports whether the disk refuses writes for good.
func (s *Store) Failed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.failed != nil
}
