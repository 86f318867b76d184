package sim

import (
	"errors"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/tablet"
)

const (
	// maxLog bounds the log of a group: what is kept for a follower that is behind, and some.
	maxLog = 4096
	// maxUnsent bounds the bytes that wait to arrive on one way of a connection: package peer's default.
	maxUnsent = 64 << 20
)

// bounds judges what must stay small: what every process holds in memory, its logs on disk, and what its connections carry.
func (j *watch) bounds() {
	for _, m := range j.w.machines {
		p := m.proc
		if p == nil {
			continue
		}
		j.holds(m, "", j.footprint(p))
		for i := range j.groups {
			if g := p.core.Replica(j.number(i)); g != nil {
				j.holds(m, " of "+j.name(i), g.Footprint())
			}
		}
		if err := m.dir.disk.Groups(func(g kv.Group) error {
			j.holds(m, " of group "+itoa(int(int32(g.ID))), []tablet.Held{{What: "entries in the log", Now: int(g.Last - g.Start.Index), Most: maxLog}})
			return nil
		}); err != nil && !errors.Is(err, kv.ErrClosed) {
			j.w.violate("%s: list the logs: %v", m.Name(), err)
		}
		for _, o := range j.w.machines {
			if l := j.w.network.link(m, o); l != nil && l.ends[l.side(p)] == p {
				j.holds(m, " for "+o.Name(), []tablet.Held{{What: "bytes that are sent and have not arrived", Now: l.unsent[l.side(p)], Most: maxUnsent}})
			}
		}
	}
}

func (j *watch) holds(m *Machine, of string, held []tablet.Held) {
	for _, h := range held {
		if h.Now > h.Most {
			j.w.violate("%s has %d %s%s; the bound is %d", m.Name(), h.Now, h.What, of, h.Most)
		}
	}
}
