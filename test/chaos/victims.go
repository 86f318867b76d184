package main

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorddb/quord/test/cluster"
)

// errNotNow is returned by a fault that needs more nodes than there are at the moment.
var errNotNow = errors.New("not enough nodes for this fault")

// claim chooses members that no other fault has chosen, keeps the probes away from them, and returns them in an order
// of chance with a function that gives them free.
func (r *round) claim(rng *rand.Rand, count int) (victims []*cluster.Node, release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range rng.Perm(len(r.members)) {
		if n := r.members[i]; !r.claimed[n] && len(victims) < count {
			victims = append(victims, n)
		}
	}
	if len(victims) < count {
		return nil, nil, errNotNow
	}
	release, err = r.take(victims)
	return victims, release, err
}

// claimThis is claim of one node.
func (r *round) claimThis(n *cluster.Node) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.claimed[n] {
		return nil, errNotNow
	}
	return r.take([]*cluster.Node{n})
}

// take claims nodes that are free. The caller holds mu.
func (r *round) take(victims []*cluster.Node) (release func(), err error) {
	// Somebody must be left who is not harmed: a ring all of whose nodes are claimed has nothing to be measured by.
	if len(r.claimed)+len(victims) >= len(r.members) {
		return nil, errNotNow
	}
	for _, n := range victims {
		r.claimed[n] = true
		_ = r.calm.Remove(n.Addr) // closes a client; what it was waiting for ends
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, n := range victims {
			delete(r.claimed, n)
			if slices.Contains(r.members, n) {
				r.calm.Add(n.Addr)
			}
		}
	}, nil
}

// others returns the members that are not among nodes.
func (r *round) others(nodes []*cluster.Node) []*cluster.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.members), func(n *cluster.Node) bool { return slices.Contains(nodes, n) })
}

// calmOne returns a member that no fault has claimed.
func (r *round) calmOne() *cluster.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.members {
		if !r.claimed[n] {
			return n
		}
	}
	return r.members[0]
}

func (r *round) kill(n *cluster.Node) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return n.Kill()
}

func (r *round) launch(n *cluster.Node) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return n.Start()
}

// join adds a node to the ring's members and to what the workloads go through.
func (r *round) join(n *cluster.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = append(r.members, n)
	r.all.Add(n.Addr)
	r.calm.Add(n.Addr)
}

// part takes a node away from both.
func (r *round) part(n *cluster.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = slices.DeleteFunc(r.members, func(m *cluster.Node) bool { return m == n })
	_, _ = r.all.Remove(n.Addr), r.calm.Remove(n.Addr)
}

// between draws a span of time.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}
