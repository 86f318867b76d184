package ring

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorddb/quord/internal/ident"
)

// chain is an extended successor list: a member and its list (Zave 2017, section III).
type chain struct {
	head Token
	list []Token
}

// chains returns the extended successor lists of all members. With pending, also those that answers already
// given, and not yet taken, will make: an answer is part of its step, which counts as done when it was given.
func (w *world) chains(pending bool) (all []chain) {
	for _, id := range w.order {
		if r := w.rings[id]; r != nil {
			for _, m := range r.members {
				if m.phase == Member {
					all = append(all, chain{r.token(m), m.list})
				}
			}
		}
	}
	if !pending {
		return all
	}
	for _, l := range w.queue {
		r := w.rings[l.to]
		if r == nil {
			continue
		}
		m := r.member(l.msg.To)
		if m == nil {
			continue
		}
		peer := Token{ID: l.msg.From, Node: l.from}
		switch {
		case l.msg.Kind == State && m.op != idle && m.seq == l.msg.Seq && m.peer == peer:
			list := slices.Clone(l.msg.List)
			if m.op != joining || len(list) == 0 {
				list = append([]Token{peer}, list...)
			}
			all = append(all, w.adopted(r.token(m), list)...)
		case l.msg.Kind == Leave && len(l.msg.List) > 0 && m.phase == Member:
			all = append(all, w.adopted(r.token(m), l.msg.List)...)
		}
	}
	return all
}

// adopted returns the chains that may come of a list that is about to be taken: whole, or cut to r entries.
func (w *world) adopted(t Token, list []Token) []chain {
	list = ordered(t.ID, list)
	return []chain{{t, list}, {t, list[:min(len(list), w.cfg.withDefaults().Successors)]}}
}

// ordered cuts a list where it would pass the token at id.
func ordered(id ID, list []Token) []Token {
	for n := range list {
		if !inOrder(id, list[:n+1]) {
			return list[:n]
		}
	}
	return list
}

// principals returns the members that no chain skips: no contiguous pair [x, y] of one has Between(x, p, y).
func principals(members []Token, chains []chain) (p []Token) {
	skipped := make([]bool, len(members))
	for _, c := range chains {
		x := c.head.ID
		for _, y := range c.list {
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

// violation checks Zave's invariant, OneLiveSuccessor and SufficientPrincipals, as if the nodes gone had just
// died, and says what it finds broken.
func (w *world) violation(pending bool, gone ...ident.NodeID) string {
	var members []Token
	for _, t := range w.members() {
		if !slices.Contains(gone, t.Node) {
			members = append(members, t)
		}
	}
	live := map[Token]bool{}
	nodes := map[ident.NodeID]bool{}
	for _, t := range members {
		live[t], nodes[t.Node] = true, true
	}
	var chains []chain
	for _, c := range w.chains(pending) {
		if slices.Contains(gone, c.head.Node) {
			continue
		}
		chains = append(chains, c)
		// A chain that is to be of a member that now joins has no head yet; its list counts all the same.
		if len(members) > 1 && !slices.ContainsFunc(c.list, func(t Token) bool { return live[t] }) {
			return fmt.Sprintf("OneLiveSuccessor: %v has %v", c.head, c.list)
		}
		if !inOrder(c.head.ID, c.list) {
			return fmt.Sprintf("OrderedSuccessorLists: %v has %v", c.head, c.list)
		}
	}
	r := w.cfg.withDefaults().Successors
	if p := principals(members, chains); len(p) < r+1 {
		return fmt.Sprintf("SufficientPrincipals: %d of %d, want %d: %v", len(p), len(members), r+1, p)
	}
	return ""
}

// shape checks what the invariant implies and users live by: exactly one ring, in order, which every member reaches.
func (w *world) shape() string {
	members := w.members()
	live := map[Token]bool{}
	for _, t := range members {
		live[t] = true
	}
	best := map[Token]Token{}
	for _, c := range w.chains(false) {
		for _, t := range c.list {
			if live[t] {
				best[c.head] = t
				break
			}
		}
	}
	if len(members) == 0 {
		return "no member"
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
	for i, t := range order {
		next := order[(i+1)%len(order)]
		for _, x := range order {
			if x != t && x != next && Between(t.ID, x.ID, next.ID) {
				return fmt.Sprintf("OrderedRing: %v follows %v and skips %v", next, t, x)
			}
		}
	}
	for _, t := range members {
		at := t
		for range members {
			at = best[at]
		}
		if !ring[at] {
			return fmt.Sprintf("AtMostOneRing, ConnectedAppendages: %v does not reach the ring %v", t, order)
		}
	}
	return ""
}

func showTokens(tokens []Token) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.ID.Short())
	}
	return b.String()
}
