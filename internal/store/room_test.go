package store_test

import (
	"errors"
	"path/filepath"
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
