package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/resp"
)

// chunk is how much is written under one deadline.
const chunk = 256 << 10

// lingerFor and lingerBytes bound what is read of a connection that is about to be closed.
const (
	lingerFor   = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// session is one connection. What is not marked belongs to its goroutine.
type session struct {
	srv  *Server
	conn net.Conn
	rd   *resp.Reader

	id            int64
	addr, laddr   string
	since         time.Time
	proto         uint8 // 2 or 3; stored by the session's goroutine
	authenticated bool
	silent        bool  // CLIENT REPLY OFF
	skip          int   // commands whose reply CLIENT REPLY SKIP suppresses: 2 is this one and the next
	quit          bool  // close when all replies are written
	expect        int   // how long replies are, so that a batch of them stays within MaxOutput
	broken        error // of the first write that failed
	writeDeadline time.Time
	lastEntry     *entry // the entry of the latest command, a cache of Server.table

	// Shared with CLIENT LIST of other sessions.
	resp, in, out, commands atomic.Int64
	active                  atomic.Int64 // UnixNano of the latest batch
	last                    atomic.Pointer[entry]
	killed                  atomic.Bool

	mu              sync.Mutex
	name            string    // guarded by mu
	libName, libVer string    // guarded by mu
	draining        bool      // guarded by mu: the server closes
	parting         time.Time // guarded by mu: by when the client has to have taken what it is sent from then on
}

func newSession(s *Server, conn net.Conn, id int64) *session {
	c := &session{
		srv: s, conn: conn, id: id, since: s.cfg.Now(), proto: 2, authenticated: s.open,
		addr: addrOf(conn.RemoteAddr()), laddr: addrOf(conn.LocalAddr()),
		expect: s.leastReply(),
	}
	c.resp.Store(2)
	c.active.Store(c.since.UnixNano())
	c.rd = resp.NewReader(conn, s.cfg.limits(c.authenticated))
	c.rd.Reserve = s.reserve
	return c
}

// leastReply is the length up to which replies do not make batches smaller.
func (s *Server) leastReply() int { return max(s.cfg.MaxOutput/s.cfg.MaxBatch, 1) }

func addrOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func sortSessions(list []*session) {
	slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
}

// serve is the session's goroutine.
func (c *session) serve() {
	defer c.conn.Close()
	defer c.rd.Release()
	if !c.authenticated {
		c.setReadDeadline(time.Now().Add(c.srv.cfg.AuthTimeout))
	}
	var failure error
	for failure == nil && !c.quit {
		if c.authenticated && c.srv.cfg.IdleTimeout > 0 {
			c.setReadDeadline(time.Now().Add(c.srv.cfg.IdleTimeout))
		}
		before := c.rd.Buffered()
		if failure = c.rd.Fill(); failure != nil {
			break
		}
		n := int64(c.rd.Buffered() - before)
		c.in.Add(n)
		c.srv.counted.bytesIn.Add(uint64(n))
		failure = c.batches()
	}
	c.ended(failure)
}

// batches executes what has been read, batch by batch, until no complete command is left.
func (c *session) batches() error {
	for !c.quit {
		cmd, ok, err := c.rd.Next()
		if err == nil && !ok {
			return nil
		}
		start := time.Now()
		b := c.srv.batches.Get().(*batch)
		if ok {
			err = c.collect(b, cmd)
		}
		b.execute(c.srv.cfg.MaxOutput)
		failure := c.emit(b, start)
		if failure == nil && err != nil {
			failure = err
			b.out = resp.AppendError(b.out, "ERR "+err.Error())
		}
		if e := c.flush(b); e != nil && failure == nil {
			failure = e
		}
		c.done(b, start)
		if failure != nil {
			return failure
		}
		if c.isDraining() {
			c.quit = true
		}
	}
	return nil
}

// collect plans cmd and every further command of the buffer, as many as one batch takes; what they say, and what is
// answered to them on the spot, is bounded. It returns the error of a stream that cannot be read further.
func (c *session) collect(b *batch, cmd resp.Command) error {
	limit := min(max(c.srv.cfg.MaxOutput/c.expect, 1), c.srv.cfg.MaxBatch)
	for {
		c.plan(b, cmd)
		if c.quit || len(b.calls) >= limit || b.bytes >= c.srv.cfg.MaxBatchBytes || len(b.inline) >= c.srv.cfg.MaxBatchBytes {
			return nil
		}
		var ok bool
		var err error
		if cmd, ok, err = c.rd.Next(); err != nil || !ok {
			return err
		}
	}
}

// done gives the batch back and takes note of what it did.
func (c *session) done(b *batch, now time.Time) {
	c.expect = max(c.expect/2, b.largest, c.srv.leastReply())
	c.srv.counted.batches.Add(1)
	c.srv.counted.requests.Add(uint64(b.requests))
	c.active.Store(now.UnixNano())
	if b.failed {
		// A request that was given up, at its timeout for one, may still stand in a queue of the node.
		c.rd.Abandon()
	}
	b.clear()
	b.out = shrink(b.out)
	c.srv.batches.Put(b)
}

// emit appends the replies of all calls to the output in their order, and counts them.
func (c *session) emit(b *batch, start time.Time) error {
	took := time.Since(start)
	var counting *tally
	var n uint64
	for i := range b.calls {
		k := &b.calls[i]
		reply := c.replyOf(b, k)
		t := &k.entry.ok
		switch {
		case isError(reply):
			c.srv.errors.add(reply)
			if k.rejected {
				k.entry.rejected.Add(1)
				t = nil
			} else {
				t = &k.entry.failed
			}
		}
		if t != counting {
			if counting != nil {
				counting.add(n, took)
			}
			counting, n = t, 0
		}
		n++
		if !k.muted {
			if err := c.put(b, reply, k.proto); err != nil {
				return err
			}
		}
		k.drop(b)
	}
	if counting != nil {
		counting.add(n, took)
	}
	c.commands.Add(int64(len(b.calls)))
	c.srv.counted.commands.Add(uint64(len(b.calls)))
	if len(b.calls) > 0 {
		c.last.Store(b.calls[len(b.calls)-1].entry)
	}
	return nil
}

// replyOf returns the reply of a call as RESP3 bytes.
func (c *session) replyOf(b *batch, k *call) []byte {
	switch k.kind {
	case inlineCall:
		return b.inline[k.from:k.to]
	case runCall:
		b.finish(k.where)
		reply, failure := k.where.reply()
		if failure != nil {
			b.merged = resp.AppendError(b.merged[:0], failure.Error())
			return b.merged
		}
		return reply
	default:
		size, bound := 0, c.srv.cfg.mergeBound()
		for _, p := range b.parts[k.from:k.to] {
			b.finish(p)
			reply, _ := p.reply()
			if size += len(reply); size > bound && k.entry.spec.Split == command.Gather {
				b.merged = resp.AppendError(b.merged[:0], fmt.Sprintf(
					"ERR the values take more than %d bytes; ask for fewer keys at a time", bound))
				return b.merged
			}
		}
		b.merged = b.merge(b.merged[:0], k)
		b.largest = max(b.largest, len(b.merged))
		return b.merged
	}
}

// drop gives back long replies that have been taken.
func (k *call) drop(b *batch) {
	switch k.kind {
	case runCall:
		b.drop(k.where)
	case splitCall:
		for _, p := range b.parts[k.from:k.to] {
			b.drop(p)
		}
	}
}

// put appends one reply to the output in the session's protocol. A long one is written at once and not copied.
func (c *session) put(b *batch, reply []byte, proto uint8) error {
	if proto == 3 || len(reply) > 0 && (reply[0] == '$' || reply[0] == '+' || reply[0] == ':' || reply[0] == '-') {
		if len(reply) < chunk/4 {
			b.out = append(b.out, reply...)
		} else {
			if err := c.flush(b); err != nil {
				return err
			}
			return c.write(reply)
		}
	} else {
		out, err := resp.Downgrade(b.out, reply)
		if err != nil {
			out = appendInternal(b.out, reply)
		}
		b.out = out
	}
	if len(b.out) >= chunk {
		return c.flush(b)
	}
	return nil
}

// flush writes the output.
func (c *session) flush(b *batch) error {
	err := c.write(b.out)
	b.out = b.out[:0]
	return err
}

// write sends p. A client must take each chunk within WriteTimeout of now, however long the commands have taken; within
// the one PartingTimeout that is left when the server closes.
func (c *session) write(p []byte) error {
	for c.broken == nil && len(p) > 0 {
		n := min(len(p), chunk)
		c.setWriteDeadline()
		sent, err := c.conn.Write(p[:n])
		c.out.Add(int64(sent))
		c.srv.counted.bytesOut.Add(uint64(sent))
		if err != nil {
			c.broken = writeError{err}
		}
		p = p[n:]
	}
	return c.broken
}

// setWriteDeadline gives the client its time from now. Its failures are those of a closed connection: then so does Write.
func (c *session) setWriteDeadline() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.draining {
		if c.parting.IsZero() {
			c.parting = now.Add(c.srv.cfg.PartingTimeout)
		}
		_ = c.conn.SetWriteDeadline(c.parting)
		return
	}
	// One deadline serves all writes of a second: setting it costs as much as a short command.
	if want := now.Add(c.srv.cfg.WriteTimeout); want.Sub(c.writeDeadline) > 0 {
		c.writeDeadline = want.Add(min(time.Second, c.srv.cfg.WriteTimeout/4))
		_ = c.conn.SetWriteDeadline(c.writeDeadline)
	}
}

