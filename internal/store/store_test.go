package store_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store"
	"github.com/quorddb/quord/internal/store/storetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a store on a file system in memory that forgets what was not synced, and whose syncs can fail.
type harness struct {
	cfg   store.Config
	mem   *vfs.MemFS
	fail  *atomic.Bool
	store *store.Store
}

func newHarness(t testing.TB, cfg store.Config) *harness {
	cfg.Dir = "data/store"
	h := &harness{cfg: cfg, mem: vfs.NewCrashableMem()}
	h.open(t)
	return h
}

func (h *harness) open(t testing.TB) {
	t.Helper()
	fail := new(atomic.Bool)
	h.fail = fail
	h.cfg.FS = errorfs.Wrap(h.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if fail.Load() && strings.HasSuffix(op.Path, ".journal") {
				return errorfs.ErrInjected
			}
		}
		return nil
	}))
	var err error
	if h.store, err = store.Open(h.cfg); err != nil {
		t.Fatal(err)
	}
}

func (h *harness) Store() kv.Store { return h.store }

// Exact: an unsynced Write becomes durable all the same with a checkpoint.
func (h *harness) Exact() bool { return h.cfg.CheckpointBytes == 0 }

func (h *harness) Fail()  { h.fail.Store(true) }
func (h *harness) Close() { _ = h.store.Close() } // a store that failed says so

func (h *harness) Crash(t testing.TB) {
	t.Helper()
	after := h.mem.CrashClone(vfs.CrashCloneCfg{})
	_ = h.store.Close() // goes to the file system that is no more
	h.mem = after
	h.open(t)
}

func (h *harness) Reopen(t testing.TB) {
	t.Helper()
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	h.open(t)
}

func TestStore(t *testing.T) {
	for name, cfg := range map[string]store.Config{
		"default": {},
		// So small that there is a checkpoint all the time, and that most reads go to Pebble.
		"small": {ValueCacheBytes: 2000, CheckpointBytes: 1 << 10, MemTableBytes: 64 << 10, CacheBytes: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) storetest.Harness { return newHarness(t, cfg) })
		})
	}
}

// A write that fails behind Apply's back, without anybody waiting for it, must stop the store all the same: Pebble would
// notice late, and panic.
func TestFailedWriteInTheBackground(t *testing.T) {
	fail := new(atomic.Bool)
	failed := make(chan error, 1)
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail.Load() && op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".journal") {
			return errorfs.ErrInjected
		}
		return nil
	}))
	s, err := store.Open(store.Config{
		Dir: "data", FS: fs, ValueCacheBytes: -1, OnFailure: func(err error) { failed <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	w := kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte("key"), Value: []byte("value")}}}
	if _, err := s.Apply(&w, false); err != nil {
		t.Fatal(err)
	}
	fail.Store(true)
	// More than is kept in memory until the next sync.
	large := kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte("large"), Value: make([]byte, 2<<20)}}}
	if _, err := s.Apply(&large, false); err != nil && !errors.Is(err, kv.ErrFailed) {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, errorfs.ErrInjected) || !strings.Contains(err.Error(), ".journal") {
		t.Errorf("%v does not name the cause and the file", err)
	}
	for range 3 {
		if _, err := s.Apply(&w, false); !errors.Is(err, kv.ErrFailed) {
			t.Fatalf("a Write after the failure: %v", err)
		}
	}
	if v, err := s.Get([]byte("key")); string(v) != "value" {
		t.Errorf("get: %q, %v", v, err)
	}
	if m, err := s.Metrics(); err != nil || !m.Failed {
		t.Errorf("metrics: %+v, %v", m, err)
	}
	if err := s.Close(); !errors.Is(err, kv.ErrFailed) {
		t.Errorf("close: %v", err)
	}
}

// The node must learn that its disk failed, once and with the cause, so that it stops instead of hanging.
func TestFailureIsReported(t *testing.T) {
	reported := make(chan error, 10)
	h := newHarness(t, store.Config{OnFailure: func(err error) { reported <- err }})
	defer h.Close()
	h.Fail()
	for range 3 {
		p, err := h.store.Apply(&kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte("a")}}}, true)
		if err == nil {
			err = p.Wait()
		}
		if !errors.Is(err, kv.ErrFailed) || !errors.Is(err, errorfs.ErrInjected) {
			t.Fatalf("%v does not name the cause", err)
		}
	}
	if n := len(reported); n != 1 {
		t.Fatalf("%d reports", n)
	}
	if err := <-reported; !errors.Is(err, errorfs.ErrInjected) || !errors.Is(h.store.Err(), errorfs.ErrInjected) {
		t.Fatalf("%v does not name the cause", err)
	}
	if m, err := h.store.Metrics(); err != nil || !m.Failed {
		t.Fatalf("metrics do not show the failure: %v", err)
	}
}
