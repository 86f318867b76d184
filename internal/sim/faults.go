package sim

import (
	"errors"
	"time"

	"github.com/quorddb/quord/internal/kv"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// networkFaults are what happens between machines.
var networkFaults = []kind{
	{name: "loss", what: "frames are lost, up to a third of them", least: 100 * ms, most: 15 * sec, weight: 3, do: func(r *run, f Fault) {
		n := &r.w.network
		rate := f.Size * f.Size / 3
		r.begin(f, "%.0f %% of all frames are lost", 100*rate)
		n.loss += rate
		r.finally(f.For, func() { n.loss = max(0, n.loss-rate) })
	}},
	{name: "delay", what: "frames take up to a second longer, everywhere or from and to one machine", least: 100 * ms, most: 20 * sec, weight: 3, do: delay},
	{name: "duplicate", what: "frames arrive twice", least: 100 * ms, most: 15 * sec, weight: 1, do: func(r *run, f Fault) {
		n := &r.w.network
		r.begin(f, "%.0f %% of all frames arrive twice", 30*f.Size)
		n.twice += 0.3 * f.Size
		r.finally(f.For, func() { n.twice = max(0, n.twice-0.3*f.Size) })
	}},
	{name: "reorder", what: "frames overtake each other", least: 100 * ms, most: 15 * sec, weight: 1, do: func(r *run, f Fault) {
		n := &r.w.network
		r.begin(f, "%.0f %% of all frames are overtaken", 30*f.Size)
		n.swap += 0.3 * f.Size
		r.finally(f.For, func() { n.swap = max(0, n.swap-0.3*f.Size) })
	}},
	{name: "isolate", what: "one machine is cut off", least: 50 * ms, most: 12 * sec, weight: 4, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil {
			r.begin(f, "%s is cut off", m.Name())
			r.finally(f.For, r.w.network.split(func(o *Machine) bool { return o == m }))
		}
	}},
	{name: "split", what: "the machines fall into two parts", least: 50 * ms, most: 12 * sec, weight: 3, do: split},
	{name: "asymmetric", what: "one way between two machines, or from or to one, carries nothing", least: 50 * ms, most: 12 * sec, weight: 3, do: asymmetric},
	{name: "flap", what: "a cut that comes and goes", least: sec, most: 15 * sec, weight: 2, do: flap},
	{name: "apart", what: "two parts for longer than the grace: two rings form, and have to merge", least: 22 * sec, most: 60 * sec, weight: 1, do: split},
}

func delay(r *run, f Fault) {
	n := &r.w.network
	slow := time.Duration(f.Size * f.Size * f.Size * float64(sec))
	if f.Pick%2 == 0 {
		r.begin(f, "all frames are up to %v slower", slow.Round(ms))
		n.slow += slow
		r.finally(f.For, func() { n.slow = max(0, n.slow-slow) })
		return
	}
	m := r.victim(f)
	if m == nil {
		return
	}
	r.begin(f, "frames from and to %s are up to %v slower", m.Name(), slow.Round(ms))
	for _, o := range r.w.machines {
		n.slowTo[way{m.index, o.index}] += slow
		n.slowTo[way{o.index, m.index}] += slow
	}
	r.finally(f.For, func() {
		for d := range n.slowTo { // the order does not matter
			if d.from == m.index || d.to == m.index {
				if n.slowTo[d] -= slow; n.slowTo[d] <= 0 {
					delete(n.slowTo, d)
				}
			}
		}
	})
}

func split(r *run, f Fault) {
	apart := func(m *Machine) bool { return f.Pick>>(m.index%64)&1 == 1 }
	var names string
	count := 0
	for _, m := range r.w.machines {
		if apart(m) {
			names += " " + m.Name()
			count++
		}
	}
	if count == 0 || count == len(r.w.machines) {
		return
	}
	r.begin(f, "the network falls apart; on one side:%s", names)
	r.finally(f.For, r.w.network.split(apart))
}

