package core

import (
	"maps"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// A replica that has met damage in what it stores (package tablet says what that means) is mended with a snapshot of
// another one, whether that leads or not: it asks them one after the other, until one has sent what makes up for it.
// Meanwhile it hands over what it leads. One that could not be opened at all is asked for in the same way; until it is
// mended this node answers nothing for it, and neither votes nor keeps entries.

// mend is one replica that is to be mended.
type mend struct {
	place   *place
	since   time.Duration
	askedAt time.Duration
	turn    int
	// passedAt is when this replica, being stuck, last asked one to lead that is known to be hurt.
	passedAt time.Duration
}

// mends holds them.
type mends struct {
	of map[uint32]*mend
	// found counts the damage that was met, done the replicas that were mended.
	found, done uint64
}

// mendEvery is how often another replica is asked for a snapshot, while none is under way.
const mendEvery = time.Second

// passEvery is how often a stuck replica asks one to lead that is known to be hurt, and may be stuck as well.
const passEvery = 10 * time.Second

// noteHurt notices that a replica has met damage.
func (c *Core) noteHurt(p *place) {
	if n := p.group.Wounds(); n != p.wounds {
		c.mends.found += n - p.wounds
		p.wounds = n
		if p.group.Hurt() == nil {
			c.tell(Warn, "stored data is damaged", "tablet", p.tablet)
		}
	}
	if err := p.group.Hurt(); err != nil && c.mends.of[p.tablet] == nil {
		c.tell(Warn, "stored data is damaged: the replica is mended from another one", "tablet", p.tablet, "error", err)
		c.beginMend(p)
	}
}

func (c *Core) beginMend(p *place) {
	if c.mends.of == nil {
		c.mends.of = map[uint32]*mend{}
	}
	c.mends.of[p.tablet] = &mend{place: p, since: c.now.Mono}
	c.handOver(p)
}

// handOver asks another replica to lead in place of a hurt one. One that is known to be hurt as well is asked only by who can
// do nothing at all, and now and then: else two would hand over to each other for ever.
func (c *Core) handOver(p *place) {
	g := p.group
	if g == nil || !g.Leading() {
		return
	}
	able := c.ableFor(p)
	if m := c.mends.of[p.tablet]; g.Stuck() && m != nil && (m.passedAt == 0 || c.now.Mono >= m.passedAt+passEvery) {
		able, m.passedAt = c.able, c.now.Mono
	}
	if g.HandOver(able) {
		c.touch(p)
	}
}

// lose keeps a stored replica out of service that damage does not let open.
func (c *Core) lose(p *place, err error, stored kv.Group) {
	c.mends.found++
	c.tell(Warn, "a stored replica is damaged and out of service until it is mended from another one", "tablet", p.tablet, "error", err)
	p.lost = tablet.LoseTo(err, c.store, stored)
	c.beginMend(p)
}

// tickMends asks for what damaged replicas need.
func (c *Core) tickMends() {
	for _, t := range slices.Sorted(maps.Keys(c.mends.of)) {
		m := c.mends.of[t]
		p := m.place
		ask := wire.Mend{Tablet: t}
		switch {
		case p.lost != nil:
			ask.Index = p.lost.Log().Start.Index
		case p.sink != nil && p.sink.installing:
			continue
		case p.group == nil || p.group.Hurt() == nil:
			delete(c.mends.of, t)
			continue
		default:
			c.handOver(p)
			ask.Index = p.group.Applied()
			var coming kv.Position
			if p.sink != nil {
				coming = p.sink.sink.Position()
			}
			p.group.KeepFor(coming)
		}
		if p.sink != nil || c.now.Mono < m.askedAt+mendEvery {
			continue
		}
		if to := c.mender(m); !to.IsZero() {
			m.askedAt = c.now.Mono
			c.out.Add(to, false, &ask)
		}
	}
}

// mender returns whose turn it is to be asked: the leader first.
func (c *Core) mender(m *mend) ident.NodeID {
	var list []ident.NodeID
	add := func(n ident.NodeID) {
		if n != c.self && c.live(n) && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	leader, _ := m.place.whereabouts()
	add(leader)
	nodes := c.memberIDs()
	if g := m.place.group; g != nil {
		nodes = g.Descriptor().Nodes()
	}
	for _, n := range nodes {
		add(n)
	}
	if len(list) == 0 {
		return ident.NodeID{}
	}
	m.turn++
	return list[(m.turn-1)%len(list)]
}

// mendIn hears that a replica elsewhere is damaged, and sends it a snapshot if this one may.
func (c *Core) mendIn(from ident.NodeID, m *wire.Mend) {
	p := c.place(m.Tablet)
	if p == nil {
		return
	}
	p.ails(from, c.now.Mono)
	if p.group == nil || !p.group.Mendable(m.Index) {
		return
	}
	d := p.group.Descriptor()
	r, ok := d.Find(from)
	if !ok {
		c.sayWhere(from, p)
		return
	}
	if len(c.moves.out) < maxOutgoing && !c.sending(p, r.ID) {
		c.sendTo(p, r, true)
	}
}

// ails notes that the replica of a node is damaged. Each says so every mendEvery, to one of the others after the other.
func (p *place) ails(n ident.NodeID, now time.Duration) {
	if p.ailing == nil {
		p.ailing = map[ident.NodeID]time.Duration{}
	}
	maps.DeleteFunc(p.ailing, func(_ ident.NodeID, until time.Duration) bool { return until <= now })
	round := 3
	if p.group != nil {
		round = max(round, len(p.group.Descriptor().Replicas))
	}
	p.ailing[n] = now + time.Duration(round)*mendEvery
}

// ableFor returns which nodes may be asked to lead a tablet: not one whose replica is damaged.
func (c *Core) ableFor(p *place) func(ident.NodeID) bool {
	if len(p.ailing) == 0 {
		return c.able
	}
	return func(n ident.NodeID) bool {
		if !c.able(n) {
			return false
		}
		r, ok := p.group.Descriptor().Find(n)
		return !ok || c.now.Mono >= p.ailing[n] && !c.sending(p, r.ID)
	}
}

// wants reports whether a snapshot at this position is of use to the replica of this node.
func (c *Core) wants(p *place, at kv.Position) bool {
	if p.lost != nil {
		return p.lost.Makes(at)
	}
	return p.group != nil && p.group.Wants(at)
}

// holder returns the replica of this node as a snapshot has to know it.
func (p *place) holder() tablet.Holder {
	if p.lost != nil {
		return p.lost
	}
	return p.group
}

// mended notices that a damaged replica is whole again.
func (c *Core) mended(p *place) {
	if m := c.mends.of[p.tablet]; m != nil {
		delete(c.mends.of, p.tablet)
		p.mended = c.now.Mono
		c.mends.done++
		c.tell(Info, "a damaged replica is mended", "tablet", p.tablet, "after", c.now.Mono-m.since)
	}
}

// forgetLost removes what is left of a damaged replica that its group has removed.
func (c *Core) forgetLost(p *place, d *tablet.Descriptor) {
	c.tell(Info, "a damaged replica was removed by its group", "tablet", p.tablet)
	p.retired, p.lost = d.NextID-1, nil
	delete(c.mends.of, p.tablet)
	c.dropSink(p)
	c.turn.add(tablet.Erase(p.tablet, c.machine(p.tablet), p.retired))
}
