package store_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store"
)

// fullDisk is a file system on which nothing can be written while it is full. Removing the ballast makes room.
type fullDisk struct {
	vfs.FS
	full *atomic.Bool
}

func newFullDisk() fullDisk {
	full := new(atomic.Bool)
	return fullDisk{full: full, FS: errorfs.Wrap(vfs.NewCrashableMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpCreate, errorfs.OpRename, errorfs.OpReuseForWrite:
			if full.Load() {
				return syscall.ENOSPC
			}
		}
		return nil
	}))}
}

func (d fullDisk) Remove(name string) error {
	if filepath.Base(name) == "BALLAST" {
		d.full.Store(false)
	}
	return d.FS.Remove(name)
}

func put(s *store.Store, key string) error {
	p, err := s.Apply(&kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte(key), Value: make([]byte, 100)}}}, true)
	if err != nil {
		return err
	}
	return p.Wait()
}

// A disk that another program fills up must not end a node that has set room aside for that; without it the node
// stops, says why, and has lost nothing.
func TestFullDisk(t *testing.T) {
	disk := newFullDisk()
	cfg := store.Config{Dir: "data", FS: disk}
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.KeepBallast(1 << 20); err != nil {
		t.Fatal(err)
	}
	if err := put(s, "before"); err != nil {
		t.Fatal(err)
	}
	disk.full.Store(true)
	if err := put(s, "with ballast"); err != nil {
		t.Fatalf("a write to a full disk with ballast: %v", err)
	}
	if m, err := s.Metrics(); err != nil || m.DiskFull != 1 || m.Failed {
		t.Fatalf("%d times full, failed %v, %v", m.DiskFull, m.Failed, err)
	}
	if err := s.KeepBallast(1 << 20); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	disk.full.Store(true)
	if s, err = store.Open(cfg); err != nil {
		t.Fatalf("with ballast of an earlier process: %v", err)
	}
	disk.full.Store(true)
	if err := put(s, "without"); !errors.Is(err, kv.ErrNoSpace) || !errors.Is(err, kv.ErrFailed) {
		t.Fatalf("a write to a full disk: %v", err)
	}
	_ = s.Close() // it failed
	disk.full.Store(false)
	if s, err = store.Open(cfg); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"before", "with ballast"} {
		if _, err := s.Get([]byte(key)); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// dyingDisk keeps what a process leaves that ends while it sets room aside, and counts how often room was.
type dyingDisk struct {
	*vfs.MemFS
	left *vfs.MemFS
	set  int
}

func (d *dyingDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.MemFS.Create(name, c)
	if strings.HasPrefix(filepath.Base(name), "BALLAST") {
		f = ballastOf{f, d}
	}
	return f, err
}

type ballastOf struct {
	vfs.File
	disk *dyingDisk
}

func (f ballastOf) Preallocate(int64, int64) error {
	f.disk.left = f.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	f.disk.set++
	return nil
}

// A ballast whose room was not set aside when the process ended is none: the next process makes one.
func TestBallastIsWholeOrNone(t *testing.T) {
	keep := func(disk *dyingDisk) {
		t.Helper()
		s, err := store.Open(store.Config{Dir: "data", FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.KeepBallast(1<<20), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	first := &dyingDisk{MemFS: vfs.NewCrashableMem()}
	keep(first)
	second := &dyingDisk{MemFS: first.left}
	keep(second)
	if first.set != 1 || second.set != 1 {
		t.Fatalf("room was set aside %d times, and %d times after that was cut short", first.set, second.set)
	}
	third := &dyingDisk{MemFS: second.MemFS}
	if keep(third); third.set != 0 {
		t.Fatal("room was set aside beside that of an earlier process")
	}
	if names, err := third.List("data"); err != nil || slices.Contains(names, "BALLAST.new") {
		t.Fatalf("%q, %v", names, err)
	}
}
