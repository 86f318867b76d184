// Package memstore is a kv.Store in memory whose power can be cut: for simulated worlds and for tests.
//
// It owns two images of the same store: what readers see, and what the disk holds. A Write reaches the first in Apply
// and the second when it, or a later one, has been waited for; between the two it stands in a queue, whole. Crash
// returns the store that the next start would find: the disk, and as many of the queued Writes as the caller decides,
// in order. So a simulated crash keeps exactly what kv promises, and nothing else unless it is asked to.
//
// It refuses what kv refuses, with the same errors, and a disk that is told to Fail, or that is full, fails for good.
// What else happens to disks is in fault.go: a bound on what fits, flipped bits, a crash in the midst of a Write. The
// queue holds at most maxQueue Writes: past that the oldest goes to the disk, as the disk may do with an unsynced Write at any time.
//
// The package is pure: no clock, no randomness, no goroutine. All methods may be called from several goroutines at a
// time; functions given to Scan, Groups and Crash are called without its lock, so they may use the store.
package memstore

import (
	"fmt"
	"slices"
	"sync"

	"github.com/quorddb/quord/internal/kv"
)

// maxQueue bounds the Writes that are applied and not yet on the disk.
const maxQueue = 4096

// Store is a kv.Store in memory. Make it with New.
type Store struct {
	mu sync.RWMutex
	// All below is guarded by mu.
	now  *image
	disk *image
	// queue holds what is in now and not in disk; first is the number of queue[0], counted from 1.
	queue  []*kv.Write
	first  uint64
	failed error
	closed bool
	// capacity bounds the bytes that fit; 0 is no bound.
	capacity int64
}

var _ kv.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return start(newImage()) }

func start(disk *image) *Store {
	return &Store{now: disk.copy(), disk: disk, first: 1}
}

// Get implements kv.Reader.
func (s *Store) Get(key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, kv.ErrClosed
	}
	return s.now.get(key)
}

// Scan implements kv.Reader. It reads the moment at which it began.
func (s *Store) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	s.mu.RLock()
	nothing := !s.closed && s.now.nothing(lower, upper)
	s.mu.RUnlock()
	if nothing {
		return nil // without a copy, after which each change of the tree would have to copy as well
	}
	snap, err := s.Snapshot()
	if err != nil {
		return err
	}
	return snap.Scan(lower, upper, fn)
}

// Snapshot implements kv.Store.
func (s *Store) Snapshot() (kv.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, kv.ErrClosed
	}
	return &snapshot{store: s, image: image{state: s.now.state.IsoCopy()}}, nil
}

// Apply implements kv.Store.
func (s *Store) Apply(w *kv.Write, sync bool) (kv.Pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, kv.ErrClosed
	case s.failed != nil:
		return nil, s.failed
	}
	if err := s.now.check(w); err != nil {
		return nil, fmt.Errorf("memstore: %w", err)
	}
	if s.capacity > 0 && s.now.bytes+growth(w) > s.capacity {
		s.fail(fmt.Errorf("%w: %d of %d bytes are taken", kv.ErrNoSpace, s.now.bytes, s.capacity))
		return nil, s.failed
	}
	own := clone(w)
	s.now.apply(own)
	s.queue = append(s.queue, own)
	if len(s.queue) > maxQueue {
		s.sync(s.first)
	}
	if !sync {
		return durable{}, nil
	}
	return &pending{store: s, number: s.first + uint64(len(s.queue)) - 1}, nil
}

// sync moves the Writes up to number from the queue to the disk.
func (s *Store) sync(number uint64) {
	n := 0
	for n < len(s.queue) && s.first <= number {
		s.disk.apply(s.queue[n])
		s.queue[n] = nil
		s.first++
		n++
	}
	s.queue = s.queue[n:]
}

// Groups implements kv.Store.
func (s *Store) Groups(fn func(kv.Group) error) error {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return kv.ErrClosed
	}
	all := make([]kv.Group, 0, len(s.now.logs))
	for _, l := range s.now.logs {
		all = append(all, l.group)
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b kv.Group) int { return int(int64(a.ID) - int64(b.ID)) })
	for _, g := range all {
		if err := fn(g); err != nil {
			return err
		}
	}
	return nil
}

// Entries implements kv.Store.
func (s *Store) Entries(group uint32, lo, hi, maxBytes uint64) ([]kv.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, kv.ErrClosed
	}
	if hi <= lo {
		return nil, nil
	}
	l, ok := s.now.logs[group]
	if !ok || lo <= l.group.Start.Index || lo > l.group.Last {
		return nil, kv.ErrNotFound
	}
	first := l.group.Start.Index + 1
	found := l.entries[lo-first : min(hi, l.group.Last+1)-first]
	size := uint64(0)
	for i := range found {
		if found[i].Index == 0 {
			if i > 0 {
				found = found[:i]
				break
			}
			return nil, fmt.Errorf("memstore: group %d, entry %d: %w", group, lo, kv.ErrCorrupt)
		}
		if size += uint64(len(found[i].Data)); size > maxBytes && i > 0 {
			found = found[:i]
			break
		}
	}
	return slices.Clone(found), nil
}

// Close implements kv.Store: what was applied goes to the disk, unless that failed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.failed == nil {
		s.sync(s.first + uint64(len(s.queue)))
	}
	return s.failed
}

// Fail makes the disk fail: nothing more becomes durable, and every later Apply and Wait answers with the cause.
func (s *Store) Fail(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(cause)
}

func (s *Store) fail(cause error) {
	if s.failed == nil {
		s.failed = fmt.Errorf("memstore: %w: %w", kv.ErrFailed, cause)
	}
}

// Crash cuts the power: the store is closed, and a new one is returned that holds what was durable and the first
// keep(n) of the n Writes that were not; a nil keep keeps none. After Close it is how the same disk is opened again.
func (s *Store) Crash(keep func(unsynced int) int) *Store {
	return s.Tear(func(unsynced int) (whole, logs int) {
		if keep == nil {
			return 0, 0
		}
		return keep(unsynced), 0
	})
}

type snapshot struct {
	store *Store
	image
	mu     sync.Mutex
	closed bool // guarded by mu
}

// open reports whether neither the snapshot nor its store is closed.
func (r *snapshot) open() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.store.mu.RLock()
	defer r.store.mu.RUnlock()
	return !r.store.closed
}

func (r *snapshot) Get(key []byte) ([]byte, error) {
	if !r.open() {
		return nil, kv.ErrClosed
	}
	return r.get(key)
}

func (r *snapshot) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	if !r.open() {
		return kv.ErrClosed
	}
	r.scan(lower, upper, fn)
	return nil
}

func (r *snapshot) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return nil
}

// pending is a Write that is durable once number is on the disk.
type pending struct {
	store  *Store
	number uint64
}

// Wait implements kv.Pending. It is the moment at which the Write reaches the disk. After Close or a crash it
// answers whether the Write got there in time.
func (p *pending) Wait() error {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case s.closed && s.first <= p.number:
		return kv.ErrClosed
	case !s.closed:
		s.sync(p.number)
	}
	return nil
}

type durable struct{}

func (durable) Wait() error { return nil }
