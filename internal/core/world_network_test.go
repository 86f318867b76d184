package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// conn is a connection between two nodes.
type conn struct {
	open bool
	last [2]time.Duration // when the last frame arrives, in each direction
}

func pair(a, b *node) [2]int { return [2]int{min(a.index, b.index), max(a.index, b.index)} }

func (w *world) conn(a, b *node) *conn {
	if k := w.conns[pair(a, b)]; k != nil && k.open {
		return k
	}
	return nil
}

// connect makes the connections that n wants: to the members that it knows, at their addresses as it knows them, and
// to its seeds while it is no member.
func (w *world) connect(n *node) {
	c := n.core
	if c == nil {
		return
	}
	for _, o := range w.nodes {
		if o == n || n.core != c || o.core == nil || w.conns[pair(n, o)] != nil || w.cut[pair(n, o)] {
			continue
		}
		wanted := c.Ready() != nil && slices.Contains(n.seeds, o)
		if reg := c.Registry(); reg != nil {
			m, ok := reg.Member(o.id)
			wanted = wanted || ok && m.Addresses.Peer == o.addrs.Peer
		}
		if wanted {
			w.shake(n, o)
		}
	}
	if reg := c.Registry(); reg != nil { // those that are no members any more are hung up on
		for _, o := range w.nodes {
			if _, gone := reg.Removed(o.id); gone && w.conn(n, o) != nil && !n.parting[o] {
				n.parting[o] = true
				w.after(partAfter, func() { w.hangUp(n, o, hangUp) })
			}
		}
	}
}

// shake is the handshake of two nodes.
func (w *world) shake(a, b *node) {
	x, y := a.core, b.core
	for _, side := range [][2]*node{{a, b}, {b, a}} {
		me, other := side[0], side[1]
		if err := me.core.Admits(other.id, other.core.Cluster(), other.boot, other.core.Begun()); err != nil {
			other.refusals = append(other.refusals, err.Error())
			return
		}
	}
	w.conns[pair(a, b)] = &conn{open: true}
	up := func(me, other *node, c *Core) {
		if me.core == nil || other.core != c {
			return
		}
		boot, seq, in := other.boot, c.Begun(), !c.Cluster().IsZero()
		me.event(func() { me.core.PeerUp(other.id, boot, seq, other.time().Wall, in) })
	}
	up(a, b, y)
	up(b, a, x)
}

// hangUp breaks a connection; both sides notice after a while, and only then can there be another one.
func (w *world) hangUp(a, b *node, after time.Duration) {
	k := w.conns[pair(a, b)]
	if k == nil || !k.open {
		return
	}
	k.open = false
	x, y := a.core, b.core
	w.after(after, func() {
		if a.core == x && x != nil {
			a.event(func() { x.PeerDown(b.id) })
		}
		if b.core == y && y != nil {
			b.event(func() { y.PeerDown(a.id) })
		}
		delete(w.conns, pair(a, b))
	})
}

// split cuts the nodes given off from all others.
func (w *world) split(apart ...*node) {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a.index < b.index && slices.Contains(apart, a) != slices.Contains(apart, b) {
				w.sever(a, b)
			}
		}
	}
}

func (w *world) sever(a, b *node) {
	w.cut[pair(a, b)] = true
	w.hangUp(a, b, silence)
}

// heal ends all cuts.
func (w *world) heal() { clear(w.cut) }

func (n *node) send(to ident.NodeID, frame []byte) {
	w := n.w
	i := slices.IndexFunc(w.nodes, func(o *node) bool { return o.id == to })
	if i < 0 {
		return
	}
	o := w.nodes[i]
	k := w.conn(n, o)
	if k == nil || w.loss > 0 && w.rng.Float64() < w.loss {
		return
	}
	fmt.Fprintf(w.trace, "%d>%d@%d:", n.index, o.index, w.now)
	w.trace.Write(frame)
	way := 0
	if n.index > o.index {
		way = 1
	}
	at := max(w.now+time.Duration(200+w.rng.IntN(800))*time.Microsecond, k.last[way])
	k.last[way] = at
	own := slices.Clone(frame)
	w.after(at-w.now, func() {
		if !k.open || o.core == nil {
			return
		}
		o.event(func() {
			if err := o.core.Receive(n.id, own); err != nil {
				w.t.Errorf("node %d cannot read a frame of node %d: %v", o.index, n.index, err)
			}
		})
	})
}
