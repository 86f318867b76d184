package core

import (
	"bytes"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
)

const (
	// So often, and so many at a time, tablets are compared with the ring's wish: a little now and then while nothing has
	// changed lately, for an idle node should stay asleep. Those that are on their way somewhere are looked after in
	// balanceAfoot, however many others there are.
	balanceAfoot = 20 * time.Millisecond
	balanceBusy  = 50 * time.Millisecond
	balanceIdle  = 500 * time.Millisecond
	perRoundBusy = 256
	perRoundIdle = 128
	// maxAdding bounds the tablets led here that wait for new replicas to catch up, and so the transfers that
	// this node sets off.
	maxAdding = 64
	maxAfoot  = 4 * maxAdding
	// walkAge is how old what the ring said about a tablet may be.
	walkAge = 5 * time.Second
	// ringPatience is how long the ring may show something else than the registry before it is no longer heeded.
	ringPatience = 10 * time.Second
	// maxLookups bounds the ring's lookups that the balance has under way.
	maxLookups = 64
)

// wish is what the ring wants for a tablet that this node leads, and how far it is.
type wish struct {
	targets []ident.NodeID
	since   time.Duration // when they last changed
	step    tablet.Step
	why     string
	seen    time.Duration // when the ring's wish was last compared
	differs time.Duration // since when the ring shows something else than the registry; 0 while it does not

	walk    []ring.Token // what a lookup said, for a point that no token of this node owns
	walkAt  time.Duration
	looking bool
}

// moving reports whether the replicas of a tablet that this node leads are being changed.
func (p *place) moving() bool {
	switch p.wish.step {
	case tablet.Adding, tablet.Catching, tablet.Changing, tablet.Stuck:
		return true
	}
	return p.group.Descriptor().Joint
}

// undecided reports whether they may be about to be: the ring or the registry have changed since they were compared
// with the ring's wish, or the wish has yet to stand for a while.
func (c *Core) undecided(p *place) bool {
	return p.wish.step != tablet.Settled || p.wish.seen <= c.balance.changedAt
}

// balance is where the comparison of the tablets with the ring stands.
type balance struct {
	next    int // the tablet that is looked at next
	roundAt time.Duration
	// afoot are the tablets of which a step is under way: at most maxAfoot, the others are met in their turn.
	afoot   []*place
	lookups map[uint64]*place
	// changedAt is when the ring or the registry last changed.
	changedAt time.Duration
	// busyUntil is until when many tablets are looked at in a round.
	busyUntil time.Duration
	// counted is how many members count. silent holds the tokens of those of them that the ring may have given up,
	// wished the targets of all tablets as the registry has them.
	counted     int
	silent      []ring.Token
	wished      *placement.Map
	allOf       uint64 // the revision of the registry that both were made of
	silentNodes []ident.NodeID
	scratch     []ring.Token
}

// pace is how long it is until the balance is to be looked after again.
func (b *balance) pace(now time.Duration) time.Duration {
	switch {
	case len(b.afoot) > 0:
		return balanceAfoot
	case now < b.busyUntil:
		return balanceBusy
	}
	return balanceIdle
}

func (b *balance) changed(now time.Duration) { b.changedAt, b.busyUntil = now, now+10*time.Second }

// tickBalance compares some of the tablets that this node leads with what the ring wants.
func (c *Core) tickBalance() {
	if c.ring == nil || c.closing || c.member.phase < phaseUp && len(c.registry.Members()) > 1 {
		return
	}
	b := &c.balance
	c.countMembers()
	adding := c.stepAfoot()
	if c.now.Mono < b.roundAt {
		return
	}
	b.roundAt = c.now.Mono + balanceBusy
	if c.system.led {
		c.reconcile(c.system, c.systemTargets(), 1)
	}
	n := perRoundIdle
	if c.now.Mono < b.busyUntil {
		n = perRoundBusy
	}
	for range min(n, len(c.places)) {
		p := c.places[b.next%len(c.places)]
		b.next = (b.next + 1) % len(c.places)
		if p.afoot {
			continue
		}
		was, add := p.wish.step, maxAdding-adding
		if len(b.afoot) >= maxAfoot {
			add = 0
		}
		if !c.compare(p, add) {
			continue
		}
		if p.wish.step == tablet.Adding && was != tablet.Adding {
			adding++
		}
		if c.steps(p) && len(b.afoot) < maxAfoot {
			p.afoot = true
			b.afoot = append(b.afoot, p)
		}
	}
}

