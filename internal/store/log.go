package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/quorddb/quord/internal/kv"
)

// group is what the store remembers of a group's log, so that Apply need not read the disk.
type group struct {
	// now and exists are what readers may see; guarded by groupMu.
	now    kv.Group
	exists bool
	// next, nextExists and staged belong to the Apply under way.
	next       kv.Group
	nextExists bool
	staged     bool
}

// stage works out what ops do to their groups, into s.effects. Nothing of it is visible before publish.
func (s *Store) stage(ops []kv.LogOp) error {
	for i := range ops {
		g := s.stageGroup(ops[i].Group)
		e, err := ops[i].Effect(g.next, g.nextExists)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		g.next, g.nextExists = e.After, e.Exists
		s.effects = append(s.effects, e)
	}
	return nil
}

func (s *Store) stageGroup(id uint32) *group {
	s.groupMu.RLock()
	g := s.groups[id]
	s.groupMu.RUnlock()
	if g == nil {
		g = &group{now: kv.Group{ID: id}}
		s.groupMu.Lock()
		s.groups[id] = g
		s.groupMu.Unlock()
	}
	if !g.staged {
		// Only the holder of applyMu writes now and exists, so it may read them without groupMu.
		g.next, g.nextExists, g.staged = g.now, g.exists, true
		s.staged = append(s.staged, g)
	}
	return g
}

// publish shows readers what was staged.
func (s *Store) publish() {
	if len(s.staged) == 0 {
		return
	}
	s.groupMu.Lock()
	for _, g := range s.staged {
		g.now, g.exists = g.next, g.nextExists
	}
	s.groupMu.Unlock()
}

// unstage ends what stage began, published or not, and forgets groups that do not exist.
func (s *Store) unstage() {
	for _, g := range s.staged {
		g.staged = false
		if !g.exists {
			s.groupMu.Lock()
			delete(s.groups, g.now.ID)
			s.groupMu.Unlock()
		}
	}
	s.staged, s.effects = reuse(s.staged), reuse(s.effects)
}

// reuse empties a scratch slice, and lets go of one that has grown large.
func reuse[T any](scratch []T) []T {
	if cap(scratch) > maxScratch {
		return nil
	}
	clear(scratch)
	return scratch[:0]
}

// Groups implements kv.Store.
func (s *Store) Groups(fn func(kv.Group) error) error {
	if s.gate.closed() {
		return kv.ErrClosed
	}
	s.groupMu.RLock()
	all := make([]kv.Group, 0, len(s.groups))
	for _, g := range s.groups {
		if g.exists {
			all = append(all, g.now)
		}
	}
	s.groupMu.RUnlock()
	slices.SortFunc(all, func(a, b kv.Group) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	for _, g := range all {
		if err := fn(g); err != nil {
			return err
		}
	}
	return nil
}

// errGap says that entries were not where the group's bounds promised them.
var errGap = errors.New("entries are missing")

// Entries implements kv.Store.
func (s *Store) Entries(group uint32, lo, hi, maxBytes uint64) ([]kv.Entry, error) {
	if hi <= lo {
		return nil, nil
	}
	if !s.gate.enter() {
		return nil, kv.ErrClosed
	}
	defer s.gate.leave()
	found, err := s.entries(group, lo, hi, maxBytes)
	if errors.Is(err, errGap) && !s.wedged.Load() {
		// Bounds and entries are read one after the other, and an Apply came between. Look while there is none.
		s.applyMu.Lock()
		found, err = s.entries(group, lo, hi, maxBytes)
		s.applyMu.Unlock()
	}
	if errors.Is(err, errGap) {
		return nil, fmt.Errorf("store: group %d, entries [%d, %d): %w: %w", group, lo, hi, kv.ErrCorrupt, err)
	}
	return found, err
}

func (s *Store) entries(id uint32, lo, hi, maxBytes uint64) (found []kv.Entry, err error) {
	s.groupMu.RLock()
	var bounds kv.Group
	g, ok := s.groups[id]
	if ok = ok && g.exists; ok {
		bounds = g.now
	}
	s.groupMu.RUnlock()
	if !ok || lo <= bounds.Start.Index || lo > bounds.Last {
		return nil, kv.ErrNotFound
	}
	hi = min(hi, bounds.Last+1)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: logKey(id, lo), UpperBound: logKey(id, hi)})
	if err != nil {
		return nil, readError("read log", err)
	}
	defer func() {
		if closeErr := it.Close(); closeErr != nil {
			found, err = nil, readError("read log", closeErr)
		}
	}()
	found = make([]kv.Entry, 0, min(hi-lo, 64))
	size := uint64(0)
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, readError("read log", err)
		}
		if size += uint64(max(0, len(value)-entryOverhead)); size > maxBytes && len(found) > 0 {
			return found, nil
		}
		e, err := decodeEntry(it.Key(), value)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		if e.Index != lo+uint64(len(found)) {
			return nil, fmt.Errorf("%w before %d", errGap, e.Index)
		}
		found = append(found, e)
	}
	if it.Error() == nil && uint64(len(found)) < hi-lo {
		return nil, fmt.Errorf("%w from %d on", errGap, lo+uint64(len(found)))
	}
	return found, nil
}

// loadGroups reads the hard states and finds the ends of the logs.
func (s *Store) loadGroups() (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{hardPrefix}, UpperBound: []byte{hardEnd}})
	if err != nil {
		return readError("read hard states", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	logs, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{logPrefix}, UpperBound: []byte{logEnd}})
	if err != nil {
		return readError("read logs", err)
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return readError("read hard states", err)
		}
		g, err := decodeHard(it.Key(), value)
		if err != nil {
			return err
		}
		if err := findEnd(logs, &g); err != nil {
			return err
		}
		s.groups[g.ID] = &group{now: g, exists: true}
	}
	if err := it.Error(); err != nil {
		return readError("read hard states", err)
	}
	return s.refuseOrphans(logs)
}

// findEnd sets g.Last, and checks that the log begins where it should.
func findEnd(logs *pebble.Iterator, g *kv.Group) error {
	if !logs.SeekGE(logKey(g.ID, 0)) {
		return logs.Error()
	}
	id, first, err := parseLogKey(logs.Key())
	if err != nil || id != g.ID {
		return err
	}
	if first != g.Start.Index+1 {
		return fmt.Errorf("%w: the log of group %d begins at %d, it should after %d",
			kv.ErrCorrupt, g.ID, first, g.Start.Index)
	}
	if !logs.SeekLT(afterGroup(g.ID)) {
		return logs.Error()
	}
	_, g.Last, err = parseLogKey(logs.Key())
	return err
}

// refuseOrphans makes sure that every entry belongs to a group.
func (s *Store) refuseOrphans(logs *pebble.Iterator) error {
	for ok := logs.First(); ok; {
		id, _, err := parseLogKey(logs.Key())
		if err != nil {
			return err
		}
		if s.groups[id] == nil {
			return fmt.Errorf("%w: there are log entries of group %d, but no hard state", kv.ErrCorrupt, id)
		}
		ok = logs.SeekGE(afterGroup(id))
	}
	return logs.Error()
}
