package ring

import "slices"

// original is Chord as it was published (SIGCOMM 2001 with the successor lists of PODC 2002), in the seven
// atomic events of Zave 2012: the test double on which her counterexamples, and the lecture's trace, run. It
// adopts pointers to tokens that nobody asked, and its lists may be half empty.
type original struct {
	space Space
	at    map[uint64]*originalNode
}

type originalNode struct {
	succ, succ2, pred *uint64 // nil: unknown
	dead              bool
}

func newOriginal(bits int) *original {
	return &original{space: Space{bits}, at: map[uint64]*originalNode{}}
}

func (o *original) between(a, x, b uint64) bool {
	return Between(o.space.Of(a), o.space.Of(x), o.space.Of(b))
}

// ideal puts a ring with right successors and predecessors in place; second successors only where wanted.
func (o *original) ideal(lists bool, ids ...uint64) {
	slices.Sort(ids)
	n := len(ids)
	for i, id := range ids {
		node := &originalNode{succ: new(ids[(i+1)%n]), pred: new(ids[(i+n-1)%n])}
		if lists {
			node.succ2 = new(ids[(i+2)%n])
		}
		o.at[id] = node
	}
}

// successorOf is find_successor: a walk along first successors.
func (o *original) successorOf(from, id uint64) uint64 {
	for range len(o.at) + 1 {
		s := *o.at[from].succ
		if id == s || o.between(from, id, s) {
			return s
		}
		from = s
	}
	panic("the walk does not end")
}

func (o *original) join(id, through uint64) {
	o.at[id] = &originalNode{succ: new(o.successorOf(through, id))}
}

// stabilize adopts the successor's predecessor if it lies between, and notifies the successor.
func (o *original) stabilize(id uint64) {
	n := o.at[id]
	if x := o.at[*n.succ].pred; x != nil && o.between(id, *x, *n.succ) {
		n.succ = new(*x)
	}
	if s := o.at[*n.succ]; !s.dead && (s.pred == nil || o.between(*s.pred, id, *n.succ)) {
		s.pred = new(id)
	}
}

func (o *original) reconcile(id uint64) { o.at[id].succ2 = o.at[*o.at[id].succ].succ }

func (o *original) fail(id uint64) { o.at[id].dead = true }

// update promotes the second successor where the first is dead.
func (o *original) update(id uint64) {
	if n := o.at[id]; n.succ != nil && o.at[*n.succ].dead {
		n.succ, n.succ2 = n.succ2, nil
	}
}

// rings returns the cycles that first live successors form.
func (o *original) rings() (cycles [][]uint64) {
	best := func(id uint64) *uint64 {
		for _, s := range []*uint64{o.at[id].succ, o.at[id].succ2} {
			if s != nil && !o.at[*s].dead {
				return s
			}
		}
		return nil
	}
	seen := map[uint64]bool{}
	for id, n := range o.at {
		if n.dead || seen[id] {
			continue
		}
		cycle := []uint64{id}
		next := best(id)
		for next != nil && *next != id && len(cycle) <= len(o.at) {
			cycle = append(cycle, *next)
			next = best(*next)
		}
		if next == nil || *next != id {
			continue // not on a ring: an appendage, or cut off
		}
		for _, c := range cycle {
			seen[c] = true
		}
		slices.Sort(cycle)
		cycles = append(cycles, cycle)
	}
	slices.SortFunc(cycles, slices.Compare)
	return cycles
}
