package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong, or somebody who does something, at a moment of a run.
type Fault struct {
	At   time.Duration // since the load began
	Kind string
	For  time.Duration // until it is over; what that means depends on the kind
	Pick uint64        // chooses the machine, or what else there is to choose
	Size float64       // how bad it is, from 0 to 1
}

// kind is one kind of fault.
type kind struct {
	name string
	what string // for people
	// lasts bounds For.
	least, most time.Duration
	// calm says that it begins only once the cluster has settled: it takes away a replica for good, or changes who is
	// there, and another one must not have been taken at the same time.
	calm bool
	// zoned says that there is no such fault where there are no zones.
	zoned bool
	// weight is how often it is drawn, beside others.
	weight int
	do     func(*run, Fault)
}

// kinds are all that can go wrong.
var kinds = slices.Concat(networkFaults, processFaults, clockFaults, diskFaults, damageFaults, memberFaults, ambushFaults, zoneFaults)

// Kinds returns the names of all kinds of faults, and what each is.
func Kinds() (names, what []string) {
	for i := range kinds {
		names, what = append(names, kinds[i].name), append(what, kinds[i].what)
	}
	return names, what
}

func find(name string) *kind {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &kinds[i]
}

// Mix says which faults a run has.
type Mix struct {
	// Kinds are those that may be drawn.
	Kinds []string
	// Swarm lets each seed draw its own mix from Kinds: a fault that always happens hides what happens only without it.
	Swarm bool
	// Zoned says that one was named of which there is none in a world without zones.
	Zoned bool
}

// ParseMix reads what a user writes: "swarm" (or ""), "all", "none", or kinds with commas between them; a kind with a
// minus is left out of the swarm, or of what stands before it.
func ParseMix(text string) (Mix, error) {
	names, _ := Kinds()
	var m Mix
	for i, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		without, minus := strings.CutPrefix(word, "-")
		if minus && i == 0 {
			m.Kinds, m.Swarm = names, true
		}
		switch {
		case word == "swarm":
			m.Kinds, m.Swarm = names, true
		case word == "all":
			m.Kinds = names
		case word == "none":
			m.Kinds = nil
		case minus && find(without) != nil:
			m.Kinds = slices.DeleteFunc(slices.Clone(m.Kinds), func(k string) bool { return k == without })
		case find(word) != nil:
			m.Kinds = append(slices.Clone(m.Kinds), word)
			m.Zoned = m.Zoned || find(word).zoned
		default:
			return m, fmt.Errorf("there is no fault %q: want swarm, all, none, or some of %s", word, strings.Join(names, " "))
		}
	}
	if text == "" {
		m.Kinds, m.Swarm = names, true
	}
	return m, nil
}

// draw makes the plan of a run: storms of faults, and calms in which the cluster may settle and a membership change
// begins. So the change is under way when the next storm comes.
func draw(r *rand.Rand, mix Mix, length time.Duration, zones bool) []Fault {
	var stormy, calm []*kind
	for _, name := range mix.Kinds {
		k := find(name)
		switch {
		case k.zoned && !zones || mix.Swarm && r.IntN(2) == 0:
		case k.calm:
			calm = append(calm, k)
		default:
			stormy = append(stormy, k)
		}
	}
	var plan []Fault
	add := func(at time.Duration, from []*kind) {
		total := 0
		for _, k := range from {
			total += k.weight
		}
		n := r.IntN(total)
		for _, k := range from {
			if n -= k.weight; n < 0 {
				// Short ones are more frequent than long ones, which leave room for little else.
				span := between(r, 0, between(r, 0, k.most-k.least+1)+1)
				plan = append(plan, Fault{At: at, Kind: k.name, For: (k.least + span).Truncate(time.Millisecond), Pick: r.Uint64(), Size: r.Float64()})
				return
			}
		}
	}
	for at := 2 * time.Second; at < length; {
		if len(calm) > 0 {
			add(at, calm)
			at += between(r, 0, 3*time.Second)
		}
		end := min(at+between(r, 8*time.Second, 45*time.Second), length)
		for gap := between(r, 300*time.Millisecond, 5*time.Second); at < end; at += between(r, 0, 2*gap) {
			if len(stormy) > 0 {
				add(at, stormy)
			}
		}
		at = end + between(r, 10*time.Second, 40*time.Second)
	}
	return plan
}
