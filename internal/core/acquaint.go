package core

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Nodes that were cut off from the others for long have a ring of their own when they are back. The ring merges the two
// when it is told which nodes to look for: the members that are connected. The registry is on every node's disk, so that
// also a node that has just started knows all that it once knew; those that are gone for good cost nothing, for only
// connected ones are named, and nothing is left of them once they are removed.

const acquaintEvery = time.Second

// tickAcquaint tells the ring which members are connected, when that has changed.
func (c *Core) tickAcquaint() {
	if c.ring == nil {
		return
	}
	members := c.memberIDs()
	known := slices.DeleteFunc(members, func(id ident.NodeID) bool { return id == c.self || !c.live(id) })
	if !slices.Equal(known, c.member.acquainted) {
		c.member.acquainted = known
		c.ring.Acquaint(c.now.Mono, known)
	}
}
