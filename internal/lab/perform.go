package lab

import (
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// performer carries out single steps of tiny rings on the production rules. It puts the state of the members that
// the step reads into rings, lets one of them act until it is idle, and reads its list back. Equal states give equal
// steps, so each is carried out once and remembered.
//
// That no others matter is checked, not believed: rings exist only for those named, and a message of the protocol to
// anybody else, or a list changed that is not the actor's, is an error.
type performer struct {
	n, r int
	done map[reads]succs
}

// reads is all that a step reads: what is to happen, the acting member and those that it asks, each with its list.
type reads struct {
	what    step
	live    uint8
	m, s, q int8 // the actor; the one asked first; the one that s names as its predecessor, or nobody
	lists   [3]succs
}

type step uint8

const (
	stabilizes step = iota
	joins
	leaves
)

func newPerformer(n, r int) *performer { return &performer{n: n, r: r, done: map[reads]succs{}} }

func (p *performer) config() ring.Config {
	return ring.Config{
		Bits: 3, Successors: p.r, MaxSuccessors: p.r, DistinctNodes: 1, Proximity: 1,
		StabilizeEvery: time.Second, Nudge: time.Second, MergeEvery: time.Hour,
	}
}

func (p *performer) token(i int8) ring.Token {
	return ring.Token{ID: ring.Space{Bits: 3}.Of(uint64(i)), Node: nodeID(int(i))}
}

func (p *performer) tokens(list succs) (out []ring.Token) {
	for _, s := range list {
		if s != nobody {
			out = append(out, p.token(s))
		}
	}
	return out
}

// list returns the list of the actor after the step, from memory or by carrying it out.
func (p *performer) list(what reads) (succs, error) {
	if list, ok := p.done[what]; ok {
		return list, nil
	}
	list, err := p.perform(what)
	if err != nil {
		return noSuccs, fmt.Errorf("%+v: %w", what, err)
	}
	p.done[what] = list
	return list, nil
}

func (p *performer) perform(do reads) (succs, error) {
	w := &world{}
	var stranger error
	w.spied = func(from, to int, m *ring.Message) {
		if m.Kind == ring.Query && !(to == int(do.s) || to == int(do.q) || do.live>>to&1 == 0) {
			stranger = fmt.Errorf("%d asks %d", from, to)
		}
	}
	members := [3]int8{do.m, do.s, do.q}
	for k, i := range members {
		if i == nobody || do.live>>i&1 == 0 || k > 0 && i == do.m || k == 2 && i == do.s {
			continue
		}
		r, err := ring.New(p.config(), nodeID(int(i)), []ring.ID{p.token(i).ID}, uint64(k))
		if err != nil {
			return noSuccs, err
		}
		if do.what == joins && i == do.m {
			err = r.Join(0, []ident.NodeID{nodeID(int(do.s))})
		} else {
			s := ring.TokenState{ID: p.token(i).ID, Phase: ring.Member, Confirmed: true, Successors: p.tokens(do.lists[k])}
			if i == do.s && do.q != nobody {
				s.Predecessor = p.token(do.q)
			}
			if i == do.s && do.what == leaves {
				s.Predecessor = p.token(do.m)
			}
			err = r.Restore(0, ring.Snapshot{Node: nodeID(int(i)), Tokens: []ring.TokenState{s}})
		}
		if err != nil {
			return noSuccs, err
		}
		w.put(int(i), r)
	}
	if err := w.act(int(do.m), do.what == joins); err != nil {
		return noSuccs, err
	}
	if do.what == leaves {
		w.rings[do.s].Leave(w.now)
		w.collect(int(do.s))
		w.drain()
		w.rings[do.s] = nil
	}
	for k, i := range members[1:] {
		if i == nobody || !w.alive(int(i)) || i == do.m || k == 1 && i == do.s {
			continue
		}
		if got := p.read(w, i); got != do.lists[k+1] {
			return noSuccs, fmt.Errorf("the list of %d became %v", i, got)
		}
	}
	return p.read(w, do.m), stranger
}

// act lets a ring do what is due, and wait for whoever is dead, until it is idle, or, if it joins, until it has or
// has failed to.
func (w *world) act(n int, join bool) error {
	r := w.rings[n]
	for range 100 {
		w.now = max(w.now, r.Next())
		r.Tick(w.now)
		w.collect(n)
		w.drain()
		if t := r.State().Tokens[0]; !t.Busy && (!join || t.Phase == ring.Member || w.now > 2*time.Second) {
			return nil
		}
	}
	return fmt.Errorf("%d does not become idle", n)
}

// drain delivers all messages.
func (w *world) drain() {
	for w.step(never) {
	}
}

// read returns the list of a node; of one that is no member, none.
func (p *performer) read(w *world, i int8) succs {
	list := noSuccs
	t := w.rings[i].State().Tokens[0]
	if t.Phase != ring.Member {
		return list
	}
	for k, s := range t.Successors {
		list[k] = int8(number(s.Node))
	}
	return list
}
