package journal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config says where a journal is.
type Config struct {
	FS  vfs.FS
	Dir string
	// FileBytes is the size at which a file is followed by the next one.
	FileBytes int64
	// Secret is what nobody knows who has a say in what records hold: what a file held before is never taken for a record.
	// It belongs to the directory.
	Secret uint32
	// Spares is how many files that are not needed any more are kept to be overwritten.
	Spares int
}

// Journal is an open journal. Make it with Open.
type Journal struct {
	cfg Config

	// durable is the number of the last record that is certainly on disk.
	durable atomic.Uint64
	// spilling says that the buffer has passed spillBytes, short that a file will soon be needed and none is at hand.
	spilling, short atomic.Bool

	fileMu sync.Mutex
	// All down to spares is guarded by fileMu.
	err     error
	file    vfs.File // nil before the first write
	seed    uint32
	written int64 // bytes of the file
	total   uint64
	live    []segment // the last one is the file's
	spares  []uint64  // files that may be overwritten, oldest first
	next    uint64    // number of the next file

	bufMu sync.Mutex
	// buf holds the records (first, last] that have not been written; guarded by bufMu. other is the second buffer,
	// guarded by fileMu.
	buf   []byte
	last  uint64
	other []byte
}

// segment is a file whose records may still be needed.
type segment struct {
	file, first uint64
	bytes       int64
}

const (
	// spillBytes is how much may wait in memory for a sync before Spill writes it.
	spillBytes = 1 << 20
	// maxSpareBuffer is the size of a buffer that is kept once it is written.
	maxSpareBuffer = 8 << 20
)

// ErrClosed is returned by Sync after Close.
var ErrClosed = errors.New("journal: closed")

// Append adds a record: fill appends its payload, of less than 2 GiB, to dst and returns it. It returns the number of
// the record, which is in memory only until it is synced.
func (j *Journal) Append(fill func(dst []byte) []byte) uint64 {
	j.bufMu.Lock()
	defer j.bufMu.Unlock()
	j.last++
	start := len(j.buf)
	var head [recordHead]byte
	j.buf = finish(fill(append(j.buf, head[:]...)), start, j.last)
	if len(j.buf) > spillBytes {
		j.spilling.Store(true)
	}
	return j.last
}

// Last returns the number of the newest record.
func (j *Journal) Last() uint64 {
	j.bufMu.Lock()
	defer j.bufMu.Unlock()
	return j.last
}

// Sync returns when the records up to number are on disk.
func (j *Journal) Sync(number uint64) error {
	if j.durable.Load() >= number {
		return nil
	}
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	if j.durable.Load() >= number { // somebody else's sync has done it
		return nil
	}
	last, err := j.write()
	if err != nil {
		return err
	}
	if j.file != nil { // or nothing was written since Open
		if err := j.file.SyncData(); err != nil {
			return j.fail("sync", err)
		}
	}
	j.durable.Store(last)
	return nil
}

// Spill writes what waits in memory, without a sync, if it is much.
func (j *Journal) Spill() error {
	if !j.spilling.Load() {
		return nil
	}
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	_, err := j.write()
	return err
}

// write writes the buffer to the file. It returns the number of the last record that is written.
func (j *Journal) write() (last uint64, err error) {
	if j.err != nil {
		return 0, j.err
	}
	j.bufMu.Lock()
	b := j.buf
	j.buf, j.other, last = j.other[:0], nil, j.last
	j.spilling.Store(false)
	j.bufMu.Unlock()
	if len(b) > 0 {
		if err := j.room(numberOf(b)); err != nil {
			return 0, err
		}
		seal(b, j.seed, j.durable.Load())
		if _, err := j.file.Write(b); err != nil {
			return 0, j.fail("write", err)
		}
		j.written += int64(len(b))
		j.total += uint64(len(b))
		j.live[len(j.live)-1].bytes = j.written
		if j.written > j.cfg.FileBytes/2 && len(j.spares) == 0 {
			j.short.Store(true)
		}
	}
	if cap(b) <= maxSpareBuffer {
		j.other = b[:0]
	}
	return last, nil
}

