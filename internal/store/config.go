package store

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config says where a store is and what it may use. Only Dir is required.
type Config struct {
	// Dir is the store's own directory. It is created when it does not exist.
	Dir string
	// FS is the file system; nil is the operating system's. Tests give one that fails or crashes.
	FS vfs.FS
	// CacheBytes bounds the cache of table blocks (default 64 MiB). It counts as Go heap when built without cgo.
	CacheBytes int64
	// ValueCacheBytes bounds the cache of values in front of Pebble (default 64 MiB; negative turns it off).
	ValueCacheBytes int64
	// CheckpointBytes is how much may be in the journal alone before it is moved to the tables of Pebble (default 128 MiB).
	// As much of it as is not overwritten lies in memory. Writes wait when there is four times as much.
	CheckpointBytes int64
	// MemTableBytes is the size of a table in memory before it is written out (default 8 MiB). Up to four of
	// them exist at a time, besides CacheBytes.
	MemTableBytes int64
	// OpenTables is how many tables are kept open (default 1000), but for some that are being made.
	OpenTables int
	// Logger hears about stalls, damage and failure (default slog.DiscardHandler).
	Logger *slog.Logger
	// OnFailure, when not nil, is called once, with the cause, when the store starts to refuse writes. It must
	// return soon and must not use the store: Pebble may hold its locks.
	OnFailure func(error)
}

const (
	defaultCacheBytes      = 64 << 20
	defaultValueCacheBytes = 64 << 20
	defaultCheckpointBytes = 128 << 20
	defaultMemTableBytes   = 8 << 20
	minMemTableBytes       = 64 << 10
	memTables              = 4
	minCheckpointBytes     = 1 << 10
	// journalFiles is how many files hold what calls for a checkpoint.
	journalFiles        = 8
	minJournalFileBytes = 4 << 10
)

// Validate says what is wrong with which value.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("store: Dir is empty: give the directory of the store")
	case c.CacheBytes < 0:
		return fmt.Errorf("store: CacheBytes is %d: it must be 0 (default) or more", c.CacheBytes)
	case c.CheckpointBytes < 0, c.CheckpointBytes > 0 && c.CheckpointBytes < minCheckpointBytes:
		return fmt.Errorf("store: CheckpointBytes is %d: it must be 0 (default) or at least %d",
			c.CheckpointBytes, minCheckpointBytes)
	case c.MemTableBytes < 0, c.MemTableBytes > 0 && c.MemTableBytes < minMemTableBytes:
		return fmt.Errorf("store: MemTableBytes is %d: it must be 0 (default) or at least %d",
			c.MemTableBytes, minMemTableBytes)
	case c.OpenTables < 0:
		return fmt.Errorf("store: OpenTables is %d: it must be 0 (default) or more", c.OpenTables)
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = defaultCacheBytes
	}
	if c.ValueCacheBytes == 0 {
		c.ValueCacheBytes = defaultValueCacheBytes
	}
	if c.MemTableBytes == 0 {
		c.MemTableBytes = defaultMemTableBytes
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = defaultCheckpointBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// pebbleOptions returns what Pebble is opened with, for a store whose events go to s.
func (c *Config) pebbleOptions(s *Store) *pebble.Options {
	o := &pebble.Options{
		FS:                          c.FS,
		DisableWAL:                  true,
		Cache:                       s.blocks,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      pebbleLogger{s},
		EventListener:               s.listener(),
		MemTableSize:                uint64(c.MemTableBytes),
		MemTableStopWritesThreshold: memTables,
		MaxOpenFiles:                c.OpenTables,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	o.Experimental.CompactionScheduler = newScheduler()
	// Snappy, the default of Pebble, stays: it costs least, and zstd without cgo opens a decoder per block.
	o.Levels[0].BlockSize = 8 << 10
	o.Levels[0].IndexBlockSize = 256 << 10
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(10) // most keys of a node are in the last level: filter there too
	return o
}
