package core

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/slot"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// RingInfo describes the nodes in the order of their first tokens on the ring.
func (c *Core) RingInfo() admin.Ring {
	if c.registry == nil {
		return admin.Ring{Nodes: []admin.Node{}}
	}
	s := c.registry.Settings()
	out := admin.Ring{Cluster: c.Cluster().String(), Replicas: s.Replicas, Tablets: s.Tablets, Nodes: []admin.Node{}}
	counted := c.registry.Tokens(c.counts)
	shares, err := placement.NewMap(counted, s.Tablets, s.Replicas, c.registry.Zone)
	if err != nil {
		c.tell(Warn, "the shares of the ring cannot be computed", "error", err)
	}
	members := c.registry.Members()
	first := make(map[ident.NodeID]ring.ID, len(members))
	for i := range members {
		first[members[i].ID] = slices.MinFunc(members[i].RingTokens(), func(a, b ring.Token) int { return a.ID.Compare(b.ID) }).ID
	}
	slices.SortFunc(members, func(a, b registry.Member) int { return first[a.ID].Compare(first[b.ID]) })
	for i := range members {
		m := &members[i]
		n := admin.Node{
			ID: m.ID.String(), Addr: m.Addresses.RESP, ClusterAddr: m.Addresses.Cluster, PeerAddr: m.Addresses.Peer,
			HTTPAddr: m.Addresses.HTTP, Zone: m.Zone, Weight: m.Weight, State: c.stateOf(m), Tokens: len(m.Tokens),
		}
		if shares != nil {
			n.Share = shares.Share(m.ID)
		}
		p := c.pulseOf(m.ID)
		n.Leads, n.Holds = int(p.Leads), int(p.Holds)
		out.Nodes = append(out.Nodes, n)
	}
	return out
}

// stateOf returns the state of a member as people are shown it: one that the registry calls up and that this node has
// no connection to is suspect.
func (c *Core) stateOf(m *registry.Member) string {
	if (m.State == registry.Up || m.State == registry.Joining) && !c.live(m.ID) {
		return "suspect"
	}
	return m.State.String()
}

func (c *Core) pulseOf(id ident.NodeID) wire.Pulse {
	if id == c.self {
		return c.ownPulse()
	}
	if p := c.peers[id]; p != nil && p.up {
		return p.pulse
	}
	return wire.Pulse{}
}

// StatusInfo says whether the cluster is healthy, from what the members last said of themselves.
func (c *Core) StatusInfo() admin.Status {
	out := admin.Status{Why: []string{}, Workers: []admin.Worker{}}
	if c.registry == nil {
		out.Why = append(out.Why, "this node is in no cluster yet")
		return out
	}
	leads, pending := 0, 0
	for _, m := range c.registry.Members() {
		switch c.stateOf(&m) {
		case "suspect":
			out.Nodes.Suspect++
		case "down":
			out.Nodes.Down++
		default:
			out.Nodes.Up++
		}
		if m.State == registry.Joining || m.State == registry.Leaving {
			out.Why = append(out.Why, fmt.Sprintf("node %s is %s", m.ID.Short(), m.State))
		}
		p := c.pulseOf(m.ID)
		if p.Low {
			out.Why = append(out.Why, fmt.Sprintf("the disk of node %s is almost full: it leads nothing that others can lead", m.ID.Short()))
		}
		if p.Hurt > 0 {
			out.Why = append(out.Why, fmt.Sprintf("node %s has damaged replicas of %s, which are to be mended from others", m.ID.Short(), plural(int(p.Hurt), "tablet", "tablets")))
		}
		if c.live(m.ID) && p.Revision < c.registry.Revision() {
			out.Why = append(out.Why, fmt.Sprintf("node %s has not reported since the members changed", m.ID.Short()))
		}
		leads += int(p.Leads)
		out.Tablets.UnderReplicated += int(p.Lacking)
		out.Tablets.Moving += int(p.Moving)
		pending += int(p.Pending)
	}
	t := &out.Tablets
	t.Total = len(c.places)
	t.Unavailable = c.leaderless(leads)
	if t.Unavailable > 0 {
		out.Why = append(out.Why, plural(t.Unavailable, "tablet has", "tablets have")+" no leader")
	}
	if n := t.Total - leads - t.Unavailable; n > 0 {
		// In the midst of a change of leader neither one counts the tablet, nor what is to be done to it.
		out.Why = append(out.Why, plural(n, "tablet has", "tablets have")+" a new leader, which has not reported yet")
	}
	if t.UnderReplicated > 0 {
		out.Why = append(out.Why, plural(t.UnderReplicated, "tablet lacks", "tablets lack")+" replicas")
	}
	if t.Moving > 0 {
		out.Why = append(out.Why, plural(t.Moving, "tablet is", "tablets are")+" being moved")
	}
	if pending > 0 {
		out.Why = append(out.Why, plural(pending, "tablet has", "tablets have")+" to be compared with the ring, which has changed")
	}
	if out.Nodes.Suspect > 0 {
		out.Why = append(out.Why, plural(out.Nodes.Suspect, "node does", "nodes do")+" not answer")
	}
	out.Healthy = len(out.Why) == 0
	out.Workers = c.workers()
	return out
}

