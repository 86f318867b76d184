package store_test

import (
	"errors"
	"fmt"
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
