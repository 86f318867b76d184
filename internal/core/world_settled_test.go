package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
)

// describe says where every node stands, for failures.
func (w *world) describe() string {
	out := ""
	for _, n := range w.nodes {
		if n.core == nil {
			out += fmt.Sprintf("node %d (%s) does not run; ended: %v\n", n.index, n.id.Short(), n.ended)
			continue
		}
		c := n.core
		f := c.Figures()
		state := "no member"
		if c.registry != nil {
			if m, ok := c.registry.Member(n.id); ok {
				state = m.State.String()
			}
		}
		out += fmt.Sprintf("node %d (%s): phase %d, %s, ready: %v, leads %d holds %d lacks %d moves %d, members %d, refused %q\n",
			n.index, n.id.Short(), c.member.phase, state, c.Ready(), f.Leads, f.Holds, f.Lacking, f.Moving, f.Members, tail(n.refusals))
		if c.ring != nil {
			seen := map[ident.NodeID]bool{}
			members := 0
			for _, tok := range c.ring.State().Tokens {
				if tok.Phase == ring.Member {
					members++
				}
				for _, s := range tok.Successors {
					seen[s.Node] = true
				}
			}
			out += fmt.Sprintf("  in the ring: %d tokens, which see %d nodes\n", members, len(seen))
		}
		for _, p := range append(slices.Clone(c.places), c.system) {
			if p.group != nil && p.led {
				out += fmt.Sprintf("  leads %d: %s; %s %s; wants %v\n", int32(p.tablet), p.group.Descriptor(), p.wish.step, p.wish.why, shorts(p.wish.targets))
			}
		}
		for _, e := range n.told[max(0, len(n.told)-6):] {
			if e.Level >= Info {
				out += fmt.Sprintf("  said: %s %v\n", e.Text, e.Attrs)
			}
		}
	}
	return out
}

func tail(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

func shorts(ids []ident.NodeID) (out []string) {
	for _, id := range ids {
		out = append(out, id.Short())
	}
	return out
}

// running returns the nodes on which a process runs.
func (w *world) running() []*node {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.core == nil })
}

// leader returns the node that leads a tablet with an entry of its own term, in the highest term.
func (w *world) leader(t uint32) *node {
	var found *node
	var term uint64
	for _, n := range w.running() {
		if p := n.core.place(t); p != nil && p.group != nil && p.group.Serving() && p.group.Term() > term {
			found, term = n, p.group.Term()
		}
	}
	return found
}

// settled waits until the running nodes are up and each tablet lies where the ring of the running nodes wants it, led
// by its first target.
func (w *world) settled(limit time.Duration) {
	w.t.Helper()
	why := ""
	end := w.now + limit
	for at := w.now; ; at += 50 * time.Millisecond {
		w.run(at - w.now)
		if why = w.unsettled(); why == "" {
			return
		}
		if w.now > end {
			w.t.Fatalf("after %v still not settled: %s\n%s", limit, why, w.describe())
		}
	}
}

// unsettled says what is not as it should be in the end, "" where all is.
func (w *world) unsettled() string {
	nodes := w.running()
	var tokens []ring.Token
	for _, n := range nodes {
		if err := n.core.Ready(); err != nil {
			return fmt.Sprintf("node %d: %v", n.index, err)
		}
		for _, o := range nodes {
			m, ok := n.core.registry.Member(o.id)
			if !ok || m.State != registry.Up {
				return fmt.Sprintf("node %d does not know node %d as up", n.index, o.index)
			}
			if o == n {
				tokens = append(tokens, m.RingTokens()...)
			}
		}
	}
	placement.Sort(tokens)
	replicas := nodes[0].core.registry.Settings().Replicas
	for t := range uint32(worldTablets) {
		want := placement.Targets(placement.Point(t, worldTablets), tokens, replicas, nodes[0].core.registry.Zone)
		l := w.leader(t)
		if l == nil || l.id != want[0] {
			return fmt.Sprintf("tablet %d is not led by its first target %s", t, want[0].Short())
		}
		d := l.core.places[t].group.Descriptor()
		if !sameVoters(d, want) {
			return fmt.Sprintf("tablet %d has %s, want %v", t, d, shorts(want))
		}
		for _, n := range nodes {
			if held := n.core.places[t].group != nil; held != slices.Contains(want, n.id) {
				return fmt.Sprintf("node %d holds tablet %d: %t", n.index, t, held)
			}
		}
	}
	size := len(nodes)
	switch {
	case size >= 5:
		size = 5
	case size == 4:
		size = 3
	}
	l := w.leader(System)
	if l == nil {
		return "the system group has no leader"
	}
	if d := l.core.system.group.Descriptor(); d.Joint || len(d.Voters()) != size || len(d.Replicas) != size {
		return fmt.Sprintf("the system group has %s, want %d voters", d, size)
	}
	return ""
}

func sameVoters(d *tablet.Descriptor, want []ident.NodeID) bool {
	if d.Joint || len(d.Replicas) != len(want) || len(d.Voters()) != len(want) {
		return false
	}
	for _, n := range want {
		if _, ok := d.Find(n); !ok {
			return false
		}
	}
	return true
}
