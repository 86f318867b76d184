package sim

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/tablet"
)

// ambushFaults strike where it hurts: in the midst of a change, or a second time before the first blow is forgotten.
var ambushFaults = []kind{
	{name: "midway", what: "in the midst of a change of replicas: the leader dies, or is cut off with the newcomers, or all others die, or the newcomers", least: 3 * sec, most: 10 * sec, weight: 3, do: func(r *run, f Fault) {
		r.ambushes = append(r.ambushes, f)
	}},
	{name: "bereave", what: "a new node joins, and in the midst of a change of replicas that follows a leader dies for good", calm: true, least: 2 * sec, most: 10 * sec, weight: 2, do: bereave},
	{name: "stumble", what: "a process is killed, and killed again soon after it has started", least: stumbleAfter, most: 2 * stumbleAfter, weight: 2, do: stumble},
	{name: "recant", what: "a leader and a follower lose each other, and who follows both restarts again and again", least: 2 * sec, most: 8 * sec, weight: 2, do: recant},
}

// midway strikes where an ambush waits for a change of a tablet's replicas. The tablet's leader has just applied d.
func (r *run) midway(number uint32, d *tablet.Descriptor) {
	r.bereft(number, d)
	if len(r.ambushes) == 0 || r.phase != "faults" || !d.Joint && len(d.Voters()) == len(d.Replicas) {
		return
	}
	f := r.ambushes[0]
	r.ambushes = r.ambushes[1:]
	after := time.Duration(f.Size * f.Size * float64(100*ms))
	r.w.after(after, func() { r.strike(f, number, d.Clone()) })
}

func (r *run) strike(f Fault, number uint32, d tablet.Descriptor) {
	l := r.w.leader(number)
	if l == nil || r.phase != "faults" {
		return
	}
	newcomer := func(m *Machine) bool {
		x, ok := d.Find(m.dir.id)
		return ok && (x.Role == tablet.Learner || x.Role == tablet.Incoming)
	}
	old := func(m *Machine) bool {
		x, ok := d.Find(m.dir.id)
		return ok && m != l && (x.Role == tablet.Voter || x.Role == tablet.Outgoing)
	}
	only := func(m *Machine) bool { return m == l }
	what := r.w.watch.nameOf(number)
	switch f.Pick >> 48 % 4 {
	case 0:
		r.begin(f, "midway in a change of %s, its leader dies", what)
		r.slay(f.For/4, only)
	case 1:
		r.begin(f, "midway in a change of %s, its leader and the newcomers are cut off", what)
		r.finally(f.For, r.w.network.split(func(m *Machine) bool { return m == l || newcomer(m) }))
	case 2:
		r.begin(f, "midway in a change of %s, all others die", what)
		r.slay(f.For, old)
	default:
		r.begin(f, "midway in a change of %s, the newcomers die", what)
		r.slay(f.For/4, newcomer)
	}
}

func bereave(r *run, f Fault) {
	if !r.spare() || len(r.w.running()) >= r.opts.Nodes+2 {
		return
	}
	m := r.newcomer(nil)
	r.w.tell("%s joins", m.Name())
	m.Start()
	b := &loss{Fault: f}
	r.bereaves = b
	r.finally(bereaveWithin, func() {
		if r.bereaves == b {
			r.bereaves = nil
		}
	})
}

// loss is a death for good that waits for the midst of a change.
type loss struct {
	Fault
	number uint32
	midst  tablet.Descriptor // of the tablet that the change is of; empty until there is one
}

const (
	// bereaveWithin is how long a change of replicas is awaited.
	bereaveWithin = 15 * sec
	// bereaveAfter is about how long such a change takes, bereaveSoon how long others need to hear of its end.
	bereaveAfter = 20 * ms
	bereaveSoon  = 2 * ms
)