// room makes sure that there is a file for records from first on.
func (j *Journal) room(first uint64) error {
	if j.file != nil && j.written < j.cfg.FileBytes {
		return nil
	}
	if j.file != nil {
		// What was spilled into it may not be on disk; the next file must not be ahead of it.
		if err := j.file.SyncData(); err != nil {
			return j.fail("sync", err)
		}
		j.durable.Store(first - 1)
		err := j.file.Close()
		j.file = nil
		if err != nil {
			return j.fail("close", err)
		}
	}
	return j.begin(first)
}

// begin begins a file: an old one under a new name, or a new one.
func (j *Journal) begin(first uint64) error {
	number := j.next
	name := j.path(number)
	var f vfs.File
	var err error
	if len(j.spares) > 0 {
		if f, err = j.cfg.FS.ReuseForWrite(j.path(j.spares[0]), name, vfs.WriteCategoryUnspecified); err != nil {
			return j.fail("reuse a file", err)
		}
		j.spares = j.spares[1:]
	} else {
		if f, err = j.cfg.FS.Create(name, vfs.WriteCategoryUnspecified); err != nil {
			return j.fail("create a file", err)
		}
		// A favour of the file system, which may not know it. Whether there is room, the writes find out.
		_ = f.Preallocate(0, j.cfg.FileBytes)
	}
	j.file, j.seed = f, seed(number, j.cfg.Secret)
	if _, err := f.Write(encodeHeader(number, first)); err != nil {
		return j.fail("write", err)
	}
	if err := SyncDir(j.cfg.FS, j.cfg.Dir); err != nil {
		return j.fail("sync the directory", err)
	}
	j.written = headerLen
	j.next++
	j.live = append(j.live, segment{file: number, first: first, bytes: headerLen})
	return nil
}

// Short reports whether Prepare is wanted.
func (j *Journal) Short() bool { return j.short.Load() }

// Prepare makes a file of zeros for the journal to go on in: a sync that does not change the length of a file, nor where
// its blocks lie, is the cheapest. Without it all goes well too. It is for one goroutine at a time, beside all others.
func (j *Journal) Prepare() error {
	j.fileMu.Lock()
	number := j.next
	j.next++
	j.fileMu.Unlock()
	name := j.path(number)
	f, err := j.cfg.FS.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", name, err)
	}
	zeros := make([]byte, min(j.cfg.FileBytes, zeroBytes))
	for left := j.cfg.FileBytes; left > 0 && err == nil; left -= int64(len(zeros)) {
		_, err = f.Write(zeros)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("prepare %s: %w", name, err)
	}
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	j.spares = append(j.spares, number)
	j.short.Store(false)
	return nil
}

// zeroBytes is how much of a new file is written at a time.
const zeroBytes = 1 << 20

func (j *Journal) fail(action string, err error) error {
	if j.err == nil {
		j.err = fmt.Errorf("journal %s: %s: %w", j.cfg.Dir, action, err)
	}
	return j.err
}

// Release says that the records up to number, which are durable, are not needed any more.
func (j *Journal) Release(number uint64) error {
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	j.release(number)
	for len(j.spares) > j.cfg.Spares {
		if err := j.cfg.FS.Remove(j.path(j.spares[0])); err != nil {
			return fmt.Errorf("journal %s: remove an old file: %w", j.cfg.Dir, err)
		}
		j.spares = j.spares[1:]
	}
	return nil
}

// release puts aside the files without which the journal still has the record of that number: it proves at the next Open
// that nothing after it was lost.
func (j *Journal) release(number uint64) {
	for len(j.live) > 1 && j.live[1].first <= number {
		j.spares = append(j.spares, j.live[0].file)
		j.live = j.live[1:]
	}
}

// Stats is the size of a journal in bytes: of the records that may be needed, and of all that were ever written.
type Stats struct {
	Live, Written uint64
}

// Stats returns the size of the journal.
func (j *Journal) Stats() Stats {
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	s := Stats{Written: j.total}
	for _, l := range j.live {
		s.Live += uint64(l.bytes)
	}
	return s
}

// Close makes all records durable and ends the journal.
func (j *Journal) Close() error {
	err := j.Sync(j.Last())
	j.fileMu.Lock()
	defer j.fileMu.Unlock()
	if j.file != nil {
		err = errors.Join(err, j.file.Close())
		j.file = nil
	}
	if j.err == nil {
		j.err = ErrClosed
	}
	return err
}
