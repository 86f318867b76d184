package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store/journal"
)

// ErrInUse is wrapped by Open's error about a directory that another process, or another store of this one, uses.
var ErrInUse = errors.New("the directory is in use")

// ErrNewerFormat is wrapped by Open's error about a directory that a newer version has written.
var ErrNewerFormat = errors.New("the directory is of a newer format")

// ErrNotAStore is wrapped by Open's error about a directory that holds something else.
var ErrNotAStore = errors.New("the directory holds files, but no store")

// FormatFile is a file that is there once a directory holds a store.
const FormatFile = "FORMAT"

const (
	format       = 1
	formatMagic  = "quord-store "
	newMark      = "FORMAT.new"
	lockFile     = "LOCK"
	lostAndFound = "lost+found"
)

// Open opens the store in cfg.Dir, or makes it. The caller must Close it.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	s := &Store{
		cfg: cfg, gate: newGate(), values: newValues(cfg.ValueCacheBytes),
		groups: make(map[uint32]*group), wedged: make(chan struct{}), stuck: make(chan error, 1), failed: make(chan struct{}),
		snapshots: make(map[*snapshot]struct{}),
	}
	s.bareFS = cfg.FS
	s.cfg.FS = watchedFS{FS: cfg.FS, store: s}
	s.layers.Store(&layers{new(layer)})
	s.keeper.init()
	ended := make(chan error, 1)
	go func() { ended <- s.open() }()
	var err error
	select {
	case err = <-ended:
	case err = <-s.stuck: // open never ends
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, err)
	}
	s.opened.Store(true)
	go s.keep()
	return s, nil
}

func (s *Store) open() (err error) {
	fs, dir := s.cfg.FS, s.cfg.Dir
	if err := makeDir(fs, dir); err != nil {
		return err
	}
	if s.lock, err = lock(fs, dir); err != nil {
		return err
	}
	defer func() {
		if err != nil && !s.isWedged() {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	if err := s.findBallast(); err != nil {
		return err
	}
	isNew, err := checkFormat(fs, dir)
	if err != nil {
		return err
	}
	s.blocks = pebble.NewCache(s.cfg.CacheBytes + memTables*s.cfg.MemTableBytes)
	defer func() {
		if err != nil && !s.isWedged() {
			s.blocks.Unref()
		}
	}()
	if isNew {
		if err := s.create(); err != nil {
			return err
		}
	}
	if err := s.openPebble(false); err != nil {
		return err
	}
	err = s.loadGroups()
	if err == nil {
		err = s.recover()
	}
	if err != nil {
		return errors.Join(err, guard(s.db.Close))
	}
	return nil
}

const journalDir = "journal"

func (s *Store) openJournal(after uint64, secret uint32, replay func(uint64, []byte) error) (*journal.Journal, error) {
	fileBytes := max(s.cfg.CheckpointBytes/journalFiles, minJournalFileBytes)
	j, err := journal.Open(journal.Config{
		FS: s.cfg.FS, Dir: s.cfg.FS.PathJoin(s.cfg.Dir, journalDir), FileBytes: fileBytes, Spares: journalFiles, Secret: secret,
	}, after, replay)
	if errors.Is(err, journal.ErrDamaged) {
		return nil, fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
	}
	return j, err
}

// create makes the database and the directory of the journal, and says so durably. It is closed again: Pebble begins its first
// log in its oldest format, in which damage cannot be told from a torn end, and every later one in the newest.
func (s *Store) create() error {
	if err := s.openPebble(true); err != nil {
		return err
	}
	err := guard(s.makeSecret)
	if !s.isWedged() {
		err = errors.Join(err, guard(s.db.Close))
	}
	if err != nil {
		return err
	}
	if err := journal.Make(s.cfg.FS, s.cfg.FS.PathJoin(s.cfg.Dir, journalDir)); err != nil {
		return fmt.Errorf("make the journal: %w", err)
	}
	return markReady(s.cfg.FS, s.cfg.Dir)
}

func (s *Store) openPebble(isNew bool) error {
	opts := s.cfg.pebbleOptions(s)
	opts.Lock, opts.ErrorIfNotExists = s.lock, !isNew
	err := guard(func() (err error) {
		s.db, err = pebble.Open(s.cfg.Dir, opts)
		return err
	})
	if _, ok := err.(*panicked); ok {
		s.wedge()
	}
	return explainOpen(err)
}

// makeDir creates dir and what is above it where they do not exist, each name durably: a directory whose name is lost
// in a crash takes with it what was synced inside.
func makeDir(fs vfs.FS, dir string) error {
	if info, err := fs.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is a file, a directory is needed", dir)
		}
		return nil
	} else if !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return journal.SyncDir(fs, parent)
}

