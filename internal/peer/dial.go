package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// SetPeer keeps a connection to a node; see Network. Past Settings.MaxPeers the call is logged and ignored.
func (t *Transport) SetPeer(id ident.NodeID, addr string) {
	if err := t.want(id, addr); err != nil {
		t.log.Error("cannot keep a connection", "node", id, "addr", addr, "error", err)
	}
}

func (t *Transport) want(id ident.NodeID, addr string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || id == t.id {
		return nil
	}
	l, err := t.linkTo(id)
	if err != nil {
		return err
	}
	moved := l.addr != addr
	l.addr = addr
	switch {
	case l.cancel == nil:
		ctx, cancel := context.WithCancel(t.ctx)
		l.cancel = cancel
		t.wg.Go(func() { t.keep(ctx, l) })
	case moved:
		select {
		case l.moved <- struct{}{}:
		default: // it has not noticed the last one yet
		}
	}
	return nil
}

// DropPeer stops keeping a connection and closes the one there is; see Network.
func (t *Transport) DropPeer(id ident.NodeID) {
	t.mu.Lock()
	var held *conn
	if l := t.links[id]; l != nil {
		if l.cancel != nil {
			l.cancel()
			l.cancel = nil
		}
		held = l.held
		t.prune(l)
	}
	t.mu.Unlock()
	if held != nil {
		held.close(ErrDropped)
	}
}

// DialSeed connects to an address whose node is not known yet; see Network. When that node is connected already, it
// returns that connection's Peer.
func (t *Transport) DialSeed(ctx context.Context, addr string) (Peer, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return Peer{}, ErrClosed
	}
	t.wg.Add(1) // with mu held: Close does not wait yet
	t.mu.Unlock()
	defer t.wg.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()

	c, err := t.connect(ctx, addr, ident.NodeID{})
	if duplicate, ok := errors.AsType[*duplicateError](err); ok {
		c, err = t.heldBy(duplicate.id)
	}
	if err != nil {
		if t.ctx.Err() != nil {
			err = ErrClosed
		}
		return Peer{}, fmt.Errorf("dial %s: %w", addr, err)
	}
	select {
	case <-c.ready:
		return c.peer, nil
	case <-c.done:
		return Peer{}, fmt.Errorf("dial %s: %w", addr, c.cause)
	case <-ctx.Done():
		return Peer{}, fmt.Errorf("dial %s: %w", addr, context.Cause(ctx))
	}
}

// keep keeps a connection to a node until ctx ends.
func (t *Transport) keep(ctx context.Context, l *link) {
	wait := backoff{least: t.cfg.BackoffMin, most: t.cfg.BackoffMax}
	var said string
	for ctx.Err() == nil {
		if c := t.held(l); c != nil {
			select {
			case <-c.done:
			case <-ctx.Done():
				return
			}
			// One that hardly lasted counts as an attempt that failed, or two nodes that cannot keep a connection
			// would do nothing else.
			if since := c.since.Load(); since != 0 && t.nanos()-since >= int64(t.cfg.BackoffMax) {
				wait.reset()
			}
			continue
		}
		timer := time.NewTimer(wait.next())
		select {
		case <-timer.C:
		case <-l.moved:
			wait.reset()
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || t.held(l) != nil {
			continue // the other node was quicker
		}
		addr := t.addrOf(l)
		c, err := t.connect(ctx, addr, l.id)
		switch {
		case err == nil && ctx.Err() != nil:
			c.close(ErrDropped)
		case err == nil:
			said = ""
		case ctx.Err() == nil:
			// The same text again is not news; a refusal and a duplicate have been dealt with by note.
			if text := err.Error(); text != said && !noted(err) {
				said = text
				t.log.Warn("cannot connect to peer", "node", l.id, "addr", addr, "error", err)
			}
		}
	}
}

// connect dials an address and shakes hands. A duplicate gives way to the connection that serves.
func (t *Transport) connect(ctx context.Context, addr string, want ident.NodeID) (*conn, error) {
	t.counters.dials.Add(1)
	dialCtx, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	nc, err := t.cfg.Dial(dialCtx, addr)
	cancel()
	if err != nil {
		t.counters.dialsFailed.Add(1)
		return nil, err
	}
	c, err := t.handshake(ctx, nc, dialler, want)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		t.note(addr, err)
		return nil, err
	}
	return c, nil
}

func noted(err error) bool {
	_, duplicate := errors.AsType[*duplicateError](err)
	_, refusal := errors.AsType[*RefusedError](err)
	return duplicate || refusal
}

// heldBy returns the connection to a node that a duplicate gave way to.
func (t *Transport) heldBy(id ident.NodeID) (*conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.links[id]; l != nil && l.held != nil {
		return l.held, nil
	}
	return nil, ErrUnsettled
}

func (t *Transport) held(l *link) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return l.held
}

func (t *Transport) addrOf(l *link) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return l.addr
}

// backoff spreads attempts: the first within least, at random, then doubling up to most, each between half of its
// turn and all of it, so that nodes that lost each other at one moment do not all come back at one moment.
type backoff struct {
	least, most time.Duration
	attempts    uint
}

func (b *backoff) next() time.Duration {
	if b.attempts == 0 {
		b.attempts = 1
		return rand.N(b.least)
	}
	turn := b.most
	if grown := b.least << b.attempts; grown < b.most && grown>>b.attempts == b.least {
		turn = grown
		b.attempts++
	}
	return turn - rand.N(turn/2+1)
}

func (b *backoff) reset() { b.attempts = 0 }

// sleep waits, and reports false when ctx has ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
