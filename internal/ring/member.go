package ring

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Phase says how a token stands to the ring.
type Phase uint8

const (
	Outsider Phase = iota // not in the ring, and not asked to be: never joined, or left
	Joining               // on its way in, again and again until it is
	Member                // in the ring
)

// String returns the name of the phase.
func (p Phase) String() string { return [...]string{"outside", "joining", "member"}[p] }

// op is the step that a member is in: between sending a question and finishing with its result. A member in a
// step answers Busy to those who ask for its state (Zave 2017, section III-B).
type op uint8

const (
	idle op = iota
	joining
	fromSuccessor
	fromPredecessor
	rectifying
)

const (
	// groups is over how many moments of an interval a node's tokens are spread. Neighbouring tokens belong to different
	// ones, or they would find each other in a step of their own; more moments would wake an idle node, and those whom
	// it asks, more often.
	groups = 2
	// soon is the part of an interval after which a token looks again that has just learned something.
	soon = 8
	// share is for how many of the tokens that stabilize in one of those moments a node renews a finger: one token does so
	// each time, as in the paper.
	share = 8
)

// member is one token of this node with the state of the papers' Chord node.
type member struct {
	id    ID
	index int
	phase Phase

	arc // what it owns

	// predGone is set when the predecessor said that it leaves; the next Notify replaces it without a ping.
	predGone  bool
	pred      Token   // zero: unknown
	list      []Token // successors; replaced as a whole, never changed, for messages and callers share it
	epoch     uint64  // drawn at the join: tells this token's lives apart
	succEpoch uint64  // list[0]'s, when it last answered
	predEpoch uint64  // pred's, when it last notified

	fingers  []Token // by falling exponent, from Bits-1 down to where the finger is the successor; zero: unknown
	nextFix  int     // index in fingers that is fixed next
	finding  bool    // a lookup for the place to join is in flight
	due      time.Duration
	lonesome int // how many rounds the list has named no living machine but this one

	offered   Token // may be a nearer successor, from another ring: asked in the next stabilization; zero: none
	desperate bool  // this stabilization ran out of successors once already

	op       op
	began    time.Duration // when the present or last stabilization began
	tries    int
	peer     Token // who was asked
	seq      uint64
	sent     time.Duration
	deadline time.Duration

	notifier      Token // rectifying: who wants to take the predecessor's place; otherwise: who waits for the step to end
	notifierEpoch uint64
}

// outside takes a member out of the ring.
func (r *Ring) outside(m *member, phase Phase) {
	*m = member{id: m.id, index: m.index, phase: phase, due: r.now}
	r.table.spoil()
}

// nextRound returns when the group that m belongs to stabilizes next.
func (r *Ring) nextRound(m *member) time.Duration {
	every := r.cfg.StabilizeEvery
	offset := (r.skew + every/groups*time.Duration(m.index%groups)) % every
	rounds := (r.now-offset)/every + 1
	if r.now < offset {
		rounds = 0
	}
	return offset + rounds*every
}

// successor returns the first of the list; a token alone in its ring is its own successor.
func (r *Ring) successor(m *member) Token {
	if len(m.list) == 0 {
		return r.token(m)
	}
	return m.list[0]
}

// ask starts a step of m, or its next part, with a question to a token. A machine's death takes all its tokens:
// where a node was found dead in this very step, its next token in the list counts as dead without a question.
// An older verdict does not do: the node may be back, and its token in the list a new one.
func (r *Ring) ask(m *member, step op, peer Token) {
	m.op, m.peer, m.tries = step, peer, 0
	r.seq++
	m.seq = r.seq
	if r.foundDead(peer.Node, m.began) && step == fromSuccessor {
		r.died(m)
		return
	}
	r.transmit(m)
}

// transmit sends m's question, for the first time or again.
func (r *Ring) transmit(m *member) {
	timeout, _ := r.timeout(m.peer.Node)
	m.tries++
	m.sent, m.deadline = r.now, r.now+timeout
	msg := Message{Kind: Query, Seq: m.seq, Epoch: m.epoch, To: m.peer.ID, From: m.id, Joining: m.op == joining}
	if m.op == rectifying {
		msg.Kind = Ping
	}
	r.send(m.peer.Node, msg)
}

// unanswered is called at the deadline of m's question.
func (r *Ring) unanswered(m *member) {
	if _, attempts := r.timeout(m.peer.Node); m.tries < attempts {
		r.transmit(m)
		return
	}
	if m.peer.Node != r.self {
		r.bury(m.peer)
	}
	r.died(m)
}

// died goes on with m's step in the knowledge that the token asked is no live member.
func (r *Ring) died(m *member) {
	switch m.op {
	case joining:
		r.joinFailed(m, ErrDeadline)
	case fromSuccessor:
		r.successorDied(m)
	case fromPredecessor:
		if m.peer == m.offered {
			m.offered = Token{}
		}
		r.finishStabilize(m)
	case rectifying:
		r.predecessorDied(m)
	}
}

// onQuestion answers a Query or a Ping.
func (r *Ring) onQuestion(from ident.NodeID, msg *Message) {
	answer := Message{Kind: Gone, Seq: msg.Seq, To: msg.From, From: msg.To}
	m := r.member(msg.To)
	switch {
	case m == nil || m.phase != Member:
	case msg.Kind == Ping:
		answer.Kind = Pong // at once, even in a step: it says nothing of the state
	case m.op != idle:
		answer.Kind = Busy
	default:
		answer.Kind, answer.Epoch, answer.Pred, answer.List = State, m.epoch, m.pred, m.list
		if m.predGone {
			answer.Pred = Token{} // it has said so: nobody need ask it
		}
		answer.Ceded, answer.Floor = m.cededTo(Token{ID: msg.From, Node: from}, msg.Epoch)
		if msg.Joining && r.successor(m) == (Token{ID: msg.From, Node: from}) {
			m.due = r.now // our successor has lost its state and joins anew: see that it is gone
		}
	}
	r.send(from, answer)
}

