package ring

import (
	"slices"

	"github.com/quorddb/quord/internal/ident"
)

const (
	// maxContacts bounds the nodes that a joining one is told of.
	maxContacts = 256
	// joinWidth is how many tokens of a node look for their places at the same time.
	joinWidth = 8
)

func (r *Ring) setContacts(contacts []ident.NodeID) {
	r.contacts = r.contacts[:0]
	for _, node := range contacts {
		if len(r.contacts) == maxContacts {
			break
		}
		if node != r.self && !node.IsZero() && !slices.Contains(r.contacts, node) {
			r.contacts = append(r.contacts, node)
		}
	}
}

// join begins a join: a lookup for the member p with Between(p, m, p's successor).
func (r *Ring) join(m *member) {
	if r.lookups.joins >= r.joinWidth() {
		m.due = r.now + r.cfg.Backoff + r.random(r.cfg.Backoff)
		return
	}
	m.finding = true
	r.findPredecessor(m)
}

// joinWidth returns how many tokens may look for their places at the same time: the first goes ahead alone,
// for while it finds no ring the others would not either.
func (r *Ring) joinWidth() int {
	if r.inRing() {
		return joinWidth
	}
	return 1
}

// foundPlace goes on with a join whose lookup ended at p, or did not.
func (r *Ring) foundPlace(m *member, p Token, err error) {
	m.finding = false
	if m.phase != Joining || m.op != idle {
		return
	}
	if err != nil {
		r.joinFailed(m, err)
		return
	}
	r.ask(m, joining, p)
}

// joined takes p's state, and with it p's successors, if m still belongs behind p.
func (r *Ring) joined(m *member, state *Message) {
	p, list := m.peer, state.List
	if len(list) == 0 {
		list = []Token{p} // alone, p is its own successor
	}
	if m.id == p.ID || m.id == list[0].ID || !Between(p.ID, m.id, list[0].ID) {
		r.joinFailed(m, nil)
		return
	}
	m.phase, m.pred, m.epoch = Member, p, r.rand.Uint64()
	r.setList(m, list[0], list[1:])
	m.due = r.now // so that the successor, and through it the predecessor, learn of m
	m.op, m.peer = idle, Token{}
	r.table.spoil()
	r.tell(Event{Kind: Joined, Token: r.token(m), Peer: p})
	r.joinNext()
}

// joinNext lets as many of the tokens that wait for their turn begin.
func (r *Ring) joinNext() {
	free := r.joinWidth() - r.lookups.joins
	for _, m := range r.members {
		if free <= 0 {
			return
		}
		if m.phase == Joining && !m.finding && m.op == idle {
			m.due = r.now
			free--
		}
	}
}

// joinFailed plans the next attempt.
func (r *Ring) joinFailed(m *member, err error) {
	m.op, m.peer = idle, Token{}
	m.due = r.now + r.cfg.Backoff + r.random(r.cfg.Backoff)
	if err != nil {
		r.tell(Event{Kind: JoinFailed, Token: r.token(m), Err: err})
	}
}
