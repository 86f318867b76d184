package core

import (
	"bytes"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/wire"
)

// The registry spreads by itself: a pulse names the revision that its sender knows, and who knows an older one asks for
// it. All nodes hear of a new revision from most others within moments, and the registry grows with the cluster, so a node
// asks one of them and waits a little, writes down what it tells once, and reads what it is told once.

// askAgain is how long an answer is awaited before another node is asked.
const askAgain = 100 * time.Millisecond

// spread is what a node knows of registries that go from node to node.
type spread struct {
	asked time.Duration // when another node was last asked because it knows a newer one; 0: never
	read  []byte        // the encoded one that was read last
	// written is the encoded form of the registry writtenOf.
	written   []byte
	writtenOf *registry.Registry
}

// askNewer asks a node that knows a newer registry for it, unless one has just been asked.
func (c *Core) askNewer(from ident.NodeID) {
	s := &c.spread
	if s.asked > 0 && c.now.Mono < s.asked+askAgain {
		return
	}
	s.asked = c.now.Mono
	c.out.Add(from, false, wire.Ask{})
}

// askChanged asks for the registry after the system group has changed it for this node: its leader, which has it for certain,
// or where that is out of reach all that are connected.
func (c *Core) askChanged() {
	switch leader, _ := c.system.whereabouts(); {
	case leader == c.self:
		return // it has it
	case c.live(leader):
		c.out.Add(leader, false, wire.Ask{})
		return
	}
	for _, id := range c.memberIDs() {
		if id != c.self && c.live(id) {
			c.out.Add(id, false, wire.Ask{})
		}
	}
}

// tellRegistry sends the registry as this node knows it.
func (c *Core) tellRegistry(to ident.NodeID) {
	c.out.Add(to, false, &wire.Registry{Encoded: c.encodedRegistry()})
}

// encodedRegistry returns the encoded form of the registry, which nobody may change.
func (c *Core) encodedRegistry() []byte {
	s := &c.spread
	if s.writtenOf != c.registry {
		s.written, s.writtenOf = c.registry.Encode(), c.registry
	}
	return s.written
}

// wasRead reports whether these are the bytes that were read last: then there is nothing new in them.
func (s *spread) wasRead(b []byte) bool { return bytes.Equal(s.read, b) }
