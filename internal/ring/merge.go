package ring

import (
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// A partition that lasts leaves a ring on each side, and neither would ever hear of the other: every pointer of a ring
// leads to a token of the same ring. So each node asks the nodes that its caller names, one after the other, where they
// would place one of its own tokens. A node of the same ring finds the token itself. One of another ring finds a token
// there, which is the successor that this one would have in that ring: it is offered to the token, which takes it as it
// takes its successor's predecessor, once it has answered and only if it lies in between. Then all tokens of the
// node are placed through the same node, a few in each round.
//
// Adoption only ever brings a successor nearer, so the lookups of either side alone make one ring: a token whose true
// successor is of the other ring is offered it, or hears of it from its present one, whose predecessor the newcomer
// becomes. The same mends a ring that winds around more than once.
//
// Departs from the papers, in which rings that have come apart stay apart. Zave's invariant cannot hold while there are
// two rings, and does again once there is one; what holds all the while is that every member has a live successor and
// every list is in order.

const (
	// maxKnown bounds the nodes that may be asked.
	maxKnown = 1024
	// mergeWidth is how many tokens of a node are placed in another ring in one interval of stabilization. With the one
	// question to that token which may follow, a node sends at most mergeWidth * (HopLimit + 1) questions for merging in
	// an interval; about mergeWidth times half the logarithm of the ring's size is usual, and where there is one ring a
	// single lookup in each MergeEvery.
	mergeWidth = 8
)

// merging is the search of a node for rings beside its own.
type merging struct {
	known   []ident.NodeID // ascending
	last    ident.NodeID   // who was asked last: the next is the first of known behind it
	due     time.Duration
	through ident.NodeID // a node of another ring; zero: none has been found
	left    int          // how many of this node's tokens have yet to be placed there
	turn    int          // the token placed last
}

// Acquaint names the nodes that may stand in a ring of their own, those that are believed to live: they take the place
// of those named before. Of more than 1024 the first ones by identifier are kept. Naming none ends the search.
func (r *Ring) Acquaint(now time.Duration, nodes []ident.NodeID) {
	r.now = now
	g := &r.merge
	first := len(g.known) == 0
	g.known = append(g.known[:0], nodes...)
	slices.SortFunc(g.known, ident.NodeID.Compare)
	g.known = slices.Compact(g.known)
	g.known = slices.DeleteFunc(g.known, func(n ident.NodeID) bool { return n == r.self || n.IsZero() })
	g.known = g.known[:min(len(g.known), maxKnown)]
	if !first || len(g.known) == 0 {
		return
	}
	// Nodes begin anywhere, or all would ask the same one at the same time.
	g.last = g.known[r.rand.Uint64()%uint64(len(g.known))]
	g.due = now + r.random(r.cfg.MergeEvery)
}

// nextMerge returns when tickMerge is wanted.
func (r *Ring) nextMerge() time.Duration {
	if len(r.merge.known) == 0 {
		return 1<<63 - 1
	}
	return r.merge.due
}

// tickMerge asks the next node, or goes on placing tokens in another ring.
func (r *Ring) tickMerge() {
	g := &r.merge
	if len(g.known) == 0 || g.due > r.now {
		return
	}
	if g.left > 0 {
		g.due = r.now + r.cfg.StabilizeEvery
		n := min(g.left, mergeWidth)
		g.left -= n
		for range n {
			r.placeNext(g.through)
		}
		return
	}
	g.through = ident.NodeID{}
	g.due = r.now + r.cfg.MergeEvery - r.cfg.MergeEvery/4 + r.random(r.cfg.MergeEvery/2)
	i, found := slices.BinarySearchFunc(g.known, g.last, ident.NodeID.Compare)
	if found {
		i++
	}
	g.last = g.known[i%len(g.known)]
	r.placeNext(g.last)
}

// placeNext looks the next of this node's tokens up through another node.
func (r *Ring) placeNext(through ident.NodeID) {
	for range r.members {
		r.merge.turn = (r.merge.turn + 1) % len(r.members)
		if m := r.members[r.merge.turn]; m.phase == Member {
			r.findThrough(m, through)
			return
		}
	}
}

// placed hears which token another node finds at m's place.
func (r *Ring) placed(m *member, t Token, through ident.NodeID, err error) {
	g := &r.merge
	if err != nil {
		if through == g.through {
			g.left = 0 // it is in no ring, or out of reach again
		}
		return
	}
	s := r.successor(m)
	if m.phase != Member || t.ID == m.id || t == s {
		return
	}
	if g.through.IsZero() {
		g.through, g.left = through, len(r.members)
		g.due = r.now
		r.tell(Event{Kind: OtherRing, Token: r.token(m), Peer: t})
	}
	if Between(m.id, t.ID, s.ID) {
		m.offered, m.due = t, r.now
	}
}

// askOffered asks the token that was offered to m, if it still lies between m and its successor.
func (r *Ring) askOffered(m *member) bool {
	t := m.offered
	if t.IsZero() {
		return false
	}
	if !Between(m.id, t.ID, r.successor(m).ID) {
		m.offered = Token{}
		return false
	}
	r.ask(m, fromPredecessor, t)
	return true
}
