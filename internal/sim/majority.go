package sim

import (
	"time"

	"github.com/quorddb/quord/internal/tablet"
)

// majorities watches, group by group, whether enough of the voters live to decide anything, and whether they do.
type majorities struct {
	w      *World
	groups []voters // by tablet, the system group last
	since  time.Duration
	until  time.Duration

	departed map[*Machine]time.Duration // when a node that is away went
	replaced []time.Duration            // how long it took until a tablet had another voter in place of one
}

// voters is one group, as far as the living show it.
type voters struct {
	newest tablet.Descriptor
	dead   spells // too few voters live
	idle   spells // enough live, and none of them leads
}

// spells are the times at which something was so.
type spells struct {
	n              int
	total, longest time.Duration
	present        time.Duration // for how long it is so now
}

const (
	// majorityEvery is how often the groups are looked at.
	majorityEvery = 100 * time.Millisecond
	// mostIdle is how long a group whose voters live in majority may be without a leader: until the dead leader is
	// missed, its lease is over, those that have just started may vote, and some campaigns have failed.
	mostIdle = 10 * time.Second
)

// Undecided says for how long groups could not decide.
type Undecided struct {
	// Dead is the share of the time, in percent, in which a group had no living majority of its voters; Spells how often
	// that began, Longest how long it lasted at most.
	Dead    float64
	Spells  int
	Longest time.Duration
	// Idle is the share in which a majority lived but nobody led, IdleLongest how long that lasted at most.
	Idle        float64
	IdleLongest time.Duration
}

func (j *majorities) init(w *World) {
	j.w = w
	j.groups = make([]voters, w.cfg.Tablets+1)
	j.departed = map[*Machine]time.Duration{}
}

// watch begins, and ends at a moment.
func (j *majorities) watch(until time.Duration) {
	j.since, j.until = j.w.now, until
	j.look()
}

func (j *majorities) look() {
	w := j.w
	for i := range j.groups {
		v, t := &j.groups[i], w.watch.number(i)
		led := false
		for _, m := range w.machines {
			if m.proc == nil {
				continue
			}
			g := m.proc.core.Replica(t)
			if g == nil || !g.Initialized() {
				continue
			}
			if d := g.Descriptor(); d.Epoch > v.newest.Epoch || len(v.newest.Replicas) == 0 {
				j.follows(&v.newest, d)
				v.newest = d.Clone()
			}
			led = led || g.Serving()
		}
		lives := v.newest.Majority(func(r tablet.Replica) bool {
			m := w.byID[r.Node]
			return m != nil && m.proc != nil && m.dir.id == r.Node
		})
		v.dead.add(!lives)
		v.idle.add(lives && !led)
		if v.idle.present > mostIdle {
			w.violate("%s has no leader for %v although a majority of its voters lives: %s", w.watch.name(i), v.idle.present, w.describe(&v.newest))
			return
		}
	}
	if next := w.now + majorityEvery; next < j.until {
		w.agenda.add(next, j.look)
	}
}

// follows notes which voters on nodes that are away a descriptor no longer has.
func (j *majorities) follows(old, next *tablet.Descriptor) {
	for _, r := range old.Replicas {
		if _, stays := next.Replica(r.ID); stays || r.Role == tablet.Learner {
			continue
		}
		if at, away := j.departed[j.w.byID[r.Node]]; away {
			j.replaced = append(j.replaced, j.w.now-at)
		}
	}
}

func (s *spells) add(so bool) {
	if !so {
		s.present = 0
		return
	}
	if s.present == 0 {
		s.n++
	}
	s.present += majorityEvery
	s.total += majorityEvery
	s.longest = max(s.longest, s.present)
}

// result returns the shares of all tablets together, and of the system group, up to a moment.
func (j *majorities) result(until time.Duration) (tablets, system Undecided) {
	last := len(j.groups) - 1
	j.until = until
	return j.sum(j.groups[:last]), j.sum(j.groups[last:])
}

func (j *majorities) sum(groups []voters) (u Undecided) {
	all := (j.until - j.since).Seconds() * float64(len(groups))
	for i := range groups {
		dead, idle := &groups[i].dead, &groups[i].idle
		u.Dead += 100 * dead.total.Seconds() / all
		u.Idle += 100 * idle.total.Seconds() / all
		u.Spells += dead.n
		u.Longest, u.IdleLongest = max(u.Longest, dead.longest), max(u.IdleLongest, idle.longest)
	}
	return u
}
