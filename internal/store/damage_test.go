package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store"
)

// A journal that is damaged in its middle holds acknowledged writes behind the damage. Opening must fail, rather than begin
// without them.
func TestDamagedJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	for i := range 20 {
		apply(t, s, kv.Write{State: []kv.Op{{Kind: kv.Set, Key: fmt.Appendf(nil, "key%d", i), Value: make([]byte, 5000)}}})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, glob(t, dir, "journal/*.journal")[0], 3000)
	wantRefused(t, dir, kv.ErrCorrupt)
}

// A damaged table must be an error of the read that meets it, never a wrong value and never "no such key".
func TestDamagedTableIsNotServed(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir)
	for _, name := range glob(t, dir, "*.sst") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(b) / 4 { // the data blocks come first, index and footer last
			b[i] ^= 0xff
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(store.Config{Dir: dir})
	if err == nil {
		defer s.Close()
		_, err = s.Get([]byte("key"))
		if m, _ := s.Metrics(); m.Corruptions == 0 {
			t.Error("metrics do not count the damage")
		}
	}
	if !errors.Is(err, kv.ErrCorrupt) {
		t.Fatalf("a damaged table: %v", err)
	}
}

// What is damaged in a table must be mendable by writing it anew, and must not end the store before that.
func TestDamagedTableCanBeWrittenOver(t *testing.T) {
	dir := t.TempDir()
	cfg := store.Config{Dir: dir, ValueCacheBytes: -1}
	open := func() *store.Store {
		t.Helper()
		s, err := store.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	key := func(i int) []byte { return fmt.Appendf(nil, "key%06d", i) }
	const keys = 3000
	fill := func(s *store.Store, round byte) {
		t.Helper()
		w := kv.Write{State: []kv.Op{{Kind: kv.DeleteRange, Key: []byte("key"), Value: []byte("kez")}}}
		for i := range keys {
			v := make([]byte, 500)
			rand.NewChaCha8([32]byte{round, byte(i), byte(i >> 8)}).Read(v)
			w.State = append(w.State, kv.Op{Kind: kv.Set, Key: key(i), Value: v})
		}
		apply(t, s, w)
	}
	s := open()
	fill(s, 1)
	if err := errors.Join(s.Checkpoint(), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range glob(t, dir, "*.sst") {
		if info, err := os.Stat(name); err == nil && info.Size() > 100<<10 {
			damage(t, name, int(info.Size()/2))
		}
	}
	s = open()
	damaged := 0
	for i := range keys {
		if _, err := s.Get(key(i)); errors.Is(err, kv.ErrCorrupt) {
			damaged++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if damaged == 0 || damaged > keys/10 {
		t.Fatalf("%d of %d keys are damaged", damaged, keys)
	}
	for round := range byte(4) {
		fill(s, 2+round)
		if err := s.Checkpoint(); err != nil { // until then what lies below is still walked over
			t.Fatal(err)
		}
		seen := 0
		if err := s.Scan([]byte("key"), []byte("kez"), func(_, _ []byte) bool { seen++; return true }); err != nil || seen != keys {
			t.Fatalf("round %d: a scan sees %d of %d keys: %v", round, seen, keys, err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		s = open()
		for i := range keys {
			if _, err := s.Get(key(i)); err != nil {
				t.Fatalf("round %d: key %d, written anew: %v", round, i, err)
			}
		}
	}
	m, err := s.Metrics()
	t.Logf("corruptions %d, failed %v, %v", m.Corruptions, m.Failed, err)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
