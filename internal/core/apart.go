package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
)

// Nodes that were cut off from the others for a while have a ring of their own when they are back, and the others have
// one without them: neither would ever find the other. So a node whose ring does not show members that are connected
// and up, though its successor lists would reach them, and whose ring is the lesser part, goes into the other one as
// after a restart. Where both parts are larger than successor lists reach, this does not help.

const (
	apartEvery  = time.Second
	rejoinAfter = 4 * time.Second
	// listReach is how many other nodes the successor lists reach where the configuration does not say.
	listReach = 4
)

// apart returns the members that make up the greater part of a ring that has come apart, nil where there is none.
func (c *Core) apart() (others []ident.NodeID) {
	seen := map[ident.NodeID]bool{}
	for _, t := range c.ring.State().Tokens {
		if t.Phase != ring.Member {
			return nil // on its way in
		}
		for _, s := range t.Successors {
			seen[s.Node] = true
		}
	}
	delete(seen, c.self)
	if len(seen) >= cmp.Or(c.cfg.Ring.DistinctNodes, listReach) {
		return nil
	}
	here, least := 1, c.self
	for _, m := range c.registry.Members() {
		switch {
		case m.ID == c.self || m.State != registry.Up || !c.live(m.ID):
		case seen[m.ID]:
			here++
			least = slices.MinFunc([]ident.NodeID{least, m.ID}, ident.NodeID.Compare)
		default:
			others = append(others, m.ID)
		}
	}
	if here > len(others) || here == len(others) && least.Compare(others[0]) < 0 {
		return nil // members come in the order of their ids
	}
	return others
}

// tickApart goes into the ring again when it has stood apart for a while.
func (c *Core) tickApart() {
	m := &c.member
	self, ok := c.registry.Member(c.self)
	if c.ring == nil || !ok || m.phase < phaseRing || m.phase > phaseLeaving {
		return
	}
	switch others := c.apart(); {
	case len(others) == 0:
		m.apartSince = 0
	case m.apartSince == 0:
		m.apartSince = c.now.Mono
	case c.now.Mono-m.apartSince >= rejoinAfter:
		m.apartSince = 0
		c.rejoin(&self, others)
	}
}

func (c *Core) rejoin(self *registry.Member, others []ident.NodeID) {
	c.tell(Info, "the ring has come apart: this node joins the greater part again", "members_there", len(others))
	c.dropLookups()
	if err := c.makeRing(self); err != nil {
		c.fail(err)
		return
	}
	if err := c.ring.Revive(c.now.Mono, others); err != nil {
		c.fail(err)
		return
	}
	c.takeRing()
	if c.member.phase == phaseUp {
		c.member.phase = phaseRing
	}
}

// dropLookups ends the lookups of a ring that is given up.
func (c *Core) dropLookups() {
	for _, p := range c.router.lookups {
		p.looking = false
	}
	clear(c.router.lookups)
	for _, p := range c.balance.lookups {
		p.wish.looking = false
	}
	clear(c.balance.lookups)
	for _, ticket := range slices.Sorted(maps.Keys(c.traces)) {
		t := c.traces[ticket]
		delete(c.traces, ticket)
		t.done(admin.Lookup{}, errNoRing)
	}
}
