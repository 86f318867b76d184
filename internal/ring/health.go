package ring

import (
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// health is what this node knows of how other nodes fare. It changes timeouts and the choice among hops;
// pointers change only by the steps of the protocol.
type health struct {
	nodes map[ident.NodeID]condition
}

// condition is what is known of one node; the zero value is "nothing bad".
type condition struct {
	rtt     time.Duration // smoothed; 0: not measured
	suspect bool          // its connection is down
	found   time.Duration // when it was found dead
	dead    time.Duration // until then lookups go around it; 0: not dead
	shunned time.Duration // until then lookups go around it, for it did not answer one of them
}

// heard notes a sign of life.
func (h *health) heard(node ident.NodeID) {
	c, ok := h.nodes[node]
	if ok && (c.suspect || c.dead != 0 || c.shunned != 0) {
		h.nodes[node] = condition{rtt: c.rtt}
	}
}

func (h *health) change(node ident.NodeID, f func(*condition)) {
	if h.nodes == nil {
		h.nodes = make(map[ident.NodeID]condition)
	}
	c := h.nodes[node]
	f(&c)
	h.nodes[node] = c
}

// measured takes a round trip into the mean, with TCP's weight of 1/8.
func (h *health) measured(node ident.NodeID, rtt time.Duration) {
	if c, ok := h.nodes[node]; ok && c.rtt != 0 {
		c.rtt += (max(rtt, 1) - c.rtt) / 8
		h.nodes[node] = c
		return
	}
	h.change(node, func(c *condition) { c.rtt = max(rtt, 1) })
}

// usable reports whether a lookup should be sent to the node.
func (h *health) usable(node ident.NodeID, now time.Duration) bool {
	if len(h.nodes) == 0 {
		return true
	}
	c := h.nodes[node]
	return !c.suspect && c.dead <= now && c.shunned <= now
}

// lives reports whether the node has not been found dead since it was last heard, and its connection is not down.
func (h *health) lives(node ident.NodeID) bool {
	if len(h.nodes) == 0 {
		return true
	}
	c := h.nodes[node]
	return c.dead == 0 && !c.suspect
}

// prune forgets nodes that neither the routing table nor the contacts name, so that the map is bounded by them.
func (h *health) prune(known, contacts []ident.NodeID) {
	if len(h.nodes) <= 2*(len(known)+len(contacts))+16 {
		return
	}
	keep := make(map[ident.NodeID]condition, len(known))
	for _, nodes := range [...][]ident.NodeID{known, contacts} {
		for _, node := range nodes {
			if c, ok := h.nodes[node]; ok {
				keep[node] = c
			}
		}
	}
	h.nodes = keep
}

// NodeDown takes the hint that the connection to a node is down: questions to it are given up sooner, and
// tokens whose successor it holds look after it at once. Only an answer that stays out changes a pointer.
func (r *Ring) NodeDown(now time.Duration, node ident.NodeID) {
	r.now = now
	r.health.change(node, func(c *condition) { c.suspect = true })
	for _, m := range r.members {
		switch {
		case m.op != idle && m.peer.Node == node:
			m.tries = r.cfg.Attempts
			m.deadline = min(m.deadline, now+r.cfg.SuspectTimeout)
		case m.phase == Member && len(m.list) > 0 && m.list[0].Node == node:
			m.due = now
		}
	}
	r.lookups.hurry(node, now)
}

// NodeUp takes the hint that there is a connection to a node. What this node, as long as it is in no ring, has asked of one
// that does not seem to be there is given up: the other one may know.
func (r *Ring) NodeUp(now time.Duration, node ident.NodeID) {
	r.now = now
	r.health.heard(node)
	for _, l := range r.lookups.flight {
		if l.purpose == forJoin && !r.inRing() && (l.seq == 0 || !r.health.usable(l.hop.Node, now)) {
			l.seq, l.wake = 0, now
		}
	}
}

// timeout returns how long to wait for an answer of the node, and how often to ask.
func (r *Ring) timeout(node ident.NodeID) (time.Duration, int) {
	if r.health.nodes[node].suspect {
		return r.cfg.SuspectTimeout, 1
	}
	return r.cfg.QueryTimeout, r.cfg.Attempts
}

// bury passes the verdict that a node is dead: it did not answer though asked as often as the configuration says.
func (r *Ring) bury(t Token) {
	if !r.health.nodes[t.Node].isDead(r.now) {
		r.tell(Event{Kind: NodeDead, Peer: t})
		r.dropFingers(t.Node)
	}
	r.health.change(t.Node, func(c *condition) { c.found, c.dead = r.now, r.now+r.cfg.DeadFor })
}

func (c condition) isDead(now time.Duration) bool { return c.dead > now }

// foundDead reports whether the node was found dead at or after the moment since, and has not been heard again.
func (r *Ring) foundDead(node ident.NodeID, since time.Duration) bool {
	c := r.health.nodes[node]
	return c.dead != 0 && c.found >= since
}
