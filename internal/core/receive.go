package core

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// Receive takes a frame of another node. The core keeps it. A damaged frame is an error, after which the connection
// is not worth keeping.
func (c *Core) Receive(from ident.NodeID, frame []byte) error {
	if c.fatal != nil {
		return nil
	}
	member := c.isMember(from)
	return wire.Each(frame, func(m any) error {
		switch m := m.(type) {
		case wire.Ask:
			if c.registry != nil {
				c.tellRegistry(from)
			}
			return nil
		case *wire.Registry:
			// Who is no member is believed only by a node that knows nothing, or nobody who is there.
			if member || c.registry == nil || !c.accompanied() {
				c.registryIn(m.Encoded)
			}
			return nil
		case *wire.Request:
			if member || m.Tablet == System {
				c.request(from, m)
			}
			return nil
		case *wire.Response:
			c.response(from, m)
			return nil
		}
		if member {
			c.receive(from, m)
		} else if p, ok := m.(*wire.Pulse); ok {
			c.stranger(from, p)
		}
		return nil
	})
}

// stranger hears a node that is no member, and takes itself for one or wants to be one: it is told how things stand, so
// that one that was removed so long ago that nobody remembers learns it, and ends. Or it is this node that has been away for
// so long that it knows none of the members.
func (c *Core) stranger(from ident.NodeID, p *wire.Pulse) {
	switch {
	case c.registry == nil:
	case p.Revision < c.registry.Revision():
		c.tellRegistry(from)
	case p.Revision > c.registry.Revision() && !c.accompanied():
		c.askNewer(from)
	}
}

// accompanied reports whether another member is connected.
func (c *Core) accompanied() bool {
	return slices.ContainsFunc(c.memberIDs(), func(id ident.NodeID) bool { return id != c.self && c.live(id) })
}

// isMember reports whether a node may take part in what members do.
func (c *Core) isMember(id ident.NodeID) bool {
	if c.registry == nil {
		return false
	}
	_, ok := c.registry.Member(id)
	return ok
}

func (c *Core) receive(from ident.NodeID, m any) {
	switch m := m.(type) {
	case wire.Raft:
		c.raft(from, m)
	case wire.Ring:
		if c.ring != nil {
			c.ring.Step(c.now.Mono, from, m.Message)
			c.takeRing()
		}
	case *wire.Pulse:
		c.pulseIn(from, m)
	case *wire.Who:
		c.who(from, m)
	case *wire.Where:
		c.where(m)
	case *wire.Offer:
		c.offered(from, m)
	case *wire.Chunk:
		c.chunk(from, m)
	case *wire.Verdict:
		c.verdict(from, m)
	case *wire.Mend:
		c.mendIn(from, m)
	}
}

// raft takes a message between two replicas of a tablet.
func (c *Core) raft(from ident.NodeID, m wire.Raft) {
	p := c.place(m.Tablet)
	if p == nil {
		return
	}
	to, sender, err := tablet.Destination(m.Body)
	if err != nil {
		c.tell(Warn, "a raft message could not be read", "from", from, "error", err)
		return
	}
	if g := p.group; g != nil && g.Past(sender) {
		// A replica that does not know yet that it was removed.
		c.sayWhere(from, p)
		return
	}
	if c.tooTight(p, m.Body) {
		return
	}
	g, err := c.groupFor(p, to)
	if err != nil {
		c.tell(Debug, "a raft message was dropped", "from", from, "error", err)
		if p.group != nil && p.group.Replica() < to {
			c.out.Add(from, false, &wire.Who{Tablet: m.Tablet}) // which may say that this replica was removed
		}
		return
	}
	if g == nil {
		return
	}
	if err := g.Step(c.now.Mono, from, m.Body); err != nil {
		c.tell(Warn, "a raft message was dropped", "from", from, "error", err)
		return
	}
	if p.led {
		c.startTransfers(p) // what a replica lacks may be all that the message has shown
	}
	c.touch(p)
}

func (c *Core) who(from ident.NodeID, m *wire.Who) {
	p := c.place(m.Tablet)
	if p == nil || p.group == nil || !p.group.Initialized() {
		return
	}
	c.sayWhere(from, p)
}

// sayWhere tells a node who holds a tablet, as far as the replica of this node has applied.
func (c *Core) sayWhere(to ident.NodeID, p *place) {
	leader, _ := p.group.Leader()
	c.out.Add(to, false, &wire.Where{
		Tablet: p.tablet, Leader: leader, Applied: p.group.Applied(), Descriptor: p.group.Descriptor().Append(nil),
	})
}

