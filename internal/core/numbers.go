package core

import "slices"

// numbers names the writes of this boot to one tablet.
type numbers struct {
	next   uint64
	flight []flight // in order of their numbers
}

type flight struct {
	number uint64
	done   bool
}

// maxFlight bounds the writes of this node to one tablet; the tablet's window of results holds as many.
const maxFlight = 1024

func (n *numbers) take() uint64 {
	n.next++
	n.flight = append(n.flight, flight{number: n.next})
	return n.next
}

func (n *numbers) low() uint64 {
	if len(n.flight) == 0 {
		return n.next + 1
	}
	return n.flight[0].number
}

func (n *numbers) done(number uint64) {
	i, ok := slices.BinarySearchFunc(n.flight, number, func(f flight, v uint64) int {
		switch {
		case f.number < v:
			return -1
		case f.number > v:
			return 1
		}
		return 0
	})
	if !ok {
		return
	}
	n.flight[i].done = true
	i = 0
	for i < len(n.flight) && n.flight[i].done {
		i++
	}
	n.flight = slices.Delete(n.flight, 0, i)
}
