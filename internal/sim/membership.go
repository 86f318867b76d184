package sim

import (
	"slices"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/tablet"
)

// memberFaults change who is there. Each begins while the cluster is settled, so that at most one replica of a tablet is
// gone for good at a time: more than that no store survives.
var memberFaults = []kind{
	{name: "join", what: "a new node joins", calm: true, weight: 3, do: func(r *run, f Fault) { r.join(f) }},
	{name: "leave", what: "a node leaves", calm: true, weight: 3, do: func(r *run, f Fault) {
		m := r.victim(f)
		if m == nil || m.proc == nil || !r.enough() && len(r.w.running()) <= r.opts.Nodes {
			r.join(f)
			return
		}
		r.begin(f, "%s leaves", m.Name())
		m.leaves = true
		p := m.proc
		p.post(func() { p.core.Leave(func(err error) { r.w.tell("%s has left: %v", m.Name(), orYes(err)) }) })
	}},
	{name: "remove", what: "a dead node is removed by hand", calm: true, least: 2 * sec, most: 10 * sec, weight: 2, do: func(r *run, f Fault) {
		m := r.victim(f)
		if m == nil || m.proc == nil || !r.enough() || !r.spare() {
			r.join(f)
			return
		}
		r.begin(f, "%s dies for good and is removed", m.Name())
		r.bury(m)
		r.w.after(f.For, func() { r.remove(m.dir.id, nil) })
	}},
	{name: "replace", what: "a new node takes a dead one's place", calm: true, least: 2 * sec, most: 10 * sec, weight: 2, do: func(r *run, f Fault) {
		m := r.victim(f)
		if m == nil || m.proc == nil || !r.spare() {
			return
		}
		r.begin(f, "%s dies for good and is replaced", m.Name())
		r.bury(m)
		n := r.newcomer(m)
		n.Start()
		r.w.after(f.For, func() { r.remove(m.dir.id, n) })
	}},
	{name: "wipe", what: "a node loses its disk, and comes back as a new one", calm: true, least: 0, most: 10 * sec, weight: 2, do: func(r *run, f Fault) {
		m := r.victim(f)
		if m == nil || m.proc == nil || !r.spare() {
			return
		}
		r.begin(f, "%s loses its disk", m.Name())
		old := m.dir.id
		m.Cut()
		m.spent = true
		r.w.after(f.For, func() {
			m.wipe()
			r.seed(m)
			m.Start()
		})
		r.w.after(f.For+2*sec, func() { r.remove(old, nil) })
	}},
	{name: "rollback", what: "a data directory is restored from an earlier copy: the node is refused, and comes back as a new one", calm: true, least: 5 * sec, most: 20 * sec, weight: 2, do: rollback},
}

// enough reports whether there are more nodes than a run wants at least, and than there are replicas.
func (r *run) enough() bool {
	n := len(r.w.running())
	return n > r.w.cfg.Replicas && n >= r.opts.Nodes
}

// spare reports whether each tablet has a replica to lose: of two, the one that is left is no majority.
func (r *run) spare() bool { return min(r.w.cfg.Replicas, len(r.w.running())) >= 3 }

// join lets a new node join, unless there are many already.
func (r *run) join(f Fault) {
	if len(r.w.running()) >= r.opts.Nodes+2 {
		return
	}
	m := r.newcomer(nil)
	r.begin(Fault{Kind: "join", At: f.At}, "%s joins", m.Name())
	m.Start()
}

// newcomer returns a machine with an empty directory: one whose node has gone for good, or a new one.
func (r *run) newcomer(not *Machine) *Machine {
	for _, m := range r.w.machines {
		if m.spent && m != not && m.proc == nil {
			m.wipe()
			r.seed(m)
			return m
		}
	}
	m := r.w.Add()
	r.seed(m)
	return m
}

// seed tells a machine whom to ask for the cluster: all others, as a list that operators share.
func (r *run) seed(m *Machine) {
	m.seeds = slices.DeleteFunc(slices.Clone(r.w.machines), func(o *Machine) bool { return o == m })
}

// bury ends a machine's node for good.
func (r *run) bury(m *Machine) {
	m.Cut()
	m.spent = true
}

