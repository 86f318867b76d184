package core

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/tabletime"
	"github.com/quorddb/quord/internal/wire"
)

const (
	pulseEvery = time.Second
	pulseSoon  = 50 * time.Millisecond
	// markDownAfter is how long nobody whom the system group's leader hears of sees a member before it says so in the
	// registry. The grace before its share is copied elsewhere counts from when it was last seen.
	markDownAfter = 2 * time.Second
	watchEvery    = 250 * time.Millisecond
)

// peer is what this node knows of another one, a member or not.
type peer struct {
	up    bool
	boot  uint64
	begun uint64        // how many synced writes that boot began with
	since time.Duration // when up last changed
	pulse wire.Pulse    // the last one
	heard time.Duration // when it came; 0: never since it is up
	seen  time.Duration // when this node, or a member that it hears of, was last connected to it
	// downSince is since when it is gone, as far as this node knows, while the registry calls it down.
	downSince time.Duration
}

// membership is what time demands of a member.
type membership struct {
	phase      phase
	revived    uint64 // the registry's revision of which the ring was told whom to wait for, where it is made anew
	pulseAt    time.Duration
	watchAt    time.Duration
	balanceAt  time.Duration
	acquaintAt time.Duration
	forgot     bool           // its registry is damaged, and it waits for one that names it
	seat       uint64         // the revision of the ring at which this node last looked for its place
	acquainted []ident.NodeID // the members that the ring was told of
	seeds      []ident.NodeID
	asked      time.Duration // when a seed was last asked for the registry
	calling    bool          // a change of the registry is under way
	callAt     time.Duration // not before
	marking    map[ident.NodeID]bool
	wishing    bool        // whether it may leave is being asked
	left       func(error) // told when leaving has ended
	stays      bool        // it gives up leaving, for nobody else stays
	started    time.Duration
}

func (m *membership) pulseSoon(now time.Duration) { m.pulseAt = min(m.pulseAt, now+pulseSoon) }

func (c *Core) peer(id ident.NodeID) *peer {
	p := c.peers[id]
	if p == nil {
		p = &peer{since: c.now.Mono}
		c.peers[id] = p
	}
	return p
}

// live reports whether a node is connected; this one is.
func (c *Core) live(id ident.NodeID) bool {
	if id == c.self {
		return true
	}
	p := c.peers[id]
	return p != nil && p.up
}

// able reports whether a node may be asked to lead: it is connected, not about to stop, and has room on its disk.
func (c *Core) able(id ident.NodeID) bool {
	if id == c.self {
		return !c.closing && !c.room.low
	}
	if !c.live(id) {
		return false
	}
	p := &c.peers[id].pulse
	return !p.Closing && !p.Low
}

// memberIDs returns the members that this node knows, this one included.
func (c *Core) memberIDs() []ident.NodeID {
	if c.registry == nil {
		return slices.Clone(c.member.seeds)
	}
	members := c.registry.Members()
	ids := make([]ident.NodeID, len(members))
	for i := range members {
		ids[i] = members[i].ID
	}
	return ids
}

// PeerUp says that a node is connected. A boot other than the last one seen means that it is another process: what
// the earlier one led has no leader.
func (c *Core) PeerUp(id ident.NodeID, boot, begun uint64, wall int64, inCluster bool) {
	p := c.peer(id)
	if c.isMember(id) {
		c.begins(id, boot, begun)
	}
	if p.boot != 0 && p.boot != boot {
		c.nodeLost(id)
	}
	p.up, p.boot, p.begun, p.since, p.heard = true, boot, begun, c.now.Mono, 0
	c.nodeBack(id)
	p.pulse = wire.Pulse{Wall: wall}
	if wall != 0 {
		p.heard = c.now.Mono
	}
	if c.registry == nil && inCluster && !slices.Contains(c.member.seeds, id) {
		c.member.seeds = append(c.member.seeds, id)
	}
	if c.ring != nil {
		c.ring.NodeUp(c.now.Mono, id)
		c.takeRing()
	}
	c.member.pulseSoon(c.now.Mono)
}

