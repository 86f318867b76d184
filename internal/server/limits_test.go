package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/resp"
)

// What cannot be understood gets Redis' error and ends the connection; what came before it is answered.
func TestProtocolErrors(t *testing.T) {
	s := newTestServer(t, Config{}, newFakeNode(t, 16))
	for _, step := range []struct{ in, want string }{
		{"SET a 1\r\n*1\r\n:1\r\n", "+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n"},
		{"GET a\r\n*x\r\nGET a\r\n", "$1\r\n1\r\n-ERR Protocol error: invalid multibulk length\r\n"},
		{"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"SET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		{strings.Repeat("x", 70_000), "-ERR Protocol error: too big inline request\r\n"},
		{"POST / HTTP/1.1\r\nHost: localhost\r\n", "-ERR unknown command 'POST', with args beginning with: '/' 'HTTP/1.1' \r\n"},
	} {
		c := s.dial()
		c.send([]byte(step.in))
		got, err := io.ReadAll(c.conn)
		if err != nil || string(got) != step.want {
			t.Errorf("%.40q: got %q, %v; want %q", step.in, got, err, step.want)
		}
	}
}

// Oversized keys and values get an error that names the limit; the connection goes on.
func TestOversize(t *testing.T) {
	s := newTestServer(t, Config{MaxValue: 1 << 20, MaxKey: 100}, newFakeNode(t, 16))
	c := s.dial()
	c.wantPrefix("(error) ERR an argument of 1048577 bytes is over the limit: at most 1048576 for a value", "SET", "k", strings.Repeat("x", 1<<20+1))
	c.want("(nil)", "GET", "k")
	c.want("(error) ERR a key of 101 bytes is over the limit of 100 bytes", "SET", strings.Repeat("k", 101), "v")
	c.want("(error) ERR a key of 101 bytes is over the limit of 100 bytes", "DEL", "a", strings.Repeat("k", 101))
	c.want(`"OK"`, "SET", "k", strings.Repeat("x", 1<<20))
	c.want("(integer) 1048576", "STRLEN", "k")
	if n := s.Metrics().Oversize; n != 1 {
		t.Errorf("%d counted", n)
	}
}

// Large values go in and out unchanged, also in a pipeline whose replies together are over the bound of the output.
func TestLargeValues(t *testing.T) {
	node := newFakeNode(t, 16)
	node.remote = func(t uint32) bool { return t%2 == 1 }
	s := newTestServer(t, Config{MaxOutput: 1 << 20}, node)
	c := s.dial()
	value := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16) // 1 MiB
	var stream []byte
	const n = 24
	for i := range n {
		stream = resp.AppendCommand(stream, []byte("SET"), []byte{'k', byte(i)}, value)
	}
	go c.conn.Write(stream)
	for range n {
		if got := c.reply(); got != `"OK"` {
			t.Fatal(got)
		}
	}
	stream = nil
	for i := range n {
		stream = resp.AppendCommand(stream, []byte("GET"), []byte{'k', byte(i)})
		stream = resp.AppendCommand(stream, []byte("APPEND"), []byte{'k', byte(i)}, []byte("x"))
		stream = resp.AppendCommand(stream, []byte("STRLEN"), []byte{'k', byte(i)})
	}
	c.send(stream)
	for i := range n {
		v, err := c.in.Read()
		if err != nil || !bytes.Equal(v.Text, value) {
			t.Fatalf("value %d: %d bytes, %v", i, len(v.Text), err)
		}
		if a, b := c.reply(), c.reply(); a != "(integer) 1048577" || b != a {
			t.Fatalf("value %d: APPEND %s, STRLEN %s", i, a, b)
		}
	}
	// After long replies a session takes fewer commands at a time.
	for i := range n {
		stream = resp.AppendCommand(stream[:0:0], []byte("GET"), []byte{'k', byte(i)})
		c.send(stream)
		if v, err := c.in.Read(); err != nil || len(v.Text) != len(value)+1 {
			t.Fatal(len(v.Text), err)
		}
	}
}

// One client too many gets the error that libraries know, and a place when another one has left.
func TestMaxClients(t *testing.T) {
	s := newTestServer(t, Config{MaxClients: 2}, newFakeNode(t, 16))
	a, b := s.dial(), s.dial()
	a.want(`"PONG"`, "PING")
	b.want(`"PONG"`, "PING")
	c := s.dial()
	if got := c.reply(); got != "(error) ERR max number of clients reached" {
		t.Errorf("got %s", got)
	}
	c.closed()
	a.want(`"OK"`, "QUIT")
	a.closed()
	deadline := time.Now().Add(patience)
	for s.Metrics().Connections == 2 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	s.dial().want(`"PONG"`, "PING")
	if n := s.Metrics().Rejected; n != 1 {
		t.Errorf("%d rejected", n)
	}
}

