package links

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/freeport"
)

// patience is how long a test waits for what should arrive soon: 3 MiB over a lossy link took 3 s on a machine with much to do.
const patience = 20 * time.Second

// pair is a dialler "a" connected to a listener "b" through a network.
type pair struct {
	net  *Network
	a, b net.Conn
}

func greeting(name byte) []byte {
	return append(make([]byte, keyAt), bytes.Repeat([]byte{name}, keySize)...)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// newPair attaches b, dials it as a. With prepare, which cuts a direction, it sees that
// there is no connection before it heals the network.
func newPair(t *testing.T, prepare func(*Network)) *pair {
	t.Helper()
	network := New(1, func(key []byte) (string, bool) { return string(key[:1]), key[0] == 'a' })
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	if prepare != nil {
		prepare(network)
	}
	real := listen(t)
	addr, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	if err := network.Attach("b", addr, real.Addr().String()); err != nil {
		t.Fatal(err)
	}
	a, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	write(t, a, greeting('a'))
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := real.Accept(); err == nil {
			accepted <- conn
		}
	}()
	p := &pair{net: network, a: a}
	if prepare != nil {
		select {
		case <-accepted:
			t.Fatal("a connection was made while a direction was cut")
		case <-time.After(50 * time.Millisecond):
		}
		network.Heal()
	}
	select {
	case p.b = <-accepted:
	case <-time.After(patience):
		t.Fatal("no connection arrives")
	}
	t.Cleanup(func() { _, _ = a.Close(), p.b.Close() })
	expect(t, p.b, greeting('a'))
	return p
}

func write(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, conn net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("arrived: %.20q, %v; want %.20q", got, err, want)
	}
}

// silent fails unless nothing arrives, neither data nor an end. That is the one thing that only time can show.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v arrived over a direction that is cut", n, err)
	}
}

func (p *pair) cut(from, to string) { p.net.Set(map[[2]string]Link{{from, to}: {Cut: true}}) }

// What is lost when this fails: every partition of the fault suite, which would test nothing.
func TestCutIsSilence(t *testing.T) {
	t.Run("one direction", func(t *testing.T) {
		p := newPair(t, nil)
		p.cut("a", "b")
		write(t, p.a, []byte("held"))
		write(t, p.b, []byte("passes"))
		expect(t, p.a, []byte("passes"))
		silent(t, p.b)
		p.net.Heal()
		expect(t, p.b, []byte("held"))
	})
	t.Run("an end is not told", func(t *testing.T) {
		p := newPair(t, nil)
		p.cut("a", "b")
		if err := p.a.Close(); err != nil {
			t.Fatal(err)
		}
		silent(t, p.b)
		p.net.Heal()
		if err := p.b.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if n, err := p.b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%d bytes, %v; want the end", n, err)
		}
	})
	t.Run("a receiver that is gone is not told of", func(t *testing.T) {
		p := newPair(t, nil)
		p.cut("b", "a")
		reset(p.b.(*net.TCPConn))
		write(t, p.a, []byte("into the void"))
		silent(t, p.a)
	})
	t.Run("dialling", func(t *testing.T) {
		newPair(t, func(n *Network) { n.Set(map[[2]string]Link{{"b", "a"}: {Cut: true}}) })
	})
}

// What is lost when this fails: order and content of what crosses a slow and lossy link, and with them the verdict on
// whether the nodes or the test were wrong.
func TestSlowAndLossyKeepTheStream(t *testing.T) {
	p := newPair(t, nil)
	p.net.Set(map[[2]string]Link{{"a", "b"}: {
		Delay: 2 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 200, Retransmit: time.Millisecond,
	}})
	sent := make([]byte, 3<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 8)
	}
	go func() { _, _ = p.a.Write(sent) }() // a failure shows as bytes that are missing
	expect(t, p.b, sent)
	// What has arrived is counted a moment later, by whom it came from; closing waits for that.
	if err := p.net.Close(); err != nil {
		t.Fatal(err)
	}
	if f := p.net.Figures(); f.Lost == 0 || f.Bytes < int64(len(sent)) {
		t.Errorf("%+v: nothing was lost, or not all was counted", f)
	}
}

// What is lost when this fails: broken connections, which no node would ever see.
func TestBreak(t *testing.T) {
	p := newPair(t, nil)
	p.net.Break("b", "a")
	for name, conn := range map[string]net.Conn{"a": p.a, "b": p.b} {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v, want a broken connection", name, err)
		}
	}
}
