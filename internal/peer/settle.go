package peer

import (
	"context"
	"fmt"

	"github.com/quorddb/quord/internal/ident"
)

// Two nodes may connect to each other at the same moment, and one may notice before the other that their connection
// is gone. Both have to come to the same choice without flapping between two connections. So one of them chooses: the
// senior, which is the one with the smaller identifier.
//
// The junior accepts one connection at a time and gives it a ticket, the next number of its process. The senior takes
// a connection whose ticket is higher than all that it has taken from this process of the junior: the junior has
// given up the earlier ones. The junior gives one up for a newer when it is closed; when the newer comes from another
// process of the senior; or when the senior claims that it has taken the earlier one (its highest ticket is not below)
// and lost it. Else the newer is a duplicate. A connection that serves is therefore never replaced by one that was
// begun at the same time.

// link is what a Transport knows of one other node. All of it is guarded by Transport.mu but stats, which is atomic.
type link struct {
	id    ident.NodeID
	stats stats

	// cancel ends the goroutine that keeps a connection; nil when none does.
	cancel context.CancelFunc
	addr   string
	// moved has room for one signal: addr is another now.
	moved chan struct{}

	// held is the connection that serves or is about to.
	held *conn
	// tail is done of the connection that the handler hears of last.
	tail <-chan struct{}
	// seen is the highest ticket taken as the senior from process instance of the junior.
	seen     uint64
	instance uint64
}

// linkTo returns the link to a node, made anew where there is none. mu is held.
func (t *Transport) linkTo(id ident.NodeID) (*link, error) {
	if l := t.links[id]; l != nil {
		return l, nil
	}
	if len(t.links) >= t.cfg.MaxPeers {
		return nil, fmt.Errorf("already connected to %d nodes, at most %d are allowed", len(t.links), t.cfg.MaxPeers)
	}
	l := &link{id: id, moved: make(chan struct{}, 1)}
	t.links[id] = l
	return l, nil
}

// claim is what this node, the senior, says of its connections with a process of the junior.
func (t *Transport) claim(id ident.NodeID, instance uint64) claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.links[id]
	if l == nil || l.instance != instance {
		return claim{}
	}
	return claim{seen: l.seen, live: l.held != nil && !l.held.isClosed()}
}

// admit is the junior's choice: it accepts c under a new ticket, or finds it a duplicate.
func (t *Transport) admit(c *conn, senior claim) verdict {
	return t.decide(c, func(l *link) (verdict, *conn) {
		var given *conn
		if held := l.held; held != nil && !held.isClosed() {
			restarted := held.instance != c.instance
			lost := senior.seen >= held.ticket && !senior.live
			if !restarted && !lost {
				return verdict{code: duplicate}, nil
			}
			given = held
		}
		t.tickets++
		c.ticket = t.tickets
		l.held = c
		return verdict{code: accepted, ticket: c.ticket}, given
	})
}

// install is the senior's choice: it takes c, which the junior has accepted under this ticket, or finds it a
// duplicate. A connection that was taken must be served.
func (t *Transport) install(c *conn, ticket uint64) verdict {
	return t.decide(c, func(l *link) (verdict, *conn) {
		if l.instance == c.instance && ticket <= l.seen {
			return verdict{code: duplicate}, nil
		}
		l.instance, l.seen = c.instance, ticket
		given := l.held
		c.ticket = ticket
		l.held = c
		c.after, l.tail = l.tail, c.done
		return verdict{code: accepted}, given
	})
}

// decide lets one side judge c with mu held, on the link that c is to belong to; the connection that by says is given up
// for c, if any, ends when mu is free again.
func (t *Transport) decide(c *conn, by func(l *link) (v verdict, given *conn)) verdict {
	var given *conn
	defer func() { given.replace() }()
	t.mu.Lock()
	defer t.mu.Unlock()
	l, err := t.open(c)
	if err != nil {
		return verdict{code: refused, reason: err.Error()}
	}
	var v verdict
	v, given = by(l)
	return v
}

// open returns the link that c is to belong to. mu is held.
func (t *Transport) open(c *conn) (*link, error) {
	if t.closed {
		return nil, ErrClosed
	}
	l, err := t.linkTo(c.peer.ID)
	if err != nil {
		return nil, err
	}
	c.link, c.stats = l, &l.stats
	return l, nil
}

// confirm follows the senior's choice of a connection that admit has accepted. It must then be served.
func (t *Transport) confirm(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.after, c.link.tail = c.link.tail, c.done
}

// withdraw ends a connection that admit has accepted and the senior has not chosen.
func (t *Transport) withdraw(c *conn, cause error) {
	c.close(cause)
	t.retire(c)
}

// retire is the end of a connection: its link is free for another one, or goes when nobody wants it.
func (t *Transport) retire(c *conn) {
	close(c.done)
	t.mu.Lock()
	defer t.mu.Unlock()
	l := c.link
	if l.held == c {
		l.held = nil
	}
	if l.tail == c.done {
		l.tail = nil
	}
	t.prune(l)
}

// prune forgets a link without use. mu is held.
func (t *Transport) prune(l *link) {
	if l.cancel == nil && l.held == nil && l.tail == nil && t.links[l.id] == l {
		delete(t.links, l.id)
	}
}

// replace closes a connection that was given up, if there is one.
func (c *conn) replace() {
	if c != nil {
		c.close(ErrReplaced)
	}
}
