package sim

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// network is what lies between the machines. Two processes have one connection, which carries frames in order, as that
// of package peer does: what is under way when it breaks is lost, and both sides are told, each when it can know.
type network struct {
	w     *World
	links map[[2]int]*link // by the machines' numbers, the lower first
	// cuts are the ways that are interrupted; how often, for faults overlap.
	cuts map[way]int
	// What happens to all frames.
	loss, twice, swap float64
	slow              time.Duration // the most that a frame is delayed beyond the usual
	slowTo            map[way]time.Duration

	frames, lost, bytes uint64
}

// way is one direction between two machines.
type way struct{ from, to int }

// link is a connection.
type link struct {
	ends  [2]*Process // the one on the machine with the lower number first
	open  bool
	since time.Duration    // when it was made
	last  [2]time.Duration // when the last frame arrives, in each direction
	free  [2]time.Duration // when each direction has carried all that was given to it, where that takes time
	held  [2][][]byte      // what waits for a cut to end
	// unsent counts the bytes that were given to each direction and have not arrived, those that are held among them.
	unsent [2]int
	told   [2]bool // who has noticed that it is closed
}

const (
	// latency is the usual time of a frame on its way.
	minLatency, maxLatency = 100 * time.Microsecond, 600 * time.Microsecond
	// silence is how long a node hears nothing from another until it closes the connection: package peer's default.
	silence = time.Second
	// partAfter is how long the connection to a node that was removed is kept.
	partAfter = time.Second
	// maxHeld bounds the frames that wait for a cut to end: an outbox is not larger. The rest is lost.
	maxHeld = 1 << 14
)

func (n *network) init(w *World) {
	n.w, n.links, n.cuts, n.slowTo = w, map[[2]int]*link{}, map[way]int{}, map[way]time.Duration{}
}

func pair(a, b *Machine) [2]int { return [2]int{min(a.index, b.index), max(a.index, b.index)} }

// link returns the open connection between two machines.
func (n *network) link(a, b *Machine) *link {
	if l := n.links[pair(a, b)]; l != nil && l.open {
		return l
	}
	return nil
}

// side returns which end of the link a process has.
func (l *link) side(p *Process) int {
	if l.ends[0] == p {
		return 0
	}
	return 1
}

// dial makes the connections that a process wants: to the members that it knows, at their addresses as it knows them,
// and to its seeds while it is no member. It parts from those that are no members any more.
func (n *network) dial(p *Process) {
	reg := p.core.Registry()
	for _, o := range n.w.machines {
		if o == p.m {
			continue
		}
		l := n.links[pair(p.m, o)]
		switch {
		case l != nil && l.open && reg != nil:
			if _, gone := reg.Removed(o.dir.id); gone && l.ends[1-l.side(p)].m == o {
				n.w.after(partAfter, func() { n.hangUp(l, 0, 0) })
			}
		case l != nil || o.proc == nil || o.proc.paused:
		default:
			wanted := p.core.Ready() != nil && slices.Contains(p.m.seeds, o)
			if reg != nil && !wanted {
				m, ok := reg.Member(o.dir.id)
				wanted = ok && m.Addresses.Peer == o.addrs.Peer
			}
			if wanted && n.cuts[way{p.m.index, o.index}]+n.cuts[way{o.index, p.m.index}] == 0 {
				n.shake(p, o.proc)
			}
		}
	}
}

