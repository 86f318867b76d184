package core

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/wire"
)

// One broken link must not make keys unavailable through a node. Who is told of a leader that it cannot reach asks the
// node that named it to pass the request on, under the asker's name and number, so that a write that goes both ways is
// done once. What has been passed on is not passed on again: one hop, and no loops.

// maxRelays bounds the requests of others that this node has passed on and that have not been answered.
const maxRelays = 1 << 14

// relay is a request of another node that was passed on to a leader.
type relay struct {
	id    uint64 // under which the leader has it
	asker ident.NodeID
	named uint64 // its name at the asker
	to    ident.NodeID
	at    time.Duration
}

// relays are those under way.
type relays struct {
	under map[uint64]*relay
	order []*relay // by time, for each waits equally long; those that have been answered are dropped later
}

func (rs *relays) waits(r *relay) bool { return rs.under[r.id] == r }

// add takes a relay in; it reports whether there is room.
func (rs *relays) add(r *relay) bool {
	if len(rs.under) >= maxRelays {
		return false
	}
	if rs.under == nil {
		rs.under = map[uint64]*relay{}
	}
	if len(rs.order) >= 2*maxRelays {
		rs.order = slices.DeleteFunc(rs.order, func(r *relay) bool { return !rs.waits(r) })
	}
	rs.under[r.id] = r
	rs.order = append(rs.order, r)
	return true
}

// passOn passes a request of another node on to the leader, and reports whether that is possible.
func (c *Core) passOn(p *place, from ident.NodeID, m *wire.Request) bool {
	if !m.PassOn {
		return false
	}
	leader, _ := p.whereabouts()
	if leader.IsZero() || leader == from {
		c.inquire(p, from) // it will be asked again
		return false
	}
	if leader == c.self || !c.live(leader) {
		return false
	}
	c.router.nextID++
	r := &relay{id: c.router.nextID, asker: from, named: m.ID, to: leader, at: c.now.Mono}
	if !c.relays.add(r) {
		c.out.Add(from, false, &wire.Response{ID: m.ID, Status: wire.Busy})
		return true
	}
	// Without PassOn: it is passed on once.
	c.out.Add(leader, false, &wire.Request{
		ID: r.id, Tablet: m.Tablet, Write: m.Write, For: from, Boot: m.Boot, Number: m.Number, Low: m.Low, Commands: m.Commands,
	})
	return true
}

// inquire asks the replicas of a tablet, all but one, who leads.
func (c *Core) inquire(p *place, but ident.NodeID) {
	if len(p.replicas) == 0 {
		c.look(p)
	}
	for _, n := range p.replicas {
		if n != but && n != c.self && c.live(n) {
			c.out.Add(n, false, &wire.Who{Tablet: p.tablet})
		}
	}
}

// relayed takes a leader's answer back to the node that asked, and reports whether it was for one.
func (c *Core) relayed(from ident.NodeID, m *wire.Response) bool {
	r, ok := c.relays.under[m.ID]
	if !ok || r.to != from {
		return false
	}
	delete(c.relays.under, r.id)
	back := *m
	if back.ID = r.named; back.Status == wire.Done {
		back.Leader = from
	}
	c.out.Add(r.asker, false, &back)
	return true
}

// tickRelays forgets what has taken longer than the asker waits.
func (c *Core) tickRelays() {
	rs := &c.relays
	for len(rs.order) > 0 && (!rs.waits(rs.order[0]) || c.now.Mono > rs.order[0].at+attemptTimeout) {
		delete(rs.under, rs.order[0].id)
		rs.order = rs.order[1:]
	}
}

// dropRelays ends those that a broken connection cuts: the asker must not wait for a leader that may be dead.
func (c *Core) dropRelays(node ident.NodeID) {
	for _, r := range c.relays.order {
		if !c.relays.waits(r) || r.to != node && r.asker != node {
			continue
		}
		delete(c.relays.under, r.id)
		if r.to == node {
			c.out.Add(r.asker, false, &wire.Response{ID: r.named, Status: wire.Lost})
		}
	}
}

// passOver asks a node that named a leader out of reach to pass the request on.
func (c *Core) passOver(q *pending, through ident.NodeID) {
	if !q.encode() {
		return
	}
	q.passing = true
	c.send(q, through)
}
