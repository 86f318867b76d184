package ring

import (
	"slices"

	"github.com/quorddb/quord/internal/ident"
)

// stabilize begins the step by which a member learns of new and of dead successors (Zave 2017, section III).
func (r *Ring) stabilize(m *member) {
	m.began, m.due, m.desperate = r.now, r.nextRound(m), false
	if len(m.list) == 0 { // alone: the successor is m itself, which needs no question
		if Between(m.id, m.pred.ID, m.id) && !m.pred.IsZero() {
			r.ask(m, fromPredecessor, m.pred)
		} else {
			r.askOffered(m)
		}
		return
	}
	r.ask(m, fromSuccessor, m.list[0])
}

// stabilizeFromSuccessor takes the successor's state: its list, moved by one, becomes m's, and if the
// successor's predecessor lies in between, that one is asked next.
func (r *Ring) stabilizeFromSuccessor(m *member, state *Message) {
	s := m.peer
	r.setList(m, s, state.List)
	m.succEpoch = state.Epoch
	r.confirm(m, state)
	if q := state.Pred; !q.IsZero() && q.ID != m.id && Between(m.id, q.ID, s.ID) {
		r.ask(m, fromPredecessor, q)
		return
	}
	if r.askOffered(m) {
		return
	}
	if state.Ceded && state.Pred == r.token(m) {
		r.endStabilize(m) // the successor knows m, as it is in this life
		return
	}
	r.finishStabilize(m)
}

// stabilizeFromPredecessor takes the state of the successor's predecessor, which has answered and lies between
// m and its successor. That successor has not changed since: m was in its step.
func (r *Ring) stabilizeFromPredecessor(m *member, state *Message) {
	if m.peer == m.offered {
		m.offered = Token{}
	}
	r.setList(m, m.peer, state.List)
	m.succEpoch = state.Epoch
	m.due = min(m.due, r.now+r.cfg.StabilizeEvery/soon) // tell the tail of the list soon
	r.finishStabilize(m)
}

// nudge tells m's predecessor, present or former, that m's list or predecessor has changed. It changes nothing but
// when that one looks; a chain of nudges ends where a list does not reach the change.
func (r *Ring) nudge(m *member, pred Token) {
	if r.cfg.Nudge < r.cfg.StabilizeEvery && !pred.IsZero() && pred.ID != m.id {
		r.send(pred.Node, Message{Kind: Nudge, To: pred.ID, From: m.id})
	}
}

// onNudge hears that the successor's list or predecessor has changed.
func (r *Ring) onNudge(from ident.NodeID, msg *Message) {
	m := r.member(msg.To)
	if m != nil && m.phase == Member && len(m.list) > 0 && m.list[0] == (Token{ID: msg.From, Node: from}) {
		m.due = min(m.due, r.now+r.cfg.Nudge)
	}
}

// successorDied drops the head of the list and asks the next.
//
// Departs from the paper: there the list is padded with an artificial entry to keep its length, for the sake of
// the model; here it is shorter until the next successor has answered, which happens in this same step.
func (r *Ring) successorDied(m *member) {
	r.tell(Event{Kind: SuccessorLost, Token: r.token(m), Peer: m.peer})
	m.list = m.list[1:]
	m.succEpoch = 0
	r.table.spoil()
	if len(m.list) == 0 {
		r.isolated(m)
		return
	}
	r.ask(m, fromSuccessor, m.list[0])
}

// isolated handles what the paper's operating assumption excludes: all successors died at once. The token stays
// a member, or those before it would lose their successors in turn, and goes on with those that follow it among
// all that this node knows; from-predecessor then leads it back to the nearest. If they are dead too it leaves,
// and joins anew when a contact answers.
func (r *Ring) isolated(m *member) {
	if !m.desperate {
		m.desperate = true
		r.tell(Event{Kind: AlarmIsolated, Token: r.token(m)})
		if m.list = r.following(m); len(m.list) > 0 {
			r.ask(m, fromSuccessor, m.list[0])
			return
		}
	}
	if len(r.contacts) == 0 {
		r.contacts = append(r.contacts, r.table.nodes...)
	}
	r.outside(m, Joining)
	m.due = r.now + r.random(r.cfg.Backoff)
}

