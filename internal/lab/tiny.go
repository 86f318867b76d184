package lab

import (
	"fmt"
	"math/bits"
	"strings"
)

const (
	maxTiny = 6 // nodes of a tiny ring
	maxR    = 3 // entries of its lists
	nobody  = -1
)

// tiny is all of a small ring that Zave's invariant reads: which nodes are members, and their successor lists. Nodes
// stand at positions 0 to n-1; only their order matters to the protocol, which compares and never measures.
type tiny struct {
	live uint8
	list [maxTiny]succs
}

// succs is a successor list, the first entry first, nobody behind the last.
type succs [maxR]int8

var noSuccs = succs{nobody, nobody, nobody}

func (t *tiny) lives(i int) bool { return i >= 0 && t.live>>i&1 == 1 }

func (t *tiny) remove(i int) {
	t.live &^= 1 << i
	t.list[i] = noSuccs
}

// first returns the first living entry of a list, or nobody.
func (t *tiny) first(list succs) int {
	for _, s := range list {
		if t.lives(int(s)) {
			return int(s)
		}
	}
	return nobody
}

// circleOf holds the positions strictly between two others on a circle of n: between[a][b], all but a for b = a.
type circleOf struct {
	n       int
	between [maxTiny][maxTiny]uint8
}

func newCircleOf(n int) *circleOf {
	c := &circleOf{n: n}
	for a := range n {
		for b := range n {
			for x := (a + 1) % n; x != b && x != a; x = (x + 1) % n {
				c.between[a][b] |= 1 << x
			}
		}
	}
	return c
}

func (c *circleOf) isBetween(a, x, b int) bool { return c.between[a][b]>>x&1 == 1 }

// violation returns which part of the invariant a state breaks, or "": Zave 2017, section IV. Every member has a
// living successor in its list; at least r+1 members are principals, which no two neighbouring entries skip; lists
// are in order.
func (c *circleOf) violation(t *tiny, r int) string {
	for m := range c.n {
		if !t.lives(m) {
			continue
		}
		living := false
		x, passed := m, uint8(0)
		for _, s := range t.list[m] {
			if s == nobody {
				break
			}
			if int(s) == m || passed>>s&1 == 1 {
				return "OrderedSuccessorLists"
			}
			living = living || t.lives(int(s))
			passed |= c.between[x][s] | 1<<s
			x = int(s)
		}
		if !living && t.live != 1<<m {
			return "OneLiveSuccessor"
		}
	}
	if bits.OnesCount8(c.principals(t)) < r+1 {
		return "SufficientPrincipals"
	}
	return ""
}

// principals returns the members that no two neighbouring entries of any list skip, its owner counted as the first.
func (c *circleOf) principals(t *tiny) uint8 {
	skipped := uint8(0)
	for m := range c.n {
		if !t.lives(m) {
			continue
		}
		x := m
		for _, s := range t.list[m] {
			if s == nobody {
				break
			}
			skipped |= c.between[x][s]
			x = int(s)
		}
	}
	return t.live &^ skipped
}

// oneRing returns what is wrong with the shape of a state, or "": the members' first living successors form exactly
// one ring, in order, which every member reaches. The invariant implies it.
func (c *circleOf) oneRing(t *tiny) string {
	best := [maxTiny]int{}
	for m := range c.n {
		if t.lives(m) {
			if best[m] = t.first(t.list[m]); best[m] == nobody {
				return "no living successor"
			}
		}
	}
	at := bits.TrailingZeros8(t.live)
	for range c.n {
		at = best[at]
	}
	ring := uint8(0)
	for ring>>at&1 == 0 {
		ring |= 1 << at
		at = best[at]
	}
	for m := range c.n {
		if !t.lives(m) {
			continue
		}
		if ring>>m&1 == 1 && c.between[m][best[m]]&ring != 0 {
			return "OrderedRing"
		}
		at := m
		for range c.n {
			at = best[at]
		}
		if ring>>at&1 == 0 {
			return "AtMostOneRing or ConnectedAppendages"
		}
	}
	return ""
}

// show writes a state for people.
func (c *circleOf) show(t *tiny) string {
	var b strings.Builder
	for m := range c.n {
		if !t.lives(m) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%d:", m)
		for _, s := range t.list[m] {
			if s != nobody {
				fmt.Fprintf(&b, " %d", s)
			}
		}
	}
	return b.String()
}
