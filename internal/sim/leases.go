package sim

import "github.com/quorddb/quord/internal/tablet"

// A leader may read by itself while its lease lasts, because until then nobody else can be elected. So whoever has been
// elected in a later term finds no lease that still holds, and nobody who was deposed gets one: what is asked of LeaseEnd
// here is what a read asks.

// elected judges the moment at which somebody leads a group in a new term.
func (j *watch) elected(i int, term uint64) {
	for _, m := range j.w.machines {
		if m.proc == nil {
			continue
		}
		if g := m.proc.core.Replica(j.number(i)); g != nil && g.Leading() && g.Term() < term {
			j.deposed(m, i, g)
		}
	}
}

// deposed judges a leader of a term that is over.
func (j *watch) deposed(m *Machine, i int, g *tablet.Group) {
	now := m.now().Mono
	if end := g.LeaseEnd(now); end > now {
		j.w.violateOf(i, "%s still has a lease on %s for %v in term %d, though term %d has a leader",
			m.Name(), j.name(i), end-now, g.Term(), j.groups[i].top)
	}
}