func asymmetric(r *run, f Fault) {
	m := r.victim(f)
	if m == nil {
		return
	}
	n := &r.w.network
	var cut [][2]*Machine
	o := r.other(f, m)
	for _, x := range r.w.machines {
		switch {
		case x == m || f.Size < 0.5 && x != o:
		case f.Pick>>32%2 == 0:
			cut = append(cut, [2]*Machine{m, x})
		default:
			cut = append(cut, [2]*Machine{x, m})
		}
	}
	if len(cut) == 0 {
		return
	}
	if len(cut) == 1 {
		r.begin(f, "nothing gets from %s to %s", cut[0][0].Name(), cut[0][1].Name())
	} else if cut[0][0] == m {
		r.begin(f, "nothing gets out of %s", m.Name())
	} else {
		r.begin(f, "nothing gets to %s", m.Name())
	}
	for _, c := range cut {
		n.cut(c[0], c[1])
	}
	r.finally(f.For, func() {
		for _, c := range cut {
			n.mend(c[0], c[1])
		}
	})
}

func flap(r *run, f Fault) {
	m := r.victim(f)
	if m == nil {
		return
	}
	end := r.w.now + f.For
	period := time.Duration(50+f.Size*2500) * ms
	r.begin(f, "%s is cut off and back, every %v", m.Name(), period)
	epoch := r.epoch
	var off func()
	off = func() {
		if r.w.now >= end || r.epoch != epoch {
			return
		}
		heal := r.w.network.split(func(o *Machine) bool { return o == m })
		r.finally(period, func() {
			heal()
			r.w.after(period/2, off)
		})
	}
	off()
}

// processFaults are what happens to processes and to the power.
var processFaults = []kind{
	{name: "kill", what: "a process is killed, and started again", least: 0, most: 15 * sec, weight: 4, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil && m.proc != nil {
			r.count(f)
			m.Kill()
			r.finally(f.For, func() { r.restart(m) })
		}
	}},
	{name: "blink", what: "a process is killed, and started again at once", least: 0, most: 300 * ms, weight: 2, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil && m.proc != nil {
			r.count(f)
			m.Kill()
			r.finally(f.For, func() { r.restart(m) })
		}
	}},
	{name: "power", what: "a machine loses power: unsynced writes are lost, the end of what is left may be torn", least: 0, most: 15 * sec, weight: 4, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil && m.proc != nil {
			r.count(f)
			m.Cut()
			r.finally(f.For, func() { r.restart(m) })
		}
	}},
	{name: "blackout", what: "all machines lose power at once", least: 0, most: 5 * sec, weight: 1, do: func(r *run, f Fault) {
		r.begin(f, "power goes everywhere")
		for _, m := range r.w.machines {
			if m.proc != nil {
				m.Cut()
				r.finally(between(r.w.chance, 0, f.For+1), func() { r.restart(m) })
			}
		}
	}},
	{name: "pause", what: "a process stops, and goes on without knowing", least: 10 * ms, most: 20 * sec, weight: 4, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil && m.proc != nil && !m.proc.paused {
			r.begin(f, "%s is paused", m.Name())
			p := m.proc
			p.pause()
			r.finally(f.For, func() {
				if m.proc == p {
					r.w.tell("%s wakes", m.Name())
					p.wake()
				}
			})
		}
	}},
	{name: "stop", what: "a process hands over what it leads and ends, and is started again", least: 0, most: 10 * sec, weight: 2, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil && m.proc != nil && !m.proc.paused {
			r.begin(f, "%s is told to stop", m.Name())
			r.stop(m, f.For)
		}
	}},
}

// stop lets a process hand over what it leads, for three seconds at most, and end.
func (r *run) stop(m *Machine, away time.Duration) {
	p := m.proc
	until := r.w.now + 3*sec
	var again func()
	again = func() {
		if m.proc != p {
			return
		}
		left := 0
		p.post(func() { left = p.core.HandOver() })
		if m.proc == p && (p.paused || left > 0 && r.w.now < until) { // one that is paused ends when it wakes
			r.w.after(20*ms, again)
			return
		}
		if m.proc == p {
			m.ends(nil)
		}
		r.finally(away, func() { r.restart(m) })
	}
	again()
}