// bereft lets a leader die for good that has just begun to replace a voter, or has just decided the end of that, if the
// others are enough in both halves of the transition.
func (r *run) bereft(number uint32, d *tablet.Descriptor) {
	b := r.bereaves
	if b == nil || r.phase != "faults" {
		return
	}
	goes := func(x tablet.Replica) bool { return x.Role == tablet.Outgoing }
	l, within := r.w.leader(number), bereaveSoon
	switch {
	case l == nil:
		return
	case b.midst.Joint && b.number == number && !d.Joint: // the end is decided
	case !b.midst.Joint && d.Joint && slices.ContainsFunc(d.Replicas, goes) && r.w.keeps(d, l):
		b.number, b.midst = number, d.Clone()
		if b.Pick%4 != 0 {
			return // the end is awaited
		}
		within = bereaveAfter
	default:
		return
	}
	r.bereaves = nil
	r.w.after(time.Duration(b.Size*float64(within)), func() {
		if l.proc == nil || l.spent || !r.w.keeps(&b.midst, l) || !r.w.dispensable(l, number) {
			return
		}
		r.begin(b.Fault, "midway in a change of %s, its leader %s dies for good", r.w.watch.nameOf(number), l.Name())
		id := l.dir.id
		r.bury(l)
		r.w.after(b.For, func() { r.remove(id, nil) })
	})
}

// slay kills the processes of some machines, which start again after a while.
func (r *run) slay(away time.Duration, which func(*Machine) bool) {
	for _, m := range r.w.machines {
		if m.proc != nil && !m.spent && which(m) {
			m.Kill()
			r.finally(away, func() { r.restart(m) })
		}
	}
}

// stumbleAfter is how long the first start is awaited at least: the ring has healed by then.
const stumbleAfter = 6 * sec

func stumble(r *run, f Fault) {
	m := r.victim(f)
	if m == nil || m.proc == nil {
		return
	}
	r.count(f)
	m.Kill()
	again := 100*ms + time.Duration(f.Size*float64(1400*ms))
	r.finally(f.For, func() {
		r.restart(m)
		p := m.proc
		r.w.after(again, func() {
			if p != nil && m.proc == p && r.phase == "faults" {
				m.Kill()
				r.finally(2*sec, func() { r.restart(m) })
			}
		})
	})
}

// recant tempts a voter to forget, over a restart, whom it has promised to follow: somebody else asks for its vote all
// the time.
func recant(r *run, f Fault) {
	number := uint32(f.Pick>>20) % uint32(r.w.cfg.Tablets)
	l := r.w.leader(number)
	if l == nil {
		return
	}
	var others []*Machine
	for _, x := range l.proc.core.Replica(number).Descriptor().Voters() {
		if m := r.w.holder(x.Node); m != nil && m != l {
			others = append(others, m)
		}
	}
	if len(others) < 2 {
		return
	}
	i := int(f.Pick % uint64(len(others)))
	a, b := others[i], others[(i+1)%len(others)]
	r.begin(f, "%s and %s lose each other, and %s restarts again and again", l.Name(), a.Name(), b.Name())
	n := &r.w.network
	n.cut(l, a)
	n.cut(a, l)
	end, epoch := r.w.now+f.For, r.epoch
	r.finally(f.For, func() {
		n.mend(l, a)
		n.mend(a, l)
	})
	var again func()
	again = func() {
		if r.epoch != epoch || r.w.now >= end {
			return
		}
		if b.proc != nil && !b.spent {
			b.Kill()
			r.finally(between(r.chance, 0, 40*ms), func() { r.restart(b) })
		}
		r.w.after(between(r.chance, 300*ms, 900*ms), again)
	}
	r.w.after(silence+silence/2, again)
}

// holder returns the machine that has a node's directory, nil where it is gone.
func (w *World) holder(id ident.NodeID) *Machine {
	if m := w.byID[id]; m != nil && m.dir.id == id && !m.spent {
		return m
	}
	return nil
}