// PeerDown says that the connection to a node has ended.
func (c *Core) PeerDown(id ident.NodeID) {
	p := c.peer(id)
	if !p.up {
		return
	}
	p.up, p.since, p.heard = false, c.now.Mono, 0
	c.member.seeds = slices.DeleteFunc(c.member.seeds, func(s ident.NodeID) bool { return s == id })
	c.nodeLost(id)
	c.forsake(id)
	c.dropRelays(id)
	c.dropTransfers(id)
	c.member.pulseSoon(c.now.Mono) // whom this node sees has changed
	if c.ring != nil {
		c.ring.NodeDown(c.now.Mono, id)
		c.takeRing()
	}
	if !c.isMember(id) {
		delete(c.peers, id)
	}
}

// nodeLost makes the groups that a node led look for another leader.
func (c *Core) nodeLost(id ident.NodeID) {
	for _, p := range c.places {
		c.leaderLost(p, id)
	}
	c.leaderLost(c.system, id)
}

func (c *Core) leaderLost(p *place, id ident.NodeID) {
	if p.group != nil && p.group.Leading() && !p.group.Descriptor().Majority(func(r tablet.Replica) bool { return c.live(r.Node) }) {
		p.group.Abandon() // what waits here may be had elsewhere, under the same number
		return
	}
	if p.group != nil && p.group.NodeLost(c.now.Mono, id, c.rank(p.group)) {
		c.alarms.set(p, c.now.Mono)
		c.touch(p)
	}
}

// nodeBack tells the groups that have a replica on a node that it is connected again, for it may have missed anything.
func (c *Core) nodeBack(id ident.NodeID) {
	for _, p := range append(c.places[:len(c.places):len(c.places)], c.system) {
		if p.group != nil && p.group.NodeBack(c.now.Mono, id, c.rank(p.group)) {
			c.alarms.set(p, c.now.Mono)
			c.touch(p)
		}
	}
}

// rank is this node's place in line for the leadership of a group, among the voters whose nodes are connected.
func (c *Core) rank(g *tablet.Group) int {
	rank := 0
	for _, r := range g.Descriptor().Voters() {
		if r.Node == c.self {
			return rank
		}
		if c.live(r.Node) {
			rank++
		}
	}
	return rank
}

// adoptRegistry takes over a registry that is newer than the one known.
func (c *Core) adoptRegistry(reg *registry.Registry) {
	if reg.Cluster().IsZero() || c.registry != nil && reg.Revision() <= c.registry.Revision() {
		return
	}
	old := c.registry
	c.registry = reg
	if old != nil {
		c.partFrom(old)
	}
	c.turn.extra.State = append(c.turn.extra.State, kv.Op{Kind: kv.Set, Key: cachedKey, Value: tablet.Seal(cachedKey, c.encodedRegistry())})
	c.noteDown()
	for id := range c.peers {
		if _, member := reg.Member(id); !member && !c.live(id) {
			delete(c.peers, id)
		}
	}
	c.balance.changed(c.now.Mono)
	if self, ok := reg.Member(c.self); ok {
		c.isNamed()
		c.member.state(c, self.State)
	} else if c.wasRemoved(reg) {
		c.removed(c.memory.leaves)
	}
}

// partFrom tells the nodes that the registry no longer names that it does not, while there is a connection: nobody
// will talk to them afterwards.
func (c *Core) partFrom(old *registry.Registry) {
	for _, m := range old.Members() {
		if _, stays := c.registry.Member(m.ID); !stays && m.ID != c.self && c.live(m.ID) {
			c.tellRegistry(m.ID)
		}
	}
}

// noteDown begins the grace of the members that the registry calls down, as far as this node has not begun it before: at
// the moment when they were last seen, but not long before, for this node may have been cut off itself. After a start it
// begins anew, for nobody knows better.
func (c *Core) noteDown() {
	for _, m := range c.registry.Members() {
		p := c.peer(m.ID)
		switch {
		case m.State != registry.Down:
			p.downSince = 0
		case p.downSince == 0:
			if p.downSince = max(c.now.Mono, 1); p.seen > 0 {
				p.downSince = max(p.seen, c.now.Mono-markDownAfter-witnessAge)
			}
		}
	}
}

