package lab

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// Seeded checks the invariant after everything that happens in a large random world: machines of one to three tokens
// join, die whole, leave and come back, as far as the operating assumption allows; messages take up to 20 ms and
// overtake each other; half of the deaths are noticed by connections. A step is a message that arrives or a ring that
// wakes.
type Seeded struct {
	Nodes      int // machines at most; half of them at the beginning
	Successors int
	Steps      int
	Seed       uint64

	reckless bool // machines die whatever becomes of the others, to see that it is seen
}

// SeededResult is what was found.
type SeededResult struct {
	Steps     int
	Did       map[string]int
	Members   int // tokens on the ring at the end
	Violation *Violation
}

// MostSuccessors returns how long the lists of a world of that many nodes may be: it begins with half of them, which
// have to be more than lists are long.
func MostSuccessors(nodes int) int { return min(nodes/2-1, 32) }

// Validate says which choice makes no sense.
func (s Seeded) Validate() error {
	if err := all(in("nodes", s.Nodes, 6, 1<<14), in("steps", s.Steps, 1, 1<<30)); err != nil {
		return err
	}
	if most := MostSuccessors(s.Nodes); s.Successors < 2 || s.Successors > most {
		return fmt.Errorf("--successors %d: want 2 to %d for a world of %d nodes, which begins with half of them", s.Successors, most, s.Nodes)
	}
	return nil
}

// act is one thing that is tried; what it strikes is drawn from its own number, so that a shorter sequence of acts
// still means something.
type act struct {
	after time.Duration
	kind  uint8
	draw  uint64
}

const (
	actJoin    uint8 = iota
	actJoinToo       // so that as many come as go
	actDie
	actDieLoudly
	actLeave
	actReturn
	actKinds
)

var actNames = [actKinds]string{"join", "join", "death", "death that connections tell", "departure", "return"}

// restAfterDeath is how long a machine stays away at least: longer than a step may wait for its former life, so that
// each step is over as if it had happened at one moment.
const restAfterDeath = 20 * time.Second

// seededWorld is the state of one run.
type seededWorld struct {
	*world
	Seeded
	cfg    ring.Config
	rng    *rand.Rand // of delays
	tokens [][]ring.ID
	died   []time.Duration
	ledger *ledger
	did    map[string]int
	notes  []string // what was done
	steps  int
	broken string
}

// Run runs the world of a seed. If it breaks, the acts that led to it are thinned out while it still does.
func (s Seeded) Run(n int) (SeededResult, error) {
	rng := random(s.Seed, n)
	acts := make([]act, 0, 1024)
	more := func(i int) act { // acts are drawn as they are needed
		for len(acts) <= i {
			acts = append(acts, act{
				after: time.Duration(rng.Int64N(int64(100 * time.Millisecond))), kind: uint8(rng.IntN(int(actKinds))), draw: rng.Uint64(),
			})
		}
		return acts[i]
	}
	w, err := s.play(n, func(i int) (act, bool) { return more(i), true })
	if err != nil {
		return SeededResult{}, err
	}
	res := SeededResult{Steps: w.steps, Did: w.did, Members: len(w.ledger.members)}
	if w.broken == "" {
		return res, nil
	}
	// Thin out: drop ever smaller runs of acts as long as something still breaks; stop after ten times the first run.
	budget := 10 * w.steps
	best := w
	for size := len(acts) / 2; size > 0 && budget > 0; size /= 2 {
		for at := 0; at < len(acts) && budget > 0; {
			fewer := slices.Delete(slices.Clone(acts), at, min(at+size, len(acts)))
			try := s
			try.Steps = 2 * best.steps
			w, err := try.play(n, func(i int) (act, bool) {
				if i < len(fewer) {
					return fewer[i], true
				}
				return act{}, false
			})
			if err != nil {
				return res, err
			}
			if budget -= w.steps; w.broken == "" {
				at += size
				continue
			}
			best, acts = w, fewer
		}
	}
	res.Violation = &Violation{Broken: best.broken, Events: best.notes, State: fmt.Sprintf("%d members, %d principals", len(best.ledger.members), best.ledger.whole)}
	return res, nil
}

func (s Seeded) play(n int, next func(int) (act, bool)) (*seededWorld, error) {
	w := &seededWorld{
		world: &world{ticking: true}, Seeded: s, rng: random(s.Seed, n+1<<32), ledger: newLedger(s.Successors), did: map[string]int{},
	}
	w.cfg = ring.LAN()
	w.cfg.Successors, w.cfg.MaxSuccessors = s.Successors, min(4*s.Successors, ring.MaxList)
	w.delay = func(_, _ int) time.Duration {
		return time.Millisecond + time.Duration(w.rng.Int64N(int64(20*time.Millisecond)))
	}
	for range s.Nodes / 2 {
		w.machine()
	}
	if _, err := w.settle(w.cfg, slices.Clone(w.tokens), w.rng, nil); err != nil {
		return nil, err
	}
	for i := range w.rings {
		w.look(i)
	}
	w.broken = "" // a ring that is only being told has too few principals; now it is whole
	if w.broken = w.ledger.sufficient(); w.broken != "" {
		return w, nil
	}
	w.touched = w.look
	at := time.Duration(0)
	for i := 0; w.broken == "" && w.steps < s.Steps; i++ {
		a, more := next(i)
		at += a.after
		if !more {
			at = never
		}
		for w.broken == "" && w.steps < s.Steps && w.step(at) {
			w.steps++
			if w.steps%4096 == 0 && w.broken == "" {
				w.broken = w.ledger.oneRing()
			}
		}
		if w.broken == "" && more {
			w.now = max(w.now, at)
			if err := w.try(a); err != nil {
				return nil, err
			}
		}
	}
	if w.broken == "" {
		w.broken = w.ledger.oneRing()
	}
	return w, nil
}

