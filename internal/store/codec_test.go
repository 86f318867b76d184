package store

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quorddb/quord/internal/kv"
	"pgregory.net/rapid"
)

func encodeEntry(group uint32, e *kv.Entry) (key, value []byte) {
	key, value = logKey(group, e.Index), make([]byte, len(e.Data)+entryOverhead)
	putEntry(value, key, e)
	return key, value
}

func encodeHard(g *kv.Group) (key, value []byte) {
	key, value = make([]byte, hardKeyLen), make([]byte, hardLen)
	putHardKey(key, g.ID)
	putHard(value, key, g)
	return key, value
}

// A disk of today must be readable by every later version: these bytes are the format.
func TestFormatOnDisk(t *testing.T) {
	key, value := encodeEntry(0x01020304, &kv.Entry{Index: 5, Term: 6, Type: 7, Data: []byte("data")})
	if want := "l\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x05"; string(key) != want {
		t.Errorf("key of an entry: %q, want %q", key, want)
	}
	if want := "\x01\x07\x00\x00\x00\x00\x00\x00\x00\x06data"; string(value[:len(value)-4]) != want {
		t.Errorf("entry: %q, want %q and a checksum", value, want)
	}
	key, value = encodeHard(&kv.Group{
		ID: 9, Hard: kv.HardState{Term: 1, Vote: 2, Commit: 3}, Start: kv.Position{Index: 4, Term: 5},
	})
	if want := "h\x00\x00\x00\x09"; string(key) != want {
		t.Errorf("key of a hard state: %q, want %q", key, want)
	}
	want := []byte{1}
	for i := range byte(5) {
		want = append(want, 0, 0, 0, 0, 0, 0, 0, i+1)
	}
	if !bytes.Equal(value[:len(value)-4], want) {
		t.Errorf("hard state: %q, want %q and a checksum", value, want)
	}
	if string(formatText(1)) != "quord-store 1\n" {
		t.Errorf("FORMAT: %q", formatText(1))
	}
}

// A flipped bit in a log must be noticed: Raft would agree on it.
func TestDamageIsNoticed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := kv.Entry{
			Index: rapid.Uint64().Draw(rt, "index"), Term: rapid.Uint64().Draw(rt, "term"),
			Type: rapid.Byte().Draw(rt, "type"), Data: rapid.SliceOf(rapid.Byte()).Draw(rt, "data"),
		}
		group := rapid.Uint32().Draw(rt, "group")
		key, value := encodeEntry(group, &e)
		got, err := decodeEntry(key, value)
		if diff := cmp.Diff(e, got); err != nil || diff != "" {
			rt.Fatalf("%v\n%s", err, diff)
		}
		damaged := bytes.Clone(append(key, value...))
		damaged[rapid.IntRange(0, len(damaged)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if _, err := decodeEntry(damaged[:logKeyLen], damaged[logKeyLen:]); !errors.Is(err, kv.ErrCorrupt) {
			rt.Fatalf("a flipped bit: %v", err)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	key, value := encodeEntry(1, &kv.Entry{Index: 2, Term: 3, Type: 4, Data: []byte("data")})
	f.Add(key, value)
	f.Add([]byte("l"), []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, err := decodeEntry(key, value)
		if err != nil {
			if !errors.Is(err, kv.ErrCorrupt) {
				t.Fatalf("%v is not ErrCorrupt", err)
			}
			return
		}
		group, _, err := parseLogKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if k, v := encodeEntry(group, &e); !bytes.Equal(k, key) || !bytes.Equal(v, value) {
			t.Fatalf("%x %x comes back as %x %x", key, value, k, v)
		}
	})
}

func FuzzDecodeHard(f *testing.F) {
	key, value := encodeHard(&kv.Group{ID: 1, Hard: kv.HardState{Term: 2}, Start: kv.Position{Index: 3}})
	f.Add(key, value)
	f.Add([]byte("h"), []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		g, err := decodeHard(key, value)
		if err != nil {
			if !errors.Is(err, kv.ErrCorrupt) {
				t.Fatalf("%v is not ErrCorrupt", err)
			}
			return
		}
		if k, v := encodeHard(&g); !bytes.Equal(k, key) || !bytes.Equal(v, value) {
			t.Fatalf("%x %x comes back as %x %x", key, value, k, v)
		}
	})
}

func FuzzParseFormat(f *testing.F) {
	for _, text := range []string{"quord-store 1\n", "quord-store 01\n", "quord-store 1", "quord-store -1\n", ""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if n, err := parseFormat(text); err == nil && !bytes.Equal(formatText(n), text) {
			t.Fatalf("%q passes as format %d", text, n)
		}
	})
}
