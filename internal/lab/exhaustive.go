package lab

import (
	"fmt"
	"math/bits"
)

// Exhaustive checks the invariant on rings so small that nothing need be left to chance (Zave 2017, section IV). It
// does two things, both with the production rules:
//
//   - From every state of up to Nodes members that satisfies the invariant, reachable or not, it takes every single
//     step; the invariant must hold after it. So it is inductive.
//   - From the smallest ring that may be, r+1 members in ideal order, it visits every state that steps, joins,
//     failures and departures lead to, until there is no new one.
//
// The package comment says what a state is, and why a step may be carried out on the few members that it reads.
type Exhaustive struct {
	Nodes      int // r+2 to 6; enumerating all states of 6 takes long
	Successors int // 2 or 3
}

// ExhaustiveResult is what was found.
type ExhaustiveResult struct {
	Satisfying int // states that satisfy the invariant
	Reachable  int
	Steps      int // taken, in both parts
	Performed  int // different ones, carried out on the production rules
	Violation  *Violation
}

// Violation is a shortest sequence that breaks the invariant.
type Violation struct {
	Broken string
	Events []string
	State  string
}

// Validate says which choice makes no sense.
func (e Exhaustive) Validate() error {
	return all(in("successors", e.Successors, 2, maxR), in("nodes", e.Nodes, e.Successors+2, maxTiny))
}

// move is one thing that may happen.
type move struct {
	what    happening
	m, s, q int8
}

type happening uint8

const (
	moveStabilize happening = iota
	moveJoin
	moveLeave
	moveFail
)

func (mv move) String() string {
	switch mv.what {
	case moveStabilize:
		if mv.q == nobody {
			return fmt.Sprintf("%d stabilizes; its successor names no predecessor in between", mv.m)
		}
		return fmt.Sprintf("%d stabilizes; its successor names %d as its predecessor", mv.m, mv.q)
	case moveJoin:
		return fmt.Sprintf("%d joins behind %d", mv.m, mv.s)
	case moveLeave:
		return fmt.Sprintf("%d leaves, and %d takes its list", mv.s, mv.m)
	}
	return fmt.Sprintf("%d fails", mv.m)
}

// explorer takes moves.
type explorer struct {
	*circleOf
	r int
	// take returns the state after a move, and whether the move can be taken at all.
	take func(*tiny, move) (tiny, bool, error)
	p    *performer
}

func newExplorer(n, r int) *explorer {
	x := &explorer{circleOf: newCircleOf(n), r: r, p: newPerformer(n, r)}
	x.take = x.moved
	return x
}

// moves calls f for each move that may be tried in a state.
func (x *explorer) moves(t *tiny, f func(move) error) error {
	try := func(mv move) error { return f(mv) }
	for m := range int8(x.n) {
		if !t.lives(int(m)) {
			for s := range int8(x.n) {
				if t.lives(int(s)) {
					if err := try(move{moveJoin, m, s, nobody}); err != nil {
						return err
					}
				}
			}
			continue
		}
		for q := int8(nobody); q < int8(x.n); q++ {
			if err := try(move{moveStabilize, m, nobody, q}); err != nil {
				return err
			}
		}
		if err := try(move{moveFail, m, nobody, nobody}); err != nil {
			return err
		}
		if s := t.list[m][0]; s != nobody && t.lives(int(s)) {
			if err := try(move{moveLeave, m, s, nobody}); err != nil {
				return err
			}
		}
	}
	return nil
}

// moved takes a move by the production rules.
func (x *explorer) moved(t *tiny, mv move) (tiny, bool, error) {
	after := *t
	var err error
	switch mv.what {
	case moveFail:
		after.remove(int(mv.m))
		return after, x.violation(&after, x.r) == "", nil
	case moveStabilize:
		s := t.first(t.list[mv.m])
		if s == nobody {
			return after, false, nil
		}
		if mv.q != nobody && (mv.q == mv.m || !x.isBetween(int(mv.m), int(mv.q), s)) {
			return after, false, nil // the same as nobody: it would not be asked
		}
		after.list[mv.m], err = x.p.list(x.reads(t, stabilizes, mv.m, int8(s), mv.q))
		return after, true, err
	case moveJoin:
		if first := t.list[mv.s][0]; first == nobody || first == mv.m || !x.isBetween(int(mv.s), int(mv.m), int(first)) {
			return after, false, nil
		}
		list, err := x.p.list(x.reads(t, joins, mv.m, mv.s, nobody))
		if list == noSuccs {
			return after, false, err
		}
		after.live |= 1 << mv.m
		after.list[mv.m] = list
		return after, true, err
	}
	// The predecessor takes the leaver's list as if it had stabilized just before, and found it dead just after. So
	// that must be a failure within the assumption, and as the leaver's list lives on, whom it skips is no principal.
	if after.list[mv.m], err = x.p.list(x.reads(t, stabilizes, mv.m, mv.s, nobody)); err != nil {
		return after, false, err
	}
	if bits.OnesCount8(x.principals(&after)&^(1<<mv.s)) < x.r+1 {
		return after, false, nil
	}
	after.remove(int(mv.s))
	if x.violation(&after, x.r) != "" {
		return after, false, nil
	}
	after.list[mv.m], err = x.p.list(x.reads(t, leaves, mv.m, mv.s, nobody))
	return after, true, err
}