// machine draws the tokens of a new machine and returns its number.
func (w *seededWorld) machine() int {
	ids := make([]ring.ID, 1+w.rng.IntN(3))
	for i := range ids {
		ids[i] = randomID(w.rng)
	}
	w.tokens = append(w.tokens, ids)
	w.died = append(w.died, 0)
	return len(w.tokens) - 1
}

// look compares a ring's lists with what the ledger knows.
func (w *seededWorld) look(n int) {
	if !w.alive(n) {
		return
	}
	for _, t := range w.rings[n].State().Tokens {
		token := ring.Token{ID: t.ID, Node: nodeID(n)}
		if t.Phase != ring.Member {
			w.ledger.gone([]ring.Token{token})
			continue
		}
		if broken := w.ledger.is(token, t.Successors); broken != "" && w.broken == "" {
			w.broken = broken
		}
	}
}

// pending returns the lists that answers under way will make, if they are adopted: whole, or cut to r entries.
func (w *seededWorld) pending() (chains []chain) {
	for _, e := range w.events {
		if e.letter == clockless {
			continue
		}
		l := &w.letters[e.letter]
		head := ring.Token{ID: l.msg.To, Node: nodeID(l.to)}
		switch l.msg.Kind {
		case ring.State:
			list := l.msg.List
			if _, member := w.ledger.lists[head]; member {
				list = append([]ring.Token{{ID: l.msg.From, Node: nodeID(l.from)}}, list...)
			}
			chains = append(chains, w.adopted(head, list)...)
		case ring.Leave:
			if len(l.msg.List) > 0 {
				chains = append(chains, w.adopted(head, l.msg.List)...)
			}
		}
	}
	return chains
}

// adopted returns what may become of a list that is about to be taken.
func (w *seededWorld) adopted(head ring.Token, list []ring.Token) []chain {
	list = upTo(head.ID, list)
	return []chain{{head, list}, {head, list[:min(len(list), w.Successors)]}}
}

// upTo cuts a list where it would pass the token at id.
func upTo(id ring.ID, list []ring.Token) []ring.Token {
	for n := range list {
		if !orderly(id, list[:n+1]) {
			return list[:n]
		}
	}
	return list
}

// try does what an act says, if it can be done.
func (w *seededWorld) try(a act) error {
	var living, resting []int
	for n := range w.tokens {
		switch {
		case w.alive(n):
			living = append(living, n)
		case w.now-w.died[n] > restAfterDeath:
			resting = append(resting, n)
		}
	}
	if len(living) == 0 {
		return nil
	}
	n := living[a.draw%uint64(len(living))]
	switch a.kind {
	case actJoin, actJoinToo, actReturn:
		if len(living) >= w.Nodes || a.kind == actReturn && len(resting) == 0 {
			return nil
		}
		contact := nodeID(n)
		if a.kind == actReturn {
			n = resting[a.draw%uint64(len(resting))]
		} else {
			n = w.machine()
		}
		r, err := ring.New(w.cfg, nodeID(n), w.tokens[n], w.rng.Uint64())
		if err != nil {
			return err
		}
		if err := r.Join(w.now, []ident.NodeID{contact}); err != nil {
			return err
		}
		w.put(n, r)
	case actLeave:
		if !w.maySpare(n) {
			return nil
		}
		w.rings[n].Leave(w.now)
		w.collect(n)
		w.end(n)
	default:
		if !w.maySpare(n) {
			return nil
		}
		w.end(n)
		if a.kind == actDieLoudly {
			for _, o := range living {
				if o != n {
					w.rings[o].NodeDown(w.now, nodeID(n))
					w.plan(o)
				}
			}
		}
	}
	w.did[actNames[a.kind]]++
	w.notes = append(w.notes, fmt.Sprintf("%v: %s of node %d", w.now.Round(time.Millisecond), actNames[a.kind], n))
	if w.broken == "" {
		w.broken = w.ledger.sufficient()
	}
	return nil
}

// maySpare reports whether a machine may go.
func (w *seededWorld) maySpare(n int) bool { return w.reckless || w.ledger.spares(n, w.pending()) }

// end stops a machine.
func (w *seededWorld) end(n int) {
	w.rings[n] = nil
	w.died[n] = w.now
	var tokens []ring.Token
	for _, id := range w.tokens[n] {
		tokens = append(tokens, ring.Token{ID: id, Node: nodeID(n)})
	}
	w.ledger.gone(tokens)
}
