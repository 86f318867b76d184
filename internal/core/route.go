package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// Bounds and times of requests under way.
const (
	maxPending = 1 << 17 // requests that this node took from clients and that have not ended
	// maxRequest bounds the encoded commands of one request: they must fit into a frame with room to spare.
	maxRequest = 48 << 20
	// attemptTimeout is how long one node is given to answer before another one is asked; under the same number,
	// so asking twice does nothing twice.
	attemptTimeout = time.Second
	// maxHints bounds how often in a row a request follows the word of a node about who leads.
	maxHints     = 3
	firstBackoff = 5 * time.Millisecond
	lastBackoff  = 80 * time.Millisecond
)

// router holds the requests that this node took from its clients.
type router struct {
	nextID  uint64
	pending map[uint64]*pending
	// deadlines and attempts are in order of time, for each kind of wait is equally long.
	deadlines queue
	attempts  queue
	retries   []*pending // those that wait to be tried again
	lookups   map[uint64]*place
}

// bootShift leaves room for so many requests of one boot, in bits, before their names run into the next one's.
const bootShift = 40

// init begins the names of requests anew with each boot: a leader that could not answer the process before this one
// may do so now, and its answer must fit no other request.
func (r *router) init(boot uint64) {
	r.nextID = boot << bootShift
	r.pending, r.lookups = map[uint64]*pending{}, map[uint64]*place{}
}

// pending is one request on its way.
type pending struct {
	core     *Core
	req      *request.Request
	place    *place
	id       uint64
	number   uint64 // of a write
	commands []byte
	deadline time.Duration
	attempt  int           // counts the nodes that were asked
	asked    ident.NodeID  // the node that is asked; zero while none is
	refuser  ident.NodeID  // the node that said last that it does not lead
	turn     int           // whose turn it is where nobody is known to lead
	hints    int           // how often the leader that was named has been asked at once
	passing  bool          // the node that is asked is to pass it on to the leader
	backoff  int           // how often it has been put off
	putOff   time.Duration // when it was put off last
	retryAt  time.Duration // when it is tried again, while none is asked
	waits    bool          // it is in retries
	ended    bool
	maybe    bool // an attempt may have been proposed
	down     bool // the last refusal was for want of a majority
	aside    bool // this node leads without a majority: others are asked next, for another may lead them
}

// Submit takes requests of clients. Each ends within the request timeout.
func (c *Core) Submit(reqs []*request.Request) {
	for _, r := range reqs {
		c.submit(r)
	}
}

func (c *Core) submit(r *request.Request) {
	p := c.place(r.Tablet)
	switch {
	case c.fatal != nil:
		r.End(nil, &request.Failure{Code: request.TryAgain, Message: errStopped.Error()})
		return
	case p == nil:
		r.End(nil, &request.Failure{Code: request.TryAgain, Message: "this node is not in a cluster yet"})
		return
	case len(c.router.pending) >= maxPending:
		r.End(nil, &request.Failure{Code: request.TryAgain, Message: fmt.Sprintf("this node has %d requests under way, its bound", maxPending)})
		return
	}
	if c.readHere(p, r) {
		return
	}
	q := &pending{core: c, req: r, place: p, deadline: c.now.Mono + c.cfg.RequestTimeout}
	if r.Write {
		if !q.fits() {
			return
		}
		if len(p.numbers.flight) >= maxFlight {
			r.End(nil, &request.Failure{Code: request.TryAgain, Message: fmt.Sprintf(
				"this node has %d writes to one tablet under way, its bound", maxFlight)})
			return
		}
		q.number = p.numbers.take()
	}
	c.router.nextID++
	q.id = c.router.nextID
	c.router.pending[q.id] = q
	c.router.deadlines.push(wait{p: q, at: q.deadline})
	c.try(q)
}

// size is about how large the commands are once they are encoded.
func (q *pending) size() (n int) {
	for _, cmd := range q.req.Commands {
		for _, arg := range cmd {
			n += len(arg) + 8
		}
	}
	return n
}

