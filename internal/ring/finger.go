package ring

import (
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Fingers are an optimisation: nothing but the length of a lookup's path depends on them (Zave 2017,
// section III). The finger of a token n with exponent i is successor(n + 2^i); only those beyond the token's
// successor are kept, in falling order of exponents.

// Finger returns the i-th finger of this node's token at id, 0 <= i < m, and whether it is known.
func (r *Ring) Finger(id ID, i int) (Token, bool) {
	m := r.member(id)
	if m == nil || m.phase != Member || i < 0 || i >= r.cfg.Bits {
		return Token{}, false
	}
	if s := r.successor(m); Within(m.id, r.space.AddPower(m.id, i), s.ID) {
		return s, true
	}
	k := r.cfg.Bits - 1 - i
	if k >= len(m.fingers) || m.fingers[k].IsZero() {
		return Token{}, false
	}
	return m.fingers[k], true
}

// fixNextFinger renews one finger of one token, in turn, if one is still to be fixed; at most one such lookup is in
// flight (ToN 2003, figure 6: fix_fingers). It reports whether it did.
func (r *Ring) fixNextFinger() bool {
	if r.lookups.fixes == 0 || r.lookups.fixing || r.choice.waiting > 0 {
		return false
	}
	r.lookups.fixes--
	for range r.members {
		r.lookups.turn = (r.lookups.turn + 1) % len(r.members)
		if m := r.members[r.lookups.turn]; m.phase == Member && len(m.list) > 0 {
			r.fixFinger(m)
			return true
		}
	}
	return false
}

// fixFinger renews the next finger of m. What a successor list of this node covers needs no lookup.
func (r *Ring) fixFinger(m *member) {
	exponent := r.cfg.Bits - 1 - m.nextFix
	if exponent < 0 || Within(m.id, r.space.AddPower(m.id, exponent), m.list[0].ID) {
		if m.nextFix < len(m.fingers) { // from here on the finger is the successor
			m.fingers = m.fingers[:m.nextFix]
			r.table.spoil()
		}
		m.nextFix, exponent = 0, r.cfg.Bits-1
		if Within(m.id, r.space.AddPower(m.id, exponent), m.list[0].ID) {
			return
		}
	}
	m.nextFix++
	ideal := r.space.AddPower(m.id, exponent)
	if run := r.covered(ideal); run != nil {
		r.chooseFinger(m, exponent, run[0], run[1:])
		return
	}
	r.findFinger(m, ideal, exponent)
}

// covered returns the successors of id as the successor list of a token of this node names them, or nil.
func (r *Ring) covered(id ID) []Token {
	m := r.precedingMember(id)
	if m == nil {
		return nil
	}
	prev := m.id
	for i, y := range m.list {
		if Within(prev, id, y.ID) {
			return m.list[i:]
		}
		prev = y.ID
	}
	return nil
}

// setFinger makes owner the finger of m with that exponent, or, with proximity, that of its first s-1
// successors to which the round trip is shortest (ToN 2003, section V-F: proximity by successors of the ideal
// finger). It stays before the next finger's place, so that a hop still halves the distance.
func (r *Ring) setFinger(m *member, exponent int, owner Token, successors []Token) {
	if owner.ID == m.id {
		return
	}
	candidates := successors[:min(len(successors), r.cfg.Proximity-1)]
	k := r.cfg.Bits - 1 - exponent
	for len(m.fingers) <= k {
		m.fingers = append(m.fingers, Token{})
	}
	present := m.fingers[k].Node
	best := NearestFinger(r.space, m.id, exponent, owner, candidates, func(node ident.NodeID) time.Duration {
		switch {
		case node != owner.Node && !r.health.usable(node, r.now):
			return farAway
		case node == present:
			return r.rttTo(node) / 2 // a little further is no reason to change: measurements vary
		}
		return r.rttTo(node)
	})
	if m.fingers[k] != best {
		m.fingers[k] = best
		r.table.spoil()
	}
}

// NearestFinger returns which of a finger's candidates the token at id takes as its finger with that exponent: the
// owner of the finger's place, or, of the successors that follow it in candidates, the one with the shortest round
// trip, as long as it stays before the next finger's place.
func NearestFinger(space Space, id ID, exponent int, owner Token, candidates []Token, rtt func(ident.NodeID) time.Duration) Token {
	limit := id
	if exponent+1 < space.Bits {
		limit = space.AddPower(id, exponent+1)
	}
	best, shortest := owner, rtt(owner.Node)
	for _, t := range candidates {
		if !Between(owner.ID, t.ID, limit) {
			break
		}
		if d := rtt(t.Node); d < shortest {
			best, shortest = t, d
		}
	}
	return best
}

// farAway is the round trip to a node that was never measured.
const farAway = time.Hour

// rttTo returns the measured round trip to a node; one never measured counts as far.
func (r *Ring) rttTo(node ident.NodeID) time.Duration {
	if node == r.self {
		return 0
	}
	if c := r.health.nodes[node]; c.rtt != 0 {
		return c.rtt
	}
	return farAway
}

// dropFingers forgets the fingers to a dead node, until their turn to be fixed comes.
func (r *Ring) dropFingers(node ident.NodeID) {
	for _, m := range r.members {
		for k, t := range m.fingers {
			if t.Node == node {
				m.fingers[k] = Token{}
				r.table.spoil()
			}
		}
	}
}