func (x *explorer) reads(t *tiny, what step, m, s, q int8) reads {
	r := reads{what: what, m: m, s: s, q: q, lists: [3]succs{noSuccs, noSuccs, noSuccs}}
	for k, i := range []int8{m, s, q} {
		if i != nobody && t.lives(int(i)) {
			r.lists[k] = t.list[i]
			r.live |= 1 << i
		}
	}
	if what == joins {
		r.live |= 1 << m
	}
	return r
}

// judge returns what is broken in a state.
func (x *explorer) judge(t *tiny) string {
	if broken := x.violation(t, x.r); broken != "" {
		return broken
	}
	return x.oneRing(t)
}

// Run checks.
func (e Exhaustive) Run() (ExhaustiveResult, error) {
	x := newExplorer(e.Nodes, e.Successors)
	var res ExhaustiveResult
	err := x.everyState(&res)
	if err == nil && res.Violation == nil {
		err = x.everyReachable(&res)
	}
	res.Performed = len(x.p.done)
	return res, err
}

// lists returns all successor lists in order of the member at m, of one entry or more.
func (x *explorer) lists(m int) (out []succs) {
	var extend func(list succs, n, at int)
	extend = func(list succs, n, at int) {
		if n > 0 {
			out = append(out, list)
		}
		if n == x.r {
			return
		}
		for s := (at + 1) % x.n; s != m; s = (s + 1) % x.n {
			list[n] = int8(s)
			extend(list, n+1, s)
			list[n] = nobody
		}
	}
	extend(noSuccs, 0, m)
	return out
}

// everyState takes every single step from every state that satisfies the invariant. Who lives is chosen up to
// rotation, which changes nothing.
func (x *explorer) everyState(res *ExhaustiveResult) error {
	lists := make([][]succs, x.n)
	for m := range lists {
		lists[m] = x.lists(m)
	}
	for live := range uint8(1) << x.n {
		if !x.smallestRotation(live) {
			continue
		}
		t := tiny{live: live}
		for m := range t.list {
			t.list[m] = noSuccs
		}
		if err := x.fill(&t, 0, lists, res); err != nil || res.Violation != nil {
			return err
		}
	}
	return nil
}

// smallestRotation reports whether no rotation of the set is a smaller number.
func (x *explorer) smallestRotation(live uint8) bool {
	mask := uint8(1)<<x.n - 1
	for k := 1; k < x.n; k++ {
		if (live<<k|live>>(x.n-k))&mask < live {
			return false
		}
	}
	return live != 0
}

// fill gives the members from m on every list.
func (x *explorer) fill(t *tiny, m int, lists [][]succs, res *ExhaustiveResult) error {
	if m == x.n {
		if x.violation(t, x.r) != "" {
			return nil
		}
		res.Satisfying++
		if broken := x.oneRing(t); broken != "" { // implied, says the paper
			res.Violation = &Violation{Broken: broken, State: x.show(t)}
			return nil
		}
		return x.moves(t, func(mv move) error {
			after, can, err := x.take(t, mv)
			if err != nil || !can || res.Violation != nil {
				return err
			}
			res.Steps++
			if broken := x.judge(&after); broken != "" {
				res.Violation = &Violation{Broken: broken, Events: []string{"given " + x.show(t), mv.String()}, State: x.show(&after)}
			}
			return nil
		})
	}
	if !t.lives(m) {
		return x.fill(t, m+1, lists, res)
	}
	for _, list := range lists[m] {
		t.list[m] = list
		if err := x.fill(t, m+1, lists, res); err != nil || res.Violation != nil {
			return err
		}
	}
	t.list[m] = noSuccs
	return nil
}

// everyReachable visits every state that can be reached, the nearest first.
func (x *explorer) everyReachable(res *ExhaustiveResult) error {
	type origin struct {
		from tiny
		by   move
	}
	start := tiny{}
	for m := range start.list {
		start.list[m] = noSuccs
	}
	for m := range x.r + 1 {
		start.live |= 1 << m
		for k := range x.r {
			start.list[m][k] = int8((m + 1 + k) % (x.r + 1))
		}
	}
	came := map[tiny]origin{start: {}}
	todo := []tiny{start}
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		res.Reachable++
		err := x.moves(&t, func(mv move) error {
			after, can, err := x.take(&t, mv)
			if err != nil || !can || res.Violation != nil {
				return err
			}
			res.Steps++
			if _, known := came[after]; known {
				return nil
			}
			came[after] = origin{t, mv}
			todo = append(todo, after)
			if broken := x.judge(&after); broken != "" {
				v := &Violation{Broken: broken, State: x.show(&after)}
				for at := after; at != start; at = came[at].from {
					v.Events = append([]string{came[at].by.String()}, v.Events...)
				}
				v.Events = append([]string{"given " + x.show(&start)}, v.Events...)
				res.Violation = v
			}
			return nil
		})
		if err != nil || res.Violation != nil {
			return err
		}
	}
	return nil
}
