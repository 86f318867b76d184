package ring

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Lookup finds the token that owns target, its successor (find_successor of the papers), and the tokens behind
// it. The result comes out of Take, under the ticket returned, at once or later, and always: with an owner
// that has said so itself, or with an error. A timeout of 0 means LookupTimeout.
func (r *Ring) Lookup(now time.Duration, target ID, mode Mode, timeout time.Duration) uint64 {
	r.now = now
	if timeout <= 0 {
		timeout = r.cfg.LookupTimeout
	}
	full := len(r.lookups.flight) >= r.cfg.MaxLookups
	l := r.lookups.add(forCaller, target, mode, now, now+timeout)
	ticket := l.ticket
	switch {
	case full:
		r.fail(l, ErrTooManyLookups)
	case !r.inRing():
		r.fail(l, ErrOutside)
	default:
		r.begin(l)
	}
	r.settle()
	return ticket
}

// findPredecessor starts the lookup of a token that joins.
func (r *Ring) findPredecessor(m *member) {
	l := r.lookups.add(forJoin, m.id, Iterative, r.now, r.now+r.cfg.LookupTimeout)
	l.member = m.id
	r.begin(l)
}

// findFinger starts the lookup for a finger of m.
func (r *Ring) findFinger(m *member, ideal ID, exponent int) {
	l := r.lookups.add(forFinger, ideal, Iterative, r.now, r.now+r.cfg.LookupTimeout)
	l.member, l.finger = m.id, exponent
	r.begin(l)
}

// findThrough starts the lookup of m's place that begins at another node, whatever this one knows itself. It is not
// started again where it leads nowhere.
func (r *Ring) findThrough(m *member, node ident.NodeID) {
	l := r.lookups.add(forMerge, m.id, Iterative, r.now, r.now+r.cfg.LookupTimeout)
	l.member, l.through = m.id, node
	l.restart()
	l.contacts = append(l.contacts[:0], node)
	r.proceed(l)
}

// begin starts a lookup, or starts it again, from this node's own table.
func (r *Ring) begin(l *lookup) {
	l.restart()
	if l.purpose == forJoin {
		switch verdict, p, run := r.routeBefore(l.target); verdict {
		case Before:
			r.end(l, p, nil, nil)
			return
		case Closer:
			l.offerNear(run)
		default: // none of our tokens is in the ring: the contacts know more, each time another one first
			if r.elect() {
				return // there is a ring now, and this lookup has ended with all others
			}
			l.contacts = slices.Clone(r.contacts)
			if n := len(l.contacts); n > 0 {
				k := int(r.rand.Uint64() % uint64(n))
				slices.Reverse(l.contacts[:k])
				slices.Reverse(l.contacts[k:])
				slices.Reverse(l.contacts)
			}
		}
		r.proceed(l)
		return
	}
	if m := r.owner(l.target); m != nil {
		r.end(l, r.token(m), m.list, nil)
		return
	}
	switch verdict, run := r.route(l.target, maxNear); verdict {
	case Final:
		l.offerList(run)
	case Closer:
		l.offerNear(run)
	}
	r.proceed(l)
}

// proceed asks the next token, or pauses where nobody is left to ask: the ring may mend meanwhile.
func (r *Ring) proceed(l *lookup) {
	if l.sends >= r.cfg.HopLimit {
		r.fail(l, ErrHopLimit)
		return
	}
	t, claim, ok := l.next()
	for ok && t.Node != r.self && !r.health.usable(t.Node, r.now) {
		l.putOff(t, claim)
		t, claim, ok = l.next()
	}
	if !ok {
		t, claim, ok = l.lastResort()
	}
	if ok {
		r.askHop(l, t, claim)
		return
	}
	switch l.purpose {
	case forMerge:
		r.fail(l, l.failure())
		return
	case forJoin:
		r.revive.searched = true
	}
	l.seq, l.hop = 0, Token{}
	pause := r.cfg.HopTimeout / 8 << min(l.attempts, 3) // up to HopTimeout
	l.attempts++
	l.wake = r.now + pause/2 + r.random(pause)
}

