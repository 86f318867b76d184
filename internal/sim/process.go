package sim

import (
	"errors"
	"time"

	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/request"
)

// Process is a node that runs on a machine. It takes turns as the worker of package node does: what comes in while it
// waits for the disk is taken in, and sent on as far as that needs no disk, but no turn is taken.
type Process struct {
	m    *Machine
	w    *World
	core *core.Core
	boot uint64

	waiting bool // for the disk
	paused  bool // stopped by a signal: it does nothing, and does not know
	woke    time.Duration
	inbox   []func() // what has come while it is paused
	calls   []*Call  // requests that it has taken and that have not ended
}

const (
	tickEvery = 10 * time.Millisecond
	// dialEvery is how often a process looks for nodes that it should be connected to and is not.
	dialEvery = 100 * time.Millisecond
	// maxTurns bounds the turns that follow from one event: more than ever follow.
	maxTurns = 1000
)

// begin sets off what happens by itself as long as the process runs.
func (p *Process) begin() {
	p.every(tickEvery, func() { p.core.Tick() })
	var dial func()
	dial = func() {
		if p.m.proc == p {
			if !p.paused {
				p.w.network.dial(p)
			}
			p.w.after(between(p.w.chance, dialEvery/2, dialEvery), dial)
		}
	}
	dial()
}

// every lets the process do something again and again. A paused one does it once when it wakes.
func (p *Process) every(d time.Duration, fn func()) {
	due := false
	var again func()
	again = func() {
		if p.m.proc != p {
			return
		}
		if !due {
			due = true
			p.post(func() { due = false; fn() })
		}
		p.w.after(d, again)
	}
	again()
}

// post lets something happen to the process: now, or when it wakes.
func (p *Process) post(fn func()) {
	if p.m.proc != p {
		return
	}
	if p.paused {
		p.inbox = append(p.inbox, fn)
		return
	}
	p.core.At(p.m.now())
	fn()
	p.turns()
}

// pause stops the process as SIGSTOP does.
func (p *Process) pause() {
	p.paused = true
	p.w.ring.disturbed()
	p.w.network.silent(p)
}

// wake lets it go on: with all that has come meanwhile, before any turn.
func (p *Process) wake() {
	if p.m.proc != p || !p.paused {
		return
	}
	p.paused, p.woke = false, p.w.now
	inbox := p.inbox
	p.inbox = nil
	p.core.At(p.m.now())
	for _, fn := range inbox {
		fn()
		if p.m.proc != p {
			return
		}
	}
	p.turns()
}

// turns takes turns while there is work and the disk does not keep it waiting.
func (p *Process) turns() {
	c := p.core
	if p.waiting {
		c.Early(p.send)
		return
	}
	for i := 0; p.m.proc == p && !p.waiting && c.HasWork(); i++ {
		if i == maxTurns {
			p.w.violate("%s takes turns without end", p.m.Name())
			return
		}
		p.turn()
	}
	if p.m.proc == p {
		p.hear()
	}
}

// turn is one turn, up to where it waits for the disk.
func (p *Process) turn() {
	c := p.core
	t := c.Turn()
	if err := c.Err(); err != nil && !errors.Is(err, core.ErrLeft) {
		p.hear()
		return
	}
	c.Early(p.send)
	var pending kv.Pending
	if !t.Write.Empty() {
		var err error
		if pending, err = p.m.dir.disk.Apply(&t.Write, t.Sync); err != nil {
			p.diskRefuses(err)
			return
		}
	}
	for changes := c.Apply(); changes != nil; changes = c.Apply() {
		if _, err := p.m.dir.disk.Apply(changes, false); err != nil {
			p.diskRefuses(err)
			return
		}
	}
	if err := c.Err(); err != nil && !errors.Is(err, core.ErrLeft) {
		p.hear()
		return
	}
	c.Applied()
	c.Early(p.send)
	p.w.watch.look(p)
	if pending == nil || !t.Sync {
		p.persisted(pending)
		return
	}
	p.waiting = true
	if p.m.cutIn > 0 {
		if p.m.cutIn--; p.m.cutIn == 0 {
			p.w.after(usualLatency/100, p.m.Cut)
		}
	}
	p.w.after(between(p.w.chance, 50*time.Microsecond, p.m.diskLatency), func() { p.synced(pending) })
}

// synced is the moment at which a Write is on disk.
func (p *Process) synced(pending kv.Pending) {
	if p.m.proc != p {
		return
	}
	if p.paused { // the disk has done its part; the process hears of it when it wakes
		p.inbox = append(p.inbox, func() { p.synced(pending) })
		return
	}
	p.waiting = false
	if p.persisted(pending) {
		p.turns()
	}
}

func (p *Process) persisted(pending kv.Pending) bool {
	if pending != nil {
		if err := pending.Wait(); err != nil {
			p.diskRefuses(err)
			return false
		}
	}
	p.core.At(p.m.now())
	p.core.Persisted(p.send)
	return true
}

// hear takes what the node tells, and ends the process when it cannot go on.
func (p *Process) hear() {
	err := p.core.Err()
	for _, e := range p.core.Events() {
		if e.Level >= core.Info {
			p.w.tell("%s: %s%s", p.m.Name(), e.Text, attributes(e.Attrs))
		}
	}
	if err == nil {
		return
	}
	if !errors.Is(err, core.ErrLeft) && !p.m.spent {
		p.w.violate("%s ends: %v", p.m.Name(), err)
	}
	p.m.ends(err)
}

// diskRefuses ends a process whose disk does not take a Write.
func (p *Process) diskRefuses(err error) {
	if !excused(err) {
		p.w.violate("the disk of %s refuses a write: %v", p.m.Name(), err)
	}
	p.m.ends(err)
}

// close ends what the process has taken, as a node does that stops by itself.
func (p *Process) close() {
	p.core.Stop(&request.Failure{Code: request.TryAgain, Message: "this node is stopping"})
}

// end is what clients see of a process that has ended: their connections break.
func (p *Process) end() {
	p.w.watch.ended(p)
	p.w.ring.died()
	calls := p.calls
	p.calls = nil
	for _, c := range calls {
		c.broken()
	}
}

// send gives a frame to the network.
func (p *Process) send(to ident.NodeID, frame []byte) { p.w.network.send(p, to, frame) }
