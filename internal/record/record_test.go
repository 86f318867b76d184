package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quorddb/quord/internal/record"
	"pgregory.net/rapid"
)

// A disk of today must be readable by every later version: these bytes are the format.
func TestFormatOnDisk(t *testing.T) {
	key := record.AppendKey(nil, []byte("key"), []byte("field"))
	if want := "d0\xfb\xbb\xea\rc\xa0Qe\xe3\x03keyfield"; string(key) != want {
		t.Errorf("stored key: %q, want %q", key, want)
	}
	r := record.Record{Kind: record.String, ExpireAt: 258, Version: 772, Value: []byte("value")}
	got := r.Append(nil, key)
	want := "\x01\x01\x01\x00\x00\x00\x00\x00\x00\x03\x04\x00\x00\x00\x00\x00\x00\x01\x02value"
	if string(got[:len(got)-4]) != want {
		t.Errorf("record: %q, want %q and a checksum", got, want)
	}
	r.ExpireAt = 0
	got = r.Append(nil, key)
	if want := "\x01\x01\x00\x00\x00\x00\x00\x00\x00\x03\x04value"; string(got[:len(got)-4]) != want {
		t.Errorf("record without expiry: %q, want %q and a checksum", got, want)
	}
}

// A bit that a disk turned over must not be served as a value, nor a record under another key's name.
func TestDamageIsNoticed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		some := rapid.SliceOfN(rapid.Byte(), 0, 40)
		r := record.Record{
			Kind: record.Kind(rapid.Byte().Draw(rt, "kind")), ExpireAt: rapid.Int64().Draw(rt, "expiry"),
			Version: rapid.Uint64().Draw(rt, "version"), Value: some.Draw(rt, "value"),
		}
		key := record.AppendKey(nil, some.Draw(rt, "key"), some.Draw(rt, "field"))
		stored := r.Append(nil, key)
		got, err := record.Decode(key, stored)
		if diff := cmp.Diff(r, got); err != nil || diff != "" {
			rt.Fatalf("%v\n%s", err, diff)
		}
		all := append(bytes.Clone(key), stored...)
		all[rapid.IntRange(0, len(all)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if _, err := record.Decode(all[:len(key)], all[len(key):]); !errors.Is(err, record.ErrChecksum) {
			rt.Fatalf("a flipped bit: %v", err)
		}
	})
}

// Whatever a disk gives back, reading it is an error or a record that could have been written; never a panic.
func FuzzDecode(f *testing.F) {
	key := record.AppendKey(nil, []byte("key"), nil)
	for _, r := range []record.Record{{Kind: record.String, Value: []byte("v")}, {Kind: record.Hash, ExpireAt: 9, Version: 3}} {
		b := r.Append(nil, key)
		f.Add(key, b, true)
		f.Add(key, b[:len(b)-4], false)
	}
	f.Add(key, []byte{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7}, false)
	f.Fuzz(func(t *testing.T, key, b []byte, sealed bool) {
		if !sealed { // what has a right checksum is looked into
			table := crc32.MakeTable(crc32.Castagnoli)
			b = binary.BigEndian.AppendUint32(bytes.Clone(b), crc32.Update(crc32.Checksum(key, table), table, b))
		}
		r, err := record.Decode(key, b)
		if err != nil {
			return
		}
		again, err := record.Decode(key, r.Append(nil, key))
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

// A stored key that is taken apart is put together the same, where its parts fit each other.
func FuzzParseKey(f *testing.F) {
	f.Add(record.AppendKey(nil, []byte("key"), []byte("field")))
	f.Add(record.AppendKey(nil, nil, nil))
	f.Add([]byte("d0123456789\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		slot, hash, key, field, err := record.ParseKey(stored)
		if err != nil {
			return
		}
		again := record.AppendKey(nil, key, field)
		s, h, k, fd, err := record.ParseKey(again)
		if err != nil || !bytes.Equal(k, key) || !bytes.Equal(fd, field) {
			t.Fatalf("%q and %q come back as %q and %q, %v", key, field, k, fd, err)
		}
		if s == slot && h == hash && len(again) == len(stored) && !bytes.Equal(again, stored) {
			t.Fatalf("%x comes back as %x", stored, again)
		}
	})
}
