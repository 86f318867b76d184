package peer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds the wait for an event; only a failing test spends it.
const patience = 20 * time.Second

// testKeys returns n identities in the order of their node ids.
func testKeys(n int) []ed25519.PrivateKey {
	keys := make([]ed25519.PrivateKey, n)
	for i := range keys {
		keys[i] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
	}
	slices.SortFunc(keys, func(a, b ed25519.PrivateKey) int { return idOf(a).Compare(idOf(b)) })
	return keys
}

func idOf(key ed25519.PrivateKey) ident.NodeID { return ident.NodeOf(key.Public().(ed25519.PublicKey)) }

// event is one call of a handler.
type event struct {
	what    string // connected, disconnected, receive, refused
	id      ident.NodeID
	peer    Peer
	payload []byte
	err     error
}

// recorder is a Handler that keeps what it is told. During a frame of payload "block" it waits for unblock.
type recorder struct {
	events  chan event
	unblock chan struct{}
}

func newRecorder() *recorder {
	return &recorder{events: make(chan event, 4096), unblock: make(chan struct{})}
}

func (r *recorder) Connected(p Peer) { r.events <- event{what: "connected", id: p.ID, peer: p} }
func (r *recorder) Disconnected(id ident.NodeID, cause error) {
	r.events <- event{what: "disconnected", id: id, err: cause}
}

func (r *recorder) Receive(from ident.NodeID, payload []byte) {
	if string(payload) == "block" {
		<-r.unblock
	}
	r.events <- event{what: "receive", id: from, payload: payload}
}

func (r *recorder) Refused(_ string, id ident.NodeID, reason error) {
	r.events <- event{what: "refused", id: id, err: reason}
}

// next returns the next event, which must be what.
func (r *recorder) next(t testing.TB, what string) event {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case e := <-r.events:
		if e.what != what {
			t.Fatalf("the handler heard %s of %s (%v), want %s", e.what, e.id.Short(), e.err, what)
		}
		return e
	case <-timeout.C:
		t.Fatalf("the handler heard nothing, want %s", what)
	}
	return event{}
}

// quiet fails if there has been another event.
func (r *recorder) quiet(t testing.TB) {
	t.Helper()
	select {
	case e := <-r.events:
		t.Fatalf("the handler heard %s of %s (%v), want nothing", e.what, e.id.Short(), e.err)
	default:
	}
}

// node is a Transport and what it says.
type node struct {
	*Transport
	*recorder
	addr string
}

// open starts a Transport that ends with the test.
func open(t testing.TB, key ed25519.PrivateKey, l net.Listener, change ...func(*Config)) *node {
	t.Helper()
	r := newRecorder()
	cfg := Config{
		Identity: key, Listener: l, Handler: r,
		Hello: func() Hello {
			return Hello{Boot: 1, ProtocolMin: 1, ProtocolMax: 1, Address: l.Addr().String()}
		},
	}
	for _, fn := range change {
		fn(&cfg)
	}
	tr, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return &node{tr, r, l.Addr().String()}
}

// listen opens a socket on loopback.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pipes is a network of net.Pipe for tests in virtual time. Connections run through a relay, so that a test can take
// them apart at one end and not at the other.
type pipes struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
	relays    []*relay
	dials     []time.Time
}

func newPipes() *pipes { return &pipes{listeners: map[string]*pipeListener{}} }

type pipeListener struct {
	net   *pipes
	addr  pipeAddr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }

func (p *pipes) listen(addr string) net.Listener {
	l := &pipeListener{net: p, addr: pipeAddr(addr), conns: make(chan net.Conn), done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners[addr] = l
	return l
}

func (l *pipeListener) Addr() net.Addr { return l.addr }

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.listeners[string(l.addr)] == l {
			delete(l.net.listeners, string(l.addr))
		}
	})
	return nil
}

var errNobody = errors.New("nobody listens")

func (p *pipes) dial(ctx context.Context, addr string) (net.Conn, error) {
	p.mu.Lock()
	p.dials = append(p.dials, time.Now())
	l := p.listeners[addr]
	p.mu.Unlock()
	if l == nil {
		return nil, errNobody
	}
	near, r1 := net.Pipe()
	far, r2 := net.Pipe()
	r := &relay{near: r1, far: r2}
	select {
	case l.conns <- far:
	case <-l.done:
		return nil, errNobody
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	p.relays = append(p.relays, r)
	p.mu.Unlock()
	go r.copy(r1, r2)
	go r.copy(r2, r1)
	return near, nil
}

// last returns the connection that was opened last.
func (p *pipes) last() *relay {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.relays[len(p.relays)-1]
}

// relay carries bytes between two pipes.
type relay struct {
	near, far net.Conn

	mu   sync.Mutex
	torn bool
}

func (r *relay) copy(from, to net.Conn) {
	_, _ = io.Copy(to, from) // either end may have gone
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.torn {
		_ = r.near.Close()
		_ = r.far.Close()
	}
}

// tear closes one end; the other hears nothing, and what it says is lost, until it closes itself.
func (r *relay) tear(end net.Conn) {
	r.mu.Lock()
	r.torn = true
	r.mu.Unlock()
	_ = end.Close()
	other := r.near
	if end == r.near {
		other = r.far
	}
	go func() {
		_, _ = io.Copy(io.Discard, other)
		_ = other.Close()
	}()
}

// openPiped starts a Transport on a pipe network.
func openPiped(t testing.TB, p *pipes, key ed25519.PrivateKey, addr string, change ...func(*Config)) *node {
	t.Helper()
	dial := func(cfg *Config) { cfg.Dial = p.dial }
	return open(t, key, p.listen(addr), append([]func(*Config){dial}, change...)...)
}

// openPair opens two nodes that are connected over p.
func openPair(t *testing.T) (p *pipes, a, b *node) {
	t.Helper()
	p, keys := newPipes(), testKeys(2)
	a, b = openPiped(t, p, keys[0], "a"), openPiped(t, p, keys[1], "b")
	if _, err := a.DialSeed(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	a.next(t, "connected")
	b.next(t, "connected")
	return p, a, b
}

// mustSend sends and fails the test if that is refused.
func mustSend(t testing.TB, n *node, to ident.NodeID, format string, args ...any) {
	t.Helper()
	if err := n.Send(to, fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatalf("send to %s: %v", to.Short(), err)
	}
}