// following returns tokens that this node knows and has not found dead, from m on in ring order. None of them is
// adopted before it has answered.
func (r *Ring) following(m *member) []Token {
	t := r.routes()
	start, _ := slices.BinarySearchFunc(t.tokens, m.id, func(tok Token, id ID) int { return tok.ID.Compare(id) })
	var list []Token
	for i := range t.tokens {
		tok := t.tokens[(start+i)%len(t.tokens)]
		if tok.ID != m.id && r.health.lives(tok.Node) && len(list) < r.cfg.MaxSuccessors {
			list = append(list, tok)
		}
	}
	return list
}

// finishStabilize ends the step. Whatever came of it, the successor is told of m.
//
// Departs from the paper: a successor whose answer has just shown that it knows m is not told. It would do nothing, and
// a ring in which nothing happens speaks less.
func (r *Ring) finishStabilize(m *member) {
	if len(m.list) > 0 {
		r.send(m.list[0].Node, Message{Kind: Notify, To: m.list[0].ID, From: m.id, Epoch: m.epoch})
	}
	r.endStabilize(m)
}

func (r *Ring) endStabilize(m *member) {
	if !m.confirmed {
		m.due = min(m.due, r.now+r.cfg.StabilizeEvery/soon)
	}
	r.endStep(m)
}

// onNotify hears from a token that believes to be the predecessor of one of ours.
func (r *Ring) onNotify(from ident.NodeID, msg *Message) {
	m := r.member(msg.To)
	n := Token{ID: msg.From, Node: from}
	if m == nil || m.phase != Member || n.ID == m.id {
		return
	}
	if m.op == idle {
		r.rectify(m, n, msg.Epoch)
		return
	}
	// One waits for the end of the step, the nearest; others come again with their next stabilization.
	if m.op != rectifying && (m.notifier.IsZero() || Between(m.notifier.ID, n.ID, m.id)) {
		m.notifier, m.notifierEpoch = n, msg.Epoch
	}
}

// rectify makes n the predecessor of m if it is nearer than the present one, or if that one is dead.
func (r *Ring) rectify(m *member, n Token, epoch uint64) {
	switch {
	case n == m.pred && (epoch == m.predEpoch || m.predEpoch == 0) && !m.predGone:
		if m.predEpoch = epoch; m.ceded.to == n {
			m.ceded.epoch = epoch
		}
	case m.pred.IsZero() || m.predGone || n.ID == m.pred.ID || Between(m.pred.ID, n.ID, m.id):
		r.setPredecessor(m, n, epoch)
	default:
		m.notifier, m.notifierEpoch = n, epoch
		r.ask(m, rectifying, m.pred)
	}
}

// predecessorDied ends a rectify whose ping stayed without an answer.
func (r *Ring) predecessorDied(m *member) {
	r.setPredecessor(m, m.notifier, m.notifierEpoch)
	r.endStep(m)
}

func (r *Ring) setPredecessor(m *member, n Token, epoch uint64) {
	if m.pred.IsZero() || m.pred.ID != n.ID && !Between(m.pred.ID, n.ID, m.id) {
		m.settleAt = 0 // the old one is dead, and those between the new one and it may not know yet
	}
	old := m.pred
	m.pred, m.predEpoch, m.predGone = n, epoch, false
	r.cede(m)
	r.table.spoil()
	r.tell(Event{Kind: PredecessorChange, Token: r.token(m), Peer: n})
	if Between(old.ID, n.ID, m.id) {
		r.nudge(m, old) // it has a nearer successor than m now
	}
}
