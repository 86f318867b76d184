package lab

import (
	"fmt"
	"slices"

	"github.com/quorddb/quord/internal/ring"
)

// ledger keeps Zave's invariant of a large ring up to date while lists change: how many neighbouring entries of all
// lists skip each member. A change costs what it changes; only births and deaths cost a look at everything.
type ledger struct {
	r       int
	members []ring.Token // in ring order
	skips   []int32      // of each member
	lists   map[ring.Token][]ring.Token
	whole   int // members that nobody skips: the principals
}

func newLedger(r int) *ledger { return &ledger{r: r, lists: map[ring.Token][]ring.Token{}} }

func byID(t ring.Token, id ring.ID) int { return t.ID.Compare(id) }

// between calls f with the place of each member strictly between x and y.
func (l *ledger) between(x, y ring.ID, f func(i int)) {
	n := len(l.members)
	i, found := slices.BinarySearchFunc(l.members, x, byID)
	if found {
		i++
	}
	for range n {
		if i == n {
			i = 0
		}
		if !ring.Between(x, l.members[i].ID, y) {
			return
		}
		f(i)
		i++
	}
}

// count adds the skips of one list, or takes them away.
func (l *ledger) count(head ring.Token, list []ring.Token, by int32) {
	x := head.ID
	for _, y := range list {
		l.between(x, y.ID, func(i int) {
			if l.skips[i] == 0 {
				l.whole--
			}
			if l.skips[i] += by; l.skips[i] == 0 {
				l.whole++
			}
		})
		x = y.ID
	}
}

// is tells the list of a member, which may be new, and returns what is broken, or "".
func (l *ledger) is(t ring.Token, list []ring.Token) string {
	old, known := l.lists[t]
	if known && slices.Equal(old, list) {
		return ""
	}
	if !known {
		l.born(t)
	} else {
		l.count(t, old, -1)
	}
	l.lists[t] = list
	l.count(t, list, 1)
	if !orderly(t.ID, list) {
		return fmt.Sprintf("OrderedSuccessorLists: %v has %v", t, list)
	}
	if !l.reaches(list, -1) && len(l.members) > 1 {
		return fmt.Sprintf("OneLiveSuccessor: %v has %v", t, list)
	}
	return l.sufficient()
}

func (l *ledger) sufficient() string {
	if l.whole < l.r+1 {
		return fmt.Sprintf("SufficientPrincipals: %d of %d members, want %d", l.whole, len(l.members), l.r+1)
	}
	return ""
}

// born inserts a member and counts who skips it.
func (l *ledger) born(t ring.Token) {
	i, _ := slices.BinarySearchFunc(l.members, t.ID, byID)
	n := int32(0)
	for head, list := range l.lists {
		x := head.ID
		for _, y := range list {
			if ring.Between(x, t.ID, y.ID) {
				n++
			}
			x = y.ID
		}
	}
	l.members = slices.Insert(l.members, i, t)
	l.skips = slices.Insert(l.skips, i, n)
	if n == 0 {
		l.whole++
	}
}

// gone removes members that have died or left together.
func (l *ledger) gone(tokens []ring.Token) {
	for _, t := range tokens {
		list, known := l.lists[t]
		if !known {
			continue
		}
		l.count(t, list, -1)
		delete(l.lists, t)
		i, _ := slices.BinarySearchFunc(l.members, t.ID, byID)
		if l.skips[i] == 0 {
			l.whole--
		}
		l.members = slices.Delete(l.members, i, i+1)
		l.skips = slices.Delete(l.skips, i, i+1)
	}
}

// reaches reports whether a list names a living member on another node than the given one (-1: on any).
func (l *ledger) reaches(list []ring.Token, without int) bool {
	for _, t := range list {
		if _, live := l.lists[t]; live && number(t.Node) != without {
			return true
		}
	}
	return false
}

// spares reports whether the operating assumption allows a node to go: every member keeps a living successor, and
// r+1 principals remain, also if the pending lists, whose answers are on their way, are adopted. The lists of the
// node still count: if it leaves, its predecessor takes them.
func (l *ledger) spares(node int, pending []chain) bool {
	for t, list := range l.lists {
		if number(t.Node) != node && !l.reaches(list, node) {
			return false
		}
	}
	skipped := make(map[int]bool)
	for _, c := range pending {
		if number(c.head.Node) != node && !l.reaches(c.list, node) {
			return false
		}
		x := c.head.ID
		for _, y := range c.list {
			l.between(x, y.ID, func(i int) { skipped[i] = true })
			x = y.ID
		}
	}
	left := 0
	for i, t := range l.members {
		if l.skips[i] == 0 && number(t.Node) != node && !skipped[i] {
			left++
		}
	}
	return left >= l.r+1
}

// oneRing checks the shape that the invariant implies: best successors form one ring, in order, that all reach.
func (l *ledger) oneRing() string {
	if len(l.members) == 0 {
		return "no member is left"
	}
	best := func(t ring.Token) ring.Token {
		for _, s := range l.lists[t] {
			if _, live := l.lists[s]; live {
				return s
			}
		}
		return t
	}
	at := l.members[0]
	for range l.members {
		at = best(at)
	}
	onRing := map[ring.Token]bool{}
	turns := 0
	for !onRing[at] {
		onRing[at] = true
		next := best(at)
		if next.ID.Compare(at.ID) <= 0 {
			turns++
		}
		at = next
	}
	if turns > 1 {
		return fmt.Sprintf("OrderedRing: it goes around %d times", turns)
	}
	reached := map[ring.Token]bool{}
	for _, t := range l.members {
		var way []ring.Token
		for at := t; !onRing[at] && !reached[at]; at = best(at) {
			if way = append(way, at); len(way) > len(l.members) {
				return fmt.Sprintf("AtMostOneRing, ConnectedAppendages: %v does not reach the ring", t)
			}
		}
		for _, w := range way {
			reached[w] = true
		}
	}
	return ""
}

// chain is a member and a successor list.
type chain struct {
	head ring.Token
	list []ring.Token
}

// orderly reports whether a list keeps ring order and stays within one turn.
func orderly(id ring.ID, list []ring.Token) bool {
	prev := id
	for _, t := range list {
		if t.ID == id || !ring.Between(prev, t.ID, id) {
			return false
		}
		prev = t.ID
	}
	return true
}
