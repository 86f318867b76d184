package server

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The tests below run in virtual time, over pipes.

// pipes is a listener whose connections are made in memory.
type pipes struct {
	arriving chan net.Conn
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.arriving:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "pipe"} }

func (p *pipes) connect() (net.Conn, error) {
	near, far := net.Pipe()
	p.arriving <- far
	return near, nil
}

func newPipedServer(t testing.TB, cfg Config, node *fakeNode) *testServer {
	t.Helper()
	p := &pipes{arriving: make(chan net.Conn), closed: make(chan struct{})}
	return serve(t, cfg, node, p, p.connect)
}

// patient is a client that waits for as long as it takes.
func (s *testServer) patient() *client {
	s.t.Helper()
	conn, err := s.connect()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return newClient(s.t, conn)
}

// How long a command takes is not the client's fault: the reply is there even when the client could have been dropped by
// then for not taking it.
func TestReplyOfALongCommandArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, 16)
		node.leave = func(context.Context) error { time.Sleep(time.Hour); return nil }
		s := newPipedServer(t, Config{}, node)
		c := s.patient()
		begun := time.Now()
		c.want(`"OK"`, "QUORD.LEAVE")
		if took := time.Since(begun); took != time.Hour {
			t.Errorf("it was answered after %v", took)
		}
		c.want(`"PONG"`, "PING")

		node.hold = make(chan struct{})
		time.AfterFunc(5*time.Minute, func() { close(node.hold) })
		c.want(`"OK"`, "SET", "a", "1")
		if n := s.Metrics().Dropped["slow"]; n != 0 {
			t.Errorf("%d dropped as slow", n)
		}
	})
}

// A client that does not read its replies is dropped in time, and nobody else notices.
func TestSlowReaderIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedServer(t, Config{WriteTimeout: 8 * time.Second}, newFakeNode(t, 16))
		c := s.patient()
		c.want(`"OK"`, "SET", "big", strings.Repeat("x", 4<<20))
		slow := s.patient()
		begun := time.Now()
		slow.send([]byte("GET big\r\nGET big\r\n"))
		for s.Metrics().Dropped["slow"] == 0 {
			if time.Since(begun) > 10*time.Second { // a quarter of WriteTimeout may be added
				t.Fatal("the slow reader is still there")
			}
			c.want(`"PONG"`, "PING")
			time.Sleep(time.Second / 4)
		}
		if took := time.Since(begun); took < 8*time.Second {
			t.Errorf("dropped after %v", took)
		}
	})
}

// Who takes what it is sent, however slowly, is not dropped.
func TestClientThatReadsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedServer(t, Config{WriteTimeout: 8 * time.Second}, newFakeNode(t, 16))
		c := s.patient()
		c.want(`"OK"`, "SET", "big", strings.Repeat("x", 4<<20))
		c.send([]byte("GET big\r\n"))
		buf := make([]byte, chunk)
		for got := 0; got < 4<<20; {
			n, err := c.conn.Read(buf)
			if err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			got += n
			time.Sleep(time.Duration(n) * 7 * time.Second / chunk)
		}
	})
}

// Who does not show the password does not keep a connection.
func TestAuthTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedServer(t, Config{Password: "x", AuthTimeout: time.Minute}, newFakeNode(t, 16))
		in, out := s.patient(), s.patient()
		begun := time.Now()
		time.Sleep(59 * time.Second)
		in.want(`"OK"`, "AUTH", "x")
		out.closed()
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("closed after %v", took)
		}
		time.Sleep(time.Hour)
		in.want(`"PONG"`, "PING")
		if n := s.Metrics().Dropped["auth_timeout"]; n != 1 {
			t.Errorf("%d counted", n)
		}
	})
}

// A node that is to stop does so soon, whatever its clients do: they get what they still take, and nobody waits for one
// that takes nothing, nor for a leave that may go on for hours.
func TestCloseIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(t, 16)
		node.leave = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		s := newPipedServer(t, Config{}, node)
		c := s.patient()
		c.want(`"OK"`, "SET", "big", strings.Repeat("x", 4<<20))
		slow, leaving := s.patient(), s.patient()
		slow.send([]byte("GET big\r\n"))
		leaving.send([]byte("QUORD.LEAVE\r\n"))
		synctest.Wait()
		node.hold = make(chan struct{})
		time.AfterFunc(4*time.Second, func() { close(node.hold) })
		go c.send([]byte("SET a 1\r\n"))
		synctest.Wait()

		begun := time.Now()
		closed := make(chan error)
		go func() { closed <- s.Close(context.Background()) }()
		if got := leaving.reply(); got != "(error) TRYAGAIN this node is stopping" || time.Since(begun) > 0 {
			t.Errorf("who waits for the leave gets %s after %v", got, time.Since(begun))
		}
		if got := c.reply(); got != `"OK"` { // the node takes longer for it than the slow one has time
			t.Errorf("what was under way is answered with %s", got)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A client that takes what it is sent, but slowly, does not hold up the end either.
func TestCloseDoesNotWaitForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedServer(t, Config{}, newFakeNode(t, 16))
		c := s.patient()
		c.want(`"OK"`, "SET", "big", strings.Repeat("x", 16<<20))
		conn, err := s.connect()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET big\r\n")); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for {
				if _, err := io.CopyN(io.Discard, conn, chunk); err != nil {
					return
				}
				time.Sleep(2 * time.Second)
			}
		}()
		synctest.Wait()
		begun := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if took := time.Since(begun); took > 2*s.cfg.PartingTimeout {
			t.Errorf("it took %v", took)
		}
		<-gone
	})
}
