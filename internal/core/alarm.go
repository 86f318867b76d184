package core

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/quorddb/quord/internal/tablet"
)

// alarms are the places whose groups want a tick, the one that is due first on top. A quiet group wants none, so an idle
// node looks at none of its thousands.
type alarms []*place

// Len implements heap.Interface.
func (a alarms) Len() int { return len(a) }

// Less implements heap.Interface: the same order in every run.
func (a alarms) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(a[i].tickAt, a[j].tickAt), cmp.Compare(a[i].tablet, a[j].tablet)) < 0
}

// Swap implements heap.Interface.
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].alarm, a[j].alarm = i+1, j+1
}

// Push implements heap.Interface.
func (a *alarms) Push(x any) {
	p := x.(*place)
	*a = append(*a, p)
	p.alarm = len(*a)
}

// Pop implements heap.Interface.
func (a *alarms) Pop() any {
	last := len(*a) - 1
	p := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	p.alarm = 0
	return p
}

// set makes a place's group be ticked at a moment; tablet.Never takes it out.
func (a *alarms) set(p *place, at time.Duration) {
	p.tickAt = at
	switch {
	case at == tablet.Never && p.alarm > 0:
		heap.Remove(a, p.alarm-1)
	case at == tablet.Never:
	case p.alarm > 0:
		heap.Fix(a, p.alarm-1)
	default:
		heap.Push(a, p)
	}
}

// next returns when the first of them is due.
func (a alarms) next() time.Duration {
	if len(a) == 0 {
		return tablet.Never
	}
	return a[0].tickAt
}

// tickGroups ticks the groups that are due.
func (c *Core) tickGroups() {
	for c.fatal == nil && c.alarms.next() <= c.now.Mono {
		c.tickGroup(c.alarms[0])
	}
}

// rouse gives a group that was woken its tick.
func (c *Core) rouse(p *place) {
	if p.resting && !p.group.Resting() {
		p.resting = false
		c.alarms.set(p, c.now.Mono)
	}
}
