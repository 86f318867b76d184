package sim

import "time"

// agenda is what is going to happen, as a heap in order of time, and of planning where the time is the same.
type agenda struct {
	items   []planned
	planned uint64
}

type planned struct {
	at time.Duration
	n  uint64
	fn func()
}

func (p *planned) before(o *planned) bool { return p.at < o.at || p.at == o.at && p.n < o.n }

func (a *agenda) add(at time.Duration, fn func()) {
	a.planned++
	a.items = append(a.items, planned{at, a.planned, fn})
	i := len(a.items) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !a.items[i].before(&a.items[up]) {
			break
		}
		a.items[i], a.items[up] = a.items[up], a.items[i]
		i = up
	}
}

// next removes what comes first, unless that is later than end.
func (a *agenda) next(end time.Duration) (first planned, ok bool) {
	if len(a.items) == 0 || a.items[0].at > end {
		return planned{}, false
	}
	first = a.items[0]
	last := len(a.items) - 1
	a.items[0] = a.items[last]
	a.items[last] = planned{}
	a.items = a.items[:last]
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < last && a.items[down].before(&a.items[least]) {
				least = down
			}
		}
		if least == i {
			return first, true
		}
		a.items[i], a.items[least] = a.items[least], a.items[i]
		i = least
	}
}