// where hears who holds a tablet. A later descriptor that does not name this node's replica means that the group has
// removed it, even one that still takes itself for the leader: descriptors are told only once they are committed.
func (c *Core) where(m *wire.Where) {
	p := c.place(m.Tablet)
	if p == nil || len(m.Descriptor) == 0 {
		return
	}
	d, _, err := tablet.DecodeDescriptor(m.Descriptor)
	if err != nil {
		c.tell(Warn, "a descriptor could not be read", "tablet", m.Tablet, "error", err)
		return
	}
	if g := p.group; g != nil {
		if _, named := d.Replica(g.Replica()); !named && g.Replica() < d.NextID && d.Epoch > g.Descriptor().Epoch {
			c.destroy(p)
		}
	}
	// A damaged replica may not know its id any more. But it was named when its log began. One whose snapshot is being put in
	// its place is whole in a moment, and may ask then.
	installing := p.sink != nil && p.sink.installing
	if _, named := d.Find(c.self); p.lost != nil && !installing && !named && m.Applied >= p.lost.Log().Start.Index {
		c.forgetLost(p, &d)
	}
	p.learn(m.Leader, d.Epoch, d.Nodes())
}

// wonderAfter is how long a replica without a leader waits before it asks whether it is still one.
const wonderAfter = 5 * time.Second

// Tick does what has become due; it is wanted every few milliseconds.
func (c *Core) Tick() {
	if c.fatal != nil {
		return
	}
	now, m := c.now.Mono, &c.member
	c.tickRoute()
	c.tickRelays()
	c.tickJoin()
	if c.registry == nil {
		return
	}
	c.tickGroups()
	if c.ring != nil && now >= c.ring.Next() {
		c.ring.Tick(now)
		c.takeRing()
	}
	if now >= m.pulseAt {
		m.pulseAt = c.beat(pulseEvery)
		c.pulseOut()
	}
	c.tickScrub()
	if now >= m.watchAt {
		m.watchAt = c.beat(watchEvery)
		c.watch()
		c.tickTransfers()
		c.tickMends()
		c.yield()
	}
	if now >= m.acquaintAt {
		m.acquaintAt = c.beat(acquaintEvery)
		c.tickSeat()
		c.tickAcquaint()
		// Leaders go on to write to a removed node's replicas for a while; nothing is kept of that.
		c.out.Retain(func(id ident.NodeID) bool { return c.live(id) || c.isMember(id) })
	}
	if now >= m.balanceAt {
		c.tickBalance()
		m.balanceAt = c.beat(c.balance.pace())
	}
}

// beat returns the next moment of those that are a period apart. What a node does again and again so falls together, and
// it wakes once for all of it; other nodes have moments of their own.
func (c *Core) beat(every time.Duration) time.Duration {
	return c.now.Mono + every - (c.now.Mono+c.phase)%every
}

// nextSlack is how long what a node does periodically may be put off so that it wakes less often.
const nextSlack = 60 * time.Millisecond

// Next returns when Tick is wanted, from what is known now: at once while anything is under way that every tick looks at.
// Whoever takes in something else asks again.
func (c *Core) Next() time.Duration {
	m := &c.member
	if c.registry == nil || m.phase != phaseUp || len(c.router.pending) > 0 || len(c.relays.order) > 0 {
		return c.now.Mono
	}
	// What is done again and again waits a little for something else to wake the node.
	next := min(c.alarms.next(), nextSlack+min(m.pulseAt, m.watchAt, m.acquaintAt, m.balanceAt, c.scrub.at))
	if c.ring != nil {
		next = min(next, c.ring.Next())
	}
	return next
}

func (c *Core) tickGroup(p *place) {
	g := p.group
	next := max(g.Tick(c.now.Mono, c.rank(g), c.live), c.now.Mono+1)
	p.resting = g.Resting()
	if g.Leading() {
		c.observeClocks(p)
		more, err := g.Sweep(c.now.Mono)
		if tablet.Damaged(err) {
			g.Wound(err)
		} else if err != nil {
			c.fail(err)
			return
		}
		c.noteHurt(p)
		if next = min(next, g.SweepAt(c.now.Mono)); more {
			next = c.now.Mono + sweepAgain
		}
		c.setGate(p)
	} else if _, led := g.Leader(); !led && c.now.Mono > p.quietAt+wonderAfter {
		if p.quietAt > 0 {
			c.wonder(p)
		}
		p.quietAt = c.now.Mono
	} else if led {
		p.quietAt, p.wonders = 0, 0
	}
	c.alarms.set(p, next)
	c.touch(p)
}

// sweepAgain is when a tablet is swept again in which more has expired than one entry takes.
const sweepAgain = 20 * time.Millisecond

// wonderAll is every which time all members are asked: nobody may be left of those that were replicas with this one.
const wonderAll = 4

// wonder asks around whether this node's replica is still one: its group may have removed it while it was away.
func (c *Core) wonder(p *place) {
	nodes := p.group.Descriptor().Nodes()
	if p.wonders++; len(nodes) <= 1 || p.wonders%wonderAll == 0 {
		nodes = c.memberIDs()
	}
	for _, n := range nodes {
		if n != c.self && c.live(n) {
			c.out.Add(n, false, &wire.Who{Tablet: p.tablet})
		}
	}
}

func (c *Core) sendRing(e *ring.Envelope) {
	if c.live(e.To) {
		c.out.Add(e.To, false, wire.Ring{Message: &e.Msg})
	}
}
