package core

import (
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/tablet"
)

// gate says until when a tablet's state may be read by any goroutine without asking anybody: this node's replica
// serves, and has a lease or is the only voter. Until then every acknowledged write is in the store, and nobody else
// can acknowledge one. A change of membership or of leadership that this node knows of closes the gate before anybody
// can make use of it; against one that it does not know of there is the end of the lease.
//
// A read of one key whose clock shows, after it was asked for, that the gate is still open, and which then reads the
// store, however much later, sees at least what had been acknowledged when it looked at the clock: that is all that
// linearizability asks. But however much later the replica may have been taken out of service, and what it stored removed;
// so it looks once more afterwards.
type gate struct {
	// until is when the gate shuts, on the monotonic clock; 0 means closed.
	until atomic.Int64
	// offset is the tablet's time less the monotonic clock, in milliseconds.
	offset atomic.Int64
	keys   atomic.Int64
	// lives counts the replicas that were taken out of service here, each before anything of it is removed.
	lives atomic.Uint64
}

// gates holds those of all tablets, with a machine each to read through.
type gates struct {
	of       []gate
	machines []*tablet.Data
}

func newGates(tablets int) *gates {
	g := &gates{of: make([]gate, tablets), machines: make([]*tablet.Data, tablets)}
	for t := range g.machines {
		g.machines[t] = tablet.NewData(uint32(t), tablets)
	}
	return g
}

// setGate opens or closes the gate of a tablet.
func (c *Core) setGate(p *place) {
	all := c.gates.Load()
	if p.tablet == System || all == nil {
		return
	}
	g := &all.of[p.tablet]
	var until time.Duration
	if p.group != nil {
		until = p.group.OpenUntil(c.now.Mono)
	}
	if until <= c.now.Mono {
		c.closeGate(p)
		return
	}
	g.keys.Store(p.group.Keys())
	g.offset.Store(p.group.Time(c.now.Mono) - c.now.Mono.Milliseconds())
	g.until.Store(int64(until))
	p.open = true
}

func (c *Core) closeGate(p *place) {
	if all := c.gates.Load(); p.open && all != nil {
		all.of[p.tablet].until.Store(0)
	}
	p.open = false
}

// endLife says that what is stored of a tablet may be removed from now on.
func (c *Core) endLife(p *place) {
	c.closeGate(p)
	if all := c.gates.Load(); p.tablet != System && all != nil {
		all.of[p.tablet].lives.Add(1)
	}
}

// checkGate closes the gate of a tablet whose group may not read by itself any more, before what the group has to say
// about that leaves this node.
func (c *Core) checkGate(p *place) {
	if p.open && (p.group == nil || p.group.LeaseEnd(c.now.Mono) == 0) {
		c.closeGate(p)
	}
}

// severalKeys reports whether a command reads more than one key. The store changes between two reads here, and a
// command must see all of a write or nothing.
func severalKeys(commands []request.Command) bool {
	for _, cmd := range commands {
		if len(cmd) > 2 {
			if spec := command.Find(cmd[0]); spec == nil || len(spec.Keys(cmd)) > 1 {
				return true
			}
		}
	}
	return false
}

// TryRead evaluates a read on the calling goroutine if that is allowed, and reports whether it was. mono is a moment
// after the read was asked for, on the clock of Now.
func (c *Core) TryRead(mono time.Duration, r *request.Request) bool {
	all := c.gates.Load()
	if all == nil || int64(r.Tablet) >= int64(len(all.of)) {
		return false
	}
	g := &all.of[r.Tablet]
	lives := g.lives.Load()
	if mono >= time.Duration(g.until.Load()) || severalKeys(r.Commands) {
		return false
	}
	reading := tablet.Reading{State: c.store, Time: mono.Milliseconds() + g.offset.Load(), Keys: g.keys.Load()}
	replies, expired := all.machines[r.Tablet].Read(&reading, r.Commands, r.Replies)
	if len(expired) > 0 || reading.Damage != nil {
		return false // the worker has to say so in the log first, or to have it mended
	}
	if g.lives.Load() != lives {
		return false // what was read may be what the removal has left
	}
	r.Replies, r.Failure = replies, nil
	return true
}

// readHere answers a request on the worker when this node's replica may read by itself, and reports whether it did. The
// next reads of the tablet need not come here.
func (c *Core) readHere(p *place, r *request.Request) bool {
	g := p.group
	if r.Write || g == nil {
		return false
	}
	replies, ok := g.TryRead(c.now.Mono, r.Commands)
	if !ok {
		return false
	}
	if g.HasWork() {
		c.touch(p) // the lease is to be renewed
	}
	c.setGate(p)
	r.End(replies, nil)
	return true
}
