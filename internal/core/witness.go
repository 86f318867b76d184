package core

import "github.com/quorddb/quord/internal/ident"

// A member is silent when nobody sees it: neither this node nor any member that this node hears of. One broken link, be
// it to the leader of the system group, makes nobody silent. Every pulse names the members that its sender does not see.

// witnessAge is how old a pulse may be that says whom its sender sees.
const witnessAge = 3 * pulseEvery

// misses returns the members that this node is not connected to.
func (c *Core) misses() (ids []ident.NodeID) {
	for _, m := range c.registry.Members() {
		if !c.live(m.ID) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// witness reports whether a node's pulse says whom it sees, and knows all the members that this one does.
func (c *Core) witness(p *peer) bool {
	return p.up && p.heard != 0 && c.now.Mono-p.heard <= witnessAge && p.pulse.Revision >= max(c.registry.Ring(), 1)
}

// lookAround notes which members are seen at this moment.
func (c *Core) lookAround() {
	missing := c.misses()
	for _, m := range c.registry.Members() {
		if c.live(m.ID) {
			c.peer(m.ID).seen = c.now.Mono
		}
	}
	if len(missing) == 0 {
		return
	}
	witnesses, missed := 0, map[ident.NodeID]int{}
	for id, p := range c.peers {
		if c.isMember(id) && c.witness(p) {
			witnesses++
			for _, m := range p.pulse.Misses {
				missed[m]++
			}
		}
	}
	for _, id := range missing {
		if missed[id] < witnesses {
			c.peer(id).seen = c.now.Mono
		}
	}
}