// askHop sends the lookup's question to a token's node.
func (r *Ring) askHop(l *lookup, t Token, claim bool) {
	r.seq++
	l.seq, l.hop, l.claim, l.sent = r.seq, t, claim, r.now
	l.asked = append(l.asked, question{t, claim})
	if t.Node != r.self {
		l.sends++
	}
	msg := Message{Kind: Find, Seq: l.seq, To: t.ID, Claim: claim, Target: l.target}
	l.wake = r.now + r.cfg.HopTimeout
	switch {
	case l.purpose == forJoin:
		msg.Joining, msg.Claim = true, r.revive.on
	case l.mode == Recursive && l.purpose == forCaller:
		msg.Kind, msg.Origin = Forward, r.self
		msg.Hops, msg.Limit = 1, uint8(r.cfg.HopLimit)
		if t.Node == r.self {
			msg.Hops = 0
		}
		l.wake = r.now + max((l.deadline-l.started)/3, 1)
	}
	r.send(t.Node, msg)
}

// onFind answers a question of an iterative lookup.
func (r *Ring) onFind(from ident.NodeID, msg *Message) {
	answer := Message{Kind: Route, Seq: msg.Seq, From: msg.To, Target: msg.Target}
	switch m := r.owner(msg.Target); {
	case msg.Joining:
		var p Token
		answer.Verdict, p, answer.List = r.routeBefore(msg.Target)
		if answer.Verdict == Before {
			answer.From = p.ID
		}
		answer.Claim = answer.Verdict == Outside && msg.Claim && r.grant(from)
	case m != nil:
		answer.Verdict, answer.From, answer.List = Owner, m.id, m.list
	case msg.Claim:
		answer.Verdict, answer.Pred = Refused, r.ownerBefore(msg.To, msg.Target)
	default:
		answer.Verdict, answer.List = r.route(msg.Target, alternatives)
	}
	r.send(from, answer)
}

// ownerBefore returns the predecessor of the token at id if target lies at or before it, else no token.
func (r *Ring) ownerBefore(id, target ID) Token {
	m := r.member(id)
	if m == nil || m.phase != Member || m.pred.IsZero() || Within(m.pred.ID, target, m.id) {
		return Token{}
	}
	return m.pred
}

// onForward passes a recursive lookup on, or ends it and tells the node that asked. A node keeps nothing of
// what it has passed on but the names of the latest.
func (r *Ring) onForward(from ident.NodeID, msg *Message) {
	if from != r.self && r.passed.again(passing{msg.Origin, msg.Seq, msg.Hops}) {
		return
	}
	verdict, run := Refused, []Token(nil)
	if m := r.owner(msg.Target); m != nil {
		r.send(msg.Origin, Message{
			Kind: Found, Verdict: Owner, Seq: msg.Seq, Hops: msg.Hops, Limit: msg.Limit,
			From: m.id, Target: msg.Target, List: m.list,
		})
		return
	}
	var next Token
	if msg.Claim {
		next = r.ownerBefore(msg.To, msg.Target)
	} else {
		if verdict, run = r.route(msg.Target, alternatives); verdict == Final {
			_, run = around(run, msg.Target)
		}
		next = r.choose(verdict, run)
	}
	claim := msg.Claim || verdict == Final
	switch {
	case next.IsZero():
		if verdict != Outside {
			verdict = Refused
		}
	case msg.Hops >= msg.Limit && next.Node != r.self:
		verdict = TooFar
	default:
		pass := *msg
		pass.To, pass.Claim = next.ID, claim
		if next.Node != r.self {
			pass.Hops++
		} else if msg.Claim && next.ID == msg.To {
			return // cannot be: a token is not its own predecessor unless it is alone, and then it owns all
		}
		r.send(next.Node, pass)
		return
	}
	r.send(msg.Origin, Message{
		Kind: Found, Verdict: verdict, Seq: msg.Seq, Hops: msg.Hops, Limit: msg.Limit, From: msg.To, Target: msg.Target,
	})
}

// passings are the lookups that were passed on last. A frame that a network delivers twice must not become two lookups: where
// a lookup takes dozens of hops, around tokens that do not answer, it would double with each of them.
type passings struct {
	last [maxPassings]passing
	next int
}

// maxPassings bounds what is remembered: a frame's second copy comes soon, or is one of few.
const maxPassings = 64

// passing names a message of a lookup: none passes a node twice with as many hops behind it.
type passing struct {
	origin ident.NodeID
	seq    uint64
	hops   uint8
}

// again notes a message, and reports whether it was there before.
func (p *passings) again(m passing) bool {
	if slices.Contains(p.last[:], m) {
		return true
	}
	p.last[p.next] = m
	p.next = (p.next + 1) % maxPassings
	return false
}

