package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Ring is one node's part of the ring: its tokens, the routing table that they share, and its lookups in
// flight. It is a value: it acts only when it is called and speaks only through Take. It is not safe for
// concurrent use.
//
// Times are durations on a monotonic clock of the caller's choice; they must not run backwards.
type Ring struct {
	cfg   Config
	space Space
	self  ident.NodeID
	rand  rand.PCG
	seq   uint64
	now   time.Duration
	skew  time.Duration // shifts this node's groups of tokens against those of others

	members  []*member // by identifier
	contacts []ident.NodeID
	revive   revival
	merge    merging

	table   table
	health  health
	lookups lookups
	choice  choice
	passed  passings

	local   []Message // for this node's own tokens, delivered before a call returns
	scratch []Token
	counted []ident.NodeID
	out     [2]Effects // what Take returned last, and what is being filled
	filling int
}

// Effects are what a ring wants done, and what it has to tell.
type Effects struct {
	Messages []Envelope // to be sent, each to another node; may be lost, and is best sent in order
	Results  []Result   // lookups that ended
	Events   []Event    // for the log
}

// New returns a ring of one node that holds the given tokens and stands in no ring yet. The seed should
// differ from life to life of a node.
func New(cfg Config, self ident.NodeID, tokens []ID, seed uint64) (*Ring, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	r := &Ring{cfg: cfg, space: Space{cfg.Bits}, self: self}
	if self.IsZero() {
		return nil, fmt.Errorf("%w: the node has no identifier", ErrTokens)
	}
	if len(tokens) == 0 || len(tokens) > MaxTokens {
		return nil, fmt.Errorf("%w: %d of them: want 1 to %d", ErrTokens, len(tokens), MaxTokens)
	}
	r.rand.Seed(seed, 0x71756f7264)
	r.seq = r.rand.Uint64() >> 32 << 16 // so that answers to an earlier life match no question of this one
	r.skew = r.random(cfg.StabilizeEvery)
	for _, id := range tokens {
		if !r.space.Contains(id) {
			return nil, fmt.Errorf("%w: %v does not fit %d bits", ErrTokens, id, cfg.Bits)
		}
		r.members = append(r.members, &member{id: id})
	}
	slices.SortFunc(r.members, func(a, b *member) int { return a.id.Compare(b.id) })
	for i, m := range r.members {
		m.index = i
		if i > 0 && r.members[i-1].id == m.id {
			return nil, fmt.Errorf("%w: %v comes twice", ErrTokens, m.id)
		}
	}
	r.table.spoil()
	return r, nil
}

// Self returns the node whose ring this is.
func (r *Ring) Self() ident.NodeID { return r.self }

// Create makes a new ring of this node's tokens, which are its first principals: at least r+1 of them
// (Zave 2017, section V: a ring that starts with one token can fall apart). It returns ErrTokens where they
// are fewer, and ErrMember where this node is in a ring already.
func (r *Ring) Create(now time.Duration) error {
	r.now = now
	if n := len(r.members); n < r.cfg.Successors+1 {
		return fmt.Errorf("%w: %d tokens cannot start a ring whose successor lists have %d entries: want %d or more",
			ErrTokens, n, r.cfg.Successors, r.cfg.Successors+1)
	}
	if r.active() {
		return ErrMember
	}
	r.create()
	r.settle()
	return nil
}

func (r *Ring) create() {
	r.revive = revival{}
	n := len(r.members)
	for i, m := range r.members {
		list := make([]Token, 0, r.cfg.Successors)
		for k := 1; k <= min(r.cfg.Successors, n-1); k++ {
			list = append(list, r.token(r.members[(i+k)%n]))
		}
		*m = member{
			id: m.id, index: i, phase: Member,
			pred: r.token(r.members[(i+n-1)%n]), list: list,
			epoch: r.rand.Uint64(), due: r.nextRound(m),
		}
		m.whole()
		r.tell(Event{Kind: Created, Token: r.token(m)})
	}
	r.table.spoil()
}

// Join makes all tokens join the ring that the contacts are in, and keeps trying until they have. Called again
// before the first has joined, it replaces the contacts. It returns ErrMember where this node is in a ring.
func (r *Ring) Join(now time.Duration, contacts []ident.NodeID) error {
	r.now = now
	if r.inRing() {
		return ErrMember
	}
	r.setContacts(contacts)
	if !r.active() {
		r.revive = revival{began: now}
		r.Abstain(now) // who comes anew knows nothing of whether there is a ring
		for _, m := range r.members {
			r.outside(m, Joining)
		}
	}
	return nil
}

