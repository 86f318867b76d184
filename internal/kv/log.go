package kv

import "fmt"

// Span is a run of indexes [Lo, Hi); empty where Lo >= Hi.
type Span struct{ Lo, Hi uint64 }

// Len returns the number of indexes in s.
func (s Span) Len() uint64 {
	if s.Lo >= s.Hi {
		return 0
	}
	return s.Hi - s.Lo
}

// Effect is what a LogOp does to its group: the entries of Drop go, then those of Append come, then those of
// Tail and Head go. No index of Append lies in Tail; some may lie in Head.
type Effect struct {
	// After is the group afterwards; Exists whether there is one.
	After  Group
	Exists bool
	// HardChanged says that there was no such group before, or that its hard state or its start is another.
	HardChanged bool
	// Drop is what Destroy or Reset removes, Tail what lay beyond the appended entries, Head what Truncate cuts.
	Drop, Tail, Head Span
}

// Effect returns what op does to the group that was before (the zero value where exists is false), or an error
// that wraps ErrInvalid.
func (op *LogOp) Effect(before Group, exists bool) (Effect, error) {
	e := Effect{After: before, Exists: exists}
	g := &e.After
	g.ID = op.Group
	if op.Destroy {
		e.Drop = Span{g.Start.Index + 1, g.Last + 1}
		*g, e.Exists = Group{ID: op.Group}, false
	}
	if op.Reset != nil {
		if !op.Destroy {
			e.Drop = Span{g.Start.Index + 1, g.Last + 1}
		}
		g.Start, g.Last, e.Exists = *op.Reset, op.Reset.Index, true
	}
	if len(op.Append) > 0 {
		first := op.Append[0].Index
		if first <= g.Start.Index || first > g.Last+1 {
			return e, fmt.Errorf("%w: group %d: append at %d to a log that begins after %d and ends at %d",
				ErrInvalid, op.Group, first, g.Start.Index, g.Last)
		}
		for i := range op.Append {
			if op.Append[i].Index != first+uint64(i) {
				return e, fmt.Errorf("%w: group %d: entry %d follows entry %d",
					ErrInvalid, op.Group, op.Append[i].Index, first+uint64(i)-1)
			}
		}
		last := first + uint64(len(op.Append)) - 1
		e.Tail = Span{last + 1, g.Last + 1}
		g.Last, e.Exists = last, true
	}
	if t := op.Truncate; t != nil && t.Index > g.Start.Index {
		if t.Index > g.Last {
			return e, fmt.Errorf("%w: group %d: truncate at %d a log that ends at %d",
				ErrInvalid, op.Group, t.Index, g.Last)
		}
		e.Head = Span{g.Start.Index + 1, t.Index + 1}
		g.Start = *t
	}
	if op.Hard != nil {
		g.Hard, e.Exists = *op.Hard, true
	}
	e.HardChanged = e.Exists && (!exists || g.Hard != before.Hard || g.Start != before.Start)
	return e, nil
}
