package ring

import (
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Leave takes all tokens out of the ring. Each tells its neighbours on other nodes, hands its predecessor its
// list of successors, and its successor what it owned. Lookups of this node end in ErrOutside from then on; questions to its tokens are
// answered Gone for as long as the shell delivers them. Create or Join may follow.
func (r *Ring) Leave(now time.Duration) {
	r.now = now
	for _, m := range r.members {
		if m.phase != Member {
			continue
		}
		list := r.bequest(m)
		msg := Message{Kind: Leave, From: m.id, Epoch: m.epoch, List: list}
		msg.Ceded, msg.Floor = r.legacy(m)
		if m.op == fromSuccessor || m.op == fromPredecessor {
			msg.List = nil // in a step a token has no state to show, and none to hand over
		}
		if len(list) > 0 {
			msg.To = list[0].ID
			r.send(list[0].Node, msg)
		}
		if m.pred.Node != r.self && !m.pred.IsZero() {
			msg.To = m.pred.ID
			r.send(m.pred.Node, msg)
		}
	}
	for _, m := range r.members {
		if m.phase == Member {
			r.tell(Event{Kind: Left, Token: r.token(m)})
		}
		r.outside(m, Outsider)
	}
	r.revive = revival{}
	r.abandonLookups(ErrOutside)
	r.settle()
}

// bequest returns m's successors on other nodes: our own tokens leave with m.
func (r *Ring) bequest(m *member) []Token {
	list := make([]Token, 0, len(m.list))
	for _, t := range m.list {
		if t.Node != r.self {
			list = append(list, t)
		}
	}
	return list
}

// onLeave hears that a neighbour leaves. What it does is what the protocol's own steps would do a little
// later: a predecessor adopts the leaver's list, as if it had stabilized just before and found the leaver dead
// just after; a successor takes over its arc, and replaces it at the next Notify without a ping. The epoch makes sure that the word
// comes from the life of the neighbour that this token knows; in doubt it only looks sooner.
func (r *Ring) onLeave(from ident.NodeID, msg *Message) {
	m := r.member(msg.To)
	if m == nil || m.phase != Member {
		return
	}
	leaver := Token{ID: msg.From, Node: from}
	if m.pred == leaver && m.predEpoch == msg.Epoch {
		m.predGone = true
		r.inherit(m, msg)
	}
	if len(m.list) == 0 || m.list[0] != leaver {
		return
	}
	m.due = r.now
	if m.op != idle || m.succEpoch != msg.Epoch || len(msg.List) == 0 ||
		!inOrder(leaver.ID, msg.List) || !Between(leaver.ID, msg.List[0].ID, m.id) {
		return
	}
	r.setList(m, msg.List[0], msg.List[1:])
	m.succEpoch = 0
}