// counts reports whether a member is one of those that tablets should lie on.
func (c *Core) counts(m *registry.Member) bool {
	switch m.State {
	case registry.Joining, registry.Up:
		return true
	case registry.Down:
		p := c.peers[m.ID]
		return p == nil || p.downSince == 0 || c.now.Mono-p.downSince < c.registry.Settings().ReplaceAfter
	default:
		return false
	}
}

// pulseOut tells all connected members what this node is doing.
func (c *Core) pulseOut() {
	p := c.ownPulse()
	for _, m := range c.registry.Members() {
		if m.ID != c.self && c.live(m.ID) {
			c.out.Add(m.ID, false, &p)
		}
	}
}

func (c *Core) ownPulse() wire.Pulse {
	p := wire.Pulse{
		Wall: c.now.Wall, Revision: c.registry.Revision(), Sequence: c.memory.durable, Closing: c.closing,
		Low: c.room.low, Tight: c.room.tight, Hurt: uint64(len(c.mends.of)), Misses: c.misses(),
	}
	wanted := c.wanted()
	for _, pl := range c.places {
		g := pl.group
		if g == nil {
			continue
		}
		if g.Initialized() {
			p.Holds++
		}
		if !g.Serving() {
			continue
		}
		p.Leads++
		p.Keys += uint64(g.Keys())
		if g.Missing(c.live) > 0 || g.Descriptor().CountVoters() < wanted {
			p.Lacking++
		}
		switch {
		case pl.moving():
			p.Moving++
		case c.undecided(pl):
			p.Pending++
		}
	}
	return p
}

// wanted is how many voters a tablet should have: N, or as many members as there are that count and live.
func (c *Core) wanted() int {
	n := 0
	for _, m := range c.registry.Members() {
		if c.counts(&m) && (m.State != registry.Down) {
			n++
		}
	}
	return min(n, c.registry.Settings().Replicas)
}

func (c *Core) pulseIn(from ident.NodeID, m *wire.Pulse) {
	p := c.peers[from]
	if p == nil || !p.up {
		return
	}
	p.pulse, p.heard = *m, c.now.Mono
	c.tightPeers = c.tightPeers || m.Tight
	c.begins(from, p.boot, p.begun) // it may have become a member since it connected
	c.told(from, m.Sequence)
	if c.registry == nil || m.Revision > c.registry.Revision() {
		c.askNewer(from)
	}
}

// observeClocks draws the time of a tablet that this node leads towards its replicas' clocks.
func (c *Core) observeClocks(p *place) {
	done := p.group.Observe(c.now.Mono, func(r tablet.Replica) (tabletime.Sample, bool) {
		if r.Node == c.self {
			return tabletime.Sample{Wall: c.now.Wall, At: c.now.Mono}, true
		}
		q := c.peers[r.Node]
		if q == nil || !q.up || q.heard == 0 {
			return tabletime.Sample{}, false
		}
		return tabletime.Sample{Wall: q.pulse.Wall, At: q.heard}, true
	})
	if done.Step > time.Minute {
		c.tell(Debug, "tablet time stepped", "tablet", p.tablet, "by", done.Step)
	}
}

// watch does what the leader of the system group owes the others: it names those that are gone or back.
func (c *Core) watch() {
	c.lookAround()
	if c.system.group == nil || !c.system.group.Serving() {
		return
	}
	if c.member.marking == nil {
		c.member.marking = map[ident.NodeID]bool{}
	}
	for _, m := range c.registry.Members() {
		p := c.peer(m.ID)
		if m.ID == c.self || c.member.marking[m.ID] {
			continue
		}
		var next registry.State
		switch {
		case m.State == registry.Down && p.seen == c.now.Mono && c.now.Mono-p.since > pulseSoon:
			next = registry.Up
		case m.State != registry.Down && c.now.Mono-max(p.seen, p.since, c.member.started) > markDownAfter:
			next = registry.Down
		default:
			continue
		}
		id := m.ID
		c.member.marking[id] = true
		c.Change(registry.Command{SetState: &registry.SetState{ID: id, State: next, Boot: m.Boot}}, func(err error) {
			delete(c.member.marking, id)
			if err == nil {
				c.tell(Info, "a member is "+next.String(), "node", id)
			}
		})
	}
}

// point is where a tablet stands on the ring.
func (c *Core) point(t uint32) ring.ID { return placement.Point(t, len(c.places)) }