// writeError is a failure to send, as opposed to one to receive.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// ended counts why a session ended and tells the client where it can still hear it.
func (c *session) ended(failure error) {
	n := &c.srv.counted
	var protocol resp.ProtocolError
	var w writeError
	switch {
	case failure == nil || c.isDraining() || c.killed.Load():
	case errors.As(failure, &protocol):
		n.protocol.Add(1)
		c.linger()
		c.srv.cfg.Log.Info("closed a connection that broke the protocol", "client", c.addr, "error", failure)
	case errors.Is(failure, resp.ErrMemory):
		n.noMemory.Add(1)
		c.srv.cfg.Log.Warn("closed a connection: no memory left for requests", "client", c.addr, "bound", c.srv.cfg.MaxInput)
		_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.conn.Write([]byte("-OOM no memory left to receive this command, " +
			strconv.FormatInt(c.srv.cfg.MaxInput, 10) + " bytes are in use by requests\r\n"))
		c.linger()
	case errors.As(failure, &w) && errors.Is(failure, os.ErrDeadlineExceeded):
		n.slow.Add(1)
		c.srv.cfg.Log.Warn("closed a connection that did not take its replies", "client", c.addr,
			"timeout", c.srv.cfg.WriteTimeout)
	case !c.authenticated && errors.Is(failure, os.ErrDeadlineExceeded):
		n.authTimeouts.Add(1)
	}
}

// linger reads for a moment what the client still sends: a connection that is closed over unread bytes is reset, and
// the client would never see why.
func (c *session) linger() {
	half, can := c.conn.(interface{ CloseWrite() error })
	if !can || half.CloseWrite() != nil {
		return
	}
	c.setReadDeadline(time.Now().Add(lingerFor))
	_, _ = io.CopyN(io.Discard, c.conn, lingerBytes)
}

// setReadDeadline is overruled when the server closes.
func (c *session) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.draining {
		_ = c.conn.SetReadDeadline(t) // fails only on a closed connection, which the next read reports
	}
}

// drain makes the session end when it has answered what it has read.
func (c *session) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.srv.cfg.PartingTimeout)) // of a write that waits; later ones set their own
}

func (c *session) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// kill ends the session from outside, and counts that: who asked for it may look before the session has noticed.
func (c *session) kill() {
	if !c.killed.Swap(true) {
		c.srv.counted.killed.Add(1)
	}
	c.conn.Close()
}
