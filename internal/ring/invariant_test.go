package ring

import (
	"slices"
	"strings"

	"github.com/quorddb/quord/internal/ident"
)

// chains returns the extended successor lists of all members. With pending, also those that answers already
// given, and not yet taken, will make: an answer is part of its step, which counts as done when it was given.
func (w *world) chains(pending bool) (all []Chain) {
	for _, id := range w.order {
		if r := w.rings[id]; r != nil {
			for _, m := range r.members {
				if m.phase == Member {
					all = append(all, Chain{r.token(m), m.list})
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
func (w *world) adopted(t Token, list []Token) []Chain {
	list = ordered(t.ID, list)
	return []Chain{{t, list}, {t, list[:min(len(list), w.cfg.withDefaults().Successors)]}}
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

// violation checks Zave's invariant, OneLiveSuccessor and SufficientPrincipals, as if the nodes gone had just
// died, and says what it finds broken.
func (w *world) violation(pending bool, gone ...ident.NodeID) string {
	var members []Token
	for _, t := range w.members() {
		if !slices.Contains(gone, t.Node) {
			members = append(members, t)
		}
	}
	var chains []Chain
	for _, c := range w.chains(pending) {
		if !slices.Contains(gone, c.Head.Node) {
			chains = append(chains, c)
		}
	}
	return Violation(w.cfg.withDefaults().Successors, members, chains)
}

// shape checks that there is exactly one ring, in order, which every member reaches.
func (w *world) shape() string { return Shape(w.members(), w.chains(false)) }

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
