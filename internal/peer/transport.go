package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Transport is a Network over sockets.
type Transport struct {
	cfg     Config
	id      ident.NodeID
	key     ed25519.PublicKey
	handler Handler
	log     *slog.Logger
	// instance tells this process from an earlier one with the same identity.
	instance uint64
	// start is what the nanoseconds of this package count from.
	start time.Time

	// ctx is the Transport's lifetime; its cause is ErrClosed.
	ctx        context.Context
	cancel     context.CancelCauseFunc
	wg         sync.WaitGroup
	handshakes chan struct{} // a place for each incoming handshake
	counters   counters
	refusals   refusalLog

	// live holds the connections that can be sent on. The map is replaced, never changed, so that Send takes no
	// lock; replaced with mu held.
	live atomic.Pointer[map[ident.NodeID]*conn]

	mu sync.Mutex
	// All below is guarded by mu.
	closed  bool
	links   map[ident.NodeID]*link
	tickets uint64 // connections accepted as the junior
}

var _ Network = (*Transport)(nil)

// Open starts to accept connections. The caller ends it with Close.
func Open(cfg Config) (*Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open peer transport: %w", err)
	}
	cfg = cfg.withDefaults()
	t := &Transport{
		cfg: cfg, handler: cfg.Handler, log: cfg.Logger, start: time.Now(),
		key:        cfg.Identity.Public().(ed25519.PublicKey),
		handshakes: make(chan struct{}, cfg.MaxHandshakes),
		links:      map[ident.NodeID]*link{},
	}
	t.id = ident.NodeOf(t.key)
	var b [8]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	t.instance = binary.BigEndian.Uint64(b[:])
	t.live.Store(&map[ident.NodeID]*conn{})
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	t.wg.Go(t.accept)
	t.wg.Go(t.pulses)
	return t, nil
}

// ID returns the node's own identifier.
func (t *Transport) ID() ident.NodeID { return t.id }

// Addr returns the address that the Transport listens on.
func (t *Transport) Addr() net.Addr { return t.cfg.Listener.Addr() }

// Send queues a copy of payload for a node; see Network.
func (t *Transport) Send(to ident.NodeID, payload []byte) error {
	if len(payload) > t.cfg.MaxFrame {
		return ErrTooLarge
	}
	c := (*t.live.Load())[to]
	switch {
	case c != nil:
		err := c.out.add(payload, t.cfg.MaxQueue)
		if err == ErrQueueFull {
			c.stats.queueFull.Add(1)
		}
		return err
	case to == t.id:
		return ErrSelf
	case t.ctx.Err() != nil:
		return ErrClosed
	default:
		return ErrNoConnection
	}
}

// Peers returns the nodes that are connected, in the order of their ids.
func (t *Transport) Peers() []Peer {
	live := *t.live.Load()
	peers := make([]Peer, 0, len(live))
	for _, c := range live {
		peers = append(peers, c.peer)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return a.ID.Compare(b.ID) })
	return peers
}

// LastHeard returns when bytes last arrived from a node that is connected.
func (t *Transport) LastHeard(id ident.NodeID) (time.Time, bool) {
	c := (*t.live.Load())[id]
	if c == nil {
		return time.Time{}, false
	}
	return t.start.Add(time.Duration(c.heard.Load())), true
}

// Close ends every connection, and returns when all goroutines have ended. Frames that wait are not sent.
func (t *Transport) Close() error {
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	var held []*conn
	for _, l := range t.links {
		if l.held != nil {
			held = append(held, l.held)
		}
	}
	t.mu.Unlock()
	var err error
	if first {
		t.cancel(ErrClosed)
		if err = t.cfg.Listener.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	for _, c := range held {
		c.close(ErrClosed)
	}
	t.wg.Wait()
	if err != nil {
		return fmt.Errorf("close peer listener: %w", err)
	}
	return nil
}

// accept takes incoming connections and gives each a goroutine for its handshake.
func (t *Transport) accept() {
	wait := backoff{least: t.cfg.BackoffMin, most: t.cfg.BackoffMax}
	for {
		nc, err := t.cfg.Listener.Accept()
		switch {
		case t.ctx.Err() != nil:
			if err == nil {
				_ = nc.Close() // it came in the moment of closing; nothing was said on it
			}
			return
		case errors.Is(err, net.ErrClosed):
			t.log.Error("peer listener was closed", "error", err)
			return
		case err != nil:
			t.log.Warn("cannot accept peers", "error", err)
			if !sleep(t.ctx, wait.next()) {
				return
			}
			continue
		}
		wait.reset()
		select {
		case t.handshakes <- struct{}{}:
			t.wg.Go(func() {
				defer func() { <-t.handshakes }()
				t.welcome(nc)
			})
		default:
			t.counters.overrun.Add(1)
			_ = nc.Close() // too many strangers at once: this one may come again
		}
	}
}

// welcome is the accepting side of one connection, up to its handshake.
func (t *Transport) welcome(nc net.Conn) {
	if _, err := t.handshake(t.ctx, nc, acceptor, ident.NodeID{}); err != nil && t.ctx.Err() == nil {
		t.note(nc.RemoteAddr().String(), err)
	}
}

// note counts, logs and reports a handshake that came to nothing.
func (t *Transport) note(addr string, err error) {
	if _, ok := errors.AsType[*duplicateError](err); ok {
		return // another connection to the same node serves
	}
	refusal, ok := errors.AsType[*RefusedError](err)
	if !ok {
		t.counters.failed.Add(1)
		t.log.Debug("peer handshake failed", "addr", addr, "error", err)
		return
	}
	t.counters.refused.Add(1)
	level := slog.LevelDebug
	if t.refusals.news(refusal) {
		level = slog.LevelWarn
	}
	t.log.Log(t.ctx, level, "peer refused", "addr", addr, "node", refusal.ID, "by_peer", refusal.ByPeer,
		"reason", refusal.Reason)
	t.handler.Refused(addr, refusal.ID, refusal)
}

// publish lets Send find the connection, unless it has ended already.
func (t *Transport) publish(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.isClosed() {
		return false
	}
	now := t.nanos()
	c.since.Store(now)
	c.heard.Store(now)
	live := maps.Clone(*t.live.Load())
	live[c.peer.ID] = c
	t.live.Store(&live)
	c.stats.connects.Add(1)
	return true
}

// retract undoes publish.
func (t *Transport) retract(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	live := maps.Clone(*t.live.Load())
	delete(live, c.peer.ID)
	t.live.Store(&live)
}

// nanos is the time since the Transport was opened, on the monotonic clock; never 0.
func (t *Transport) nanos() int64 { return int64(time.Since(t.start)) + 1 }

// refusalLog remembers what was said last to or by a node, so that a node that tries once a second does not fill
// the log. It is bounded: when it is full it starts afresh.
type refusalLog struct {
	mu   sync.Mutex
	last map[ident.NodeID]string // guarded by mu
}

const refusalsKept = 256

func (r *refusalLog) news(e *RefusedError) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := e.Error()
	if r.last[e.ID] == text {
		return false
	}
	if r.last == nil || len(r.last) >= refusalsKept {
		r.last = map[ident.NodeID]string{}
	}
	r.last[e.ID] = text
	return true
}