// stepAfoot takes the next steps of the tablets that are on their way, and returns how many of them are being copied.
func (c *Core) stepAfoot() (adding int) {
	b := &c.balance
	for _, p := range b.afoot {
		if p.led && p.wish.step.Copies() {
			adding++
		}
	}
	b.afoot = slices.DeleteFunc(b.afoot, func(p *place) bool {
		was := p.wish.step
		if !c.compare(p, maxAdding-adding) || !c.steps(p) {
			p.afoot = false
		} else if p.wish.step == tablet.Adding && !was.Copies() {
			adding++
		}
		return !p.afoot
	})
	return adding
}

// steps reports whether a tablet is on its way to what the ring wants, and does not just wait for its turn.
func (c *Core) steps(p *place) bool {
	return p.wish.step.Moves() && c.now.Mono >= p.wish.since+c.cfg.Settle
}

// compare takes the next step of a tablet towards what the ring wants, and reports whether it was for this node to do so
// and clear what that is.
func (c *Core) compare(p *place, add int) bool {
	if !p.led || p.group == nil || !p.group.Serving() {
		return false
	}
	targets := c.targets(p)
	if len(targets) == 0 {
		return false
	}
	c.reconcile(p, targets, add)
	if p.wish.step != tablet.Settled {
		c.balance.busyUntil = max(c.balance.busyUntil, c.now.Mono+time.Second)
	}
	return true
}

// countMembers finds out which members count, once a round; tokens are hashes and are made again only when the
// answer may be another.
func (c *Core) countMembers() {
	b := &c.balance
	counted := 0
	var silent []ident.NodeID
	members := c.registry.Members()
	for i := range members {
		if c.counts(&members[i]) {
			counted++
			if !c.live(members[i].ID) {
				silent = append(silent, members[i].ID)
			}
		}
	}
	if b.allOf == c.registry.Revision() && b.counted == counted && slices.Equal(b.silentNodes, silent) {
		return
	}
	b.allOf, b.counted, b.silentNodes = c.registry.Revision(), counted, silent
	b.silent = b.silent[:0]
	var all []ring.Token
	for i := range members {
		if m := &members[i]; c.counts(m) {
			tokens := m.RingTokens()
			all = append(all, tokens...)
			if !c.live(m.ID) {
				b.silent = append(b.silent, tokens...)
			}
		}
	}
	s := c.registry.Settings()
	var err error
	if b.wished, err = placement.NewMap(all, s.Tablets, s.Replicas, c.registry.Zone); err != nil {
		c.tell(Warn, "the members' tokens make no ring", "error", err)
	}
}

// reconcile takes the next step towards the targets once they have stood for the settling time.
func (c *Core) reconcile(p *place, targets []ident.NodeID, add int) {
	w := &p.wish
	w.seen = c.now.Mono
	if !slices.Equal(targets, w.targets) {
		w.targets, w.since = targets, c.now.Mono
		w.step, w.why = tablet.Underway, "the ring's wish has changed and has to stand for a while"
	}
	if c.now.Mono < w.since+c.cfg.Settle {
		return
	}
	w.step, w.why = p.group.Plan(c.now.Mono, targets, c.live, c.ableFor(p), add)
	c.touch(p)
}

// targets returns the nodes that a tablet should lie on; nil while that is not clear. The ring says when, and the registry
// has to agree: a ring that is being absorbed, healed or made anew shows for a while what it will not want later, and
// replicas are not moved for that. Where the two differ for long, it is the ring that has not found together, and what
// the members agreed on is used.
func (c *Core) targets(p *place) []ident.NodeID {
	if c.balance.wished == nil {
		return nil
	}
	wished := c.balance.wished.Targets(p.tablet)
	if c.shows(p, wished) {
		p.wish.differs = 0
		return wished
	}
	if p.wish.differs == 0 {
		p.wish.differs = max(c.now.Mono, 1)
	}
	if c.now.Mono < p.wish.differs+ringPatience {
		return nil
	}
	return wished
}

