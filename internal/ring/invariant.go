package ring

import (
	"fmt"
	"slices"
)

// The invariant that the protocol keeps as long as its operating assumption holds, for those who judge it: tests, and
// the simulator. Nothing in production looks at all rings at once.

// Chain is an extended successor list: a member and its list (Zave 2017, section III).
type Chain struct {
	Head Token
	List []Token
}

// Violation checks Zave's invariant, OneLiveSuccessor and SufficientPrincipals (section IV), and that the lists are
// ordered, of a ring whose lists have at least r entries. members are all that live, in ascending order. It says what is
// broken, "" where nothing is.
func Violation(r int, members []Token, chains []Chain) string {
	live := make(map[Token]bool, len(members))
	for _, t := range members {
		live[t] = true
	}
	for _, c := range chains {
		// A chain that is to be of a member that now joins has no head yet; its list counts all the same.
		if len(members) > 1 && !slices.ContainsFunc(c.List, func(t Token) bool { return live[t] }) {
			return fmt.Sprintf("OneLiveSuccessor: %v has %v", c.Head, c.List)
		}
		if !inOrder(c.Head.ID, c.List) {
			return fmt.Sprintf("OrderedSuccessorLists: %v has %v", c.Head, c.List)
		}
	}
	if p := Principals(members, chains); len(p) < r+1 {
		return fmt.Sprintf("SufficientPrincipals: %d of %d, want %d: %v", len(p), len(members), r+1, p)
	}
	return ""
}

// Principals returns the members that no chain skips: no contiguous pair [x, y] of one has Between(x, p, y).
func Principals(members []Token, chains []Chain) (p []Token) {
	skipped := make([]bool, len(members))
	for _, c := range chains {
		x := c.Head.ID
		for _, y := range c.List {
			// The members between x and y are those from behind x on, clockwise.
			i, found := slices.BinarySearchFunc(members, x, func(t Token, id ID) int { return t.ID.Compare(id) })
			if found {
				i++
			}
			for range members {
				if i = i % len(members); !Between(x, members[i].ID, y.ID) {
					break
				}
				skipped[i] = true
				i++
			}
			x = y.ID
		}
	}
	for i, t := range members {
		if !skipped[i] {
			p = append(p, t)
		}
	}
	return p
}

// Shape checks what the invariant implies and users live by: exactly one ring, in order, which every member reaches. It
// says what is broken, "" where nothing is.
func Shape(members []Token, chains []Chain) string {
	if len(members) == 0 {
		return "no member"
	}
	live := make(map[Token]bool, len(members))
	for _, t := range members {
		live[t] = true
	}
	best := make(map[Token]Token, len(members))
	for _, c := range chains {
		for _, t := range c.List {
			if live[t] {
				best[c.Head] = t
				break
			}
		}
	}
	// Whoever is still on the walk after as many steps as there are members is on a ring.
	at := members[0]
	for range members {
		at = best[at]
	}
	ring := map[Token]bool{}
	var order []Token
	for !ring[at] {
		ring[at] = true
		order = append(order, at)
		at = best[at]
	}
	// In order, a ring passes its start once: each next token lies further on, up to where it began.
	for i := 1; i < len(order); i++ {
		if i+1 < len(order) && !Between(order[i].ID, order[i+1].ID, order[0].ID) {
			return fmt.Sprintf("OrderedRing: %v follows %v and passes %v", order[i+1], order[i], order[0])
		}
	}
	for _, t := range members {
		at := t
		for range members {
			if ring[at] {
				break
			}
			at = best[at]
		}
		if !ring[at] {
			return fmt.Sprintf("AtMostOneRing, ConnectedAppendages: %v does not reach the ring %v", t, order)
		}
	}
	return ""
}