// Step takes one message from another node. The message's slices are kept and must not be changed afterwards.
func (r *Ring) Step(now time.Duration, from ident.NodeID, msg *Message) {
	r.now = now
	if from == r.self || from.IsZero() {
		return // a node speaks to itself inside, never through the network
	}
	r.health.heard(from)
	r.handle(from, msg)
	r.settle()
}

// Tick does what has become due. Calling it early does no harm.
func (r *Ring) Tick(now time.Duration) {
	r.now = now
	stabilized := 0
	for _, m := range r.members {
		if m.settleAt != 0 && m.settleAt <= now {
			r.settleArc(m)
		}
		if m.op != idle {
			if m.deadline <= now {
				r.unanswered(m)
			}
			continue
		}
		if m.phase == Outsider || m.finding || m.due > now {
			continue // outside, on the search for its place, or not due
		}
		if m.phase == Joining {
			r.join(m)
			continue
		}
		stabilized++
		r.stabilize(m)
	}
	if stabilized > 0 {
		r.lookups.fixes = (stabilized + share - 1) / share
	}
	if r.choice.waiting > 0 && r.choice.deadline <= now {
		r.decide()
	}
	r.tickLookups()
	r.tickMerge()
	r.settle()
}

// Next returns when Tick is wanted next, on the caller's clock.
func (r *Ring) Next() time.Duration {
	next := time.Duration(1<<63 - 1)
	for _, m := range r.members {
		if m.settleAt != 0 {
			next = min(next, m.settleAt)
		}
		switch {
		case m.op != idle:
			next = min(next, m.deadline)
		case m.phase != Outsider && !m.finding:
			next = min(next, m.due)
		}
	}
	return min(next, r.lookups.next(), r.nextMerge())
}

// Take returns what has gathered since the last call. The slices are valid until the next call of Take.
func (r *Ring) Take() Effects {
	e := r.out[r.filling]
	r.filling ^= 1
	f := &r.out[r.filling]
	clear(f.Results) // so that what the caller dropped can be collected
	clear(f.Messages)
	clear(f.Events)
	f.Messages, f.Results, f.Events = f.Messages[:0], f.Results[:0], f.Events[:0]
	return e
}

// handle dispatches a message, from another node or from a token of this one.
func (r *Ring) handle(from ident.NodeID, msg *Message) {
	switch msg.Kind {
	case Query, Ping:
		r.onQuestion(from, msg)
	case State, Busy, Gone, Pong:
		r.onAnswer(from, msg)
	case Notify:
		r.onNotify(from, msg)
	case Leave:
		r.onLeave(from, msg)
	case Nudge:
		r.onNudge(from, msg)
	case Find:
		r.onFind(from, msg)
	case Forward:
		r.onForward(from, msg)
	case Route, Found:
		r.onRoute(from, msg)
	}
}

// settle delivers what this node's tokens say to each other, and lets the next finger be fixed. It ends: each message
// belongs to a step of one token or to a lookup, both of which take a bounded number of messages and then wait for a
// Tick.
func (r *Ring) settle() {
	for i := 0; ; i++ {
		for i >= len(r.local) && r.fixNextFinger() {
		}
		if i >= len(r.local) {
			break
		}
		msg := r.local[i]
		r.handle(r.self, &msg)
	}
	clear(r.local)
	r.local = r.local[:0]
}

// send puts a message on its way: through the network, or to a token of this node.
func (r *Ring) send(to ident.NodeID, msg Message) {
	if to == r.self {
		r.local = append(r.local, msg)
		return
	}
	f := &r.out[r.filling]
	f.Messages = append(f.Messages, Envelope{To: to, Msg: msg})
}

func (r *Ring) tell(e Event) {
	f := &r.out[r.filling]
	f.Events = append(f.Events, e)
}

func (r *Ring) token(m *member) Token { return Token{ID: m.id, Node: r.self} }

// member returns the member that stands at id, or nil.
func (r *Ring) member(id ID) *member {
	i := r.search(id)
	if i < len(r.members) && r.members[i].id == id {
		return r.members[i]
	}
	return nil
}

// search returns the index of the first own token at or behind id, or len(r.members).
func (r *Ring) search(id ID) int {
	lo, hi := 0, len(r.members)
	for lo < hi {
		if mid := (lo + hi) / 2; r.members[mid].id.Compare(id) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// active reports whether any token is in a ring or on its way into one.
func (r *Ring) active() bool {
	return slices.ContainsFunc(r.members, func(m *member) bool { return m.phase != Outsider })
}

// inRing reports whether any token is a member.
func (r *Ring) inRing() bool {
	return slices.ContainsFunc(r.members, func(m *member) bool { return m.phase == Member })
}

// random returns a duration from 1 to limit.
func (r *Ring) random(limit time.Duration) time.Duration {
	return 1 + time.Duration(r.rand.Uint64()%uint64(max(limit, 1)))
}
