package core

import (
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/tablet"
)

// gate says whether a tablet's state may be read by any goroutine right now without asking anybody: this node's
// replica serves as the only voter. Then every acknowledged write is in the store, and nobody else can acknowledge
// one before this replica has applied a change of membership, which closes the gate first.
//
// A read of one key that finds the gate open and then reads the store sees at least what was acknowledged before it
// looked: that is all that linearizability asks, whatever happens to the gate in between.
type gate struct {
	// offset is the tablet's time less the monotonic clock, in milliseconds; 0 means closed.
	offset atomic.Int64
	keys   atomic.Int64
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
	if p.group == nil || !p.group.Sole() {
		g.offset.Store(0)
		return
	}
	g.keys.Store(p.group.Keys())
	offset := p.group.Time(c.now.Mono) - c.now.Mono.Milliseconds()
	if offset == 0 {
		offset = -1
	}
	g.offset.Store(offset)
}

func (c *Core) closeGate(p *place) {
	if all := c.gates.Load(); p.tablet != System && all != nil {
		all.of[p.tablet].offset.Store(0)
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

// TryRead evaluates a read on the calling goroutine if that is allowed, and reports whether it was. mono is the
// present on the clock of Now.
func (c *Core) TryRead(mono time.Duration, r *request.Request) bool {
	all := c.gates.Load()
	if all == nil || int64(r.Tablet) >= int64(len(all.of)) {
		return false
	}
	g := &all.of[r.Tablet]
	offset := g.offset.Load()
	if offset == 0 || severalKeys(r.Commands) {
		return false
	}
	reading := tablet.Reading{State: c.store, Time: mono.Milliseconds() + offset, Keys: g.keys.Load()}
	replies, expired := all.machines[r.Tablet].Read(&reading, r.Commands, r.Replies)
	if len(expired) > 0 {
		return false // the worker has to say so in the log first
	}
	r.Replies, r.Failure = replies, nil
	return true
}
