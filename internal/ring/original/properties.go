package original

// Property is one of the seven that were claimed to be invariants (PODC 2002), as Zave states them.
type Property struct {
	Name string
	// Required properties are those without which the protocol cannot be correct; the others are what it was thought
	// to rest on.
	Required bool
	holds    func(*shape) bool
}

// Properties are all seven. None is an invariant of these rules.
var Properties = []Property{
	{"AtLeastOneRing", true, func(s *shape) bool { return s.rings > 0 }},
	{"AtMostOneRing", true, func(s *shape) bool { return s.rings <= 1 }},
	{"OrderedRing", true, orderedRing},
	{"ConnectedAppendages", true, connectedAppendages},
	{"OrderedMerges", false, orderedMerges},
	{"OrderedAppendages", false, orderedAppendages},
	{"ValidSuccessorList", false, validSuccessorList},
}

// Broken returns the properties that do not hold.
func Broken(r *Ring) (broken []Property) {
	s := newShape(r)
	for _, p := range Properties {
		if !p.holds(s) {
			broken = append(broken, p)
		}
	}
	return broken
}

// shape is what best successors make of a state.
type shape struct {
	*Ring
	rings int
	best  []int // best successor of each member, or None
	root  []int // the ring member that it reaches, itself on a ring, or None
	name  []int // of a ring member: which ring
}

func newShape(r *Ring) *shape {
	n := len(r.Nodes)
	s := &shape{Ring: r, best: make([]int, n), root: make([]int, n), name: make([]int, n)}
	for id := range r.Nodes {
		s.best[id], s.root[id] = None, None
		if r.Live(id) {
			s.best[id] = r.BestSuccessor(id)
		}
	}
	for id := range r.Nodes {
		if !r.Live(id) || s.root[id] != None {
			continue
		}
		next := s.best[id]
		for range n {
			if next == None || next == id {
				break
			}
			next = s.best[next]
		}
		if next != id {
			continue
		}
		s.rings++
		for at := id; s.root[at] == None; at = s.best[at] {
			s.root[at], s.name[at] = at, s.rings
		}
	}
	for range n {
		for id, b := range s.best {
			if b != None && s.root[id] == None {
				s.root[id] = s.root[b]
			}
		}
	}
	return s
}

// orderedRing: no member of a ring lies between another one and its best successor.
func orderedRing(s *shape) bool {
	for a := range s.Nodes {
		for x := range s.Nodes {
			if s.onRing(a) && s.onRing(x) && s.name[a] == s.name[x] && x != a && x != s.best[a] && Between(a, x, s.best[a]) {
				return false
			}
		}
	}
	return true
}

func (s *shape) onRing(id int) bool { return s.root[id] == id }

// connectedAppendages: every living member reaches a ring, where there is one.
func connectedAppendages(s *shape) bool {
	for id := range s.Nodes {
		if s.Live(id) && s.root[id] == None && s.rings > 0 {
			return false
		}
	}
	return true
}

// orderedMerges: an appendage whose best successor is on the ring lies between that and the ring member before it.
func orderedMerges(s *shape) bool {
	for a := range s.Nodes {
		to := s.best[a]
		if to == None || s.onRing(a) || s.root[a] != to {
			continue
		}
		for b := range s.Nodes {
			if s.onRing(b) && s.best[b] == to && !Between(b, a, to) {
				return false
			}
		}
	}
	return true
}

// orderedAppendages: between an appendage and its best successor there is no other appendage of the same tree.
func orderedAppendages(s *shape) bool {
	for a := range s.Nodes {
		if s.root[a] == None || s.onRing(a) {
			continue
		}
		for x := range s.Nodes {
			if x != a && x != s.best[a] && !s.onRing(x) && s.root[x] == s.root[a] && Between(a, x, s.best[a]) {
				return false
			}
		}
	}
	return true
}

// validSuccessorList: where the list of w skips a living member v, no member whose first successor is w has v in its
// list.
func validSuccessorList(s *shape) bool {
	for w, n := range s.Nodes {
		if !s.Live(w) || n.Succ == None || n.Succ2 == None {
			continue
		}
		for v := range s.Nodes {
			skipped := Between(w, v, int(n.Succ)) || v != int(n.Succ) && Between(int(n.Succ), v, int(n.Succ2))
			if !s.Live(v) || v == w || !skipped {
				continue
			}
			for u := range s.Nodes {
				if s.Live(u) && int(s.Nodes[u].Succ) == w && int(s.Nodes[u].Succ2) == v {
					return false
				}
			}
		}
	}
	return true
}