// Many clients that send half of a large value each must not take the node's memory.
func TestInputMemoryIsBounded(t *testing.T) {
	s := newTestServer(t, Config{MaxValue: 1 << 20, MaxInput: 2 << 20}, newFakeNode(t, 16))
	half := []byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n" + strings.Repeat("x", 1<<20-1))
	var refused []*client
	for range 4 {
		c := s.dial()
		before := s.Metrics()
		sent := make(chan error, 1)
		go func() {
			_, err := c.conn.Write(half)
			sent <- err
		}()
		dropped := func() bool { return s.Metrics().Dropped["no_memory"] > before.Dropped["no_memory"] }
		waitFor(t, func() bool { return dropped() || s.Metrics().BytesIn == before.BytesIn+uint64(len(half)) })
		if dropped() {
			refused = append(refused, c)
		} else if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	if len(refused) == 0 {
		t.Error("all were taken")
	}
	for _, c := range refused {
		if got := c.reply(); !strings.HasPrefix(got, "(error) OOM") {
			t.Errorf("refused with %s", got)
		}
	}
	s.dial().want(`"OK"`, "SET", "k", "v")
}

// A node that stops answers what it has been asked, then closes; nobody waits for an answer that never comes.
func TestCloseFinishesWhatIsInFlight(t *testing.T) {
	node := newFakeNode(t, 16)
	node.hold = make(chan struct{})
	s := newTestServer(t, Config{}, node)
	busy, idle := s.dial(), s.dial()
	idle.want(`"PONG"`, "PING")
	busy.send(resp.AppendCommand(resp.AppendCommand(nil, "SET", "a", "1"), "PING"))
	waitFor(t, func() bool { node.mu.Lock(); defer node.mu.Unlock(); return node.requests == 1 })

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); err == nil || !strings.Contains(err.Error(), "sessions were still at work") {
		t.Errorf("Close out of patience: %v", err)
	}
	idle.closed()
	close(node.hold)

	node = newFakeNode(t, 16)
	node.hold = make(chan struct{})
	s = newTestServer(t, Config{}, node)
	busy = s.dial()
	busy.send(resp.AppendCommand(resp.AppendCommand(nil, "SET", "a", "1"), "PING"))
	waitFor(t, func() bool { node.mu.Lock(); defer node.mu.Unlock(); return node.requests == 1 })
	closed := make(chan error)
	go func() { closed <- s.Close(context.Background()) }()
	waitFor(t, s.isClosing)
	close(node.hold)
	if a, b := busy.reply(), busy.reply(); a != `"OK"` || b != `"PONG"` {
		t.Errorf("in flight: %s, %s", a, b)
	}
	busy.closed()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", s.addr, time.Second); err == nil {
		t.Error("a closed server accepts connections")
	}
}

// Commands that ask other nodes end when nobody answers.
func TestAdminTimeout(t *testing.T) {
	node := newFakeNode(t, 16)
	node.hold = make(chan struct{})
	s := newTestServer(t, Config{AdminTimeout: 20 * time.Millisecond}, node)
	s.dial().wantPrefix("(error) TRYAGAIN no answer within 20ms: ask for the status", "QUORD.STATUS")
	close(node.hold)
}

// A backend that answers nonsense must be found out, not passed on as another command's reply.
func TestRepliesThatDoNotFit(t *testing.T) {
	s := newTestServer(t, Config{}, newFakeNode(t, 16))
	b := newBatch(s.Server)
	for _, n := range []int{0, 3} {
		commands := make([]request.Command, 2)
		r := &run{commands: commands, Request: request.Request{Write: true, Commands: commands, Replies: slices.Repeat([][]byte{okReply}, n)}}
		b.settle(r)
		if r.Failure == nil || r.Failure.Code != request.Uncertain {
			t.Errorf("%d replies to 2 commands: the failure is %v", n, r.Failure)
		}
	}
}

