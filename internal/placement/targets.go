package placement

import (
	"cmp"
	"slices"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// ZoneOf names the failure domain of a node; "" is one zone, too, for nothing says that two such nodes lie apart.
// Where a ZoneOf is nil all nodes are in one zone.
type ZoneOf func(ident.NodeID) string

// Targets returns the first n distinct nodes clockwise from point on the ring that the tokens make: first those
// whose zone is not taken yet, in ring order, then, while there are fewer than n, the ones that were passed over, in
// ring order. So the first target is the owner of point. Tokens are in ascending order (Sort); fewer nodes than n
// are all taken. It takes time in proportion to the ring: where all tablets are asked for, use a Map.
func Targets(point ring.ID, tokens []ring.Token, n int, zone ZoneOf) []ident.NodeID {
	first := owner(tokens, point)
	r := intern(slices.Concat(tokens[first:], tokens[:first]), zone)
	return r.ids(r.walk(0, n))
}

// FirstOf is Targets for a walk that is already in ring order and begins at the owner: what a node knows of the ring
// from a lookup (the owner and its successor list). It prefers zones among the nodes that the walk shows.
func FirstOf(walk []ring.Token, n int, zone ZoneOf) []ident.NodeID {
	r := intern(walk, zone)
	return r.ids(r.walk(0, n))
}

// Sort puts tokens into ascending order of their identifiers, those of one identifier into the order of nodes.
func Sort(tokens []ring.Token) {
	slices.SortFunc(tokens, func(a, b ring.Token) int {
		return cmp.Or(a.ID.Compare(b.ID), a.Node.Compare(b.Node))
	})
}

// owner returns the place of the first token at or after id, wrapping; 0 when there is none.
func owner(tokens []ring.Token, id ring.ID) int {
	i, _ := slices.BinarySearchFunc(tokens, id, func(t ring.Token, id ring.ID) int { return t.ID.Compare(id) })
	if i == len(tokens) {
		return 0
	}
	return i
}

// circle is a ring in small numbers: which node each token, in ring order, belongs to, and which zone each node.
type circle struct {
	at    []int32 // node of each token
	nodes []ident.NodeID
	zone  []int32 // zone of each node
	zones int
}

func intern(tokens []ring.Token, zone ZoneOf) *circle {
	r := &circle{at: make([]int32, len(tokens))}
	var nodes numbered[ident.NodeID]
	var zones numbered[string]
	for i := range tokens {
		n, first := nodes.number(tokens[i].Node)
		if first {
			name := ""
			if zone != nil {
				name = zone(tokens[i].Node)
			}
			z, _ := zones.number(name)
			r.zone = append(r.zone, z)
		}
		r.at[i] = n
	}
	r.nodes, r.zones = nodes.all, len(zones.all)
	return r
}

// numbered gives each value a number, in the order in which they are met: of few by looking at all, of many by a map.
type numbered[T comparable] struct {
	all  []T
	many map[T]int32
}

// few is how many values are looked through.
const few = 16

func (s *numbered[T]) number(v T) (n int32, first bool) {
	if s.many == nil {
		if i := slices.Index(s.all, v); i >= 0 {
			return int32(i), false
		}
	} else if n, ok := s.many[v]; ok {
		return n, false
	}
	n = int32(len(s.all))
	s.all = append(s.all, v)
	switch {
	case s.many != nil:
		s.many[v] = n
	case len(s.all) > few:
		s.many = make(map[T]int32, 4*few)
		for i, v := range s.all {
			s.many[v] = int32(i)
		}
	}
	return n, true
}

func (r *circle) ids(p picked) []ident.NodeID {
	ids := make([]ident.NodeID, 0, p.n)
	for _, n := range p.nodes[:p.n] {
		ids = append(ids, r.nodes[n])
	}
	return ids
}

// picked is the outcome of a walk.
type picked struct {
	nodes [MaxReplicas]int32
	n     int
	// seen is how many tokens the walk looked at: what lies beyond had no say.
	seen int
}

func (p *picked) has(node int32) bool { return slices.Contains(p.nodes[:p.n], node) }

// walk picks the targets of whatever the token at place first owns. It allocates nothing.
func (r *circle) walk(first, n int) picked { return r.walkWith(first, n, -1, 0) }

// walkWith is walk on the ring as it were with one token more, of node extra, before the one at place insert; first
// counts with it. A negative insert adds none.
func (r *circle) walkWith(first, n, insert int, extra int32) picked {
	size := len(r.at)
	if insert >= 0 {
		size++
	}
	n = min(n, MaxReplicas, len(r.nodes))
	zones := min(n, r.zones)
	var p picked
	// Nodes that were passed over because their zone was taken; more than n are never needed.
	var over [MaxReplicas]int32
	passed := 0
	for ; p.seen < size; p.seen++ {
		if p.n == n || (p.n == zones && p.n+passed >= n) {
			break
		}
		i := first + p.seen
		if i >= size {
			i -= size
		}
		node := extra
		switch {
		case insert < 0 || i < insert:
			node = r.at[i]
		case i > insert:
			node = r.at[i-1]
		}
		switch {
		case p.has(node):
		case !r.zoneTaken(&p, node):
			p.nodes[p.n] = node
			p.n++
		case passed < n && !slices.Contains(over[:passed], node):
			over[passed] = node
			passed++
		}
	}
	for _, node := range over[:passed] {
		if p.n == n {
			break
		}
		p.nodes[p.n] = node
		p.n++
	}
	return p
}

func (r *circle) zoneTaken(p *picked, node int32) bool {
	for _, taken := range p.nodes[:p.n] {
		if r.zone[taken] == r.zone[node] {
			return true
		}
	}
	return false
}
