package sim

import (
	"errors"
	"math"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/tablet"
)

// watch judges every process after each of its turns: at most one leader in a term, no lease beside a later leader,
// descriptors without forks and steps back, and the same entry at the same place of every log once it is applied.
type watch struct {
	w *World
	// changed, when not nil, is told that a leader has applied a new descriptor.
	changed func(number uint32, d *tablet.Descriptor)
	// footprint asks a process what it holds; tests let it answer more.
	footprint func(*Process) []tablet.Held
	groups    []chain           // by tablet, the system group last
	seen      map[*Process]*eye // what was last seen of a process
}

// chain is what is known to be decided in one group.
type chain struct {
	leaders     map[uint64]ident.NodeID // by term
	top         uint64                  // the highest of them
	descriptors []uint64                // hashes, by epoch
	entries     []entryMark             // by index
}

// entryMark is what the replica that applied an entry first had there; the zero value is an entry that nobody showed.
type entryMark struct {
	term uint64
	hash uint64
}

// eye is what a process looked like.
type eye struct {
	groups []glimpse
}

type glimpse struct {
	group   *tablet.Group
	term    uint64
	epoch   uint64
	applied uint64
	leading bool
}

// watchEvery is how often bounds are looked at.
const watchEvery = time.Second

func (j *watch) init(w *World) {
	j.w = w
	j.seen = map[*Process]*eye{}
	j.footprint = func(p *Process) []tablet.Held { return p.core.Footprint() }
	j.groups = make([]chain, w.cfg.Tablets+1)
	for i := range j.groups {
		j.groups[i] = chain{leaders: map[uint64]ident.NodeID{}}
	}
	var again func()
	again = func() {
		j.bounds()
		w.after(watchEvery, again)
	}
	w.after(watchEvery, again)
}

// number returns the number by which a core knows the group at a place.
func (j *watch) number(i int) uint32 {
	if i == j.w.cfg.Tablets {
		return core.System
	}
	return uint32(i)
}

// nameOf is name for the number of a tablet, or of the system group.
func (j *watch) nameOf(number uint32) string {
	return j.name(int(min(number, uint32(j.w.cfg.Tablets))))
}

func (j *watch) began(p *Process) {
	j.seen[p] = &eye{groups: make([]glimpse, len(j.groups))}
	j.look(p)
}

func (j *watch) ended(p *Process) {
	delete(j.seen, p)
	delete(j.w.ring.places, p)
}

// look judges what a turn has changed.
func (j *watch) look(p *Process) {
	e := j.seen[p]
	for i := range j.groups {
		g := p.core.Replica(j.number(i))
		if g == nil {
			continue
		}
		old := &e.groups[i]
		if old.group != g {
			*old = glimpse{group: g}
			if g.Initialized() {
				old.applied = g.Applied() // from a snapshot, or from the disk
			}
		}
		if term := g.Term(); g.Leading() != old.leading || term != old.term {
			old.leading, old.term = g.Leading(), term
			if old.leading {
				j.leads(p, i, term)
			}
		}
		if old.leading && old.term < j.groups[i].top {
			j.deposed(p.m, i, g)
		}
		if epoch := g.Descriptor().Epoch; epoch != old.epoch {
			if epoch < old.epoch {
				j.w.violateOf(i, "%s applies a change of the replicas of %s that was past: it goes back from epoch %d to %d", p.m.Name(), j.name(i), old.epoch, epoch)
			}
			old.epoch = epoch
			j.describes(p, i, g.Descriptor())
			if old.leading && j.changed != nil {
				j.changed(j.number(i), g.Descriptor())
			}
		}
		if applied := g.Applied(); applied > old.applied {
			j.applies(p, i, old.applied, applied)
			old.applied = applied
		}
	}
}

func (j *watch) leads(p *Process, i int, term uint64) {
	c := &j.groups[i]
	first, ok := c.leaders[term]
	if !ok {
		c.leaders[term] = p.m.dir.id
		if term > c.top {
			c.top = term
			j.elected(i, term)
		}
		j.w.tellOf(i, "%s leads %s in term %d", p.m.Name(), j.name(i), term)
		return
	}
	if first != p.m.dir.id {
		j.w.violateOf(i, "two leaders of %s in term %d: %s and %s", j.name(i), term, first.Short(), p.m.Name())
	}
}

func (j *watch) describes(p *Process, i int, d *tablet.Descriptor) {
	c := &j.groups[i]
	hash := xxh3.Hash(d.Append(nil)) | 1
	for uint64(len(c.descriptors)) <= d.Epoch {
		c.descriptors = append(c.descriptors, 0)
	}
	switch c.descriptors[d.Epoch] {
	case 0:
		c.descriptors[d.Epoch] = hash
		if d.Epoch > 0 {
			j.w.tellOf(i, "%s: %s", j.name(i), j.w.describe(d))
		}
	case hash:
	default:
		j.w.violateOf(i, "two descriptors of %s with epoch %d: %s has %s", j.name(i), d.Epoch, p.m.Name(), d)
	}
}

// applies compares the entries that a replica has just applied with what others had there.
func (j *watch) applies(p *Process, i int, after, upto uint64) {
	c := &j.groups[i]
	entries, err := p.m.dir.disk.Entries(j.number(i), after+1, upto+1, math.MaxUint64)
	if err != nil {
		if !errors.Is(err, kv.ErrNotFound) { // the log was cut already: nothing to compare
			j.w.violateOf(i, "%s cannot read what it applied of %s: %v", p.m.Name(), j.name(i), err)
		}
		return
	}
	for uint64(len(c.entries)) <= upto {
		c.entries = append(c.entries, entryMark{})
	}
	for k := range entries {
		e := &entries[k]
		mark := entryMark{e.Term, xxh3.Hash(e.Data)}
		switch c.entries[e.Index] {
		case entryMark{}:
			c.entries[e.Index] = mark
		case mark:
		default:
			j.w.violateOf(i, "%s applies another entry %d of %s (term %d) than was applied before (term %d)",
				p.m.Name(), e.Index, j.name(i), e.Term, c.entries[e.Index].term)
			return
		}
	}
}

func (j *watch) name(i int) string {
	if i == j.w.cfg.Tablets {
		return "the system group"
	}
	return "tablet " + itoa(i)
}

// leader returns the machine whose replica leads a group with an entry of its own term, in the highest term.
func (w *World) leader(t uint32) *Machine {
	var found *Machine
	var term uint64
	for _, m := range w.machines {
		if m.proc == nil {
			continue
		}
		if g := m.proc.core.Replica(t); g != nil && g.Serving() && g.Term() > term {
			found, term = m, g.Term()
		}
	}
	return found
}

// describe writes a descriptor with the names of machines.
func (w *World) describe(d *tablet.Descriptor) string {
	s := "epoch " + utoa(d.Epoch)
	if d.Joint {
		s += ", joint"
	}
	for _, r := range d.Replicas {
		s += ", " + r.Role.String() + " " + w.nameOf(r.Node)
	}
	return s
}

func (w *World) nameOf(id ident.NodeID) string {
	if m := w.byID[id]; m != nil {
		if m.dir.id == id {
			return m.Name()
		}
		return "once " + m.Name()
	}
	return id.Short()
}
