package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store/journal"
)

// Store is one node's disk. Make it with Open.
type Store struct {
	cfg     Config
	db      *pebble.DB
	blocks  *pebble.Cache
	lock    *pebble.Lock
	values  *values
	gate    gate
	bareFS  vfs.FS // as it was given
	ballast ballast

	journal *journal.Journal
	keeper  keeper
	// layers is the state that Pebble does not show yet, the newest first; Apply changes the first. The list is replaced
	// with applyMu held.
	layers atomic.Pointer[layers]
	// volume is how much is in the journal that Pebble does not have.
	volume atomic.Int64

	failure  atomic.Pointer[failure]
	failOnce sync.Once
	// wedged is closed, once, when Pebble panicked: it may hold its locks for good, so it must not be called to end.
	wedged    chan struct{}
	wedgeOnce sync.Once
	stuck     chan error    // has room for one: why a goroutine of Pebble's ended, for which a call of ours may wait for ever
	failed    chan struct{} // closed, once, when failure is set
	// opened is set when Open succeeds; until then its errors say what failed.
	opened atomic.Bool
	counts counts

	applyMu sync.Mutex
	// closed and the scratch space are guarded by applyMu.
	closed  bool
	staged  []*group
	effects []kv.Effect

	groupMu sync.RWMutex
	// groups is guarded by groupMu; what of a group is staged belongs to the holder of applyMu.
	groups map[uint32]*group

	// newest is the number of the last Write that some open snapshot shows, or 0. It grows with applyMu held.
	newest atomic.Uint64

	snapMu    sync.Mutex
	snapshots map[*snapshot]struct{}
}

var _ kv.Store = (*Store)(nil)

// maxScratch is the number of elements of scratch space that is kept from one Write to the next.
const maxScratch = 8192

// Get implements kv.Reader.
func (s *Store) Get(key []byte) ([]byte, error) {
	if s.gate.closed() {
		return nil, kv.ErrClosed
	}
	if value, ok := s.layers.Load().get(key, now); ok {
		if value == nil {
			return nil, kv.ErrNotFound
		}
		return value, nil
	}
	value, t, ok := s.values.get(key)
	if ok {
		return value, nil
	}
	if !s.gate.enter() {
		return nil, kv.ErrClosed
	}
	defer s.gate.leave()
	value, err := get(s.db, key)
	if err == nil {
		s.values.insert(t, key, value)
	}
	return value, err
}

// Scan implements kv.Reader. fn may read the store and apply to it, but not close it.
func (s *Store) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	if !s.gate.enter() {
		return kv.ErrClosed
	}
	defer s.gate.leave()
	s.applyMu.Lock()
	above := s.layers.Load().between(lower, upper, now)
	it, err := newIter(s.db, lower, upper)
	s.applyMu.Unlock()
	if err != nil {
		return err
	}
	return scan(above, it, fn)
}

// Snapshot implements kv.Store. A snapshot keeps what is overwritten from being dropped: close it soon.
func (s *Store) Snapshot() (kv.Snapshot, error) {
	if !s.gate.enter() {
		return nil, kv.ErrClosed
	}
	defer s.gate.leave()
	if s.isWedged() {
		return nil, s.Err()
	}
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	// First the layers, then Pebble: a checkpoint that ends in between is in both, and in one it would be in neither.
	snap := &snapshot{store: s, above: *s.layers.Load(), number: s.journal.Last()}
	snap.snap = s.db.NewSnapshot()
	s.snapMu.Lock()
	s.snapshots[snap] = struct{}{}
	s.newest.Store(max(s.newest.Load(), snap.number))
	s.snapMu.Unlock()
	return snap, nil
}

// Close implements kv.Store. It waits for running reads, makes durable what was applied, and leaves what is not in Pebble
// to the journal. A store that
// failed answers with the cause. Further calls do nothing.
func (s *Store) Close() error {
	s.gate.close()
	s.applyMu.Lock()
	closed := s.closed
	s.closed = true
	s.applyMu.Unlock()
	if closed {
		return nil
	}
	s.keeper.close(s.wedged)
	if s.isWedged() {
		return s.Err()
	}
	var errs []error
	if err := s.journal.Close(); err != nil && s.Err() == nil {
		errs = append(errs, err)
	}
	errs = append(errs, s.closeSnapshots())
	if err := guard(s.db.Close); err != nil && s.Err() == nil {
		errs = append(errs, fmt.Errorf("close store %s: %w", s.cfg.Dir, err))
	}
	if s.isWedged() { // a failure during Close: the directory stays locked
		return s.Err()
	}
	s.blocks.Unref()
	if err := s.lock.Close(); err != nil {
		errs = append(errs, fmt.Errorf("unlock store %s: %w", s.cfg.Dir, err))
	}
	if err := s.Err(); err != nil {
		return err
	}
	return errors.Join(errs...)
}

