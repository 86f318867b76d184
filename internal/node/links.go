package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/peer"
)

// links hands what happens on the connections to the worker.
type links struct{ worker *worker }

// Connected implements peer.Handler.
func (l links) Connected(p peer.Peer) {
	h := p.Hello
	l.worker.inbox.call(func(c *core.Core) {
		if c != nil {
			c.PeerUp(p.ID, h.Boot, h.Sequence, h.WallMillis, !h.Cluster.IsZero())
		}
	})
}

// Disconnected implements peer.Handler.
func (l links) Disconnected(id ident.NodeID, _ error) {
	l.worker.inbox.call(func(c *core.Core) {
		if c != nil {
			c.PeerDown(id)
		}
	})
}

// Receive implements peer.Handler.
func (l links) Receive(from ident.NodeID, frame []byte) { l.worker.inbox.frame(from, frame) }

// Refused implements peer.Handler; the transport has logged it.
func (l links) Refused(string, ident.NodeID, error) {}

// hello says what this node tells of itself in a handshake.
func (l links) hello(address string, boot uint64) peer.Hello {
	h := peer.Hello{
		Boot: boot, ProtocolMin: protocol, ProtocolMax: protocol, FormatMin: core.Format, FormatMax: core.Format,
		Address: address,
	}
	l.worker.on(context.Background(), func(c *core.Core) {
		h.Cluster, h.Sequence = c.Cluster(), c.Begun()
		h.WallMillis = wallMillis()
	})
	return h
}

// protocol is the version of the messages between nodes (package wire).
const protocol = 1

// check decides whether a node that has proved its identity may connect.
func (l links) check(h peer.Hello, id ident.NodeID) error {
	err := errors.New("this node is stopping")
	l.worker.on(context.Background(), func(c *core.Core) { err = c.Admits(id, h.Cluster, h.Boot, h.Sequence) })
	return err
}

const (
	seedEvery = 300 * time.Millisecond
	waitEvery = 5 * time.Second
)

// findMembers dials the addresses of --join until the node is a member that serves, so that it finds its cluster
// whatever has become of the addresses that it knew.
func findMembers(ctx context.Context, net peer.Network, addrs []string, ready func() error, log *slog.Logger) {
	if len(addrs) == 0 {
		return
	}
	told := time.Now()
	for ctx.Err() == nil && ready() != nil {
		var last error
		for _, a := range addrs {
			_, err := net.DialSeed(ctx, a)
			if err != nil && !errors.Is(err, peer.ErrSelf) && !errors.Is(err, peer.ErrUnsettled) {
				last = err
			}
		}
		if last != nil && time.Since(told) > waitEvery {
			told = time.Now()
			log.Info("waiting for a member of the cluster to answer", "join", addrs, "last_error", last)
		}
		select {
		case <-ctx.Done():
		case <-time.After(seedEvery):
		}
	}
}
