package links

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// maxInFlight bounds what is on its way in one direction of a connection, in bytes; chunkSize is read at a time.
const (
	maxInFlight = 1 << 20
	chunkSize   = 32 << 10
)

// connection joins the socket of a dialler with one to the node that it dialled.
type connection struct {
	net      *Network
	from, to string // dialler, dialled
	there    *direction
	back     *direction
	once     sync.Once
	done     chan struct{} // closed by reset
}

// direction carries what one side writes to the other.
type direction struct {
	from, to string
	src, dst *net.TCPConn
	head     []byte     // read already
	chunks   chan chunk // what is on its way, in order
}

// chunk is a piece of the stream, or its end.
type chunk struct {
	due   time.Time
	bytes []byte
	end   error // io.EOF: the sender has finished; another: its connection was reset
}

func newConnection(n *Network, from, to string, in, out *net.TCPConn, head []byte) *connection {
	return &connection{
		net: n, from: from, to: to, done: make(chan struct{}),
		there: &direction{from: from, to: to, src: in, dst: out, head: head, chunks: make(chan chunk, maxInFlight/chunkSize)},
		back:  &direction{from: to, to: from, src: out, dst: in, chunks: make(chan chunk, maxInFlight/chunkSize)},
	}
}

// run carries both directions until both have ended.
func (c *connection) run() {
	var wg sync.WaitGroup
	for _, d := range []*direction{c.there, c.back} {
		wg.Go(func() { c.read(d) })
		wg.Go(func() { c.write(d) })
	}
	wg.Wait()
	c.reset()
}

// reset ends the connection for both sides at once.
func (c *connection) reset() {
	c.once.Do(func() {
		close(c.done)
		reset(c.there.src)
		reset(c.there.dst)
	})
}

func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // fails only when the connection is gone already
	_ = conn.Close()
}

// read takes what the sender writes and decides when it arrives.
func (c *connection) read(d *direction) {
	last := time.Now()
	send := func(bytes []byte, end error) bool {
		due := time.Now().Add(c.net.late(d.from, d.to))
		if due.Before(last) {
			due = last
		}
		last = due
		select {
		case d.chunks <- chunk{due, bytes, end}:
			return end == nil
		case <-c.done:
			return false
		}
	}
	if len(d.head) > 0 && !send(d.head, nil) {
		return
	}
	for {
		b := make([]byte, chunkSize)
		n, err := d.src.Read(b)
		if n > 0 && !send(b[:n], nil) {
			return
		}
		if err != nil {
			send(nil, err)
			return
		}
	}
}

// write delivers what is due, as soon as the direction is whole.
func (c *connection) write(d *direction) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var next chunk
		select {
		case next = <-d.chunks:
		case <-c.done:
			return
		}
		if wait := time.Until(next.due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-c.done:
				return
			}
		}
		if !c.await(d.from, d.to) {
			return
		}
		switch {
		case errors.Is(next.end, io.EOF):
			_ = d.dst.CloseWrite() // where that fails, the other direction learns why
			return
		case next.end != nil:
			c.reset()
			return
		}
		n, err := d.dst.Write(next.bytes)
		c.net.delivered(n)
		if err != nil {
			// The receiver is gone. The sender hears of it when the way back lets it.
			if c.await(d.to, d.from) {
				c.reset()
			}
			return
		}
	}
}

// await returns true when the direction is whole, false when the connection or the network ends before.
func (c *connection) await(from, to string) bool {
	for {
		link, changed := c.net.link(from, to)
		if !link.Cut {
			return true
		}
		select {
		case <-changed:
		case <-c.done:
			return false
		case <-c.net.closed:
			return false
		}
	}
}

func (n *Network) delivered(bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.figures.Bytes += int64(bytes)
}
