package store

import (
	"errors"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorddb/quord/internal/kv"
)

// Metrics is the state of a store at one moment. Sizes are in bytes, counts since Open.
type Metrics struct {
	// DiskBytes is what the store's files take; DiskFreeBytes and DiskTotalBytes tell of the file system below
	// (0 when it does not say).
	DiskBytes, DiskFreeBytes, DiskTotalBytes uint64
	// Groups is the number of groups that have a log.
	Groups int

	Values ValueCacheMetrics

	BlockCacheBytes, BlockCacheHits, BlockCacheMisses int64

	MemTableBytes                 uint64
	Flushes, Compactions          int64
	CompactionDebtBytes           uint64
	CompactionsRunning, Snapshots int
	// ReadAmplification is the number of tables that a read may have to look into.
	ReadAmplification int

	// JournalBytes is the live part of the journal, JournalWrittenBytes all that was written to it since Open.
	JournalBytes, JournalWrittenBytes uint64
	// PendingBytes is state in memory that is in the journal and not in tables yet. Checkpoints counts how often it was
	// moved there.
	PendingBytes, Checkpoints uint64

	// WriteStalls counts the times that writes had to wait for a checkpoint, SlowDisk the operations
	// of the disk that took seconds, Corruptions the damaged tables met.
	WriteStalls, SlowDisk, Corruptions uint64
	// DiskFull counts the times that the disk was full and the room set aside for that was given up.
	DiskFull uint64
	// Failed says that the store refuses writes; Err has the cause.
	Failed bool
}

// ValueCacheMetrics is the state of the cache of values.
type ValueCacheMetrics struct {
	Entries                 int
	Bytes, LimitBytes       int64
	Hits, Misses, Evictions uint64
}

type counts struct{ stalls, slow, corruptions, checkpoints atomic.Uint64 }

// Metrics returns the state of the store. It costs some microseconds, and asks the file system.
func (s *Store) Metrics() (Metrics, error) {
	if !s.gate.enter() {
		return Metrics{}, kv.ErrClosed
	}
	defer s.gate.leave()
	m := Metrics{
		Values:      s.values.metrics(),
		WriteStalls: s.counts.stalls.Load(), SlowDisk: s.counts.slow.Load(),
		Corruptions: s.counts.corruptions.Load(), DiskFull: s.ballast.lost.Load(), Failed: s.Err() != nil,
	}
	s.groupMu.RLock()
	for _, g := range s.groups {
		if g.exists {
			m.Groups++
		}
	}
	s.groupMu.RUnlock()
	if s.isWedged() {
		return m, nil // Pebble may hold its locks for good
	}
	usage, err := s.cfg.FS.GetDiskUsage(s.cfg.Dir)
	if err != nil && !errors.Is(err, vfs.ErrUnsupported) {
		return m, err
	}
	m.DiskFreeBytes, m.DiskTotalBytes = usage.AvailBytes, usage.TotalBytes
	p := s.db.Metrics()
	journal := s.journal.Stats()
	m.JournalBytes, m.JournalWrittenBytes = journal.Live, journal.Written
	m.DiskBytes = p.DiskSpaceUsage() + journal.Live
	m.BlockCacheBytes, m.BlockCacheHits, m.BlockCacheMisses = p.BlockCache.Size, p.BlockCache.Hits, p.BlockCache.Misses
	m.MemTableBytes = p.MemTable.Size
	for _, l := range *s.layers.Load() {
		m.PendingBytes += uint64(l.bytes.Load())
	}
	m.Checkpoints = s.counts.checkpoints.Load()
	m.Flushes, m.Compactions = p.Flush.Count, p.Compact.Count
	m.CompactionDebtBytes, m.CompactionsRunning = p.Compact.EstimatedDebt, int(p.Compact.NumInProgress)
	m.Snapshots, m.ReadAmplification = p.Snapshots.Count, p.ReadAmp()
	return m, nil
}
