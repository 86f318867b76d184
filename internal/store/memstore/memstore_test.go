package memstore_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store/memstore"
	"github.com/quorddb/quord/internal/store/storetest"
)

type harness struct{ store *memstore.Store }

func (h *harness) Store() kv.Store { return h.store }
func (h *harness) Exact() bool     { return true }
func (h *harness) Fail()           { h.store.Fail(errors.New("injected")) }
func (h *harness) Close()          { _ = h.store.Close() } // a store that failed says so

func (h *harness) Crash(testing.TB) { h.store = h.store.Crash(nil) }

func (h *harness) Reopen(t testing.TB) {
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	h.store = h.store.Crash(nil)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Harness { return &harness{memstore.New()} })
}

// A simulated crash that keeps something other than whole Writes in order would find errors that no disk has.
func TestCrashKeepsAPrefix(t *testing.T) {
	for keep := range 5 {
		s := memstore.New()
		for i := range 4 {
			w := kv.Write{
				Log:   []kv.LogOp{{Group: 1, Append: []kv.Entry{{Index: uint64(i + 1), Term: 1}}}},
				State: []kv.Op{{Kind: kv.Set, Key: fmt.Appendf(nil, "key%d", i)}},
			}
			p, err := s.Apply(&w, i == 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		s = s.Crash(func(unsynced int) int {
			if unsynced != 3 {
				t.Fatalf("%d Writes are said to be unsynced, 3 are", unsynced)
			}
			return keep
		})
		want := 1 + min(keep, 3)
		for i := range 4 {
			if _, err := s.Get(fmt.Appendf(nil, "key%d", i)); (err == nil) != (i < want) {
				t.Errorf("keep %d: key%d: %v", keep, i, err)
			}
		}
		if err := s.Groups(func(g kv.Group) error {
			if g.Last != uint64(want) {
				t.Errorf("keep %d: the log ends at %d, want %d", keep, g.Last, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// A Write whose Pending is waited for after the crash was not acknowledged, and must not seem to be.
func TestWaitAfterCrash(t *testing.T) {
	s := memstore.New()
	p, err := s.Apply(&kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte("a")}}}, true)
	if err != nil {
		t.Fatal(err)
	}
	after := s.Crash(nil)
	if err := p.Wait(); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("Wait after a crash: %v", err)
	}
	if _, err := after.Get([]byte("a")); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("an unsynced Write survived: %v", err)
	}
}
