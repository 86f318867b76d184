package ring

import (
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// choice is a finger that is about to be chosen: its candidates that were never measured have been pinged, and the
// choice is made when they have answered, or had the time to. There is one at a time, of at most Config.Proximity
// pings.
type choice struct {
	member     ID
	exponent   int
	owner      Token
	successors []Token
	waiting    int // pings without an answer; 0: nothing is being chosen
	sent       time.Duration
	deadline   time.Duration
	probes     []probe
}

// probe is a ping whose only use is the time it takes.
type probe struct {
	seq  uint64 // 0: answered
	node ident.NodeID
}

// chooseFinger makes a finger of owner or of a token that follows it, once the round trips to all of them are known
// (ToN 2003, section V-F). Whoever does not answer counts as far.
func (r *Ring) chooseFinger(m *member, exponent int, owner Token, successors []Token) {
	c := &r.choice
	*c = choice{
		member: m.id, exponent: exponent, owner: owner, successors: successors, probes: c.probes[:0],
		sent: r.now, deadline: r.now + r.cfg.QueryTimeout,
	}
	if r.cfg.Proximity > 1 && len(successors) > 0 {
		limit := r.fingerLimit(m.id, exponent)
		r.probe(m, owner)
		for _, t := range successors[:min(len(successors), r.cfg.Proximity-1)] {
			if !Between(owner.ID, t.ID, limit) {
				break
			}
			r.probe(m, t)
		}
	}
	if c.waiting == 0 {
		r.setFinger(m, exponent, owner, successors)
	}
}

// fingerLimit returns where the place of the next finger of the token at id begins.
func (r *Ring) fingerLimit(id ID, exponent int) ID {
	if exponent+1 < r.cfg.Bits {
		return r.space.AddPower(id, exponent+1)
	}
	return id
}

// probe pings a candidate whose node was never measured and seems well, once for each node.
func (r *Ring) probe(m *member, t Token) {
	if r.rttTo(t.Node) != farAway || !r.health.usable(t.Node, r.now) {
		return
	}
	for _, p := range r.choice.probes {
		if p.node == t.Node {
			return
		}
	}
	r.seq++
	r.choice.probes = append(r.choice.probes, probe{r.seq, t.Node})
	r.choice.waiting++
	r.send(t.Node, Message{Kind: Ping, Seq: r.seq, To: t.ID, From: m.id})
}

// probed takes the answer to a probe, and reports whether it was one. Gone is as good a measurement as Pong.
func (r *Ring) probed(from ident.NodeID, msg *Message) bool {
	c := &r.choice
	if c.waiting == 0 || msg.Kind != Pong && msg.Kind != Gone {
		return false
	}
	for i, p := range c.probes {
		if p.seq == msg.Seq && p.node == from {
			c.probes[i].seq = 0
			r.health.measured(from, r.now-c.sent)
			if c.waiting--; c.waiting == 0 {
				r.decide()
			}
			return true
		}
	}
	return false
}

// decide ends the choice with what is known.
func (r *Ring) decide() {
	c := &r.choice
	c.waiting = 0
	if m := r.member(c.member); m != nil && m.phase == Member && len(m.list) > 0 {
		r.setFinger(m, c.exponent, c.owner, c.successors)
	}
	c.successors = nil
}