// remove is an operator who takes a dead node out of the registry, again and again until it is done. With by, that one
// is to take its place, unless it is lost itself meanwhile.
func (r *run) remove(id ident.NodeID, by *Machine) {
	r.removing++
	patience := 30
	var again func()
	again = func() {
		var via *Machine
		for _, m := range r.w.running() {
			reg := m.proc.core.Registry()
			if reg == nil || m.proc.paused {
				continue
			}
			if _, gone := reg.Removed(id); gone {
				r.removing--
				return
			}
			if _, ok := reg.Member(m.dir.id); ok && via == nil || r.chance.IntN(3) == 0 {
				via = m
			}
		}
		r.w.after(sec, again)
		patience--
		replace := by != nil && !by.spent && patience > 0
		if replace {
			via = by
		}
		if via == nil || via.proc == nil || via.proc.paused {
			return
		}
		p := via.proc
		p.post(func() {
			_, cmd, err := p.core.RemovalOf(id.String(), replace)
			if err != nil {
				return
			}
			p.core.Change(cmd, func(err error) {
				if err == nil {
					r.w.tell("%s is removed", r.w.nameOf(id))
				}
			})
		})
	}
	again()
}

// rollback restores a directory from a copy that was taken a while ago. Whoever remembers more than the copy must refuse
// it: it would vote with a memory that it does not have.
func rollback(r *run, f Fault) {
	m := r.victim(f)
	if m == nil || m.proc == nil || !r.spare() {
		return
	}
	r.begin(f, "the disk of %s is copied", m.Name())
	copied, id := m.copyOf(), m.dir.id
	if f.Pick>>40%2 == 0 {
		copied.starts-- // a copy from before the process that runs was started
	}
	// news is when the node first wrote more than the copy holds.
	news := r.w.now
	var look func()
	look = func() {
		if m.dir.id == id && m.dir.written() == copied.written() {
			news = r.w.now
			r.w.after(500*ms, look)
		}
	}
	look()
	var restore func()
	// A node learns how far another one has written by hearing it say so. One that was away all the while cannot know,
	// and would believe the copy; so none is. Nor has a node that holds no tablet gone back where nothing was written there, or
	// nothing yet that the others have heard of. And its replicas may not be needed: much has happened since the copy was taken, and what it
	// holds is lost for good.
	patience := 60
	restore = func() {
		if m.dir.id != id || m.spent || r.phase != "faults" {
			return
		}
		if r.w.now < news+3*sec || !r.w.acquainted(m) || !r.w.dispensable(m) {
			if patience--; patience > 0 {
				r.w.after(sec, restore)
			}
			return
		}
		m.Kill()
		m.dir, m.spent = copied, true // what it holds must not count any more
		m.refused = ""
		r.w.tell("%s gets its old disk back", m.Name())
		m.Start()
		r.w.after(8*sec, func() {
			if m.dir.id != id {
				return
			}
			if m.proc != nil && m.proc.core.Ready() == nil {
				r.w.violate("%s serves with a disk that was restored from a copy", m.Name())
			}
			if m.proc != nil {
				m.Kill()
			}
			m.wipe()
			r.seed(m)
			m.Start()
			r.remove(id, nil)
		})
	}
	r.w.after(f.For, restore)
}

// dispensable reports whether every tablet, and the system group, has a majority of voters whose disks are there without
// that of a machine; of the tablets that are named it is known.
func (w *World) dispensable(m *Machine, known ...uint32) bool {
	if w.damaged() != "" {
		return false
	}
	for i := range w.cfg.Tablets + 1 {
		t := w.watch.number(i)
		if slices.Contains(known, t) {
			continue
		}
		l := w.leader(t)
		if l == nil {
			return false
		}
		// Who was removed may be needed until it is dismissed, and in which half is not known any more.
		if d := l.proc.core.Replica(t).Descriptor(); d.Parting() || !w.keeps(d, m) {
			return false
		}
	}
	return true
}

// keeps reports whether a majority of voters, of both halves in a transition, have their disks without that of a machine.
func (w *World) keeps(d *tablet.Descriptor, without *Machine) bool {
	return d.Majority(func(r tablet.Replica) bool {
		o := w.byID[r.Node]
		return o != nil && o != without && !o.spent && o.dir.id == r.Node
	})
}

// acquainted reports whether every other node has been connected to a machine's for long enough to have heard from it.
func (w *World) acquainted(m *Machine) bool {
	for _, o := range w.machines {
		if o == m || o.spent {
			continue
		}
		l := w.network.link(m, o)
		if m.proc == nil || m.proc.paused || o.proc == nil || o.proc.paused || l == nil || l.since > w.now-3*sec {
			return false
		}
	}
	return true
}
