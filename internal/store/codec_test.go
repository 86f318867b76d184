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
	value = encodeCheckpoint(7)
	if want := "\x01\x00\x00\x00\x00\x00\x00\x00\x07"; string(value[:len(value)-4]) != want {
		t.Errorf("checkpoint: %q, want %q and a checksum", value, want)
	}
	value = appendWrite(nil, &kv.Write{
		Log: []kv.LogOp{{
			Group: 300, Destroy: true, Reset: &kv.Position{Index: 1, Term: 2}, Truncate: &kv.Position{Index: 3, Term: 4},
			Hard:   &kv.HardState{Term: 5, Vote: 6, Commit: 7},
			Append: []kv.Entry{{Index: 8, Term: 9, Type: 10, Data: []byte("a")}, {Index: 9, Term: 11, Type: 12}},
		}},
		State: []kv.Op{
			{Kind: kv.Set, Key: []byte("k"), Value: []byte("v")},
			{Kind: kv.Delete, Key: []byte("d")},
			{Kind: kv.DeleteRange, Key: []byte("e"), Value: []byte("f")},
		},
	})
	if want := "\x01\x01\xac\x02\x0f\x01\x02\x03\x04\x05\x06\x07\x02\x08\x09\x0a\x01a\x0b\x0c\x00" +
		"\x03\x01\x01k\x01v\x02\x01d\x00\x03\x01e\x01f"; string(value) != want {
		t.Errorf("Write: %q, want %q", value, want)
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

// Whatever the journal holds, a Write that is read back is one that could have been applied.
func FuzzDecodeWrite(f *testing.F) {
	f.Add(appendWrite(nil, &kv.Write{}))
	f.Add(appendWrite(nil, &kv.Write{
		Log: []kv.LogOp{{
			Group: 300, Destroy: true, Reset: &kv.Position{Index: 1, Term: 2}, Truncate: &kv.Position{Index: 3, Term: 4},
			Hard:   &kv.HardState{Term: 5, Vote: 6, Commit: 7},
			Append: []kv.Entry{{Index: 8, Term: 9, Type: 10, Data: []byte("a")}, {Index: 9, Term: 11, Type: 12}},
		}},
		State: []kv.Op{{Kind: kv.Set, Key: []byte("k"), Value: []byte("v")}, {Kind: kv.Delete, Key: []byte("d")}},
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := decodeWrite(b)
		if err != nil {
			if !errors.Is(err, kv.ErrCorrupt) {
				t.Fatalf("%v is not ErrCorrupt", err)
			}
			return
		}
		again, err := decodeWrite(appendWrite(nil, w))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
