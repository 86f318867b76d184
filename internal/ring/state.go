package ring

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Snapshot shows all of a node's ring, for display and for checkers.
type Snapshot struct {
	Node    ident.NodeID
	Tokens  []TokenState // by identifier
	Lookups int          // in flight
}

// TokenState shows one token. Its slices must not be changed.
type TokenState struct {
	ID          ID
	Phase       Phase
	Busy        bool // in a step: between a question and its result
	Confirmed   bool // the successor has ceded to it what it is to own
	Owns        bool // it owns (Floor, ID]
	Floor       ID
	Predecessor Token
	Successors  []Token
	Fingers     []Token // by falling exponent from Bits-1; zero: unknown
}

// State shows the ring as it is.
func (r *Ring) State() Snapshot {
	s := Snapshot{Node: r.self, Tokens: make([]TokenState, len(r.members)), Lookups: len(r.lookups.flight)}
	for i, m := range r.members {
		s.Tokens[i] = TokenState{
			ID: m.id, Phase: m.phase, Busy: m.op != idle,
			Confirmed: m.confirmed, Owns: m.confirmed && m.floorSet, Floor: m.floor,
			Predecessor: m.pred, Successors: m.list, Fingers: slices.Clone(m.fingers),
		}
	}
	return s
}

// Restore puts the tokens into the given state, as if the protocol had brought them there: for rings that an
// experiment constructs. A confirmed token owns what lies behind its predecessor, whatever Floor says. A node that comes back must not use it, but Revive: what it remembers is stale. It
// returns ErrState where the state is not one of this node's tokens, and ErrMember where the node is in a ring.
func (r *Ring) Restore(now time.Duration, s Snapshot) error {
	r.now = now
	if r.active() {
		return ErrMember
	}
	if s.Node != r.self || len(s.Tokens) != len(r.members) {
		return fmt.Errorf("%w: it is of node %v with %d tokens", ErrState, s.Node, len(s.Tokens))
	}
	for i, t := range s.Tokens {
		if m := r.members[i]; t.ID != m.id {
			return fmt.Errorf("%w: it has token %v in the place of %v", ErrState, t.ID, m.id)
		}
		if !inOrder(t.ID, t.Successors) || len(t.Successors) > r.cfg.MaxSuccessors || len(t.Fingers) > r.cfg.Bits {
			return fmt.Errorf("%w: the lists of token %v are too long or out of order", ErrState, t.ID)
		}
	}
	for i, t := range s.Tokens {
		m := r.members[i]
		r.outside(m, t.Phase)
		if t.Phase != Member {
			continue
		}
		m.pred, m.list, m.fingers = t.Predecessor, t.Successors, slices.Clone(t.Fingers)
		if t.Confirmed {
			m.whole()
		}
		m.epoch, m.due = r.rand.Uint64(), r.nextRound(m)
	}
	r.settle()
	return nil
}
