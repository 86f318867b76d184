package links

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Link is the state of one direction between two nodes. The zero value is a network without faults.
type Link struct {
	// Cut: nothing arrives.
	Cut bool
	// Delay is how long everything takes, and Jitter how much longer it may take besides.
	Delay, Jitter time.Duration
	// Loss is how many of a thousand chunks are lost and sent again: they arrive later by Retransmit, twice that with a
	// second loss, and so on, and with them all that follows.
	Loss       int
	Retransmit time.Duration
}

// String says it for a person.
func (l Link) String() string {
	switch {
	case l.Cut:
		return "cut"
	case l.Loss > 0:
		return fmt.Sprintf("%d in 1000 lost (%s), %s+%s late", l.Loss, l.Retransmit, l.Delay, l.Jitter)
	}
	return fmt.Sprintf("%s+%s late", l.Delay, l.Jitter)
}

// Figures counts what a Network has seen.
type Figures struct {
	Connections int64 // dialled by nodes
	Strangers   int64 // whose greeting named no node
	Broken      int64 // broken off by Break
	Lost        int64 // chunks lost at least once
	Bytes       int64 // delivered
}

// Network carries the connections between nodes. Make one with New.
type Network struct {
	who func(key []byte) (name string, ok bool)

	mu        sync.Mutex
	rng       *rand.Rand               // guarded by mu
	links     map[[2]string]Link       // guarded by mu; from, to; what is missing has no faults
	changed   chan struct{}            // guarded by mu; closed and made anew when links change
	conns     map[*connection]struct{} // guarded by mu
	listeners []net.Listener           // guarded by mu
	pending   map[net.Conn]struct{}    // guarded by mu; taken, and not yet a connection
	figures   Figures                  // guarded by mu
	closed    chan struct{}
	running   sync.WaitGroup
}

// New returns a network without nodes. who tells whose public key it is; it is called for each connection. The seed
// decides which chunks are lost.
func New(seed uint64, who func(key []byte) (name string, ok bool)) *Network {
	return &Network{
		who: who, rng: rand.New(rand.NewPCG(seed, 0)), links: map[[2]string]Link{}, changed: make(chan struct{}),
		conns: map[*connection]struct{}{}, pending: map[net.Conn]struct{}{}, closed: make(chan struct{}),
	}
}

// Attach listens at the address told for the node that listens at the address real.
func (n *Network) Attach(name, told, real string) error {
	l, err := net.Listen("tcp", told)
	if err != nil {
		return fmt.Errorf("attach %s: %w", name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.isClosed() {
		return errors.Join(net.ErrClosed, l.Close())
	}
	n.listeners = append(n.listeners, l)
	n.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			n.running.Go(func() { n.take(conn.(*net.TCPConn), name, real) })
		}
	})
	return nil
}

// The greeting of package peer: the dialler's public key stands at keyAt and has keySize bytes.
const (
	keyAt    = 6 + 2 + 2 + 32
	keySize  = 32
	headSize = keyAt + keySize
)

// greetingTimeout bounds the wait for the first bytes of a connection.
const greetingTimeout = 3 * time.Second

// take finds out who dials and connects both sides when the network lets them.
func (n *Network) take(in *net.TCPConn, to, real string) {
	n.mu.Lock()
	if n.isClosed() {
		n.mu.Unlock()
		_ = in.Close() // the network is over
		return
	}
	n.pending[in] = struct{}{}
	n.figures.Connections++
	n.mu.Unlock()

	out, from, head, err := n.connect(in, to, real)
	n.mu.Lock()
	delete(n.pending, in)
	if err != nil || n.isClosed() {
		n.mu.Unlock()
		reset(in)
		if out != nil {
			reset(out)
		}
		return
	}
	c := newConnection(n, from, to, in, out, head)
	n.conns[c] = struct{}{}
	n.mu.Unlock()
	c.run()
	n.mu.Lock()
	delete(n.conns, c)
	n.mu.Unlock()
}

func (n *Network) connect(in *net.TCPConn, to, real string) (out *net.TCPConn, from string, head []byte, err error) {
	head = make([]byte, headSize)
	if err := in.SetReadDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return nil, "", nil, err
	}
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, "", nil, err
	}
	if err := in.SetReadDeadline(time.Time{}); err != nil {
		return nil, "", nil, err
	}
	from, ok := n.who(head[keyAt:])
	if !ok {
		n.mu.Lock()
		n.figures.Strangers++
		n.mu.Unlock()
		return nil, "", nil, errors.New("nobody has this key")
	}
	// A handshake of TCP goes there and back.
	if !n.await(from, to) || !n.await(to, from) {
		return nil, "", nil, net.ErrClosed
	}
	conn, err := net.DialTimeout("tcp", real, time.Second)
	if err != nil {
		return nil, "", nil, err
	}
	return conn.(*net.TCPConn), from, head, nil
}

// await returns true when the direction is whole, and false when the network is closed before.
func (n *Network) await(from, to string) bool {
	for {
		link, changed := n.link(from, to)
		if !link.Cut {
			return !n.isClosed()
		}
		select {
		case <-changed:
		case <-n.closed:
			return false
		}
	}
}

func (n *Network) link(from, to string) (Link, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.links[[2]string{from, to}], n.changed
}

// late draws how much later than at once a chunk arrives.
func (n *Network) late(from, to string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[[2]string{from, to}]
	d := l.Delay
	if l.Jitter > 0 {
		d += time.Duration(n.rng.Int64N(int64(l.Jitter)))
	}
	if l.Loss > 0 && n.rng.IntN(1000) < l.Loss {
		n.figures.Lost++
		again := l.Retransmit
		for d += again; n.rng.IntN(1000) < l.Loss && again < 16*l.Retransmit; d += again {
			again *= 2
		}
	}
	return d
}

// Set changes directions, all at once.
func (n *Network) Set(links map[[2]string]Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for pair, l := range links {
		if l == (Link{}) {
			delete(n.links, pair)
		} else {
			n.links[pair] = l
		}
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// Heal makes every direction whole.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.links)
	close(n.changed)
	n.changed = make(chan struct{})
}

// Break resets the connections between two nodes, in the midst of whatever is on its way.
func (n *Network) Break(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if c.from == a && c.to == b || c.from == b && c.to == a {
			n.figures.Broken++
			c.reset()
		}
	}
}

// Figures returns what has been counted so far.
func (n *Network) Figures() Figures {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.figures
}

// Close resets every connection and returns when nothing runs any more.
func (n *Network) Close() error {
	n.mu.Lock()
	var errs []error
	if !n.isClosed() {
		close(n.closed)
		for _, l := range n.listeners {
			errs = append(errs, l.Close())
		}
		for c := range n.conns {
			c.reset()
		}
		for conn := range n.pending {
			_ = conn.Close() // unblocks its reader; nothing else hangs on it
		}
	}
	n.mu.Unlock()
	n.running.Wait()
	return errors.Join(errs...)
}

func (n *Network) isClosed() bool {
	select {
	case <-n.closed:
		return true
	default:
		return false
	}
}
