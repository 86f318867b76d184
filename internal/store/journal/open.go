package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrDamaged is wrapped by Open's error about a journal that has lost records, or holds some that do not belong together.
var ErrDamaged = errors.New("the journal is damaged")

const suffix = ".journal"

func (j *Journal) path(file uint64) string {
	return j.cfg.FS.PathJoin(j.cfg.Dir, fmt.Sprintf("%08d%s", file, suffix))
}

// Make makes the directory of a journal, durably. From then on one that is missing is an error of Open.
func Make(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return SyncDir(fs, fs.PathDir(dir))
}

// Open opens the journal in cfg.Dir, and calls replay for each record after the number after, in order. The payload is
// valid only during the call.
func Open(cfg Config, after uint64, replay func(number uint64, payload []byte) error) (*Journal, error) {
	j := &Journal{cfg: cfg, next: 1}
	if err := j.open(after, replay); err != nil {
		return nil, fmt.Errorf("journal %s: %w", cfg.Dir, err)
	}
	return j, nil
}

func (j *Journal) open(after uint64, replay func(uint64, []byte) error) error {
	files, err := j.list()
	if err != nil {
		return err
	}
	r := reading{after: after, replay: replay}
	for i, file := range files {
		n, err := j.read(&r, file)
		if err != nil {
			return fmt.Errorf("%s: %w", j.path(file), err)
		}
		if n == 0 && i < len(files)-1 {
			j.spares = append(j.spares, file) // begun, and nothing was written
			continue
		}
		j.live = append(j.live, segment{file: file, first: r.last + 1 - n, bytes: r.bytes})
		j.next = file + 1
	}
	if lost := max(r.claimed, after); lost > r.last {
		return fmt.Errorf("%w: it ends at record %d, though all up to %d were durable: restore the directory from where it came, "+
			"or start with an empty one as a new node", ErrDamaged, r.last, lost)
	}
	j.last = r.last
	j.durable.Store(r.last)
	j.release(after)
	slices.Sort(j.spares)
	return nil
}

// list returns the numbers of the files, ascending.
func (j *Journal) list() (files []uint64, err error) {
	names, err := j.cfg.FS.List(j.cfg.Dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its directory is gone: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, suffix)
		if n, err := strconv.ParseUint(digits, 10, 63); ok && err == nil && n > 0 {
			files = append(files, n)
		}
	}
	slices.Sort(files)
	return files, nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// reading is how far the records have been read.
type reading struct {
	after   uint64
	replay  func(uint64, []byte) error
	last    uint64 // number of the last record that follows without a gap
	claimed uint64 // the highest number that some record says was durable
	bytes   int64  // of the file
}

// read replays the records of a file and makes them durable. It returns how many belong to the journal.
func (j *Journal) read(r *reading, file uint64) (n uint64, err error) {
	b, err := j.load(file)
	if err != nil {
		return 0, err
	}
	seed := seed(file, j.cfg.Secret)
	at, unsure := headerLen, 0
	if validHeader(b, file) {
		for at < len(b) {
			rec, ok := decode(b[at:], seed)
			if !ok {
				break
			}
			if err := r.follows(rec.number, n == 0); err != nil {
				return n, err
			}
			if n > 0 && rec.durable > r.claimed {
				unsure = at
			}
			r.claimed = max(r.claimed, rec.durable)
			r.last = rec.number
			n++
			at += rec.size
			if rec.number <= r.after {
				continue
			}
			if err := r.replay(rec.number, rec.payload); err != nil {
				return n, fmt.Errorf("record %d: %w", rec.number, err)
			}
		}
	}
	r.bytes = int64(at)
	r.claim(b, at, seed)
	if r.last > r.after && n > 0 {
		err = j.harden(file, b[unsure:at], int64(unsure))
	}
	return n, err
}

// follows checks that a record may come after those that were read.
func (r *reading) follows(number uint64, first bool) error {
	switch {
	case number == r.last+1:
		return nil
	case first && number > r.last && number <= r.after+1:
		return nil // what came before was released, and is gone, or may be damaged
	}
	return fmt.Errorf("%w: record %d follows record %d", ErrDamaged, number, r.last)
}

// claim looks at what stands behind the end of a file: records that cannot be reached may tell of some before them that
// were durable.
func (r *reading) claim(b []byte, at int, seed uint32) {
	end := at
	for at = (at + alignment - 1) / alignment * alignment; at+recordHead <= len(b); at += alignment {
		// Most of it is nothing, or of an earlier file: do not compute a checksum for what cannot be a record of this one.
		// Between the end and a record there is room for so many others at most.
		number, most := binary.LittleEndian.Uint64(b[at+numberAt:]), r.last+1+uint64(at-end)/recordHead
		if number <= r.last || number > most || binary.LittleEndian.Uint64(b[at+numberAt+8:]) >= number {
			continue
		}
		if rec, ok := decode(b[at:], seed); ok {
			r.claimed = max(r.claimed, rec.durable)
		}
	}
}

func (j *Journal) load(file uint64) ([]byte, error) {
	f, err := j.cfg.FS.Open(j.path(file))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// harden syncs a file that was replayed: what the kernel remembers of a process that was killed may not be on disk. What no
// record says was durable is written once more: after a sync that failed the kernel may take it for written.
func (j *Journal) harden(file uint64, unsure []byte, at int64) error {
	f, err := j.cfg.FS.OpenReadWrite(j.path(file), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(unsure, at); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// numberOf returns the number of the first record in b.
func numberOf(b []byte) uint64 { return binary.LittleEndian.Uint64(b[numberAt:]) }
