package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/quorddb/quord/internal/store/journal"
	"pgregory.net/rapid"
)

func config(fs vfs.FS) journal.Config {
	return journal.Config{FS: fs, Dir: "journal", FileBytes: 512, Spares: 2}
}

// payload is what record number holds: of some length, and unlike all others.
func payload(number uint64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "<%d>", number), int(number*7%40))
}

// fresh makes a journal.
func fresh(fs vfs.FS) (*journal.Journal, error) {
	if err := journal.Make(fs, "journal"); err != nil {
		return nil, err
	}
	j, _, err := read(fs, 0)
	return j, err
}

// read opens the journal and returns the numbers of what it replays.
func read(fs vfs.FS, after uint64) (j *journal.Journal, last uint64, err error) {
	last = after
	j, err = journal.Open(config(fs), after, func(number uint64, b []byte) error {
		if number != last+1 || !bytes.Equal(b, payload(number)) {
			return fmt.Errorf("record %d after %d: %q", number, last, b)
		}
		last = number
		return nil
	})
	return j, last, err
}

func add(j *journal.Journal) uint64 {
	return j.Append(func(dst []byte) []byte { return append(dst, payload(j.Peek()+1)...) })
}

// Whatever a crash leaves, what was durable is there, and what is there is what was written, without a hole.
func TestCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := vfs.NewCrashableMem()
		j, err := fresh(mem)
		if err != nil {
			rt.Fatal(err)
		}
		var durable, released uint64
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				for range rapid.IntRange(1, 9).Draw(rt, "records") {
					add(j)
				}
			},
			"sync": func(rt *rapid.T) {
				n := rapid.Uint64Range(0, j.Last()).Draw(rt, "number")
				if err := j.Sync(n); err != nil {
					rt.Fatal(err)
				}
				durable = max(durable, n)
			},
			"spill": func(rt *rapid.T) {
				if err := j.SpillAll(); err != nil {
					rt.Fatal(err)
				}
			},
			"prepare": func(rt *rapid.T) {
				if err := j.Prepare(); err != nil {
					rt.Fatal(err)
				}
			},
			"release": func(rt *rapid.T) {
				n := rapid.Uint64Range(released, max(released, durable)).Draw(rt, "number")
				if err := j.Release(n); err != nil {
					rt.Fatal(err)
				}
				released = n
			},
			"crash": func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				kept := rapid.SampledFrom([]int{0, 30, 100}).Draw(rt, "kept")
				after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rand.New(rand.NewPCG(seed, 1))})
				written := j.Last()
				_ = j.Close() // goes to the file system that is no more
				mem = after
				var last uint64
				if j, last, err = read(mem, released); err != nil {
					rt.Fatal(err)
				}
				if last < durable || last > written {
					rt.Fatalf("it ends at %d; %d were durable, %d written", last, durable, written)
				}
				durable = last
			},
			"reopen": func(rt *rapid.T) {
				written := j.Last()
				if err := j.Close(); err != nil {
					rt.Fatal(err)
				}
				var last uint64
				if j, last, err = read(mem, released); err != nil || last != written {
					rt.Fatalf("it ends at %d, not at %d: %v", last, written, err)
				}
				durable = last
			},
		})
	})
}