// clockFaults are what happens to clocks. One wall clock is wrong at a time, and never that of a majority: what a tablet
// takes for the time is what a majority of its replicas' clocks show. So none is where a tablet may have one replica.
var clockFaults = []kind{
	{name: "wall", what: "a wall clock jumps by up to a year, and later back", least: 5 * sec, most: 40 * sec, weight: 2, do: func(r *run, f Fault) {
		m := r.victim(f)
		if m == nil || r.clockWrong || min(r.opts.Nodes, r.w.cfg.Replicas) < 3 {
			return
		}
		by := int64(f.Size * f.Size * f.Size * 365 * 24 * 3_600_000)
		if f.Pick>>32%2 == 0 {
			by = -by
		}
		r.begin(f, "the wall clock of %s jumps by %v", m.Name(), time.Duration(by)*ms)
		r.clockWrong = true
		// One that is behind leaves a tablet without a majority of clocks while another replica is away: then a leader
		// that was away itself learns how late it is only when that one is back, and what was set meanwhile expires early.
		r.load.clockBehind = by < 0
		m.clocks.wall += by
		r.finally(f.For, func() {
			m.clocks.wall -= by
			// What others have heard of it is heeded for a while.
			r.finally(15*sec, func() { r.clockWrong, r.load.clockBehind = false, false })
		})
	}},
	{name: "drift", what: "clocks run too fast or too slowly, within the bound", least: 5 * sec, most: 60 * sec, weight: 1, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil {
			rate := maxDrift * (2*f.Size - 1)
			r.begin(f, "the clocks of %s run %.2f %% faster", m.Name(), 100*rate)
			m.clocks.set(r.w.now, rate, rate/10)
			r.finally(f.For, func() { m.clocks.set(r.w.now, 0, 0) })
		}
	}},
}

// maxDrift is how much faster or slower than the real time a monotonic clock runs at most: two of them stay within the part
// of a lease that is kept for it.
const maxDrift = 0.024

// diskFaults are what happens to disks.
var diskFaults = []kind{
	{name: "slow", what: "a disk takes up to half a second to sync", least: 100 * ms, most: 15 * sec, weight: 2, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil {
			usual := m.diskLatency
			m.diskLatency = usual + time.Duration(f.Size*f.Size*float64(sec)/2)
			r.begin(f, "the disk of %s takes up to %v", m.Name(), m.diskLatency.Round(ms))
			r.finally(f.For, func() { m.diskLatency = usualLatency })
		}
	}},
	{name: "failure", what: "a disk refuses to sync: the process ends, and is started again", least: 0, most: 10 * sec, weight: 1, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil && m.proc != nil {
			r.begin(f, "the disk of %s fails", m.Name())
			m.dir.disk.Fail(errInjected)
			r.finally(f.For+sec, func() {
				if p := m.proc; p != nil && m.dir.disk.Failed() {
					m.Kill() // it had nothing to write, so it has not noticed
				}
				r.restart(m)
			})
		}
	}},
	{name: "full", what: "a disk has no more room for a while", least: sec, most: 15 * sec, weight: 1, do: func(r *run, f Fault) {
		if m := r.victim(f); m != nil {
			room := int64(f.Size * 20_000)
			r.begin(f, "the disk of %s has room for %d bytes more", m.Name(), room)
			m.dir.disk.SetCapacity(m.dir.disk.Bytes() + room)
			r.finally(f.For, func() {
				m.dir.disk.SetCapacity(0)
				r.restart(m)
			})
		}
	}},
}

var errInjected = errors.New("an injected failure")

// excused reports whether a disk may have refused a Write for a reason that a fault has brought about.
func excused(err error) bool {
	return errors.Is(err, errInjected) || errors.Is(err, kv.ErrNoSpace)
}
