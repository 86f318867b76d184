package ring

import (
	"slices"

	"github.com/quorddb/quord/internal/ident"
)

// alternatives is how many tokens an answer names, so that the asker can go around dead ones. With half of all nodes
// dead at once, a lookup takes half a hop more with 4 of them, and no less with 16.
const alternatives = 8

// table is the routing table that all tokens of a node share: every token that any of them knows, in ring
// order. It is built anew when a pointer has changed and the next lookup wants it; a table once built is not
// changed, so that answers may show a part of it without copying.
type table struct {
	dirty  bool
	seen   map[ID]struct{} // for building it
	padded []Token         // up to maxNear-1 tokens from the end, then all tokens, so that runs need not wrap
	tokens []Token         // padded without its front
	nodes  []ident.NodeID  // the distinct other nodes, in order of their identifiers
}

// spoil says that what the table was made of has changed.
func (t *table) spoil() { t.dirty = true }

// routes returns the table, rebuilt where it is out of date.
func (r *Ring) routes() *table {
	t := &r.table
	if !t.dirty {
		return t
	}
	// The lists and fingers of neighbouring tokens name mostly the same, so each token is taken once before any is sorted.
	if t.seen == nil {
		t.seen = map[ID]struct{}{}
	}
	clear(t.seen)
	all := r.scratch[:0]
	add := func(tok Token) {
		if _, again := t.seen[tok.ID]; again || tok.IsZero() {
			return
		}
		if tok.Node == r.self {
			if m := r.member(tok.ID); m == nil || m.phase != Member {
				return
			}
		}
		t.seen[tok.ID] = struct{}{}
		all = append(all, tok)
	}
	for _, m := range r.members {
		if m.phase != Member {
			continue
		}
		add(r.token(m))
		add(m.pred)
		for _, tok := range m.list {
			add(tok)
		}
		for _, tok := range m.fingers {
			add(tok)
		}
	}
	slices.SortFunc(all, func(a, b Token) int { return a.ID.Compare(b.ID) })
	r.scratch = all
	pad := max(0, min(maxNear-1, len(all)-1))
	t.padded = make([]Token, 0, pad+len(all))
	t.padded = append(append(t.padded, all[len(all)-pad:]...), all...)
	t.tokens = t.padded[pad:]
	t.nodes = t.nodes[:0:0]
	for _, tok := range all {
		if tok.Node != r.self {
			t.nodes = append(t.nodes, tok.Node)
		}
	}
	slices.SortFunc(t.nodes, ident.NodeID.Compare)
	t.nodes = slices.Clip(slices.Compact(t.nodes))
	t.dirty = false
	r.health.prune(t.nodes, r.contacts)
	return t
}

// others returns how many other nodes this one knows that have not been found dead, counting no further than
// enough. Every change of a list asks that, so the table is not built for it.
func (r *Ring) others(enough int) int {
	found := r.counted[:0]
	full := func(tok Token) bool {
		if tok.IsZero() || tok.Node == r.self || slices.Contains(found, tok.Node) || !r.health.lives(tok.Node) {
			return false
		}
		found = append(found, tok.Node)
		return len(found) >= enough
	}
	for _, m := range r.members {
		if m.phase == Member && (full(m.pred) || slices.ContainsFunc(m.list, full) || slices.ContainsFunc(m.fingers, full)) {
			break
		}
	}
	r.counted = found
	return len(found)
}

// closestPrecedingNode returns a run of at most that many known tokens that precede target, in ring order, the
// closest usable one last (SIGCOMM 2001, figure 4, over the tokens of all successor lists and finger tables of this
// node). It is nil where nothing is known.
func (r *Ring) closestPrecedingNode(target ID, most int) []Token {
	t := r.routes()
	n := len(t.tokens)
	if n == 0 {
		return nil
	}
	end, found := slices.BinarySearchFunc(t.tokens, target, func(tok Token, id ID) int { return tok.ID.Compare(id) })
	if end == 0 {
		end = n // none is smaller: the largest precedes it, around the ring
	}
	if found && n == 1 {
		return nil
	}
	// Go back over nodes that do not answer, but never past a token of our own: it can always be asked.
	best := end
	for range n {
		if tok := t.tokens[best-1]; tok.Node == r.self || r.health.usable(tok.Node, r.now) {
			pad := len(t.padded) - n
			return t.padded[max(0, pad+best-most) : pad+best]
		}
		if best--; best == 0 {
			best = n
		}
		if t.tokens[best-1].ID == target {
			break
		}
	}
	pad := len(t.padded) - n
	return t.padded[max(0, pad+end-most) : pad+end]
}