// onAnswer takes the answer to m's question, if it still waits for it.
func (r *Ring) onAnswer(from ident.NodeID, msg *Message) {
	if r.probed(from, msg) {
		return
	}
	m := r.member(msg.To)
	if m == nil || m.op == idle || m.seq != msg.Seq || m.peer != (Token{ID: msg.From, Node: from}) {
		return
	}
	if from != r.self && m.tries == 1 {
		r.health.measured(from, r.now-m.sent)
	}
	switch msg.Kind {
	case Gone:
		r.died(m)
	case Busy:
		r.busy(m)
	case Pong:
		if m.op == rectifying {
			r.endStep(m)
		}
	case State:
		if !inOrder(m.peer.ID, msg.List) {
			r.tell(Event{Kind: AlarmDisorder, Token: r.token(m), Peer: m.peer})
			r.busy(m)
			return
		}
		switch m.op {
		case joining:
			r.joined(m, msg)
		case fromSuccessor:
			r.stabilizeFromSuccessor(m, msg)
		case fromPredecessor:
			r.stabilizeFromPredecessor(m, msg)
		}
	}
}

// busy gives m's step up, so that no two tokens can wait for each other, and tries again after a random pause.
func (r *Ring) busy(m *member) {
	switch m.op {
	case joining:
		r.joinFailed(m, nil)
		return
	case fromPredecessor:
		r.finishStabilize(m)
	default:
		r.endStep(m)
	}
	m.due = r.now + r.random(r.cfg.Backoff)
}

// endStep makes m idle, and lets a Notify that waited for it be heard.
func (r *Ring) endStep(m *member) {
	step := m.op
	m.op, m.peer = idle, Token{}
	n, epoch := m.notifier, m.notifierEpoch
	m.notifier, m.notifierEpoch = Token{}, 0
	if step != rectifying && !n.IsZero() && m.phase == Member {
		r.rectify(m, n, epoch)
	}
}

// inOrder reports whether a successor list of the token at id keeps ring order and stays within one turn: of
// the invariant, the part that can be seen from one place (NoDuplicates and OrderedSuccessorLists).
func inOrder(id ID, list []Token) bool {
	prev := id
	for _, t := range list {
		if t.ID == id || !Between(prev, t.ID, id) {
			return false
		}
		prev = t.ID
	}
	return true
}

// setList makes head, followed by rest, the successor list of m, cut where it is long enough: at the shortest
// prefix of r tokens on enough other nodes, or where it would pass m itself.
//
// Departs from the paper: there a list has exactly r entries. Here a machine holds many tokens and dies as a
// whole, so a list goes on until it reaches enough machines; any prefix of a list that skips no principal
// skips none. Where there is only one other machine, that means this one as well: its tokens are all that is left
// when the other one dies.
func (r *Ring) setList(m *member, head Token, rest []Token) {
	want := max(r.others(r.cfg.DistinctNodes), r.distinct(head, rest))
	list := append(r.scratch[:0], head)
	distinct, own := r.countNew(list, 0), head.Node == r.self
	for _, t := range rest {
		if len(list) >= r.cfg.MaxSuccessors || len(list) >= r.cfg.Successors && distinct >= want && (own || want != 1) {
			break
		}
		if t.ID == m.id || !Between(list[len(list)-1].ID, t.ID, m.id) {
			break
		}
		list = append(list, t)
		distinct += r.countNew(list, len(list)-1)
		own = own || t.Node == r.self
	}
	r.scratch = list
	if distinct > 0 || want == 0 {
		m.lonesome = 0
	} else if m.lonesome++; m.lonesome == r.cfg.MaxSuccessors && r.company() {
		r.tell(Event{Kind: AlarmOneMachine, Token: r.token(m)}) // so many rounds mend any list that can be mended
	}
	if slices.Equal(list, m.list) {
		return
	}
	if len(m.list) == 0 || m.list[0] != head {
		r.tell(Event{Kind: SuccessorChanged, Token: r.token(m), Peer: head})
	}
	m.list = slices.Clone(list)
	r.table.spoil()
	r.nudge(m, m.pred)
}

// company reports whether the successor list of any token of this node names another living machine. Fingers do
// not count: they may still point to machines that are gone.
func (r *Ring) company() bool {
	for _, m := range r.members {
		for i := range m.list {
			if r.countNew(m.list, i) > 0 {
				return true
			}
		}
	}
	return false
}

// distinct returns how many other living nodes hold the tokens, counting no further than a list has to reach. A
// newcomer knows no other nodes than those that it is told of.
func (r *Ring) distinct(head Token, rest []Token) int {
	all := append(append(r.scratch[:0], head), rest...)
	r.scratch = all
	n := 0
	for i := 0; i < len(all) && n < r.cfg.DistinctNodes; i++ {
		n += r.countNew(all, i)
	}
	return n
}

// countNew returns 1 where list[i] is the first token of its node in the list, and that node is another one
// that is not known to be dead.
func (r *Ring) countNew(list []Token, i int) int {
	node := list[i].Node
	if node == r.self || !r.health.lives(node) {
		return 0
	}
	for _, t := range list[:i] {
		if t.Node == node {
			return 0
		}
	}
	return 1
}