// shake is the handshake of two processes.
func (n *network) shake(a, b *Process) {
	for _, side := range [2][2]*Process{{a, b}, {b, a}} {
		me, other := side[0], side[1]
		if err := me.core.Admits(other.m.dir.id, other.core.Cluster(), other.boot, other.core.Begun()); err != nil {
			if text := err.Error(); other.m.refused != text {
				other.m.refused = text
				n.w.tell("%s refuses %s: %s", me.m.Name(), other.m.Name(), text)
			}
			return
		}
	}
	if a.m.index > b.m.index {
		a, b = b, a
	}
	l := &link{ends: [2]*Process{a, b}, open: true, since: n.w.now}
	n.links[pair(a.m, b.m)] = l
	n.w.note('C', a.m.index, b.m.index, nil)
	up := func(me, other *Process) {
		id, boot, begun, in, wall := other.m.dir.id, other.boot, other.core.Begun(), !other.core.Cluster().IsZero(), other.m.now().Wall
		me.post(func() { me.core.PeerUp(id, boot, begun, wall, in) })
	}
	up(a, b)
	up(b, a)
	if a.m.proc != a || b.m.proc != b {
		n.hangUp(l, minLatency, minLatency) // one has ended of what it was told, as where its disk refuses to keep it
	}
}

// hangUp closes a connection; each side notices after its time, and only when both have can there be another one.
func (n *network) hangUp(l *link, after0, after1 time.Duration) {
	if !l.open {
		return
	}
	l.open = false
	l.held = [2][][]byte{}
	a, b := l.ends[0], l.ends[1]
	n.w.note('H', a.m.index, b.m.index, nil)
	for i, after := range [2]time.Duration{after0, after1} {
		me, other := l.ends[i], l.ends[1-i]
		id := other.m.dir.id
		n.w.after(after, func() {
			me.post(func() { me.core.PeerDown(id) })
			if l.told[i] = true; l.told[1-i] && n.links[pair(a.m, b.m)] == l {
				delete(n.links, pair(a.m, b.m))
			}
		})
	}
}

// gone is what others notice of a process that has ended: soon, where its machine closes the connections, or by its
// silence.
func (n *network) gone(m *Machine, heard bool) {
	for _, o := range n.w.machines {
		l := n.link(m, o)
		if l == nil {
			continue
		}
		after := between(n.w.chance, minLatency, 2*time.Millisecond)
		if !heard || n.cuts[way{m.index, o.index}] > 0 {
			after = n.unheard()
		}
		if l.ends[0].m == m {
			n.hangUp(l, 0, after)
		} else {
			n.hangUp(l, after, 0)
		}
	}
}

// unheard is when silence is noticed.
func (n *network) unheard() time.Duration { return between(n.w.chance, silence, silence+silence/4) }

// remembers reports whether others have not noticed yet that the process before the one that starts was gone.
func (n *network) remembers(m *Machine) bool {
	for _, o := range n.w.machines {
		if o != m && n.links[pair(m, o)] != nil {
			return true
		}
	}
	return false
}

// silent is what others notice of a process that does nothing any more: it answers no ping.
func (n *network) silent(p *Process) {
	for _, o := range n.w.machines {
		if l := n.link(p.m, o); l != nil {
			n.w.after(n.unheard(), func() {
				if l.open && p.paused {
					n.hangUp(l, 0, 0)
				}
			})
		}
	}
}

// cut interrupts one way. The connection survives a short cut; what was sent arrives when it ends.
func (n *network) cut(from, to *Machine) {
	d := way{from.index, to.index}
	n.w.ring.disturbed()
	if n.cuts[d]++; n.cuts[d] > 1 {
		return
	}
	l := n.link(from, to)
	if l == nil {
		return
	}
	n.w.after(n.unheard(), func() {
		if !l.open || n.cuts[d] == 0 {
			return
		}
		// The receiver gives up, and tells the sender where it can.
		sender := between(n.w.chance, minLatency, 2*time.Millisecond)
		if n.cuts[way{d.to, d.from}] > 0 {
			sender = between(n.w.chance, 0, silence/4)
		}
		if l.ends[0].m == to {
			n.hangUp(l, 0, sender)
		} else {
			n.hangUp(l, sender, 0)
		}
	})
}

