package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/resp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should come at once: one reply, one part of a long one.
const patience = 20 * time.Second

// impatient is a connection each of whose reads and writes ends in time.
type impatient struct{ net.Conn }

func (c impatient) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c impatient) Write(p []byte) (int, error) {
	var sent int
	for part := range slices.Chunk(p, chunk) {
		if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(part)
		if sent += n; err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// testServer is a Server over a fake node on a loopback address, or behind pipes.
type testServer struct {
	*Server
	t       testing.TB
	node    *fakeNode
	addr    string
	connect func() (net.Conn, error)
}

func newTestServer(t testing.TB, cfg Config, node *fakeNode) *testServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	return serve(t, cfg, node, l, func() (net.Conn, error) { return net.Dial("tcp", addr) })
}

func serve(t testing.TB, cfg Config, node *fakeNode, l net.Listener, connect func() (net.Conn, error)) *testServer {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s, err := New(cfg, node)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != ErrClosed {
			t.Errorf("Serve returned %v", err)
		}
		node.active.Wait()
	})
	return &testServer{Server: s, t: t, node: node, addr: l.Addr().String(), connect: connect}
}

// client is one connection of a test.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *resp.ReplyReader
}

func (s *testServer) dial() *client {
	s.t.Helper()
	conn, err := s.connect()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return newClient(s.t, impatient{conn})
}

func newClient(t testing.TB, conn net.Conn) *client {
	return &client{t: t, conn: conn, in: resp.NewReplyReader(conn, 1<<30)}
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads one reply and shows it as a person would see it.
func (c *client) reply() string {
	c.t.Helper()
	v, err := c.in.Read()
	if err != nil {
		c.t.Fatalf("read a reply: %v", err)
	}
	return v.String()
}

// do sends one command, in words, and returns its reply.
func (c *client) do(words ...string) string {
	c.t.Helper()
	c.send(resp.AppendCommand(nil, words...))
	return c.reply()
}

// want does what do does and compares.
func (c *client) want(reply string, words ...string) {
	c.t.Helper()
	if got := c.do(words...); got != reply {
		c.t.Errorf("%.200q: got %.500s, want %.500s", words, got, reply)
	}
}

// wantPrefix compares the beginning of the reply only.
func (c *client) wantPrefix(prefix string, words ...string) {
	c.t.Helper()
	if got := c.do(words...); !strings.HasPrefix(got, prefix) {
		c.t.Errorf("%.200q: got %.500s, want %s...", words, got, prefix)
	}
}

// closed waits until the server closes the connection.
func (c *client) closed() {
	c.t.Helper()
	if n, err := io.Copy(io.Discard, c.conn); err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Errorf("the connection was not closed: %d bytes, %v", n, err)
	}
}

// raw sends bytes and returns exactly as many bytes of reply as want has.
func (c *client) raw(in, want string) {
	c.t.Helper()
	c.send([]byte(in))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.conn, got); err != nil {
		c.t.Fatalf("%q: got %q, %v", in, got, err)
	}
	if !bytes.Equal(got, []byte(want)) {
		c.t.Errorf("%q: got %q, want %q", in, got, want)
	}
}