// choose returns the token of a run to which a recursive lookup is passed on: the best whose node seems well.
func (r *Ring) choose(verdict Verdict, run []Token) Token {
	for i := range run {
		t := run[i]
		if verdict == Closer {
			t = run[len(run)-1-i]
		}
		if t.Node == r.self && verdict == Final || t.Node != r.self && r.health.usable(t.Node, r.now) {
			return t
		}
	}
	return Token{}
}

// onRoute takes the answer to the question in flight of a lookup.
func (r *Ring) onRoute(from ident.NodeID, msg *Message) {
	l := r.lookups.waiting(msg.Seq)
	recursive := msg.Kind == Found
	if l == nil || msg.Target != l.target || recursive != (l.mode == Recursive && l.purpose == forCaller) || !recursive && l.hop.Node != from {
		return
	}
	rtt := r.now - l.sent
	switch {
	case recursive:
		l.answered = int(msg.Hops)
		l.path = append(l.path, Hop{Token: Token{ID: msg.From, Node: from}, RTT: rtt})
	case from != r.self:
		l.answered++
		r.health.measured(from, rtt)
		if l.purpose == forCaller {
			l.path = append(l.path, Hop{Token: l.hop, RTT: rtt})
		}
	}
	switch msg.Verdict {
	case Owner:
		r.end(l, Token{ID: msg.From, Node: from}, msg.List, nil)
		return
	case Before:
		r.end(l, Token{ID: msg.From, Node: from}, msg.List, nil)
		return
	case TooFar:
		r.fail(l, ErrHopLimit)
		return
	case Final:
		if _, behind := around(msg.List, l.target); l.purpose == forMerge && len(behind) > 0 {
			r.end(l, behind[0], behind[1:], nil) // believed is enough: it is asked before it is adopted
			return
		}
		l.offerList(msg.List)
	case Closer:
		l.offerNear(msg.List)
	case Refused:
		l.refused = true
		if !msg.Pred.IsZero() && !l.wasAsked(msg.Pred, true) {
			l.final = slices.Insert(l.final[:min(len(l.final), maxFinal-1)], 0, msg.Pred)
		}
	case Outside:
		if l.purpose == forJoin && r.onOutside(from, msg.Claim, l.sent) {
			return // the lookup has ended with all others
		}
	}
	r.proceed(l)
}

// tickLookups wakes the lookups whose time has come.
func (r *Ring) tickLookups() {
	for i := 0; i < len(r.lookups.flight); {
		l := r.lookups.flight[i]
		switch {
		case l.deadline <= r.now:
			r.hopDied(l)
			r.fail(l, l.failure())
		case l.wake <= r.now && l.seq == 0:
			r.begin(l)
		case l.wake <= r.now:
			r.hopDied(l)
			r.proceed(l)
		}
		if i < len(r.lookups.flight) && r.lookups.flight[i] == l {
			i++
		}
	}
}

// hopDied notes that the question in flight, if any, stayed without an answer.
func (r *Ring) hopDied(l *lookup) {
	if l.seq == 0 || l.hop.Node == r.self || l.wake > r.now {
		return
	}
	l.seq = 0
	l.timeouts++
	if l.purpose == forCaller {
		l.path = append(l.path, Hop{Token: l.hop, TimedOut: true})
	}
	if l.mode == Iterative { // of a recursive one any node on the way may be dead
		r.health.change(l.hop.Node, func(c *condition) { c.shunned = r.now + r.cfg.DeadFor })
	}
}

func (r *Ring) fail(l *lookup, err error) { r.end(l, Token{}, nil, err) }

// end ends a lookup and hands its result to whoever wanted it.
func (r *Ring) end(l *lookup, t Token, successors []Token, err error) {
	why, member, finger, through := l.purpose, l.member, l.finger, l.through
	if why == forCaller {
		f := &r.out[r.filling]
		f.Results = append(f.Results, Result{
			Ticket: l.ticket, Target: l.target, Mode: l.mode, Owner: t, Successors: successors,
			Hops: l.answered, Timeouts: l.timeouts, Path: l.path, Took: r.now - l.started, Err: err,
		})
	}
	r.lookups.remove(l)
	m := r.member(member)
	switch {
	case why == forJoin:
		r.foundPlace(m, t, err)
	case why == forMerge:
		r.placed(m, t, through, err)
	case why == forFinger && err == nil && m.phase == Member && t.ID != m.id:
		r.chooseFinger(m, finger, t, successors)
	}
}

// abandonLookups ends all lookups in flight.
func (r *Ring) abandonLookups(err error) {
	for len(r.lookups.flight) > 0 {
		r.fail(r.lookups.flight[0], err)
	}
}
