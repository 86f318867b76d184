package sim

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

// ringWatch judges the ring by Zave's invariant, as long as her operating assumption holds: nodes die one by one, so that
// every token keeps a live successor on another machine and enough principals are left; and a node that lives is not
// taken for dead, which cuts, losses and pauses bring about, and some time after their end too: an answer that was late is
// missed then. Once that has happened, nothing is demanded until the ring is one again by itself.
type ringWatch struct {
	w       *World
	assumed bool
	checks  int           // how often the invariant was found to hold
	trouble time.Duration // when a node that lives could be taken for dead last
	death   time.Duration // when a process ended last, or a node left its places for others
	places  map[*Process]ring.ID
}

// ringEvery is how often the ring is looked at, beside when a process ends.
const ringEvery = 250 * time.Millisecond

func (j *ringWatch) init(w *World) {
	j.w, j.places = w, map[*Process]ring.ID{}
	var again func()
	again = func() {
		j.look()
		w.after(ringEvery, again)
	}
	w.after(ringEvery, again)
}

// disturbed says that a node that lives may be taken for dead.
func (j *ringWatch) disturbed() { j.assumed, j.trouble = false, j.w.now }

// died says that a process has ended. If what is left is no ring that her assumption allows, it was too much at once;
// but the first death in a while never is.
func (j *ringWatch) died() {
	j.moved()
	alone := j.w.now >= j.death+mendTime
	j.death = j.w.now
	if !j.assumed {
		return
	}
	if j.mostOutside() {
		j.assumed = false
	} else if why := j.broken(); why != "" {
		j.assumed = false
		if alone {
			j.w.violate("the ring: one death breaks it: %s%s", why, j.skipping())
		}
	}
}

// mendTime is how long after a death, or after what looked like one, all lists reach as far again as they did: some rounds of
// stabilization.
const mendTime = 5 * time.Second

// mostOutside reports whether most nodes are not in the ring: they may make one anew together (ring.Revive), and then
// there are two, for a while.
func (j *ringWatch) mostOutside() bool {
	inside, all := 0, 0
	for _, m := range j.w.machines {
		if m.spent {
			continue
		}
		all++
		if m.proc != nil && inRing(m.proc) {
			inside++
		}
	}
	return 2*inside <= all
}

// inRing reports whether all tokens of a process are in the ring.
func inRing(p *Process) bool {
	s, ok := p.core.RingState()
	return ok && !slices.ContainsFunc(s.Tokens, func(t ring.TokenState) bool { return t.Phase != ring.Member })
}

// moved notices who has taken other places on the ring: those that it had before are gone at once, as at a death.
func (j *ringWatch) moved() {
	for _, m := range j.w.machines {
		if m.proc == nil {
			continue
		}
		if s, ok := m.proc.core.RingState(); ok {
			if old, seen := j.places[m.proc]; seen && old != s.Tokens[0].ID {
				j.death = j.w.now
			}
			j.places[m.proc] = s.Tokens[0].ID
		}
	}
}

func (j *ringWatch) look() {
	j.moved()
	paused := func(m *Machine) bool { return m.proc != nil && m.proc.paused }
	if j.w.network.troubled() || j.mostOutside() || slices.ContainsFunc(j.w.machines, paused) {
		j.disturbed()
	}
	if j.assumed {
		if why := j.broken(); why != "" {
			j.w.violate("the ring: %s%s", why, j.skipping())
		}
		j.checks++
		return
	}
	members, _ := j.chains()
	j.assumed = j.w.now >= j.trouble+mendTime && len(members) > 0 && j.broken() == "" && j.w.ringApart(members) == ""
}

// chains returns the tokens that are in the ring, in order, and what each knows.
func (j *ringWatch) chains() (members []ring.Token, chains []ring.Chain) {
	for _, m := range j.w.machines {
		if m.proc == nil {
			continue
		}
		s, ok := m.proc.core.RingState()
		if !ok {
			continue
		}
		for _, t := range s.Tokens {
			if t.Phase == ring.Member {
				head := ring.Token{ID: t.ID, Node: m.dir.id}
				members = append(members, head)
				chains = append(chains, ring.Chain{Head: head, List: t.Successors})
			}
		}
	}
	placement.Sort(members)
	return members, chains
}

func (j *ringWatch) broken() string {
	members, chains := j.chains()
	if why := ring.Violation(ringSuccessors, members, chains); why != "" {
		return why
	}
	return ring.Shape(members, chains)
}

// skipping names the token whose list skips most members.
func (j *ringWatch) skipping() string {
	members, chains := j.chains()
	most, worst := 0, ring.Chain{}
	for _, c := range chains {
		if n := len(members) - len(ring.Principals(members, []ring.Chain{c})); n > most {
			most, worst = n, c
		}
	}
	if most == 0 {
		return ""
	}
	text := "; the list of " + j.w.tokenName(worst.Head) + " skips " + plural(most, "member") + ":"
	for _, t := range worst.List {
		text += " " + j.w.tokenName(t)
	}
	return text
}

func (w *World) tokenName(t ring.Token) string { return w.nameOf(t.Node) + "/" + t.ID.Short() }