func (s *Store) closeSnapshots() error {
	s.snapMu.Lock()
	defer s.snapMu.Unlock()
	var errs []error
	for snap := range s.snapshots {
		errs = append(errs, snap.snap.Close())
		delete(s.snapshots, snap)
	}
	return errors.Join(errs...)
}

// snapshot is a kv.Snapshot. It reads past the cache of values, which knows only the present.
type snapshot struct {
	store  *Store
	above  layers
	number uint64 // of the last Write that it shows
	snap   *pebble.Snapshot
}

func (r *snapshot) Get(key []byte) ([]byte, error) {
	if !r.enter() {
		return nil, kv.ErrClosed
	}
	defer r.store.gate.leave()
	if value, ok := r.above.get(key, r.number); ok {
		if value == nil {
			return nil, kv.ErrNotFound
		}
		return value, nil
	}
	return get(r.snap, key)
}

func (r *snapshot) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	if !r.enter() {
		return kv.ErrClosed
	}
	defer r.store.gate.leave()
	it, err := newIter(r.snap, lower, upper)
	if err != nil {
		return err
	}
	return scan(r.above.between(lower, upper, r.number), it, fn)
}

// enter keeps the store open for a read, unless it or the snapshot is closed.
func (r *snapshot) enter() bool {
	if !r.store.gate.enter() {
		return false
	}
	r.store.snapMu.Lock()
	_, open := r.store.snapshots[r]
	r.store.snapMu.Unlock()
	if !open {
		r.store.gate.leave()
	}
	return open
}

// Close implements kv.Snapshot. It must not run while the snapshot is read. Further calls do nothing.
func (r *snapshot) Close() error {
	r.store.snapMu.Lock()
	defer r.store.snapMu.Unlock()
	if _, open := r.store.snapshots[r]; !open {
		return nil
	}
	delete(r.store.snapshots, r)
	newest := uint64(0)
	for other := range r.store.snapshots {
		newest = max(newest, other.number)
	}
	r.store.newest.Store(newest)
	if r.store.isWedged() {
		return nil // it ends with the process
	}
	return r.snap.Close()
}

// keyBuffers lends the space in which a key gets its prefix.
var keyBuffers = sync.Pool{New: func() any { return new([]byte) }}

func get(r pebble.Reader, key []byte) ([]byte, error) {
	buf := keyBuffers.Get().(*[]byte)
	*buf = append(append((*buf)[:0], statePrefix), key...)
	stored, closer, err := r.Get(*buf)
	keyBuffers.Put(buf)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, kv.ErrNotFound
	}
	if err != nil {
		return nil, readError("get", err)
	}
	value := make([]byte, len(stored))
	copy(value, stored)
	return value, closer.Close()
}

// newIter returns an iterator over the state in [lower, upper), or nil where there can be none.
func newIter(r pebble.Reader, lower, upper []byte) (*pebble.Iterator, error) {
	if len(upper) > 0 && bytes.Compare(lower, upper) >= 0 {
		return nil, nil
	}
	end := []byte{stateEnd}
	if len(upper) > 0 {
		end = stateKey(upper)
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: stateKey(lower), UpperBound: end})
	if err != nil {
		return nil, readError("scan", err)
	}
	return it, nil
}

// scan calls fn for what it and the changes above it show together, in the order of keys, and closes it.
func scan(above *changes, it *pebble.Iterator, fn func(key, value []byte) bool) (err error) {
	if it == nil {
		return nil
	}
	defer func() {
		if closeErr := it.Close(); closeErr != nil && err == nil {
			err = readError("scan", closeErr)
		}
	}()
	changed, value, there := above.next()
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[1:]
		for ; there && changed < string(key); changed, value, there = above.next() {
			if value != nil && !fn([]byte(changed), value) {
				return nil
			}
		}
		if there && changed == string(key) || above.hides(key) {
			continue
		}
		stored, err := it.ValueAndErr()
		if err != nil {
			return readError("scan", err)
		}
		if !fn(key, stored) {
			return nil
		}
	}
	if it.Error() != nil {
		return nil // Close returns the iterator's error
	}
	for ; there; changed, value, there = above.next() {
		if value != nil && !fn([]byte(changed), value) {
			return nil
		}
	}
	return nil
}

func stateKey(key []byte) []byte {
	return append(append(make([]byte, 0, 1+len(key)), statePrefix), key...)
}

// readError wraps what Pebble answered, and says of damage that it is damage.
func readError(action string, err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("store: %s: %w: %w", action, kv.ErrCorrupt, err)
	}
	return fmt.Errorf("store: %s: %w", action, err)
}