// mend ends one cut of a way.
func (n *network) mend(from, to *Machine) {
	d := way{from.index, to.index}
	if n.cuts[d] == 0 {
		return
	}
	if n.cuts[d]--; n.cuts[d] > 0 {
		return
	}
	delete(n.cuts, d)
	l := n.link(from, to)
	if l == nil {
		return
	}
	side := 0
	if l.ends[1].m == from {
		side = 1
	}
	held := l.held[side]
	l.held[side] = nil
	for _, frame := range held {
		l.unsent[side] -= len(frame)
		n.carry(l, side, frame)
	}
}

// troubled reports whether a node that lives may be taken for dead.
func (n *network) troubled() bool {
	if n.loss > 0 || n.slow > 0 || n.swap > 0 {
		return true
	}
	for _, c := range n.cuts { // the order does not matter
		if c > 0 {
			return true
		}
	}
	return len(n.slowTo) > 0
}

// split cuts the machines of one side off from all others, in both directions, and returns what ends that.
func (n *network) split(apart func(*Machine) bool) (heal func()) {
	var cut [][2]*Machine
	for _, a := range n.w.machines {
		for _, b := range n.w.machines {
			if a != b && apart(a) != apart(b) {
				n.cut(a, b)
				cut = append(cut, [2]*Machine{a, b})
			}
		}
	}
	return func() {
		for _, c := range cut {
			n.mend(c[0], c[1])
		}
		cut = nil
	}
}

// heal ends all cuts and whatever else the network does to frames.
func (n *network) heal() {
	for _, a := range n.w.machines {
		for _, b := range n.w.machines {
			for n.cuts[way{a.index, b.index}] > 0 {
				n.mend(a, b)
			}
		}
	}
	n.loss, n.twice, n.swap, n.slow = 0, 0, 0, 0
	clear(n.slowTo)
}

// send takes a frame of a process. The caller keeps its bytes.
func (n *network) send(p *Process, to ident.NodeID, frame []byte) {
	o := n.w.byID[to]
	if o == nil {
		return
	}
	l := n.link(p.m, o)
	if l == nil || l.ends[l.side(p)] != p || l.ends[1-l.side(p)].m.dir.id != to {
		return
	}
	n.frames++
	n.bytes += uint64(len(frame))
	if n.loss > 0 && n.w.chance.Float64() < n.loss {
		n.lost++
		return
	}
	own := slices.Clone(frame)
	side := l.side(p)
	if n.cuts[way{p.m.index, o.index}] > 0 {
		if len(l.held[side]) < maxHeld {
			l.held[side] = append(l.held[side], own)
			l.unsent[side] += len(own)
		}
		return
	}
	n.carry(l, side, own)
	if n.twice > 0 && n.w.chance.Float64() < n.twice {
		n.carry(l, side, slices.Clone(own))
	}
}

// carry lets a frame arrive: after those before it, unless frames overtake each other.
func (n *network) carry(l *link, side int, frame []byte) {
	from, to := l.ends[side], l.ends[1-side]
	at := n.w.now + between(n.w.chance, minLatency, maxLatency)
	if rate := n.w.cfg.Bandwidth; rate > 0 {
		l.free[side] = max(l.free[side], n.w.now) + time.Duration(len(frame))*sec/time.Duration(rate)
		at += l.free[side] - n.w.now
	}
	if slow := n.slow + n.slowTo[way{from.m.index, to.m.index}]; slow > 0 {
		at += between(n.w.chance, 0, slow)
	}
	if n.swap == 0 || n.w.chance.Float64() >= n.swap {
		at = max(at, l.last[side])
		l.last[side] = at
	}
	l.unsent[side] += len(frame)
	n.w.agenda.add(at, func() {
		l.unsent[side] -= len(frame)
		if !l.open || to.m.proc != to {
			return
		}
		to.m.received += uint64(len(frame))
		n.w.note('F', from.m.index, to.m.index, frame)
		to.post(func() {
			if err := to.core.Receive(from.m.dir.id, frame); err != nil {
				n.w.violate("%s cannot read a frame of %s: %v", to.m.Name(), from.m.Name(), err)
			}
		})
	})
}
