package core

import (
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
)

// What judges look at: the simulator's, which watches whole nodes from outside. Nothing here may be changed by them.

// Replica returns this node's replica of a tablet (or of System), nil where it holds none.
func (c *Core) Replica(t uint32) *tablet.Group {
	if p := c.place(t); p != nil {
		return p.group
	}
	return nil
}

// RingState shows the node's tokens and what they know of the ring; ok is false while the node has no tokens.
func (c *Core) RingState() (s ring.Snapshot, ok bool) {
	if c.ring == nil {
		return s, false
	}
	return c.ring.State(), true
}