func lock(fs vfs.FS, dir string) (*pebble.Lock, error) {
	l, err := pebble.LockDirectory(dir, fs)
	if err == nil {
		return l, nil
	}
	if !canCreate(fs, dir) {
		return nil, fmt.Errorf("lock it: %w", err)
	}
	return nil, fmt.Errorf("%w by a running process (%s is locked): stop it first, or give another directory: %w",
		ErrInUse, fs.PathJoin(dir, lockFile), err)
}

// canCreate tells a lock that somebody holds from a directory in which nothing can be made: errors differ from system
// to system, and some mean either.
func canCreate(fs vfs.FS, dir string) bool {
	name := fs.PathJoin(dir, lockFile+".probe")
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), fs.Remove(name)) == nil
}

// checkFormat reports whether the directory is yet to be set up, and refuses one that this build cannot use.
func checkFormat(fs vfs.FS, dir string) (isNew bool, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return false, fmt.Errorf("list it: %w", err)
	}
	has := make(map[string]bool, len(names))
	other := ""
	for _, name := range names {
		has[name] = true
		if name != lockFile && name != lostAndFound && name != newMark && name != FormatFile {
			other = name
		}
	}
	if has[FormatFile] {
		return false, readFormat(fs, fs.PathJoin(dir, FormatFile))
	}
	if has[newMark] {
		// Setting it up was cut short, so nothing was ever stored. The mark itself may be half written.
		if err := readFormat(fs, fs.PathJoin(dir, newMark)); errors.Is(err, ErrNewerFormat) {
			return false, err
		}
	} else if other != "" {
		return false, fmt.Errorf("%w (it has %s, but no %s): give an empty directory, or the right one",
			ErrNotAStore, other, FormatFile)
	}
	return true, writeFormat(fs, dir)
}

func readFormat(fs vfs.FS, name string) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() // only read
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	found, err := parseFormat(text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if found > format {
		return fmt.Errorf("%w: %d, this build reads up to %d: use the version that wrote it, or a newer one",
			ErrNewerFormat, found, format)
	}
	return nil
}

func formatText(n int) []byte { return fmt.Appendf(nil, "%s%d\n", formatMagic, n) }

func parseFormat(text []byte) (int, error) {
	number, ok := bytes.CutPrefix(text, []byte(formatMagic))
	if n, err := strconv.Atoi(string(bytes.TrimSuffix(number, []byte("\n")))); ok && err == nil && n > 0 &&
		bytes.Equal(text, formatText(n)) {
		return n, nil
	}
	return 0, fmt.Errorf("%w: %q is no format of a store", kv.ErrCorrupt, text)
}

// writeFormat writes the mark of a store that is being set up, durably.
func writeFormat(fs vfs.FS, dir string) error {
	f, err := fs.Create(fs.PathJoin(dir, newMark), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(formatText(format))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", newMark, err)
	}
	return journal.SyncDir(fs, dir)
}

// markReady says, durably, that there is a database, and that one must be there from now on.
func markReady(fs vfs.FS, dir string) error {
	if err := fs.Rename(fs.PathJoin(dir, newMark), fs.PathJoin(dir, FormatFile)); err != nil {
		return err
	}
	return journal.SyncDir(fs, dir)
}

// explainOpen says what Pebble's answer means to an operator.
func explainOpen(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		return fmt.Errorf("%w: the database is gone, though %s says that there was one: %w",
			kv.ErrCorrupt, FormatFile, err)
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
	case strings.Contains(err.Error(), "unknown format major version"): // Pebble has no value for this error
		return fmt.Errorf("%w: use the version that wrote it, or a newer one: %w", ErrNewerFormat, err)
	}
	return err
}
