package store

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorddb/quord/internal/kv"
)

// ballastFile takes room that is given up when the disk is full, so that what Pebble was writing just then still fits,
// and a node has something to come up with. It has its name once it takes room.
const (
	ballastFile = "BALLAST"
	newBallast  = "BALLAST.new"
)

// ballast is whether there is such a file, and how often one was given up.
type ballast struct {
	mu   sync.Mutex
	kept bool // guarded by mu
	lost atomic.Uint64
}

// Room returns how many bytes are free on the file system of the store, and how many it has; both 0 where it does not
// say.
func (s *Store) Room() (free, total uint64, err error) {
	if !s.gate.enter() {
		return 0, 0, kv.ErrClosed
	}
	defer s.gate.leave()
	usage, err := s.cfg.FS.GetDiskUsage(s.cfg.Dir)
	if err != nil && !errors.Is(err, vfs.ErrUnsupported) {
		return 0, 0, fmt.Errorf("store: measure the disk: %w", err)
	}
	return usage.AvailBytes, usage.TotalBytes, nil
}

// KeepBallast makes the ballast of so many bytes where there is none. A file system that cannot set room aside has none.
func (s *Store) KeepBallast(bytes int64) error {
	if !s.gate.enter() {
		return kv.ErrClosed
	}
	defer s.gate.leave()
	s.ballast.mu.Lock()
	defer s.ballast.mu.Unlock()
	if s.ballast.kept {
		return nil
	}
	name := s.bareFS.PathJoin(s.cfg.Dir, newBallast)
	f, err := s.bareFS.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("store: set room aside: %w", err)
	}
	err = errors.Join(f.Preallocate(0, bytes), f.Close())
	if err == nil {
		err = s.bareFS.Rename(name, s.bareFS.PathJoin(s.cfg.Dir, ballastFile))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: set room aside: %w", err), s.bareFS.Remove(name))
	}
	s.ballast.kept = true
	return nil
}

// makeRoom gives the ballast up for a write that found no room, and reports whether to try it again. It is given how
// often that had happened before the write, for many may fail at a time.
func (s *Store) makeRoom(before uint64) bool {
	b := &s.ballast
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost.Load() != before {
		return true
	}
	if !b.kept {
		return false
	}
	b.kept = false
	b.lost.Add(1)
	err := s.bareFS.Remove(s.bareFS.PathJoin(s.cfg.Dir, ballastFile))
	s.cfg.Logger.Warn("the disk is full: the room set aside for this is given up", "dir", s.cfg.Dir, "error", err)
	return err == nil
}

// findBallast notices the ballast that an earlier process left, and removes one that it did not finish.
func (s *Store) findBallast() error {
	err := s.bareFS.Remove(s.bareFS.PathJoin(s.cfg.Dir, newBallast))
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	_, err = s.bareFS.Stat(s.bareFS.PathJoin(s.cfg.Dir, ballastFile))
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	s.ballast.kept = err == nil
	return nil
}