// fits reports whether what travels to a leader or into its log is allowed to be so large; otherwise the request has
// ended.
func (q *pending) fits() bool {
	size := q.size()
	if size > maxRequest {
		q.core.finish(q, nil, &request.Failure{Code: request.Err, Message: fmt.Sprintf(
			"the request has about %d bytes for one tablet; the bound is %d", size, maxRequest)})
	}
	return size <= maxRequest
}

// encode makes what travels to a leader; it reports whether that is allowed to be so large.
func (q *pending) encode() bool {
	if q.commands != nil {
		return true
	}
	if !q.fits() {
		return false
	}
	q.commands = tablet.AppendCommands(make([]byte, 0, q.size()+16), q.req.Commands)
	return true
}

// try asks the node that should know.
func (c *Core) try(q *pending) {
	aside := q.aside
	q.passing, q.aside = false, false
	if g := q.place.group; g != nil && g.Leading() && !aside {
		q.asked = c.self
		c.asked(q)
		if s := c.serve(q.place, q.req.Write, c.origin(q), q.req.Commands, q); s != 0 {
			c.refused(q, s, ident.NodeID{}, 0)
		}
		return
	}
	to := c.locate(q)
	if to.IsZero() {
		c.later(q)
		return
	}
	q.passing = q.passing || aside
	if !q.encode() {
		return
	}
	c.send(q, to)
}

// send asks a node.
func (c *Core) send(q *pending, to ident.NodeID) {
	q.asked = to
	c.asked(q)
	o := c.origin(q)
	c.out.Add(to, false, &wire.Request{
		ID: q.id, Tablet: q.place.tablet, Write: q.req.Write, PassOn: q.passing,
		Boot: o.Boot, Number: o.Number, Low: o.Low, Commands: q.commands,
	})
}

func (c *Core) asked(q *pending) {
	q.attempt++
	c.router.attempts.push(wait{p: q, attempt: q.attempt, at: c.now.Mono + attemptTimeout})
}

func (c *Core) origin(q *pending) tablet.Origin {
	if !q.req.Write {
		return tablet.Origin{}
	}
	return tablet.Origin{Node: c.self, Boot: c.cfg.Boot, Number: q.number, Low: q.place.numbers.low()}
}