// route says what this node knows of target's place: with Final, one of its own successor lists, in which target has
// its place (see around); with Closer, at most that many tokens that precede it, the closest last; with Outside,
// nothing.
func (r *Ring) route(target ID, most int) (Verdict, []Token) {
	m := r.precedingMember(target)
	if m == nil {
		return Outside, nil
	}
	if n := len(m.list); n > 0 && Within(m.id, target, m.list[n-1].ID) {
		return Final, m.list
	}
	run := r.closestPrecedingNode(target, most)
	if len(run) > 0 && run[len(run)-1].Node != r.self {
		return Closer, run
	}
	// All that lies between seems dead: the successor list is what is left.
	if n := len(m.list); n > 0 {
		return Closer, m.list[max(0, n-most):]
	}
	return Outside, nil
}

// around cuts a successor list in which target has its place: before are the tokens that precede it, behind those of
// which one may own it, the likeliest first. Should all of those be dead, the ones before know who follows.
func around(list []Token, target ID) (before, behind []Token) {
	for i := 1; i < len(list); i++ {
		if Within(list[i-1].ID, target, list[i].ID) {
			return list[:i], list[i:]
		}
	}
	return nil, list
}

// routeBefore is route for a token that wants to join at target: it looks for target's predecessor. What a token of this
// node knows of its own successor comes before what anybody knows: a finger that lies between the two is of a token that
// has left, or that the successor has not told of yet and stabilization will.
func (r *Ring) routeBefore(target ID) (Verdict, Token, []Token) {
	if m := r.precedingMember(target); m != nil && m.id != target {
		if s := r.successor(m).ID; s == target || Between(m.id, target, s) {
			return Before, r.token(m), m.list
		}
	}
	run := r.closestPrecedingNode(target, alternatives)
	if len(run) == 0 {
		return Outside, Token{}, nil
	}
	best := run[len(run)-1]
	if best.Node != r.self {
		return Closer, Token{}, run
	}
	m := r.member(best.ID)
	if s := r.successor(m).ID; s == target || Between(m.id, target, s) {
		return Before, best, m.list
	}
	// What lies between seems dead.
	n := 0
	for n < len(m.list) && Between(m.id, m.list[n].ID, target) {
		n++
	}
	return Closer, Token{}, m.list[max(0, n-alternatives):n]
}

// precedingMember returns the closest own token in the ring that strictly precedes target, or the one at target
// where there is no other.
func (r *Ring) precedingMember(target ID) *member {
	n := len(r.members)
	start := r.search(target)
	for k := 1; k <= n; k++ {
		if m := r.members[(start-k+n)%n]; m.phase == Member {
			return m
		}
	}
	return nil
}

// followingMember returns the closest own token in the ring at or behind target, or nil.
func (r *Ring) followingMember(target ID) *member {
	n := len(r.members)
	start := r.search(target)
	for k := range n {
		if m := r.members[(start+k)%n]; m.phase == Member {
			return m
		}
	}
	return nil
}

// owner returns the own token that owns id, or nil: the owner's check.
func (r *Ring) owner(id ID) *member {
	m := r.followingMember(id)
	if m == nil || !m.owns(m.id, id) {
		return nil
	}
	return m
}

// Owns is the owner's check: it returns the token of this node that owns id. It says no while the token's
// successor has not yet drawn back in its favour, and where the token's predecessor has died but others between
// the two may not have spoken up yet: in doubt no token owns an identifier.
func (r *Ring) Owns(id ID) (Token, bool) {
	m := r.owner(id)
	if m == nil {
		return Token{}, false
	}
	return r.token(m), true
}

// Walk returns the token of this node that owns id, followed by its successors, or nil where no token of this
// node does. The slice is the caller's.
func (r *Ring) Walk(id ID) []Token {
	m := r.owner(id)
	if m == nil {
		return nil
	}
	return append(append(make([]Token, 0, 1+len(m.list)), r.token(m)), m.list...)
}

// Known returns the other nodes in the routing table, by identifier. The slice must not be changed.
func (r *Ring) Known() []ident.NodeID { return r.routes().nodes }