// shows reports whether the ring, at a tablet's point, wants the targets that the registry has for it.
func (c *Core) shows(p *place, wished []ident.NodeID) bool {
	walk := c.walk(p)
	if walk == nil {
		return false
	}
	tokens := c.balance.scratch[:0]
	for _, t := range walk {
		if m, ok := c.registry.Member(t.Node); ok && c.counts(&m) {
			tokens = append(tokens, t)
		}
	}
	tokens = append(tokens, c.balance.silent...)
	c.balance.scratch = tokens
	sortFrom(tokens, c.point(p.tablet))
	tokens = slices.CompactFunc(tokens, func(a, b ring.Token) bool { return a.ID == b.ID })
	shown := placement.FirstOf(tokens, len(wished), c.registry.Zone)
	if len(shown) < len(wished) { // what it shows here is too short, or too many of it do not count
		return !slices.ContainsFunc(shown, func(id ident.NodeID) bool { return !slices.Contains(wished, id) })
	}
	return slices.Equal(shown, wished)
}

// sortFrom sorts tokens clockwise from a point.
func sortFrom(tokens []ring.Token, from ring.ID) {
	before := func(id ring.ID) bool { return bytes.Compare(id[:], from[:]) < 0 }
	slices.SortFunc(tokens, func(a, b ring.Token) int {
		if x, y := before(a.ID), before(b.ID); x != y {
			if x {
				return 1
			}
			return -1
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
}

// walk returns the tokens from a tablet's point on, as the ring shows them: at once where a token of this node owns
// the point, else from a lookup that was made lately.
func (c *Core) walk(p *place) []ring.Token {
	if own := c.ring.Walk(c.point(p.tablet)); own != nil {
		p.wish.walk = nil
		return own
	}
	w := &p.wish
	if (w.walk == nil || c.now.Mono > w.walkAt+walkAge) && !w.looking && len(c.balance.lookups) < maxLookups {
		w.looking = true
		if c.balance.lookups == nil {
			c.balance.lookups = map[uint64]*place{}
		}
		c.balance.lookups[c.ring.Lookup(c.now.Mono, c.point(p.tablet), ring.Recursive, 0)] = p
		c.takeRing()
	}
	return w.walk
}

// walked takes the ring's answer.
func (c *Core) walked(res *ring.Result) bool {
	p, ok := c.balance.lookups[res.Ticket]
	if !ok {
		return false
	}
	delete(c.balance.lookups, res.Ticket)
	p.wish.looking = false
	if res.Err == nil {
		p.wish.walk = append([]ring.Token{res.Owner}, res.Successors...)
		p.wish.walkAt = c.now.Mono
	}
	return true
}

// systemTargets are the nodes that should hold the system group: five, or three, or as many as there are below
// that. Those that hold it stay, but one that is called down only where no other could: there is little to copy, so no
// grace is given, and without a majority of this group nobody can be called down, and nothing else is copied either.
func (c *Core) systemTargets() []ident.NodeID {
	var voters, others, down []ident.NodeID
	for _, m := range c.registry.Members() {
		if !c.counts(&m) || m.State == registry.Joining {
			continue
		}
		if r, ok := c.system.group.Descriptor().Find(m.ID); ok && r.Role != tablet.Outgoing {
			if m.State == registry.Down && !c.live(m.ID) {
				down = append(down, m.ID)
			} else {
				voters = append(voters, m.ID)
			}
		} else if c.live(m.ID) {
			others = append(others, m.ID)
		}
	}
	if i := slices.Index(voters, c.self); i > 0 {
		voters[0], voters[i] = voters[i], voters[0]
	}
	all := slices.Concat(voters, others, down)
	size := len(all)
	switch {
	case size >= 5:
		size = 5
	case size == 4:
		size = 3
	}
	return all[:size]
}

// takeRing takes what the ring wants done.
func (c *Core) takeRing() {
	for {
		e := c.ring.Take()
		if len(e.Messages) == 0 && len(e.Results) == 0 && len(e.Events) == 0 {
			return
		}
		for i := range e.Messages {
			m := &e.Messages[i]
			c.sendRing(m)
		}
		for i := range e.Events {
			c.ringEvent(&e.Events[i])
		}
		results := slices.Clone(e.Results)
		for i := range results {
			if !c.looked(&results[i]) && !c.walked(&results[i]) {
				c.traced(&results[i])
			}
		}
	}
}

func (c *Core) ringEvent(e *ring.Event) {
	level := Debug
	if e.Alarm() {
		level = Warn
	}
	if e.Kind == ring.SuccessorChanged || e.Kind == ring.PredecessorChange || e.Kind == ring.Joined {
		c.balance.changed(c.now.Mono)
	}
	c.tell(level, "ring: "+e.String())
}
