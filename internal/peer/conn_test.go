package peer

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// Snapshots are large and requests are small: both must arrive unharmed over the same connection.
func TestLargeAndSmallFrames(t *testing.T) {
	keys := testKeys(2)
	a, b := open(t, keys[0], listen(t)), open(t, keys[1], listen(t))
	if _, err := a.DialSeed(t.Context(), b.addr); err != nil {
		t.Fatal(err)
	}
	b.next(t, "connected")
	random := rand.New(rand.NewPCG(1, 2))
	var sent [][]byte
	for i := range 300 {
		payload := make([]byte, 1+random.IntN(4000))
		if i%100 == 50 {
			payload = make([]byte, 3<<20)
		}
		for j := 0; j < len(payload); j += 1 + len(payload)/100 {
			payload[j] = byte(random.Uint32())
		}
		if err := a.Send(b.ID(), payload); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, bytes.Clone(payload))
		clear(payload) // Send has taken a copy
	}
	for i, want := range sent {
		if got := b.next(t, "receive").payload; !bytes.Equal(got, want) {
			t.Fatalf("frame %d arrived with %d bytes and differs from the %d that were sent", i, len(got), len(want))
		}
	}
}

// written is a connection that keeps what is written and calls a function during the first write.
type written struct {
	net.Conn
	stream bytes.Buffer
	during func()
}

func (w *written) Write(b []byte) (int, error) {
	if w.during != nil {
		w.during()
		w.during = nil
	}
	return w.stream.Write(b)
}

func (*written) SetWriteDeadline(time.Time) error { return nil }

// A node that catches up with megabytes must still hear the keepalive, or it would call its peer silent.
func TestKeepaliveOvertakesTheQueue(t *testing.T) {
	nc := &written{}
	c := &conn{
		t:  &Transport{start: time.Now(), cfg: Config{Settings: Settings{WriteTimeout: time.Second}}},
		nc: nc, out: newOutbox(), stats: &stats{},
	}
	const frames, size = 1000, 1000
	for range frames {
		if err := c.out.add(make([]byte, size), 2*frames*size); err != nil {
			t.Fatal(err)
		}
	}
	nc.during = func() {
		c.out.beat(kindPong, 7)
		if left := c.out.size(); left != frames*(size+frameHeader) {
			t.Errorf("%d bytes wait while the first are written", left)
		}
	}
	control, data, _, _ := c.out.take(nil)
	if err := (&flusher{c: c}).flush(control, data); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(&nc.stream)
	before := 0
	for i := range frames + 1 {
		k, _, err := readFrame(r, size)
		if err != nil {
			t.Fatal(err)
		}
		if k == kindPong {
			before = i
		}
	}
	if bytesBefore := before * (size + frameHeader); before == 0 || bytesBefore > flushPiece {
		t.Errorf("%d bytes went before the keepalive, want at most %d", bytesBefore, flushPiece)
	}
	if nc.stream.Len() != 0 {
		t.Errorf("%d bytes too many were written", nc.stream.Len())
	}
}