// Operators see what happens.
func TestMetrics(t *testing.T) {
	s := newTestServer(t, Config{}, newFakeNode(t, 16))
	c := s.dial()
	c.want(`"OK"`, "SET", "a", "x")
	c.wantPrefix("(error) ERR value is not an integer", "INCR", "a")
	c.wantPrefix("(error) ERR wrong number", "GET")
	c.wantPrefix("(error) ERR unknown", "NONSENSE")
	c.wantPrefix("[", "MGET", "a", "b", "c")
	m := s.Metrics()
	find := func(name string) CommandMetrics {
		i := slices.IndexFunc(m.ByCommand, func(c CommandMetrics) bool { return c.Name == name })
		if i < 0 {
			return CommandMetrics{}
		}
		return m.ByCommand[i]
	}
	if x := find("set"); x.OK.Calls != 1 || x.Failed.Calls != 0 {
		t.Errorf("set: %+v", x)
	}
	if x := find("incr"); x.OK.Calls != 0 || x.Failed.Calls != 1 || x.Failed.Time == 0 {
		t.Errorf("incr: %+v", x)
	}
	if x := find("get"); x.Rejected != 1 {
		t.Errorf("get: %+v", x)
	}
	if x := find("unknown"); x.Rejected != 1 {
		t.Errorf("unknown: %+v", x)
	}
	if m.Errors["ERR"] != 3 || m.SplitUps != 1 || m.Connections != 1 || m.Accepted != 1 || m.BytesIn == 0 || m.BytesOut == 0 || m.Commands != 5 {
		t.Errorf("metrics are %+v", m)
	}
}

// A configuration that cannot work is refused with its reason.
func TestConfigValidate(t *testing.T) {
	for want, cfg := range map[string]Config{
		"server: MaxClients is -1, it must not be negative":                     {MaxClients: -1},
		"server: MaxValue is 1073741824, the protocol allows 536870912 at most": {MaxValue: 1 << 30},
		"server: MaxInput is 1000, which does not hold two values of 33554432":  {MaxInput: 1000},
	} {
		if _, err := New(cfg, newFakeNode(t, 1)); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !what(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

// What is kept of replies is bounded also where all of them come from other nodes, at once, and the client takes none.
func TestRepliesOfAWaveAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, size = 512, 32 << 10
		node := newFakeNode(t, 1024)
		node.remote = func(uint32) bool { return true }
		s := newPipedServer(t, Config{MaxOutput: 2 << 20}, node)
		c := s.patient()
		var stream []byte
		mget := []string{"MGET"}
		for i := range n {
			key := "key:" + strconv.Itoa(i)
			c.want(`"OK"`, "SET", key, strings.Repeat("x", size))
			stream = resp.AppendCommand(stream, "GET", key)
			mget = append(mget, key)
		}
		before := node.requests
		c.send(stream)
		synctest.Wait()
		if asked := node.requests - before; asked > firstLot+1 {
			t.Errorf("%d replies of %d bytes were asked for, and none has been taken", asked, size)
		}
		for range n {
			if got := c.reply(); len(got) != size+2 {
				t.Fatalf("got %.100s", got)
			}
		}
		c.send(resp.AppendCommand(nil, mget...))
		if v, err := c.in.Read(); err != nil || len(v.Elems) != n || len(v.Elems[n-1].Text) != size {
			t.Fatalf("MGET: %d values, %v", len(v.Elems), err)
		}
	})
}

// A short command must not make a node give more than it has memory for.
func TestLongAnswersAreRefused(t *testing.T) {
	s := newTestServer(t, Config{MaxOutput: 1 << 20}, newFakeNode(t, 16))
	c := s.dial()
	var keys []string
	for i := range 17 {
		keys = append(keys, "key:"+strconv.Itoa(i))
		c.want(`"OK"`, "SET", keys[i], strings.Repeat("x", 1<<20))
	}
	if got := c.do(append([]string{"MGET"}, keys[:15]...)...); len(got) < 15<<20 {
		t.Errorf("15 MiB: %.200s", got)
	}
	c.want("(error) ERR the values take more than 16777216 bytes; ask for fewer keys at a time", append([]string{"MGET"}, keys...)...)
	c.want("(error) ERR the values take more than 53477376 bytes in one tablet; ask for fewer keys at a time",
		append([]string{"MGET"}, slices.Repeat(keys[:1], 52)...)...)
	c.want("(error) ERR at most 1024 commands are described at a time", append([]string{"COMMAND", "DOCS"}, slices.Repeat([]string{"set"}, 1025)...)...)
}

// Many short commands with long answers must not do so either.
func TestAnswersOfASessionAreBounded(t *testing.T) {
	s := newTestServer(t, Config{MaxBatchBytes: 64 << 10}, newFakeNode(t, 16))
	c := s.dial()
	const n = 100
	var stream []byte
	for range n {
		stream = resp.AppendCommand(stream, "COMMAND")
	}
	go c.conn.Write(stream)
	taken := 0
	for range n {
		taken += len(c.reply())
	}
	if lots := s.Metrics().Batches; int(lots) < taken/(128<<10) {
		t.Errorf("%d bytes of answers were gathered in %d lots", taken, lots)
	}
}
