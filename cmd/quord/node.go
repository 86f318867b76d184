package main

import (
	"context"
	"log/slog"

	"github.com/quorddb/quord/internal/config"
	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/node"
	"github.com/quorddb/quord/internal/ring"
)

// runningNode is what serve needs of a node that has started.
type runningNode interface {
	// Banner names the node in one line: its addresses, its id and the cluster's.
	Banner() string
	// Wait returns when the node has stopped by itself: nil after it has left the cluster, else the reason.
	Wait() error
	// Close takes no new requests, hands leadership over, flushes and stops.
	Close(ctx context.Context) error
}

// openFunc starts a node. It returns when the node is a member and serves, or ctx ends.
type openFunc func(ctx context.Context, cfg config.Serve, log *slog.Logger) (runningNode, error)

func openNode(ctx context.Context, cfg config.Serve, log *slog.Logger) (runningNode, error) {
	n, err := node.Open(ctx, cfg, thisBuild().Version, log)
	if err != nil {
		return nil, err // not n: a nil *Node is not a nil runningNode
	}
	return n, nil
}

// formats names the versions of what this binary writes where another version may read it.
// data is what nodes agree on before a newer one is written: log entries and records; ring is the messages of the ring.
var formats = map[string]int{"data": core.Format, "ring": ring.Version}
