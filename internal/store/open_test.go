package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store"
)

func openStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a test that closes it looks at the error itself
	return s
}

// wantRefused opens dir and checks that the error is of the kind and names the directory.
func wantRefused(t *testing.T, dir string, kind error, words ...string) {
	t.Helper()
	s, err := store.Open(store.Config{Dir: dir})
	if err == nil {
		_ = s.Close() // the test has failed already
		t.Fatal("the store opens")
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("%v is not %q", err, kind)
	}
	for _, word := range append(words, dir) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not name %q", err, word)
		}
	}
}

func apply(t *testing.T, s *store.Store, w kv.Write) {
	t.Helper()
	p, err := s.Apply(&w, true)
	if err == nil {
		err = p.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func filled(t *testing.T, dir string) {
	t.Helper()
	s := openStore(t, dir)
	apply(t, s, kv.Write{
		Log: []kv.LogOp{{Group: 1, Append: []kv.Entry{
			{Index: 1, Term: 1, Data: []byte("one")}, {Index: 2, Term: 1}, {Index: 3, Term: 1},
		}}},
		State: []kv.Op{{Kind: kv.Set, Key: []byte("key"), Value: []byte("value")}},
	})
	if err := errors.Join(s.Checkpoint(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// What was stored on a real disk is there for the next process.
func TestRealDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		filled(t, dir)
		s := openStore(t, dir)
		if v, err := s.Get([]byte("key")); string(v) != "value" || err != nil {
			t.Fatalf("%q, %v", v, err)
		}
		m, err := s.Metrics()
		if err != nil || m.Groups != 1 || m.DiskTotalBytes == 0 || m.DiskBytes == 0 || m.Failed {
			t.Fatalf("metrics: %+v, %v", m, err)
		}
		apply(t, s, kv.Write{Log: []kv.LogOp{{Group: 1, Destroy: true}}})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Metrics(); !errors.Is(err, kv.ErrClosed) {
			t.Fatalf("metrics of a closed store: %v", err)
		}
	}
}

// An operator who gives a wrong directory must learn what is wrong with it, and find it as it was.
func TestRefusedDirectories(t *testing.T) {
	t.Run("in use", func(t *testing.T) {
		dir := t.TempDir()
		openStore(t, dir)
		wantRefused(t, dir, store.ErrInUse, "stop it first")
	})
	t.Run("newer format", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "FORMAT", "quord-store 2\n")
		wantRefused(t, dir, store.ErrNewerFormat, "2", "up to 1")
	})
	t.Run("damaged format", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "FORMAT", "quord-stor")
		wantRefused(t, dir, kv.ErrCorrupt, "FORMAT")
	})
	t.Run("something else", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "holiday.jpg", "")
		wantRefused(t, dir, store.ErrNotAStore, "holiday.jpg")
	})
	t.Run("a file", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "file", "")
		wantRefused(t, filepath.Join(dir, "file"), nil, "is a file")
	})
	t.Run("not permitted", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("waits for a run as another user than root, whom permissions do not stop")
		}
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, dir, os.ErrPermission)
	})
	t.Run("no directory", func(t *testing.T) {
		wantRefused(t, "", nil, "Dir is empty")
	})
	t.Run("database gone", func(t *testing.T) {
		dir := t.TempDir()
		filled(t, dir)
		for _, name := range glob(t, dir, "*") {
			if filepath.Base(name) != "FORMAT" {
				if err := os.RemoveAll(name); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantRefused(t, dir, kv.ErrCorrupt, "gone")
	})
	t.Run("newer Pebble", func(t *testing.T) {
		dir := t.TempDir()
		filled(t, dir)
		for _, name := range glob(t, dir, "marker.format-version.*") {
			if err := os.Rename(name, filepath.Join(dir, "marker.format-version.000099.999")); err != nil {
				t.Fatal(err)
			}
		}
		wantRefused(t, dir, store.ErrNewerFormat, "999")
	})
	t.Run("damaged manifest", func(t *testing.T) {
		dir := t.TempDir()
		filled(t, dir)
		for _, name := range glob(t, dir, "MANIFEST-*") {
			damage(t, name, 20)
		}
		wantRefused(t, dir, kv.ErrCorrupt)
	})
	t.Run("settings", func(t *testing.T) {
		for _, cfg := range []store.Config{{Dir: "x", CacheBytes: -1}, {Dir: "x", MemTableBytes: 5}} {
			if _, err := store.Open(cfg); err == nil {
				t.Errorf("%+v is accepted", cfg)
			}
		}
	})
}

// A power failure while the directory is set up must not leave one that is refused for ever. It strikes before each
// operation that changes the disk, and keeps nothing that was not synced, or all of it.
func TestInterruptedSetup(t *testing.T) {
	for _, kept := range []int{0, 100} {
		random := rand.New(rand.NewPCG(1, 1))
		mem := vfs.NewCrashableMem()
		var mu sync.Mutex
		var crashed []*vfs.MemFS
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				mu.Lock()
				crashed = append(crashed, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: random}))
				mu.Unlock()
			}
			return nil
		}))
		s, err := store.Open(store.Config{Dir: "a/b", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for i, after := range crashed {
			s, err := store.Open(store.Config{Dir: "a/b", FS: after})
			if err != nil {
				t.Fatalf("after a power failure before operation %d: %v", i, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A disk that is full when the first table is to be written, which the secret of the journal lies in, ends the start: Pebble
// tries such a table again without end, so a process of its own has to show it. The directory can be used when there is room.
func TestFullAtTheFirstTable(t *testing.T) {
	const child, fails = "QUORD_TEST_DIR", "QUORD_TEST_KIND"
	if dir := os.Getenv(child); dir != "" {
		fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if fmt.Sprint(op.Kind) == os.Getenv(fails) && strings.HasSuffix(op.Path, ".sst") {
				return syscall.ENOSPC
			}
			return nil
		}))
		_, err := store.Open(store.Config{Dir: dir, FS: fs})
		fmt.Println("opened:", err)
		os.Exit(0)
	}
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite} {
		dir := filepath.Join(t.TempDir(), "data")
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullAtTheFirstTable$")
		cmd.Env = append(os.Environ(), child+"="+dir, fails+"="+fmt.Sprint(kind))
		said, err := cmd.Output()
		if err != nil || !strings.Contains(string(said), "no space left on device") {
			t.Errorf("%v: %v, %s", kind, err, said)
		}
		s, err := store.Open(store.Config{Dir: dir})
		if err != nil {
			t.Fatalf("%v: with room: %v", kind, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Pebble gives up when there is no room for the list of its tables, in a goroutine of its own, too. A start that meets that
// says why and ends as any other that fails, not with a stack: whatever Pebble waits for, in a process of its own.
func TestFullAtTheListOfTables(t *testing.T) {
	const child, fails = "QUORD_TEST_DIR", "QUORD_TEST_WRITE"
	if dir := os.Getenv(child); dir != "" {
		var writes atomic.Int64
		nth, _ := strconv.Atoi(os.Getenv(fails))
		fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, "MANIFEST") && writes.Add(1) >= int64(nth) {
				return syscall.ENOSPC
			}
			return nil
		}))
		_, err := store.Open(store.Config{Dir: dir, FS: fs})
		fmt.Println("opened:", err, writes.Load())
		os.Exit(0)
	}
	dir := filepath.Join(t.TempDir(), "data")
	whole := 0
	for nth := 1; whole < 2; nth++ { // at the first start, and at the second one
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullAtTheListOfTables$")
		cmd.Env = append(os.Environ(), child+"="+dir, fmt.Sprintf("%s=%d", fails, nth))
		said, err := cmd.CombinedOutput()
		switch {
		case err == nil && strings.Contains(string(said), "opened: <nil>"):
			if whole++; nth == 1 {
				t.Fatal("nothing was written: this shows nothing")
			}
			nth = 0
		case err != nil || !strings.Contains(string(said), "no space left on device"):
			t.Errorf("write %d: %v, %s", nth, err, said)
		}
	}
}

// A damaged log must be an error that names the group, never an entry that was not written.
func TestDamagedLogIsNotServed(t *testing.T) {
	for name, change := range map[string]func(b *pebble.Batch) error{
		"a flipped bit": func(b *pebble.Batch) error {
			return b.Set([]byte("l\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02"), []byte("\x01 not what was written"), nil)
		},
		"a missing entry": func(b *pebble.Batch) error {
			return b.Delete([]byte("l\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02"), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filled(t, dir)
			meddle(t, dir, change)
			s := openStore(t, dir)
			if es, err := s.Entries(1, 1, 4, 1<<20); !errors.Is(err, kv.ErrCorrupt) || !strings.Contains(err.Error(), "group 1") {
				t.Fatalf("%v, %v", es, err)
			}
			if es, err := s.Entries(1, 3, 4, 1<<20); len(es) != 1 || err != nil {
				t.Fatalf("what is whole is not served: %v, %v", es, err)
			}
		})
	}
	for name, change := range map[string]func(b *pebble.Batch) error{
		"no beginning": func(b *pebble.Batch) error {
			return b.Delete([]byte("l\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"), nil)
		},
		"no hard state":      func(b *pebble.Batch) error { return b.Delete([]byte("h\x00\x00\x00\x01"), nil) },
		"damaged hard state": func(b *pebble.Batch) error { return b.Set([]byte("h\x00\x00\x00\x01"), []byte("\x01?"), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filled(t, dir)
			meddle(t, dir, change)
			wantRefused(t, dir, kv.ErrCorrupt, "group 1")
		})
	}
}

// meddle changes the database behind the store's back.
func meddle(t *testing.T, dir string, change func(b *pebble.Batch) error) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	if err := errors.Join(change(b), b.Commit(pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	return names
}

// damage flips a bit of the file.
func damage(t *testing.T, name string, at int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// quiet is a pebble.Logger.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
