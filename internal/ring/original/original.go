// Package original is Chord as it was published (SIGCOMM 2001, with the successor lists of PODC 2002): the rules that
// Zave found to be wrong (CCR 42(2), 2012). It exists so that her counterexamples, and the lectures' trace, run on
// the rules for which they were written, beside package ring, which corrects them. Nothing in production uses it.
//
// Members stand at small positions of a circle; only their cyclic order matters. Successor lists have two entries.
// Each method is one of her atomic events; stabilize and the notified event that follows it are one, which leaves
// fewer interleavings and the same defects. Two defects are on purpose: pointers are adopted without asking the node
// that they point to, and lists may be half empty.
//
// A Ring is a value without locks, clock or randomness.
package original

import (
	"slices"
)

// None is an unknown pointer.
const None = -1

// Node is the state of one position.
type Node struct {
	In, Dead          bool // In: has joined, be it dead since
	Succ, Succ2, Pred int8
}

// Ring is all that there is.
type Ring struct {
	Nodes []Node
}

// New returns an empty circle of the given number of positions.
func New(size int) *Ring {
	r := &Ring{Nodes: make([]Node, size)}
	for i := range r.Nodes {
		r.Nodes[i] = Node{Succ: None, Succ2: None, Pred: None}
	}
	return r
}

// Clone returns a copy.
func (r *Ring) Clone() *Ring { return &Ring{Nodes: slices.Clone(r.Nodes)} }

// Between reports whether x lies strictly between a and b, clockwise; every x but a lies between a and a.
func Between(a, x, b int) bool {
	if a < b {
		return a < x && x < b
	}
	return a < x || x < b
}

// Live reports whether a position holds a living member.
func (r *Ring) Live(id int) bool { return id >= 0 && r.Nodes[id].In && !r.Nodes[id].Dead }

// Ideal puts a ring with right successors and predecessors in place; second successors only where wanted.
func (r *Ring) Ideal(lists bool, ids ...int) {
	slices.Sort(ids)
	n := len(ids)
	for i, id := range ids {
		node := Node{In: true, Succ: int8(ids[(i+1)%n]), Succ2: None, Pred: int8(ids[(i+n-1)%n])}
		if lists {
			node.Succ2 = int8(ids[(i+2)%n])
		}
		r.Nodes[id] = node
	}
}

// successorOf is find_successor: a walk along first successors. It returns None where the walk does not end.
func (r *Ring) successorOf(from, id int) int {
	for range len(r.Nodes) + 1 {
		if !r.Live(from) {
			break
		}
		s := int(r.Nodes[from].Succ)
		if s == None || id == s || Between(from, id, s) {
			return s
		}
		from = s
	}
	return None
}

// Join lets id take what find_successor, asked at through, returns. It reports whether anything was returned.
func (r *Ring) Join(id, through int) bool {
	s := r.successorOf(through, id)
	if s == None || s == id {
		return false
	}
	r.Nodes[id] = Node{In: true, Succ: int8(s), Succ2: None, Pred: None}
	return true
}

// Stabilize adopts the successor's predecessor if it lies between, without asking it, and notifies the successor.
func (r *Ring) Stabilize(id int) {
	n := &r.Nodes[id]
	if !r.Live(int(n.Succ)) {
		return
	}
	if x := r.Nodes[n.Succ].Pred; x != None && Between(id, int(x), int(n.Succ)) {
		n.Succ = x
	}
	if s := &r.Nodes[n.Succ]; r.Live(int(n.Succ)) && (s.Pred == None || Between(int(s.Pred), id, int(n.Succ))) {
		s.Pred = int8(id)
	}
}

// Reconcile takes the successor's successor as the second one.
func (r *Ring) Reconcile(id int) {
	if s := int(r.Nodes[id].Succ); r.Live(s) {
		r.Nodes[id].Succ2 = r.Nodes[s].Succ
	}
}

// Update promotes the second successor where the first is dead.
func (r *Ring) Update(id int) {
	if n := &r.Nodes[id]; n.Succ != None && !r.Live(int(n.Succ)) {
		n.Succ, n.Succ2 = n.Succ2, None
	}
}

// Flush forgets a dead predecessor.
func (r *Ring) Flush(id int) {
	if n := &r.Nodes[id]; n.Pred != None && !r.Live(int(n.Pred)) {
		n.Pred = None
	}
}

// Fail stops a member; nobody reads its pointers any more.
func (r *Ring) Fail(id int) {
	r.Nodes[id] = Node{In: true, Dead: true, Succ: None, Succ2: None, Pred: None}
}

// BestSuccessor returns the first successor that lives, or None.
func (r *Ring) BestSuccessor(id int) int {
	for _, s := range []int8{r.Nodes[id].Succ, r.Nodes[id].Succ2} {
		if s != None && r.Live(int(s)) {
			return int(s)
		}
	}
	return None
}

// Rings returns the cycles that best successors form, each in ascending order.
func (r *Ring) Rings() (cycles [][]int) {
	seen := make([]bool, len(r.Nodes))
	for id := range r.Nodes {
		if !r.Live(id) || seen[id] {
			continue
		}
		cycle := []int{id}
		next := r.BestSuccessor(id)
		for next != None && next != id && len(cycle) <= len(r.Nodes) {
			cycle = append(cycle, next)
			next = r.BestSuccessor(next)
		}
		if next != id {
			continue // not on a ring: an appendage, or cut off
		}
		for _, c := range cycle {
			seen[c] = true
		}
		slices.Sort(cycle)
		cycles = append(cycles, cycle)
	}
	return cycles
}
