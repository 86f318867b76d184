package core

import (
	"maps"
	"slices"

	"github.com/quorddb/quord/internal/request"
)

// Figures are what a node counts about itself. Each gauge of a queue stands beside its bound.
type Figures struct {
	Leads, Holds, Lacking, Moving, Members int
	// Voters is the fewest voters of a tablet that this node leads; 0 where it leads none.
	Voters                    int
	Keys, Expired, Sequence   uint64
	Pending, PendingLimit     int
	Sending, SendingLimit     int
	Receiving, ReceivingLimit int
	// Floor is how many bytes should stay free on the disk, Low and Tight say how it stands (see Room). Refused counts
	// the writes, Dropped the raft messages that were turned away for want of room.
	Floor            uint64
	Low, Tight       bool
	Refused, Dropped uint64
	// Hurt counts the replicas that are to be mended, Found the damage that was met, Mended the replicas that were mended.
	Hurt          int
	Found, Mended uint64
	// Scrubs counts how often all that is stored was read through.
	Scrubs uint64
}

// Figures returns the figures of this moment.
func (c *Core) Figures() Figures {
	f := Figures{
		Sequence: c.memory.durable, Expired: c.expired,
		Pending: len(c.router.pending), PendingLimit: maxPending,
		Sending: len(c.moves.out), SendingLimit: maxOutgoing,
		Receiving: len(c.moves.in), ReceivingLimit: maxIncoming,
		Floor: c.cfg.Floor, Low: c.room.low, Tight: c.room.tight, Refused: c.room.refused, Dropped: c.room.dropped,
		Hurt: len(c.mends.of), Found: c.mends.found, Mended: c.mends.done, Scrubs: c.scrub.rounds,
	}
	if c.registry == nil {
		return f
	}
	p := c.ownPulse()
	f.Leads, f.Holds, f.Lacking, f.Moving, f.Keys = int(p.Leads), int(p.Holds), int(p.Lacking), int(p.Moving), p.Keys
	for _, id := range c.memberIDs() {
		if c.live(id) {
			f.Members++
		}
	}
	for _, pl := range c.places {
		if pl.led && pl.group != nil {
			if n := len(pl.group.Descriptor().Voters()); f.Voters == 0 || n < f.Voters {
				f.Voters = n
			}
		}
	}
	return f
}

// Admitted reports whether the registry names this node.
func (c *Core) Admitted() bool {
	if c.registry == nil {
		return false
	}
	_, ok := c.registry.Member(c.self)
	return ok
}

// HandOver asks other replicas to lead what this node leads, and returns for how many tablets that is still to happen.
// Where this node is the only live voter there is nobody to ask.
func (c *Core) HandOver() int {
	left := 0
	if !c.closing && c.registry != nil {
		c.closing = true
		c.pulseOut()
	}
	for _, p := range append(c.places[:len(c.places):len(c.places)], c.system) {
		if p.group == nil || !p.group.Leading() {
			continue
		}
		if p.group.HandOver(c.able) {
			left++
			c.touch(p)
		}
	}
	return left
}

// Stop ends all requests: the node takes no more turns.
func (c *Core) Stop(f *request.Failure) {
	c.gates.Store(nil)
	for _, id := range slices.Sorted(maps.Keys(c.router.pending)) { // the same order in every run
		q := c.router.pending[id]
		if q.req.Write && (q.maybe || !q.asked.IsZero()) {
			c.finish(q, nil, q.uncertain("the node that took it is stopping"))
		} else {
			c.finish(q, nil, f)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.moves.out)) {
		c.endTransfer(c.moves.out[id])
	}
}