// leaderless counts the tablets that have no leader: of those that this node holds it knows by itself, of the others
// as many as the members, who last said that they lead so many, leave over.
func (c *Core) leaderless(leads int) int {
	held, without := 0, 0
	for _, p := range c.places {
		if p.group == nil || !p.group.Initialized() {
			continue
		}
		held++
		if _, ok := p.group.Leader(); !ok {
			without++
		}
	}
	return without + min(max(len(c.places)-leads-without, 0), len(c.places)-held)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// workers describes the background work of this node.
func (c *Core) workers() []admin.Worker {
	b := admin.Worker{Name: "balance", State: "idle"}
	var led, settled int64
	for _, p := range c.places {
		if !p.led {
			continue
		}
		led++
		if p.wish.step == tablet.Settled {
			settled++
		} else if p.wish.why != "" {
			b.State, b.Why = "running", fmt.Sprintf("tablet %d: %s: %s", p.tablet, p.wish.step, p.wish.why)
			if p.wish.step == tablet.Stuck || p.wish.step == tablet.Waiting {
				b.State = "waiting"
			}
		}
	}
	b.Done, b.Total = settled, led
	s := admin.Worker{Name: "send snapshots", State: "idle", Total: int64(len(c.moves.out))}
	if s.Total > 0 {
		s.State, s.BytesPerSec = "running", c.moves.sent.at(c.now.Mono)
	}
	r := admin.Worker{Name: "receive snapshots", State: "idle", Total: int64(len(c.moves.in))}
	if r.Total > 0 {
		r.State, r.BytesPerSec = "running", c.moves.received.at(c.now.Mono)
	}
	return []admin.Worker{b, s, r}
}

// Keys returns about how many keys the cluster holds, from what the members last said.
func (c *Core) Keys() (n uint64) {
	if c.registry == nil {
		return 0
	}
	for _, id := range c.memberIDs() {
		n += c.pulseOf(id).Keys
	}
	return n
}

// trace is a lookup that somebody watches.
type trace struct {
	key  []byte
	slot uint16
	mode ring.Mode
	done func(admin.Lookup, error)
}

const lookupTimeout = 3 * time.Second

// Lookup finds where a key lies: the ring is asked who should hold its tablet, hop by hop, and the tablet's own
// replicas who does. done is called once.
func (c *Core) Lookup(key []byte, mode ring.Mode, done func(admin.Lookup, error)) {
	if c.ring == nil {
		done(admin.Lookup{}, errNoRing)
		return
	}
	s := slot.Of(key)
	t := slot.Tablet(s, len(c.places))
	ticket := c.ring.Lookup(c.now.Mono, c.point(t), mode, lookupTimeout)
	c.traces[ticket] = &trace{key: key, slot: s, mode: mode, done: done}
	p := c.places[t]
	if _, epoch := p.whereabouts(); epoch == 0 || p.group == nil {
		for _, n := range c.memberIDs() { // so that the answer can name the replicas
			if n != c.self && c.live(n) {
				c.out.Add(n, false, &wire.Who{Tablet: t})
			}
		}
	}
	c.takeRing()
}

// traced ends a lookup that somebody watches.
func (c *Core) traced(res *ring.Result) {
	tr, ok := c.traces[res.Ticket]
	if !ok {
		return
	}
	delete(c.traces, res.Ticket)
	if res.Err != nil {
		tr.done(admin.Lookup{}, fmt.Errorf("the ring has no answer: %w", res.Err))
		return
	}
	p := c.places[slot.Tablet(tr.slot, len(c.places))]
	id := c.point(p.tablet)
	out := admin.Lookup{
		Key: string(tr.key), Slot: int(tr.slot), Tablet: int(p.tablet), ID: hex.EncodeToString(id[:]), Model: "strong",
		Mode: tr.mode.String(), Hops: res.Hops, Replicas: []admin.Place{}, Targets: []admin.Place{}, Path: []admin.Hop{},
	}
	leader, epoch := p.whereabouts()
	out.Epoch = epoch
	if !leader.IsZero() {
		at := c.placeOf(leader)
		out.Leader = &at
	}
	replicas := p.replicas
	if p.group != nil && p.group.Initialized() {
		replicas = p.group.Descriptor().Nodes()
	}
	for _, n := range replicas {
		out.Replicas = append(out.Replicas, c.placeOf(n))
	}
	walk := append([]ring.Token{res.Owner}, res.Successors...)
	walk = slices.DeleteFunc(walk, func(t ring.Token) bool {
		m, ok := c.registry.Member(t.Node)
		return !ok || !c.counts(&m)
	})
	for _, n := range placement.FirstOf(walk, c.registry.Settings().Replicas, c.registry.Zone) {
		out.Targets = append(out.Targets, c.placeOf(n))
	}
	for _, h := range res.Path {
		at := c.placeOf(h.Token.Node)
		out.Path = append(out.Path, admin.Hop{ID: at.ID, Addr: at.Addr, RTTus: h.RTT.Microseconds()})
	}
	tr.done(out, nil)
}

func (c *Core) placeOf(id ident.NodeID) admin.Place {
	m, _ := c.registry.Member(id)
	return admin.Place{ID: id.String(), Addr: m.Addresses.RESP}
}