// A flipped bit anywhere costs nothing silently: either all durable records are replayed, or Open says that it is damaged.
// The last sync is the exception that the package comment names.
func TestFlippedBits(t *testing.T) {
	mem := vfs.NewMem()
	j, err := fresh(mem)
	if err != nil {
		t.Fatal(err)
	}
	const durable = 60
	for range durable {
		if err := j.Sync(add(j)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Sync(add(j)); err != nil { // which tells that the others were
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List("journal")
	if err != nil || len(names) < 5 {
		t.Fatalf("%v, %v: too few files for this test", names, err)
	}
	refused := 0
	for _, name := range names {
		path := "journal/" + name
		whole := content(t, mem, path)
		for at := range whole {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << (at % 8)
			store(t, mem, path, damaged)
			again, last, err := read(mem, 0)
			switch {
			case errors.Is(err, journal.ErrDamaged):
				refused++
				if !strings.Contains(err.Error(), "journal") {
					t.Fatalf("%v does not say where", err)
				}
			case err != nil:
				t.Fatalf("%s, byte %d: %v", name, at, err)
			case last < durable:
				t.Fatalf("%s, byte %d: the journal ends at %d without a word", name, at, last)
			default:
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		store(t, mem, path, whole)
	}
	if refused == 0 {
		t.Fatal("no damage was noticed at all")
	}
}

// A file that is gone, with records that were durable, is noticed too.
func TestMissingFiles(t *testing.T) {
	mem := vfs.NewMem()
	j, err := fresh(mem)
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		if err := j.Sync(add(j)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List("journal")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names[:len(names)-1] { // nothing tells of the last one
		whole := content(t, mem, "journal/"+name)
		if err := mem.Remove("journal/" + name); err != nil {
			t.Fatal(err)
		}
		if _, _, err := read(mem, 0); !errors.Is(err, journal.ErrDamaged) {
			t.Fatalf("without %s: %v", name, err)
		}
		store(t, mem, "journal/"+name, whole)
	}
	for _, name := range names {
		if err := mem.Remove("journal/" + name); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := read(mem, 40); !errors.Is(err, journal.ErrDamaged) {
		t.Fatalf("without any file: %v", err)
	}
	if err := mem.RemoveAll("journal"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(mem, 0); !errors.Is(err, journal.ErrDamaged) {
		t.Fatalf("without the directory: %v", err)
	}
}

// Files are used again: a journal that is released as it grows does not take ever more of the disk.
func TestFilesAreReused(t *testing.T) {
	mem := vfs.NewMem()
	j, err := fresh(mem)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		n := add(j)
		if err := errors.Join(j.Sync(n), j.Release(n)); err != nil {
			t.Fatal(err)
		}
		names, err := mem.List("journal")
		if err != nil || len(names) > 4 {
			t.Fatalf("%d files, %v", len(names), err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, last, err := read(mem, 2000); err != nil || last != 2000 {
		t.Fatalf("%d, %v", last, err)
	}
}

// After a sync that failed nothing is vouched for any more.
func TestFailedSyncIsFinal(t *testing.T) {
	failing := false
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing && op.Kind == errorfs.OpFileSyncData {
			failing = false
			return errorfs.ErrInjected
		}
		return nil
	}))
	j, err := fresh(fs)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Sync(add(j)); err != nil {
		t.Fatal(err)
	}
	failing = true
	for range 3 {
		if err := j.Sync(add(j)); !errors.Is(err, errorfs.ErrInjected) {
			t.Fatalf("a sync after the failure: %v", err)
		}
	}
	if err := j.Sync(1); err != nil {
		t.Fatalf("what was durable before: %v", err)
	}
}

func content(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func store(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(bytes.Clone(b))
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// What is damaged of records that are not needed any more, in a file of theirs alone, keeps nothing that is needed from being
// read.
func TestDamageInWhatWasReleased(t *testing.T) {
	mem := vfs.NewMem()
	j, err := fresh(mem)
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		if err := j.Sync(add(j)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	const after = 40
	names, err := mem.List("journal")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	opened := 0
	for _, name := range names {
		path := "journal/" + name
		whole := content(t, mem, path)
		for at := range whole {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << (at % 8)
			store(t, mem, path, damaged)
			again, last, err := read(mem, after)
			if err == nil && last < 59 {
				t.Fatalf("%s, byte %d: the journal ends at %d without a word", name, at, last)
			}
			if err != nil && name == names[0] {
				t.Fatalf("%s, byte %d: %v", name, at, err)
			}
			if err == nil {
				opened++
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		store(t, mem, path, whole)
	}
	if opened == 0 {
		t.Fatal("it was never opened")
	}
}

// forged is what a client may have written: records of no payload that say that all before some number was durable.
func forged(number uint64) (out []byte) {
	table := crc32.MakeTable(crc32.Castagnoli)
	for range 8 { // wherever the value begins
		for file := range uint64(100) {
			seed := crc32.Checksum(binary.LittleEndian.AppendUint64(nil, file), table)
			body := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, number), number-1)
			out = binary.LittleEndian.AppendUint32(out, 0)
			out = binary.LittleEndian.AppendUint32(out, crc32.Update(seed, table, body))
			out = append(out, body...)
		}
		out = append(out, 0)
	}
	return out
}

// A client has bytes written that look like records of later files, and the file in which they lie is used again. They must
// not keep the journal from being opened, nor be taken for records.
func TestForgedRecords(t *testing.T) {
	mem := vfs.NewMem()
	cfg := config(mem)
	cfg.Secret = 77
	open := func() (*journal.Journal, error) {
		return journal.Open(cfg, 0, func(uint64, []byte) error { return nil })
	}
	if err := journal.Make(mem, "journal"); err != nil {
		t.Fatal(err)
	}
	j, err := open()
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 20
	for number := uint64(1); number <= rounds; number++ {
		for _, next := range []uint64{4*rounds + 2, 4*rounds + 30, 1 << 31} {
			value := forged(next)
			j.Append(func(dst []byte) []byte { return append(dst, value...) })
		}
		if err := j.Sync(j.Last()); err != nil {
			t.Fatal(err)
		}
		if err := j.Release(j.Last()); err != nil {
			t.Fatal(err)
		}
		if err := j.Sync(j.Append(func(dst []byte) []byte { return append(dst, "short"...) })); err != nil {
			t.Fatal(err)
		}
	}
	last := j.Last()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err = journal.Open(cfg, last-1, func(uint64, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if j.Last() != last {
		t.Fatalf("it ends at %d, not at %d", j.Last(), last)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file system that cannot reserve space, for it does not know how or is almost full, takes what can be written all the same.
func TestNoSpaceCanBeReserved(t *testing.T) {
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFilePreallocate {
			return errorfs.ErrInjected
		}
		return nil
	}))
	j, err := fresh(fs)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Sync(add(j)), j.Close()); err != nil {
		t.Fatal(err)
	}
}

// forgetful is a disk below a kernel that takes what it could not write for written, as Linux does: a later sync has nothing
// to do. What reads sees it until the power is cut.
type forgetful struct {
	vfs.FS
	failing *bool
	durable map[string][]byte // what the disk has of each file
	dirty   map[string][]extent
}

type extent struct {
	at   int64
	data []byte
}

type forgetfulFile struct {
	vfs.File
	disk forgetful
	name string
	at   *int64
}

func (d forgetful) watch(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return forgetfulFile{f, d, name, new(int64)}, nil
}

func (d forgetful) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return d.watch(name, f, err)
}

func (d forgetful) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, opts...)
	return d.watch(name, f, err)
}

func (f forgetfulFile) note(p []byte, at int64) {
	f.disk.dirty[f.name] = append(f.disk.dirty[f.name], extent{at, bytes.Clone(p)})
}

func (f forgetfulFile) Write(p []byte) (int, error) {
	f.note(p, *f.at)
	*f.at += int64(len(p))
	return f.File.Write(p)
}

func (f forgetfulFile) WriteAt(p []byte, at int64) (int, error) {
	f.note(p, at)
	return f.File.WriteAt(p, at)
}

func (f forgetfulFile) Sync() error { return f.SyncData() }

func (f forgetfulFile) SyncData() error {
	dirty := f.disk.dirty[f.name]
	delete(f.disk.dirty, f.name)
	if *f.disk.failing {
		return errorfs.ErrInjected
	}
	on := f.disk.durable[f.name]
	for _, e := range dirty {
		if end := int(e.at) + len(e.data); end > len(on) {
			on = append(on, make([]byte, end-len(on))...)
		}
		copy(on[e.at:], e.data)
	}
	f.disk.durable[f.name] = on
	return nil
}

// A sync fails, the process ends, and is started again. What it finds in the memory of the kernel it tells others that it
// has; so it must be on the disk by then, though the kernel believes that it is.
func TestWhatIsReplayedIsDurableAfterAFailedSync(t *testing.T) {
	for name, before := range map[string]int{"in the first record of a file": 0, "later": 3} {
		t.Run(name, func(t *testing.T) {
			disk := forgetful{vfs.NewMem(), new(bool), map[string][]byte{}, map[string][]extent{}}
			j, err := fresh(disk)
			if err != nil {
				t.Fatal(err)
			}
			for range before {
				if err := j.Sync(add(j)); err != nil {
					t.Fatal(err)
				}
			}
			*disk.failing = true
			if err := j.Sync(add(j)); !errors.Is(err, errorfs.ErrInjected) {
				t.Fatal(err)
			}
			_ = j.Close() // it failed
			*disk.failing = false
			j, last, err := read(disk, 0)
			if err != nil {
				t.Fatal(err)
			}
			_ = j.Close()
			left := vfs.NewMem() // the power is cut
			if err := journal.Make(left, "journal"); err != nil {
				t.Fatal(err)
			}
			for name, b := range disk.durable {
				store(t, left, name, b)
			}
			if _, after, err := read(left, 0); err != nil || after != last {
				t.Fatalf("%d records were replayed, %d of them were on the disk: %v", last, after, err)
			}
		})
	}
}