// locate returns the node to ask. Whoever is known to lead comes first, unless it has just said that it does not; then
// who has passed requests on to a leader out of reach; after that the replicas, the nodes that the ring names, and all
// others take turns, for any of them may be wrong.
func (c *Core) locate(q *pending) ident.NodeID {
	p := q.place
	refuser := q.refuser
	q.refuser = ident.NodeID{}
	if leader, _ := p.whereabouts(); !leader.IsZero() && leader != c.self && leader != refuser && c.live(leader) {
		return leader
	}
	if p.via != refuser && !p.via.IsZero() && c.live(p.via) {
		q.passing = true
		return p.via
	}
	q.turn++
	var list []ident.NodeID
	add := func(nodes []ident.NodeID) {
		for _, n := range nodes {
			if n != c.self && c.live(n) && !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
	}
	if p.group != nil {
		add(p.group.Descriptor().Nodes())
	}
	add(p.replicas)
	if len(list) == 0 {
		c.look(p)
		if q.turn <= 2 {
			return ident.NodeID{} // the ring is asked first
		}
	}
	index, anybody := inTurn(q.turn)
	if len(list) == 0 || anybody {
		add(c.memberIDs())
	}
	if len(list) == 0 {
		return ident.NodeID{}
	}
	return list[index%len(list)]
}

// inTurn returns whose turn it is the nth time: every third time that of anybody, else of those who should know. Each of
// the two counts for itself, so that nobody is left out whatever their numbers.
func inTurn(n int) (index int, anybody bool) {
	if n%3 == 0 {
		return n / 3, true
	}
	return n - n/3, false
}

// look asks the ring who should hold a tablet.
func (c *Core) look(p *place) {
	if p.looking || c.ring == nil || p.tablet == System {
		return
	}
	p.looking = true
	c.router.lookups[c.ring.Lookup(c.now.Mono, c.point(p.tablet), ring.Recursive, 0)] = p
	c.takeRing()
}

// looked takes the ring's answer: a hint, used where nothing better is known.
func (c *Core) looked(res *ring.Result) bool {
	p, ok := c.router.lookups[res.Ticket]
	if !ok {
		return false
	}
	delete(c.router.lookups, res.Ticket)
	p.looking = false
	if res.Err != nil || p.named > 0 {
		return true
	}
	p.replicas = p.replicas[:0]
	for _, t := range append([]ring.Token{res.Owner}, res.Successors...) {
		if !slices.Contains(p.replicas, t.Node) {
			p.replicas = append(p.replicas, t.Node)
		}
	}
	return true
}

// later puts a request off for a while that grows with the attempts.
func (c *Core) later(q *pending) {
	q.hints = 0
	c.sooner(q, min(firstBackoff<<min(q.backoff, 6), lastBackoff))
	q.backoff++
}

func (c *Core) sooner(q *pending, after time.Duration) {
	q.asked = ident.NodeID{}
	q.putOff, q.retryAt = c.now.Mono, c.now.Mono+after
	if !q.waits {
		q.waits = true
		c.router.retries = append(c.router.retries, q)
	}
}

// refused takes an answer that is none: the request was certainly not taken, unless the status says otherwise.
func (c *Core) refused(q *pending, s wire.Status, leader ident.NodeID, epoch uint64) {
	asked := q.asked
	if s == wire.Full {
		c.deny(q, &request.Failure{Code: request.NoRoom, Message: fullText})
		return
	}
	q.down = s == wire.NoMajority
	q.aside = q.down && asked == c.self
	// Who leads without a majority may have been replaced by one who has it.
	if (s == wire.NotLeader || s == wire.NoMajority) && asked != c.self {
		if q.place.leader == asked {
			q.place.leader = ident.NodeID{}
		}
		q.refuser = asked
		if g := q.place.group; g != nil {
			if l, ok := g.Leader(); ok && l == asked {
				g.Wake(c.now.Mono) // it rests, and trusts in a leader that is none
				c.touch(q.place)
			}
		}
		if q.place.via == asked {
			q.place.via = ident.NodeID{}
		}
		q.place.learn(leader, epoch, nil)
		if !leader.IsZero() && leader != asked && q.hints < maxHints {
			q.hints++
			if leader == c.self || c.live(leader) || q.passing {
				c.try(q)
			} else {
				c.passOver(q, asked)
			}
			return
		}
	}
	c.later(q)
}

// Done implements tablet.Waiter, for requests on tablets that this node leads itself.
func (q *pending) Done(replies [][]byte) { q.core.finish(q, replies, nil) }

// Lost implements tablet.Waiter.
func (q *pending) Lost() {
	if q.ended {
		return
	}
	q.maybe = true
	q.core.later(q)
}

// Spent implements tablet.Waiter.
func (q *pending) Spent() { q.core.finish(q, nil, q.uncertain("its result is no longer known")) }

func (q *pending) uncertain(why string) *request.Failure {
	return &request.Failure{Code: request.Uncertain, Message: "the write may or may not have been applied: " + why}
}

// deny ends a request that will not be carried out. Of a write that was tried before, this says nothing about that.
func (c *Core) deny(q *pending, f *request.Failure) {
	if q.req.Write && q.maybe {
		f = q.uncertain("tried again, it was refused with " + string(f.Code))
	}
	c.finish(q, nil, f)
}

func (c *Core) finish(q *pending, replies [][]byte, f *request.Failure) {
	if q.ended {
		return
	}
	q.ended = true
	delete(c.router.pending, q.id)
	if q.req.Write {
		q.place.numbers.done(q.number)
	}
	req := q.req
	q.req, q.commands = nil, nil // what is queued until its time may be large
	req.End(replies, f)
}

// response takes the answer of the node that was asked.
func (c *Core) response(from ident.NodeID, m *wire.Response) {
	if c.relayed(from, m) {
		return
	}
	q, ok := c.router.pending[m.ID]
	if !ok {
		return
	}
	if q.asked != from {
		// Late, from a member that was given up: the same number, so the same answer. While this node's own group
		// has the request, the group holds on to its bytes, so it is the group that ends it.
		if m.Status == wire.Done && q.asked != c.self && c.isMember(from) {
			c.answered(q, m)
		}
		return
	}
	switch m.Status {
	case wire.Done:
		leader := from
		if q.place.via = (ident.NodeID{}); !m.Leader.IsZero() {
			leader, q.place.via = m.Leader, from
		}
		q.place.learn(leader, m.Epoch, nil)
		c.answered(q, m)
	case wire.NotLeader, wire.Busy, wire.NoMajority, wire.Full:
		c.refused(q, m.Status, m.Leader, m.Epoch)
	case wire.Lost:
		q.Lost()
	case wire.Spent:
		q.Spent()
	case wire.Rejected:
		c.deny(q, &request.Failure{Code: request.Err, Message: m.Text})
	default:
		q.maybe = true
		c.later(q)
	}
}

func (c *Core) answered(q *pending, m *wire.Response) {
	replies, err := tablet.DecodeReplies(m.Replies)
	if n := len(replies); err != nil || n == 0 || n > len(q.req.Commands) {
		q.maybe = true
		c.later(q)
		return
	}
	c.finish(q, replies, nil)
}

// tickRoute ends what has taken too long and tries again what waits.
func (c *Core) tickRoute() {
	r := &c.router
	r.deadlines.tidy(len(r.pending))
	r.attempts.tidy(len(r.pending))
	for {
		w, ok := r.deadlines.due(c.now.Mono)
		if !ok {
			break
		}
		c.timedOut(w.p)
	}
	for {
		w, ok := r.attempts.due(c.now.Mono)
		if !ok {
			break
		}
		if w.p.attempt == w.attempt && !w.p.asked.IsZero() {
			if w.p.asked == c.self {
				continue // its group tells when leadership ends; to ask again would only do the work twice
			}
			w.p.maybe = true
			w.p.place.forget(w.p.asked)
			c.later(w.p)
		}
	}
	if len(r.retries) == 0 {
		return
	}
	due := r.retries
	r.retries = nil
	for _, q := range due {
		switch {
		case q.ended:
		case q.retryAt > c.now.Mono && q.place.news <= q.putOff:
			r.retries = append(r.retries, q)
		default:
			q.waits = false
			c.try(q)
		}
	}
}

// outOfReach reports whether a majority of a tablet's replicas is not connected, as far as this node knows them.
func (c *Core) outOfReach(p *place) bool {
	if g := p.group; g != nil && g.Initialized() && g.Descriptor().Epoch >= p.named {
		return !g.Descriptor().Majority(func(r tablet.Replica) bool { return c.live(r.Node) })
	}
	up := 0
	for _, n := range p.replicas {
		if c.live(n) {
			up++
		}
	}
	return len(p.replicas) > 0 && up <= len(p.replicas)/2
}

// timedOut ends a request with what is certain about it.
func (c *Core) timedOut(q *pending) {
	after := c.cfg.RequestTimeout
	if !q.asked.IsZero() {
		q.maybe = true
	}
	switch {
	case q.maybe && q.req.Write:
		c.finish(q, nil, q.uncertain(fmt.Sprintf("no answer within %v", after)))
	case q.down || c.outOfReach(q.place):
		c.finish(q, nil, &request.Failure{Code: request.ClusterDown, Message: fmt.Sprintf(
			"a majority of the replicas of tablet %d is out of reach; nothing was applied within %v", q.place.tablet, after)})
	default:
		c.finish(q, nil, &request.Failure{Code: request.TryAgain, Message: fmt.Sprintf(
			"tablet %d has no leader that answers; nothing was applied within %v", q.place.tablet, after)})
	}
}

// forsake turns to others with what a node was asked whose connection has ended.
func (c *Core) forsake(node ident.NodeID) {
	var asked []*pending
	for _, q := range c.router.pending {
		if q.asked == node {
			asked = append(asked, q)
		}
	}
	slices.SortFunc(asked, func(a, b *pending) int { return cmp.Compare(a.id, b.id) })
	for _, q := range asked {
		q.maybe = true
		c.sooner(q, firstBackoff)
	}
	for _, p := range c.places {
		p.forget(node)
	}
	c.system.forget(node)
}
