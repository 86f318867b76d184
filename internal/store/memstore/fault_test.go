package memstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store/memstore"
)

func write(t *testing.T, s *memstore.Store, sync bool, w kv.Write) {
	t.Helper()
	p, err := s.Apply(&w, sync)
	if err == nil {
		err = p.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func put(key, value string) kv.Write {
	return kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte(key), Value: []byte(value)}}}
}

func appended(first, n uint64) kv.LogOp {
	op := kv.LogOp{Group: 1}
	for i := range n {
		op.Append = append(op.Append, kv.Entry{Index: first + i, Term: 1, Data: fmt.Appendf(nil, "entry %d", first+i)})
	}
	return op
}

// A simulated disk that never fills, or never has room again after a deletion, would hide what a full one does.
func TestCapacity(t *testing.T) {
	s := memstore.New()
	s.SetCapacity(1000)
	for i := range 8 {
		write(t, s, true, put(fmt.Sprint("key", i), string(make([]byte, 50))))
	}
	write(t, s, true, kv.Write{Log: []kv.LogOp{appended(1, 4)}})
	before, total := s.Room()
	if before == 0 || before > 400 || total != 1000 {
		t.Fatalf("%d of %d bytes are free", before, total)
	}
	w := kv.Write{
		Log:   []kv.LogOp{{Group: 1, Truncate: &kv.Position{Index: 4, Term: 1}}},
		State: []kv.Op{{Kind: kv.DeleteRange, Key: []byte("key"), Value: []byte("kez")}},
	}
	write(t, s, true, w)
	if free, _ := s.Room(); free != 1000 {
		t.Fatalf("of an empty disk of 1000 bytes %d are free", free)
	}
	large := put("large", string(make([]byte, 1000)))
	for range 2 { // once failed, it stays so
		if _, err := s.Apply(&large, true); !errors.Is(err, kv.ErrNoSpace) || !errors.Is(err, kv.ErrFailed) {
			t.Fatalf("a Write without room: %v", err)
		}
	}
	s = s.Crash(nil)
	write(t, s, true, put("small", "1"))
	if _, err := s.Apply(&large, true); !errors.Is(err, kv.ErrNoSpace) {
		t.Fatalf("the bound is gone after a crash: %v", err)
	}
}

// Damage that is not there after the next start, or that comes through as a good entry, tests nothing.
func TestFlippedBits(t *testing.T) {
	s := memstore.New()
	write(t, s, true, put("key", "value"))
	write(t, s, true, kv.Write{Log: []kv.LogOp{appended(1, 3)}})
	if s.Flip([]byte("none"), 0) || s.FlipEntry(1, 4) || s.FlipEntry(2, 1) {
		t.Fatal("what does not exist was damaged")
	}
	if !s.Flip([]byte("key"), 41) || !s.FlipEntry(1, 2) {
		t.Fatal("nothing was damaged")
	}
	for range 2 {
		if v, err := s.Get([]byte("key")); err != nil || !bytes.Equal(v, []byte("vclue")) && !bytes.Equal(v, []byte("talue")) {
			t.Fatalf("the value is %q, %v", v, err)
		}
		if es, err := s.Entries(1, 1, 4, 1000); err != nil || len(es) != 1 {
			t.Fatalf("before a damaged entry: %v, %v", es, err)
		}
		if _, err := s.Entries(1, 2, 4, 1000); !errors.Is(err, kv.ErrCorrupt) {
			t.Fatalf("a damaged entry: %v", err)
		}
		s = s.Crash(nil)
	}
	write(t, s, true, kv.Write{Log: []kv.LogOp{appended(2, 2)}})
	if es, err := s.Entries(1, 1, 4, 1000); err != nil || len(es) != 3 {
		t.Fatalf("after the damaged entry was replaced: %v, %v", es, err)
	}
}

// A log that survives a crash without the state that was written with it is what two files on one disk leave behind.
func TestTear(t *testing.T) {
	for _, c := range []struct {
		whole, logs int
		keys        int
		last        uint64
	}{{0, 0, 1, 1}, {1, 0, 2, 2}, {0, 2, 1, 3}, {1, 9, 2, 3}, {9, 9, 5, 4}} {
		s := memstore.New()
		for i := range uint64(5) {
			w := put(fmt.Sprint("key", i), "")
			if i == 3 {
				w.Log = []kv.LogOp{{Group: 1, Truncate: &kv.Position{Index: 1, Term: 1}}}
			} else {
				w.Log = []kv.LogOp{appended(i+1-i/4, 1)}
			}
			write(t, s, i == 0, w)
		}
		s = s.Tear(func(unsynced int) (whole, logs int) {
			if unsynced != 4 {
				t.Fatalf("%d Writes are said to be unsynced, 4 are", unsynced)
			}
			return c.whole, c.logs
		})
		keys := 0
		if err := s.Scan(nil, nil, func(_, _ []byte) bool { keys++; return true }); err != nil {
			t.Fatal(err)
		}
		if err := s.Groups(func(g kv.Group) error {
			if keys != c.keys || g.Last != c.last {
				t.Errorf("%+v: %d keys, the log ends at %d", c, keys, g.Last)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
