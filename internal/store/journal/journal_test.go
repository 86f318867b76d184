package journal_test

import (
	"bytes"
	"errors"
	"fmt"
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
		j, _, err := read(mem, 0)
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
	j, _, err := read(mem, 0)
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
	j, _, err := read(mem, 0)
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
	if err := mem.RemoveAll("journal"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(mem, 40); !errors.Is(err, journal.ErrDamaged) {
		t.Fatalf("without any file: %v", err)
	}
}

// Files are used again: a journal that is released as it grows does not take ever more of the disk.
func TestFilesAreReused(t *testing.T) {
	mem := vfs.NewMem()
	j, _, err := read(mem, 0)
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
	j, _, err := read(fs, 0)
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
