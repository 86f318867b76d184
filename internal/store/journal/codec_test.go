package journal

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The bytes on disk are a promise to later versions.
func TestFormat(t *testing.T) {
	if got := hex.EncodeToString(encodeHeader(3, 9)); got !=
		"5152444a524e4c31"+"0300000000000000"+"0900000000000000"+"00000000"+"3bf4bf9e" {
		t.Errorf("header %s", got)
	}
	b := finish(append(make([]byte, recordHead), "abc"...), 0, 9)
	seal(b, seed(3, 0), 8)
	if got := hex.EncodeToString(b); got !=
		"03000000"+"7c164a9c"+"0900000000000000"+"0800000000000000"+"6162630000000000" {
		t.Errorf("record %s", got)
	}
}

// Whatever stands in a file, a record that is read is one that was written into that very file.
func FuzzDecode(f *testing.F) {
	b := finish(append(make([]byte, recordHead), "abc"...), 0, 9)
	seal(b, seed(3, 0), 8)
	f.Add(b, uint64(3))
	f.Add(b, uint64(4))
	f.Add(b[:20], uint64(3))
	f.Fuzz(func(t *testing.T, b []byte, file uint64) {
		r, ok := decode(b, seed(file, 0))
		if !ok {
			return
		}
		again := finish(append(make([]byte, recordHead), r.payload...), 0, r.number)
		seal(again, seed(file, 0), r.durable)
		if n := recordHead + len(r.payload); !bytes.Equal(again[:n], b[:n]) || r.size > len(b) {
			t.Fatalf("%x reads as %+v", b, r)
		}
	})
}
