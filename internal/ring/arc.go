package ring

import "time"

// arc is the part of the ring that a token owns: (floor, itself].
//
// Departs from the paper, in which a token owns what lies behind its predecessor. But a newcomer copies its
// predecessor from whoever let it in, and two newcomers may copy the same; and when a predecessor dies, the one
// that takes its place need not be the nearest that lives. So an arc is handed over instead: a successor that
// takes a new predecessor cedes to it what lies behind it, and tells it so in its answers; who leaves passes
// its arc to its successor; and where a death leaves a gap, the next token takes it once all that live there
// have had the time to speak up. Hence, as long as that time is enough, no two tokens own one place.
type arc struct {
	// confirmed is set once the successor has ceded something, be it nothing. Until then the token owns nothing.
	confirmed bool
	floorSet  bool
	floor     ID
	// settleAt is when the floor becomes the predecessor; 0 while it is, or while that is not yet to be.
	settleAt time.Duration
	ceded    cession // what was given to the predecessor
}

// cession gives (from, to] to a token in one of its lives; from = to gives nothing.
type cession struct {
	to    Token
	epoch uint64
	from  ID
}

// cededTo returns whether anything, be it nothing, was ceded to the token in that life, and from where.
func (a *arc) cededTo(t Token, epoch uint64) (bool, ID) {
	if !a.confirmed || a.ceded.to != t || a.ceded.epoch != epoch {
		return false, ID{}
	}
	return true, a.ceded.from
}

// owns reports whether the token at end owns id.
func (a *arc) owns(end, id ID) bool { return a.confirmed && a.floorSet && Within(a.floor, id, end) }

// whole gives a token all that lies behind its predecessor: in a new ring, or one put in place.
func (m *member) whole() {
	m.arc = arc{confirmed: true, floorSet: !m.pred.IsZero(), floor: m.pred.ID}
}

// cede gives m's predecessor, which is new or lives anew, the part of m's arc that lies behind it.
func (r *Ring) cede(m *member) {
	m.ceded = cession{to: m.pred, epoch: m.predEpoch, from: m.pred.ID}
	if m.floorSet && Between(m.floor, m.pred.ID, m.id) {
		m.ceded.from, m.floor = m.floor, m.pred.ID
	}
	r.planSettling(m)
}

// planSettling begins, or ends, the time in which tokens between m's predecessor and its floor may speak up.
func (r *Ring) planSettling(m *member) {
	if m.floorSet && m.floor == m.pred.ID {
		m.settleAt = 0
	} else if m.settleAt == 0 {
		m.settleAt = r.now + r.cfg.Settle
	}
}

// confirm takes what the successor has ceded.
func (r *Ring) confirm(m *member, state *Message) {
	switch {
	case m.confirmed || state.Pred != r.token(m):
	case state.Ceded:
		m.confirmed = true
		if state.Floor != m.id {
			m.floorSet, m.floor = true, state.Floor
		}
		m.settleAt = 0
		r.cede(m)
	case m.settleAt == 0:
		// The successor waits for its own. Should all around the ring wait for each other, time ends it.
		m.settleAt = r.now + r.cfg.Settle
	}
}

// settleArc ends the time in which others may speak up: nobody else is left between the predecessor and m.
func (r *Ring) settleArc(m *member) {
	m.settleAt = 0
	if !m.pred.IsZero() {
		m.confirmed, m.floorSet, m.floor = true, true, m.pred.ID
	}
}

// inherit takes the arc of a predecessor that leaves, if it borders on m's.
func (r *Ring) inherit(m *member, leave *Message) {
	if leave.Ceded && m.confirmed && m.floorSet && m.floor == leave.From {
		m.floor = leave.Floor
	}
}

// legacy returns where the arc begins that m leaves to its successor, together with those of our own tokens
// before it, which leave too, and whether there is any.
func (r *Ring) legacy(m *member) (bool, ID) {
	if !m.confirmed || !m.floorSet {
		return false, ID{}
	}
	floor := m.floor
	for range r.members {
		p := r.member(floor)
		if p == nil || p.phase != Member || !p.confirmed || !p.floorSet || p == m {
			break
		}
		floor = p.floor
	}
	return true, floor
}
