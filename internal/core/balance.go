package core

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
)

const (
	// So often tablets are compared with the ring's wish: those that are on their way somewhere, and, so many at a time,
	// those that are due.
	balanceAfoot = 20 * time.Millisecond
	balanceBusy  = 50 * time.Millisecond
	perRoundBusy = 1024
	// All others are looked through, so many now and then, in case that nobody has noticed what concerns them; an idle
	// node should stay asleep.
	balanceIdle  = 500 * time.Millisecond
	perRoundIdle = 128
	// maxAdding bounds the tablets led here that wait for new replicas to catch up, and so the transfers that
	// this node sets off.
	maxAdding = 128
	maxAfoot  = 4 * maxAdding
	// ringPatience is how long the ring may show something else than the registry before it is no longer heeded.
	ringPatience = 10 * time.Second
)

// wish is what the ring wants for a tablet that this node leads, and how far it is.
type wish struct {
	targets []ident.NodeID
	since   time.Duration // when they last changed
	step    tablet.Step
	why     string
	seen    time.Duration // when the ring's wish was last compared
	differs time.Duration // since when the ring shows something else than the registry; 0 while it does not
}

// moving reports whether the replicas of a tablet that this node leads are being changed.
func (p *place) moving() bool {
	switch p.wish.step {
	case tablet.Adding, tablet.Catching, tablet.Changing, tablet.Waiting, tablet.Stuck:
		return true
	}
	return p.group.Descriptor().Changing()
}

// undecided reports whether they may be about to be: the ring or the registry have changed since they were compared
// with the ring's wish, or the wish has yet to stand for a while.
func (c *Core) undecided(p *place) bool {
	return p.wish.step != tablet.Settled || p.wish.seen <= c.balance.changedAt
}

// balance is where the comparison of the tablets with the ring stands.
type balance struct {
	roundAt time.Duration
	// afoot are the tablets of which a step is under way: at most maxAfoot, the others are met in their turn.
	afoot []*place
	// due are the tablets that this node leads and that are undecided, each once, in the order in which they are met. all
	// says that each of them is.
	due []*place
	all bool
	// waiting are those that would be copied if the budget of transfers were not used up, in the order in which they came.
	waiting []*place
	// next is the tablet that is looked at next in case that nobody has noticed something, and scanAt when.
	next   int
	scanAt time.Duration
	// changedAt is when the ring or the registry last changed.
	changedAt time.Duration
	// counted is how many members count. silent holds the tokens of those of them that the ring may have given up,
	// wished the targets of all tablets as the registry has them.
	counted     int
	silent      []ring.Token
	wished      *placement.Map
	allOf       uint64 // the revision of the registry that both were made of
	silentNodes []ident.NodeID
	view        view
}

// pace is how long it is until the balance is to be looked after again.
func (b *balance) pace() time.Duration {
	switch {
	case len(b.afoot) > 0:
		return balanceAfoot
	case b.all || len(b.due)+len(b.waiting) > 0:
		return balanceBusy
	}
	return balanceIdle
}

func (b *balance) changed(now time.Duration) { b.changedAt, b.all = now, true }

// meet makes a tablet that this node leads be compared soon, if it may have to change.
func (c *Core) meet(p *place) {
	if b := &c.balance; p.led && !p.due && !p.afoot && c.undecided(p) {
		p.due = true
		if p.wish.step == tablet.Waiting {
			b.waiting = append(b.waiting, p)
		} else {
			b.due = append(b.due, p)
		}
	}
}

// takeDue takes the first n from a list of tablets that are due.
func takeDue(list *[]*place, n int) []*place {
	n = min(n, len(*list))
	out := slices.Clone((*list)[:n])
	*list = slices.Delete(*list, 0, n)
	for _, p := range out {
		p.due = false
	}
	return out
}

// tickBalance compares some of the tablets that this node leads with what the ring wants.
func (c *Core) tickBalance() {
	if c.ring == nil || c.closing || c.member.phase < phaseUp && len(c.registry.Members()) > 1 {
		return
	}
	b := &c.balance
	c.countMembers()
	adding := c.stepAfoot()
	for _, p := range takeDue(&b.waiting, max(min(maxAdding-adding, maxAfoot-len(b.afoot)), 0)) {
		c.visit(p, &adding)
	}
	if c.now.Mono < b.roundAt {
		return
	}
	b.roundAt = c.now.Mono + balanceBusy
	if c.system.led {
		c.reconcile(c.system, c.systemTargets(), 1)
	}
	if b.all {
		b.all = false
		for _, p := range c.places {
			c.meet(p)
		}
	}
	for _, p := range takeDue(&b.due, perRoundBusy) {
		c.visit(p, &adding)
	}
	if c.now.Mono < b.scanAt {
		return
	}
	b.scanAt = c.now.Mono + balanceIdle
	for range min(perRoundIdle, len(c.places)) {
		p := c.places[b.next%len(c.places)]
		b.next = (b.next + 1) % len(c.places)
		if !p.afoot && !p.due {
			c.visit(p, &adding)
		}
	}
}

// visit compares a tablet of which no step is under way. adding counts those that are being copied.
func (c *Core) visit(p *place, adding *int) {
	b := &c.balance
	was, add := p.wish.step, maxAdding-*adding
	if len(b.afoot) >= maxAfoot {
		add = 0
	}
	clear := c.compare(p, add)
	if clear && p.wish.step == tablet.Adding && was != tablet.Adding {
		*adding++
	}
	if clear && c.steps(p) && len(b.afoot) < maxAfoot {
		p.afoot = true
		b.afoot = append(b.afoot, p)
	}
	c.meet(p)
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
		c.meet(p)
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
	b.view.glance.known = false
	b.changed(c.now.Mono)
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

// systemTargets are the nodes that should hold the system group: five, or three, or as many as there are below
// that, as evenly over the zones as they can be. Those that hold it stay where that allows it, but one that is called down
// only where no other could: there is little to copy, so no grace is given, and without a majority of this group nobody can be
// called down, and nothing else is copied either.
func (c *Core) systemTargets() []ident.NodeID {
	var voters, others, down []ident.NodeID
	for _, m := range c.registry.Members() {
		if !c.counts(&m) || m.State == registry.Joining {
			continue
		}
		if r, ok := c.system.group.Descriptor().Find(m.ID); ok && r.Role.Stays() {
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
	size := len(voters) + len(others) + len(down)
	switch {
	case size >= 5:
		size = 5
	case size == 4:
		size = 3
	}
	targets := evenly(slices.Concat(voters, others), size, c.registry.Zone)
	return append(targets, down[:size-len(targets)]...)
}

// evenly returns n of the nodes, or all where there are not as many: again and again the first one of a zone of which the
// fewest were taken. With three zones no one holds a majority of five.
func evenly(nodes []ident.NodeID, n int, zone placement.ZoneOf) []ident.NodeID {
	taken := map[string]int{}
	var out []ident.NodeID
	for len(out) < n && len(nodes) > 0 {
		best := 0
		for i, id := range nodes {
			if taken[zone(id)] < taken[zone(nodes[best])] {
				best = i
			}
		}
		taken[zone(nodes[best])]++
		out = append(out, nodes[best])
		nodes = slices.Delete(nodes, best, best+1)
	}
	return out
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
