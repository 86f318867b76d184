package ring

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

const (
	maxNear  = 32 // preceding tokens that a lookup remembers, the closest ones
	maxFinal = 32 // tokens that may own the target
)

// purpose says what becomes of a lookup's result.
type purpose uint8

const (
	forCaller purpose = iota
	forJoin
	forFinger
	forMerge
)

// lookup is one lookup in flight at the node that drives it, apart from how messages travel: it knows whom it
// has asked, who answered, and whom to ask next. Invariant: no token is asked the same question twice between
// two restarts, and each question is counted, so that the hop limit ends every attempt, as the deadline does the whole.
type lookup struct {
	ticket  uint64
	purpose purpose
	mode    Mode
	target  ID
	member  ID // all but forCaller: the token that wants to know
	finger  int

	started  time.Duration
	deadline time.Duration

	// The question in flight. seq is 0 while the lookup pauses before it starts again.
	seq   uint64
	hop   Token
	claim bool
	sent  time.Duration
	wake  time.Duration // when the question counts as unanswered, or the pause ends

	near     []Token // tokens that precede the target, the closest last
	final    []Token // tokens that may own it, the next to ask first
	contacts []ident.NodeID
	through  ident.NodeID // forMerge: the node that it began at
	spare    []question   // put off, for their nodes seem to be down: asked when nobody else is left
	asked    []question
	refused  bool // a token said that it does not own the target

	attempts int // how often it started again
	sends    int // messages to other nodes in this attempt
	answered int
	timeouts int
	path     []Hop
}

type question struct {
	token Token
	claim bool
}

// restart forgets what was asked, for another attempt.
func (l *lookup) restart() {
	l.near, l.final, l.spare, l.asked = l.near[:0], l.final[:0], l.spare[:0], l.asked[:0]
	l.refused, l.sends = false, 0
}

// offerList takes a successor list in which the target has its place.
func (l *lookup) offerList(list []Token) {
	before, behind := around(list, l.target)
	l.offerNear(before)
	l.final = l.final[:0]
	for _, t := range behind {
		if len(l.final) < maxFinal && !l.wasAsked(t, true) {
			l.final = append(l.final, t)
		}
	}
}

// offerNear takes tokens that are said to precede the target.
func (l *lookup) offerNear(run []Token) {
	for _, t := range run {
		if t.ID == l.target || l.wasAsked(t, false) {
			continue
		}
		i := len(l.near)
		for i > 0 && Between(t.ID, l.near[i-1].ID, l.target) {
			i-- // near[i-1] is closer than t
		}
		if i > 0 && l.near[i-1].ID == t.ID {
			continue
		}
		if len(l.near) == maxNear { // forget the farthest
			if i == 0 {
				continue
			}
			copy(l.near, l.near[1:i])
			l.near[i-1] = t
			continue
		}
		l.near = append(l.near, Token{})
		copy(l.near[i+1:], l.near[i:])
		l.near[i] = t
	}
}

// next returns whom to ask next, and whether as the owner. Once a token has refused, only other owners are
// tried: who precedes them has been asked already.
func (l *lookup) next() (t Token, claim, ok bool) {
	for len(l.final) > 0 {
		t = l.final[0]
		l.final = l.final[:copy(l.final, l.final[1:])]
		if !l.wasAsked(t, true) {
			return t, true, true
		}
	}
	for len(l.near) > 0 && !l.refused {
		t, l.near = l.near[len(l.near)-1], l.near[:len(l.near)-1]
		if !l.wasAsked(t, false) {
			return t, false, true
		}
	}
	for len(l.contacts) > 0 {
		t, l.contacts = Token{Node: l.contacts[0]}, l.contacts[1:]
		if !l.wasAsked(t, false) {
			return t, false, true
		}
	}
	return Token{}, false, false
}

