package peer

import (
	"bufio"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"pgregory.net/rapid"
)

func frameOf(k kind, payload []byte) []byte {
	h := header(k, payload)
	return append(h[:], payload...)
}

// What was sent arrives, whatever it is, and the stream ends cleanly between two frames.
func TestFramesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payloads := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 20).Draw(t, "payloads")
		o := newOutbox()
		for _, p := range payloads {
			if err := o.add(p, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		_, data, frames, _ := o.take(nil)
		if frames != len(payloads) {
			t.Fatalf("%d frames were taken, want %d", frames, len(payloads))
		}
		// Pieces end where frames end, so that a keepalive frame may stand between any two.
		limit := rapid.IntRange(1, 1000).Draw(t, "limit")
		var stream []byte
		for len(data) > 0 {
			n := cut(data, limit)
			if n > limit && n > frameHeader+300 {
				t.Fatalf("a piece of %d bytes, want at most %d or one frame", n, limit)
			}
			stream = append(append(stream, data[:n]...), appendPulse(nil, kindPing, 42)...)
			data = data[n:]
		}
		r := bufio.NewReader(bytes.NewReader(stream))
		for i := 0; ; {
			k, payload, err := readFrame(r, 300)
			switch {
			case err == io.EOF:
				if i != len(payloads) {
					t.Fatalf("%d frames arrived, want %d", i, len(payloads))
				}
				return
			case err != nil:
				t.Fatal(err)
			case k == kindPing:
				if pulseTime(payload) != 42 {
					t.Fatalf("a ping of time %d, want 42", pulseTime(payload))
				}
			case !bytes.Equal(payload, payloads[i]):
				t.Fatalf("frame %d is %q, want %q", i, payload, payloads[i])
			default:
				i++
			}
		}
	})
}

// A bit that was flipped on the way must never reach the log of a tablet.
func TestDamagedFramesAreRefused(t *testing.T) {
	whole := frameOf(kindData, []byte("what a replica is told"))
	for bit := range 8 * len(whole) {
		damaged := bytes.Clone(whole)
		damaged[bit/8] ^= 1 << (bit % 8)
		_, _, err := readFrame(bufio.NewReader(bytes.NewReader(damaged)), 1<<20)
		if !errors.Is(err, ErrFrame) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("bit %d flipped: %v, want ErrFrame or the stream to be too short", bit, err)
		}
	}
	for n := 1; n < len(whole); n++ {
		if _, _, err := readFrame(bufio.NewReader(bytes.NewReader(whole[:n])), 1<<20); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: %v, want io.ErrUnexpectedEOF", n, err)
		}
	}
}

// A length that is not allowed must be refused before memory is taken for it.
func TestOversizedFramesTakeNoMemory(t *testing.T) {
	claim := frameOf(kindData, make([]byte, 1<<20))[:frameHeader]
	for name, stream := range map[string][]byte{
		"data": claim, "ping": frameOf(kindPing, make([]byte, 9)), "unknown": frameOf(kindPong+1, nil),
	} {
		r := bufio.NewReader(bytes.NewReader(stream))
		if _, _, err := readFrame(r, 1<<20-1); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v, want ErrFrame", name, err)
		}
	}
}

// The header's checksum has to be CRC32C, or another implementation could not speak to this one.
func TestWordSumIsCRC32C(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "payload")
		h := header(kindData, payload)
		want := crc32.Checksum(append(h[:4:4], payload...), castagnoli)
		if got := uint32(h[4])<<24 | uint32(h[5])<<16 | uint32(h[6])<<8 | uint32(h[7]); got != want {
			t.Fatalf("checksum %08x, want %08x", got, want)
		}
	})
}

// Keepalive frames go first and do not pile up; a burst's memory is given back.
func TestOutbox(t *testing.T) {
	o := newOutbox()
	for i := range 5 {
		o.beat(kindPing, int64(i))
		o.beat(kindPong, int64(10+i))
	}
	if err := o.add([]byte("data"), 12); err != nil {
		t.Fatal(err)
	}
	if err := o.add(nil, 12); err != ErrQueueFull {
		t.Errorf("one byte too many: %v, want ErrQueueFull", err)
	}
	control, data, frames, _ := o.take(nil)
	want := appendPulse(appendPulse(nil, kindPing, 4), kindPong, 14)
	if !bytes.Equal(control, want) || frames != 1 || !bytes.Equal(data, frameOf(kindData, []byte("data"))) {
		t.Errorf("taken: %x, %x", control, data)
	}
	if err := o.add(nil, 12); err != ErrQueueFull {
		t.Errorf("what is being written counts too: %v, want ErrQueueFull", err)
	}
	o.written(data)
	if err := o.add(make([]byte, keepBuffer), 2*keepBuffer); err != nil {
		t.Fatal(err)
	}
	_, data, _, _ = o.take(nil)
	o.written(data)
	if o.spare != nil {
		t.Errorf("a buffer of %d bytes was kept", cap(o.spare))
	}
	o.close()
	if err := o.add(nil, 12); err != ErrNoConnection {
		t.Errorf("after close: %v, want ErrNoConnection", err)
	}
}

// A buffer that is being written must not be appended to: every frame that went out after a ping on an idle
// connection would be at risk.
func TestOutboxBuffersAreApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutbox()
		var taken, want []byte // what the writer holds, and what it must stay
		frame := byte(0)
		for range rapid.IntRange(10, 100).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"add", "beat", "take", "written"}).Draw(t, "step") {
			case "add":
				frame++
				if err := o.add(bytes.Repeat([]byte{frame}, 20), 1<<20); err != nil {
					t.Fatal(err)
				}
			case "beat":
				o.beat(kindPing, 1)
			case "take":
				if want == nil {
					_, taken, _, _ = o.take(nil)
					want = append([]byte{}, taken...)
				}
			case "written":
				if want != nil {
					o.written(taken)
					taken, want = nil, nil
				}
			}
			if !bytes.Equal(taken, want) {
				t.Fatalf("a buffer changed while it was written: %x, was %x", taken, want)
			}
		}
	})
}

// Whatever arrives, the reader takes no more than it may, and what it accepts is exactly what was on the wire.
func FuzzReadFrame(f *testing.F) {
	f.Add(frameOf(kindData, []byte("hello")))
	f.Add(append(frameOf(kindData, nil), appendPulse(nil, kindPong, -1)...))
	f.Add(frameOf(kindData, make([]byte, 200))[:50])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bufio.NewReader(bytes.NewReader(stream))
		var again []byte
		for {
			k, payload, err := readFrame(r, 128)
			if err != nil {
				if err == io.EOF && !bytes.Equal(again, stream) {
					t.Fatalf("%x was read as %x", stream, again)
				}
				break
			}
			if len(payload) > 128 {
				t.Fatalf("a payload of %d bytes", len(payload))
			}
			again = append(again, frameOf(k, payload)...)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatalf("%x was read as %x", stream, again)
		}
	})
}
