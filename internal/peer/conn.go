package peer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	readBuffer = 64 << 10
	// flushPiece is about how much is written before keepalive frames may go in between.
	flushPiece = 256 << 10
	// writePiece is how much the other side must take within WriteTimeout.
	writePiece = 1 << 20
)

// conn is one connection after its handshake. It is made by the handshake, owned by its link, and served by two
// goroutines: serve reads and tells the handler, write writes.
type conn struct {
	t        *Transport
	nc       net.Conn
	link     *link
	peer     Peer
	instance uint64 // of the other process
	ticket   uint64 // set under Transport.mu, by admit or install
	after    <-chan struct{}
	out      outbox
	stats    *stats

	// Nanoseconds since the Transport opened.
	since   atomic.Int64 // live since then, 0 before
	waiting atomic.Int64 // a read has been waiting since then; 0 while none waits
	heard   atomic.Int64 // bytes last arrived
	wrote   atomic.Int64 // bytes last left
	rtt     atomic.Int64 // smoothed round trip, in nanoseconds; 0 is not known

	asked int64 // when the last ping was queued; the pulses' own

	once   sync.Once
	cause  error         // valid when closed is
	closed chan struct{} // close has been called
	ready  chan struct{} // the handler knows of the connection
	done   chan struct{} // the handler will hear no more of it
}

func newConn(t *Transport, nc net.Conn, p Peer, instance uint64) *conn {
	return &conn{
		t: t, nc: nc, peer: p, instance: instance, out: newOutbox(),
		closed: make(chan struct{}), ready: make(chan struct{}), done: make(chan struct{}),
	}
}

// close ends the connection; the first cause counts. It does not wait, and is not called with Transport.mu held.
func (c *conn) close(cause error) {
	c.once.Do(func() {
		c.cause = cause
		close(c.closed)
		c.out.close()
		_ = c.nc.Close() // nothing follows on this connection, and its cause is known
	})
}

func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// serve is the life of a settled connection. What came before it for the same node ends first, so that the handler
// hears of one after the other.
func (c *conn) serve() {
	if c.after != nil {
		<-c.after
	}
	if c.t.publish(c) {
		var writer sync.WaitGroup
		writer.Go(c.write)
		c.t.log.Info("peer connected", "node", c.peer.ID, "addr", c.peer.Remote, "dialled", c.peer.Dialled)
		c.t.handler.Connected(c.peer)
		close(c.ready)
		c.close(c.read())
		writer.Wait()
		c.t.retract(c)
		c.t.log.Info("peer disconnected", "node", c.peer.ID, "addr", c.peer.Remote, "cause", c.cause)
		c.t.handler.Disconnected(c.peer.ID, c.cause)
	}
	c.t.retire(c)
}

// read reads frames until the connection ends, and says why it did.
func (c *conn) read() error {
	r := bufio.NewReaderSize((*meter)(c), readBuffer)
	for {
		k, payload, err := readFrame(r, c.t.cfg.MaxFrame)
		if err != nil {
			return lost("read", err)
		}
		switch k {
		case kindData:
			c.stats.framesIn.Add(1)
			c.t.handler.Receive(c.peer.ID, payload)
		case kindPing:
			c.out.beat(kindPong, pulseTime(payload))
		case kindPong:
			c.measure(time.Duration(c.t.nanos() - pulseTime(payload)))
		}
	}
}

// lost says what an error of the socket means.
func lost(action string, err error) error {
	switch {
	case errors.Is(err, ErrFrame):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ErrHungUp
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrStalled
	}
	return fmt.Errorf("%s: %w", action, err)
}

// measure smooths the round trip time as TCP does (RFC 6298, alpha 1/8). A time that cannot be is ignored: it
// comes from the other side.
func (c *conn) measure(rtt time.Duration) {
	if rtt <= 0 || rtt > time.Hour {
		return
	}
	if old := c.rtt.Load(); old != 0 {
		rtt = time.Duration(old) + (rtt-time.Duration(old))/8
	}
	c.rtt.Store(int64(rtt))
}

// meter is the connection as the reader sees it. It notes when a read waits and when something arrived, so that
// silence is time spent waiting for the other side and never the handler's own.
type meter conn

func (m *meter) Read(p []byte) (int, error) {
	m.waiting.Store(m.t.nanos())
	n, err := m.nc.Read(p)
	m.waiting.Store(0)
	if n > 0 {
		m.heard.Store(m.t.nanos())
		m.stats.bytesIn.Add(uint64(n))
	}
	return n, err
}

// write writes what the outbox holds until the connection is closed.
func (c *conn) write() {
	w := flusher{c: c, beats: make([]byte, 0, 2*(frameHeader+pulseLength))}
	for {
		// Let the goroutines that are about to send do so: one write then carries what all of them have.
		runtime.Gosched()
		control, data, frames, closed := c.out.take(w.beats)
		switch {
		case closed:
			return
		case len(control) == 0 && len(data) == 0:
			<-c.out.wake
			continue
		}
		if err := w.flush(control, data); err != nil {
			c.close(err)
			return
		}
		c.out.written(data)
		c.stats.framesOut.Add(uint64(frames))
	}
}

// flusher writes for one connection. It is the writer goroutine's own.
type flusher struct {
	c        *conn
	beats    []byte // an empty buffer for keepalive frames
	deadline int64  // of the last write, in nanoseconds since the Transport opened
}

// flush writes keepalive frames and then data, letting newer keepalive frames in between.
func (w *flusher) flush(control, data []byte) error {
	for {
		if err := w.write(control); err != nil {
			return err
		}
		n := cut(data, flushPiece)
		if err := w.write(data[:n]); err != nil {
			return err
		}
		if data = data[n:]; len(data) == 0 {
			return nil
		}
		control = w.c.out.progress(len(data), w.beats)
	}
}

func (w *flusher) write(b []byte) error {
	for len(b) > 0 {
		if err := w.extend(); err != nil {
			return lost("write", err)
		}
		n, err := w.c.nc.Write(b[:min(len(b), writePiece)])
		w.c.stats.bytesOut.Add(uint64(n))
		w.c.wrote.Store(w.c.t.nanos())
		if err != nil {
			return lost("write", err)
		}
		b = b[n:]
	}
	return nil
}

// extend moves the write deadline ahead. It stays up to an eighth short of WriteTimeout, so that not every write
// has to set it.
func (w *flusher) extend() error {
	timeout := int64(w.c.t.cfg.WriteTimeout)
	now := w.c.t.nanos()
	if w.deadline-now > timeout-timeout/8 {
		return nil
	}
	w.deadline = now + timeout
	return w.c.nc.SetWriteDeadline(w.c.t.start.Add(time.Duration(w.deadline)))
}