// putOff keeps a question for later. Of the contacts it keeps one: there may be many that are gone, each attempt begins with
// another one, and those who are there must not be kept waiting for the next.
func (l *lookup) putOff(t Token, claim bool) {
	if l.isContact(t) && slices.ContainsFunc(l.spare, func(q question) bool { return l.isContact(q.token) }) {
		return
	}
	if len(l.spare) < maxFinal && !slices.Contains(l.spare, question{t, claim}) {
		l.spare = append(l.spare, question{t, claim})
	}
}

// lastResort returns a question that was put off.
func (l *lookup) lastResort() (t Token, claim, ok bool) {
	for len(l.spare) > 0 {
		q := l.spare[0]
		l.spare = l.spare[:copy(l.spare, l.spare[1:])]
		if !l.wasAsked(q.token, q.claim) {
			return q.token, q.claim, true
		}
	}
	return Token{}, false, false
}

func (l *lookup) wasAsked(t Token, claim bool) bool {
	for _, q := range l.asked {
		if q.token == t && q.claim == claim {
			return true
		}
	}
	return false
}

// isContact reports whether t is asked only for its node, and not for the place where it stands.
func (l *lookup) isContact(t Token) bool {
	return (l.purpose == forJoin || l.purpose == forMerge) && t.ID == ID{}
}

// failure returns the error of a lookup whose time is over.
func (l *lookup) failure() error {
	if l.refused {
		return ErrNoOwner
	}
	return ErrDeadline
}

// lookups are the lookups that a node drives, oldest first.
type lookups struct {
	flight []*lookup
	free   []*lookup // ended ones, to be used again: at most maxFree
	ticket uint64
	joins  int  // how many are for joins
	fixing bool // whether one is for a finger
	fixes  int  // how many fingers are to be fixed before the next moment of stabilization
	turn   int  // the member whose finger was fixed last
}

const maxFree = 64

// next returns when the first of them wants to be woken.
func (ls *lookups) next() time.Duration {
	next := time.Duration(1<<63 - 1)
	for _, l := range ls.flight {
		next = min(next, l.wake, l.deadline)
	}
	return next
}

// waiting returns the lookup whose question in flight has that number, or nil.
func (ls *lookups) waiting(seq uint64) *lookup {
	for _, l := range ls.flight {
		if l.seq == seq && seq != 0 {
			return l
		}
	}
	return nil
}

// hurry lets questions to a node whose connection is down count as unanswered.
func (ls *lookups) hurry(node ident.NodeID, now time.Duration) {
	for _, l := range ls.flight {
		if l.seq != 0 && l.hop.Node == node {
			l.wake = now
		}
	}
}

// add returns a new lookup in flight.
func (ls *lookups) add(why purpose, target ID, mode Mode, now, deadline time.Duration) *lookup {
	l := &lookup{}
	if n := len(ls.free); n > 0 {
		l, ls.free = ls.free[n-1], ls.free[:n-1]
	}
	ls.ticket++
	l.ticket, l.purpose, l.mode, l.target = ls.ticket, why, mode, target
	l.started, l.deadline, l.wake = now, deadline, now
	ls.flight = append(ls.flight, l)
	switch why {
	case forJoin:
		ls.joins++
	case forFinger:
		ls.fixing = true
	}
	return l
}

// remove takes a lookup that has ended out.
func (ls *lookups) remove(l *lookup) {
	for i := range ls.flight {
		if ls.flight[i] == l {
			copy(ls.flight[i:], ls.flight[i+1:])
			ls.flight[len(ls.flight)-1] = nil
			ls.flight = ls.flight[:len(ls.flight)-1]
			break
		}
	}
	switch l.purpose {
	case forJoin:
		ls.joins--
	case forFinger:
		ls.fixing = false
	}
	if len(ls.free) < maxFree {
		*l = lookup{near: l.near[:0], final: l.final[:0], spare: l.spare[:0], asked: l.asked[:0]}
		ls.free = append(ls.free, l)
	}
}
