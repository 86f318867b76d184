package store_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// A journal that is gone held acknowledged writes, also when nothing was moved to the tables yet.
func TestMissingJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	apply(t, s, kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte("key"), Value: []byte("value")}}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "journal")); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, dir, kv.ErrCorrupt, "journal")
}

// A client must not be able to write a value that keeps a node from starting: bytes that look like records of the journal,
// in files that are used again.
func TestValueThatLooksLikeAJournal(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	const rounds = 30
	var value []byte
	table := crc32.MakeTable(crc32.Castagnoli)
	for range 8 { // wherever it begins
		for file := range uint64(100) {
			seed := crc32.Checksum(binary.LittleEndian.AppendUint64(nil, file), table)
			body := binary.LittleEndian.AppendUint64(nil, 2*rounds+20)
			body = binary.LittleEndian.AppendUint64(body, 2*rounds+19)
			value = binary.LittleEndian.AppendUint32(value, 0)
			value = append(binary.LittleEndian.AppendUint32(value, crc32.Update(seed, table, body)), body...)
		}
		value = append(value, 0)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := store.Config{Dir: dir, CheckpointBytes: 1 << 10}
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range rounds { // each calls for a checkpoint, which lets files be used again
		apply(t, s, kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte("key"), Value: value}}})
		apply(t, s, kv.Write{State: []kv.Op{{Kind: kv.Set, Key: []byte("other")}}})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
