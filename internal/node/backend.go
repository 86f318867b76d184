package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/server"
)

// backend is the node as the sessions of clients see it (server.Backend).
type backend struct{ node *Node }

var errStopping = errors.New("this node is stopping")

// Submit implements server.Backend.
func (b *backend) Submit(reqs []*request.Request) {
	if !b.node.worker.inbox.requests(reqs) {
		for _, r := range reqs {
			r.End(nil, stopped)
		}
	}
}

// Moment implements server.Backend.
func (b *backend) Moment() time.Duration { return monotonic() }

// TryRead implements server.Backend.
func (b *backend) TryRead(at time.Duration, r *request.Request) bool {
	return b.node.worker.core.TryRead(at, r)
}

// Tablets implements server.Backend.
func (b *backend) Tablets() int {
	n := 0
	b.node.worker.on(b.node.ctx, func(c *core.Core) { n = c.Tablets() })
	return n
}

// ask runs fn, which is told how it ended through done, on the worker, and waits for the end.
func ask[T any](ctx context.Context, w *worker, fn func(c *core.Core, done func(T, error))) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ended := make(chan answer, 1)
	var none T
	if !w.inbox.call(func(c *core.Core) {
		if c == nil {
			ended <- answer{none, errStopping}
			return
		}
		fn(c, func(v T, err error) { ended <- answer{v, err} })
	}) {
		return none, errStopping
	}
	var err error
	select {
	case a := <-ended:
		return a.value, a.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-w.done:
		err = errStopping
	}
	select {
	case a := <-ended: // it was done, and that is why the node stops
		return a.value, a.err
	default:
		return none, err
	}
}

// Lookup implements server.Backend.
func (b *backend) Lookup(ctx context.Context, key []byte, mode string) (admin.Lookup, error) {
	m := ring.Iterative
	if mode == ring.Recursive.String() {
		m = ring.Recursive
	}
	return ask(ctx, b.node.worker, func(c *core.Core, done func(admin.Lookup, error)) { c.Lookup(key, m, done) })
}

// Ring implements server.Backend.
func (b *backend) Ring(ctx context.Context) (admin.Ring, error) {
	return ask(ctx, b.node.worker, func(c *core.Core, done func(admin.Ring, error)) { done(c.RingInfo(), nil) })
}

// Status implements server.Backend.
func (b *backend) Status(ctx context.Context) (admin.Status, error) {
	return ask(ctx, b.node.worker, func(c *core.Core, done func(admin.Status, error)) { done(c.StatusInfo(), nil) })
}

const leaveProgressEvery = 200 * time.Millisecond

// Leave implements server.Backend.
func (b *backend) Leave(ctx context.Context, progress func(done, total int64)) error {
	w := b.node.worker
	total := 0
	if !w.on(ctx, func(c *core.Core) { total = c.Holds() }) {
		return errStopping
	}
	ended := make(chan error, 1)
	go func() {
		_, err := ask(ctx, w, func(c *core.Core, done func(struct{}, error)) {
			c.Leave(func(err error) { done(struct{}{}, err) })
		})
		ended <- err
	}()
	ticker := time.NewTicker(leaveProgressEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
			left := total
			w.on(ctx, func(c *core.Core) { left = c.Holds() })
			progress(int64(max(total-left, 0)), int64(total))
		}
	}
}

// Remove implements server.Backend.
func (b *backend) Remove(ctx context.Context, node string, dryRun bool) (string, error) {
	return b.takeOut(ctx, node, dryRun, false)
}

// Replace implements server.Backend.
func (b *backend) Replace(ctx context.Context, node string, dryRun bool) (string, error) {
	return b.takeOut(ctx, node, dryRun, true)
}

// takeOut removes a dead node. With replace this node takes its place on the ring.
func (b *backend) takeOut(ctx context.Context, node string, dryRun, replace bool) (string, error) {
	return ask(ctx, b.node.worker, func(c *core.Core, done func(string, error)) {
		m, cmd, err := c.RemovalOf(node, replace)
		if err != nil {
			done("", err)
			return
		}
		said := fmt.Sprintf("node %s (%s) removed for good; what it held is copied to others", m.ID, m.Addresses.RESP)
		if replace {
			said = fmt.Sprintf("node %s (%s) removed for good; node %s (%s) takes its place, and what it held is copied there",
				m.ID, m.Addresses.RESP, b.node.self, b.node.addrs.RESP)
		}
		if dryRun {
			done("would do: "+said, nil)
			return
		}
		c.Change(cmd, func(err error) { done(said, err) })
	})
}

// Identity implements server.Backend.
func (b *backend) Identity() server.Identity {
	n := b.node
	id := server.Identity{
		NodeID: n.self.String(), Version: n.version, Addr: n.addrs.RESP, PeerAddr: n.addrs.Peer, HTTPAddr: n.addrs.HTTP,
		Zone: n.cfg.Zone, Started: n.started, Dir: n.cfg.Dir,
	}
	n.worker.on(n.ctx, func(c *core.Core) {
		id.ClusterID = c.Cluster().String()
		if reg := c.Registry(); reg != nil {
			id.Replicas = reg.Settings().Replicas
		}
	})
	return id
}

// Figures implements server.Backend.
func (b *backend) Figures() server.Figures {
	n := b.node
	m, err := n.store.Metrics()
	if err != nil {
		n.log.Warn("the store's figures cannot be read", "error", err)
	}
	f := server.Figures{
		StoreBytes: m.DiskBytes, DiskFree: m.DiskFreeBytes, MaxMemory: uint64(n.cfg.Memory),
		CacheHits: m.Values.Hits, CacheMisses: m.Values.Misses,
	}
	n.worker.on(n.ctx, func(c *core.Core) {
		figures := c.Figures()
		f.Members, f.Voters, f.Leads, f.Holds = figures.Members, figures.Voters, figures.Leads, figures.Holds
		f.ExpiredKeys = figures.Expired
		if err := c.Err(); err != nil {
			f.Fault = err.Error()
		}
	})
	return f
}
