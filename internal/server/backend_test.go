package server

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/memview"
	"github.com/quorddb/quord/internal/request"
)

// fakeNode is a Backend that holds all tablets in memory.
type fakeNode struct {
	tablets int
	// remote says that reads of a tablet cannot be answered on the spot.
	remote func(tablet uint32) bool
	// async makes requests end on other goroutines.
	async bool
	// alone says that one session is served, whose reads must be dated after its writes.
	alone bool
	// hold, where set, delays the end of submitted requests until it is closed.
	hold chan struct{}
	// atMost, where set, is how many commands of a request are carried out.
	atMost int
	// fail, where set, may end a request without executing it.
	fail func(r *request.Request) *request.Failure

	mu        sync.Mutex
	views     []*memview.View
	requests  int                         // submitted
	submits   int                         // calls of Submit
	seen      []string                    // commands in the order of their execution, when record is set
	record    bool                        //
	leave     func(context.Context) error // what Leave does
	lookups   []string                    // modes asked for
	inSubmit  map[uint32]bool             // tablets of the requests that have not ended
	violation func(msg string)            // called when the server breaks its promise
	active    sync.WaitGroup
}

func newFakeNode(t testing.TB, tablets int) *fakeNode {
	n := &fakeNode{tablets: tablets, inSubmit: map[uint32]bool{}}
	n.violation = func(msg string) { t.Error(msg) }
	for range tablets {
		n.views = append(n.views, &memview.View{Time: 1})
	}
	return n
}

func (n *fakeNode) Tablets() int { return n.tablets }

// Moment tells how many requests have been submitted.
func (n *fakeNode) Moment() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Duration(n.requests)
}

func (n *fakeNode) TryRead(at time.Duration, r *request.Request) bool {
	if n.remote != nil && n.remote(r.Tablet) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.alone && at != time.Duration(n.requests) {
		n.violation(fmt.Sprintf("a read is of the moment %d, and %d requests came before it", at, n.requests))
	}
	for i, c := range n.first(r) {
		r.Replies = append(r.Replies, n.evaluate(r, c, replyBuffer(r, i)))
	}
	return true
}

// first returns the commands of a request that are carried out.
func (n *fakeNode) first(r *request.Request) []request.Command {
	if n.atMost > 0 {
		return r.Commands[:min(n.atMost, len(r.Commands))]
	}
	return r.Commands
}

// replyBuffer returns the space that Backend.TryRead may build the i-th reply in.
func replyBuffer(r *request.Request, i int) []byte {
	if i < cap(r.Replies) {
		return r.Replies[:i+1][i][:0]
	}
	return nil
}

// evaluate carries one command out; n.mu is held.
func (n *fakeNode) evaluate(r *request.Request, c request.Command, out []byte) []byte {
	if n.record {
		n.seen = append(n.seen, fmt.Sprintf("%q", [][]byte(c)))
	}
	return command.Evaluate(n.views[r.Tablet], c, out)
}

func (n *fakeNode) Submit(reqs []*request.Request) {
	n.mu.Lock()
	n.submits++
	n.requests += len(reqs)
	for _, r := range reqs {
		if n.inSubmit[r.Tablet] && n.hold == nil {
			n.violation(fmt.Sprintf("two requests of tablet %d at the same time", r.Tablet))
		}
		n.inSubmit[r.Tablet] = true
	}
	hold := n.hold
	n.mu.Unlock()
	if !n.async && hold == nil {
		for _, r := range slices.Clone(reqs) {
			n.end(r)
		}
		return
	}
	for _, r := range reqs {
		n.active.Add(1)
		go func() {
			defer n.active.Done()
			if hold != nil {
				<-hold
			}
			n.end(r)
		}()
	}
}

func (n *fakeNode) end(r *request.Request) {
	n.mu.Lock()
	delete(n.inSubmit, r.Tablet)
	if n.fail != nil {
		if f := n.fail(r); f != nil {
			n.mu.Unlock()
			r.End(nil, f)
			return
		}
	}
	var replies [][]byte
	for _, c := range n.first(r) {
		// Evaluated over copies, so that a server which uses its buffers too early is found out by the race detector
		// and by the replies.
		replies = append(replies, n.evaluate(r, cloneArgs(c), nil))
	}
	n.mu.Unlock()
	r.End(replies, nil)
}

func cloneArgs(c request.Command) request.Command {
	out := make(request.Command, len(c))
	for i := range c {
		out[i] = bytes.Clone(c[i])
	}
	return out
}

func (n *fakeNode) Lookup(_ context.Context, key []byte, mode string) (admin.Lookup, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups = append(n.lookups, mode)
	return admin.Lookup{Key: string(key), Slot: 12182, Mode: mode, Leader: &admin.Place{ID: "a", Addr: "b"}}, nil
}

func (n *fakeNode) Ring(context.Context) (admin.Ring, error) {
	return admin.Ring{
		Cluster: "c", Replicas: 3, Tablets: n.tablets,
		Nodes: []admin.Node{{ID: "node-1", Weight: 1.5, Share: 1, Holds: n.tablets, Leads: n.tablets}},
	}, nil
}

func (n *fakeNode) Status(ctx context.Context) (admin.Status, error) {
	if n.hold != nil {
		<-ctx.Done()
		return admin.Status{}, fmt.Errorf("ask for the status: %w", ctx.Err())
	}
	return admin.Status{Healthy: true}, nil
}

func (n *fakeNode) Leave(ctx context.Context, progress func(done, total int64)) error {
	progress(1, 2)
	if n.leave != nil {
		return n.leave(ctx)
	}
	return nil
}

func (n *fakeNode) Remove(_ context.Context, node string, dryRun bool) (string, error) {
	if node != "dead" {
		return "", fmt.Errorf("no node %q", node)
	}
	return fmt.Sprintf("removed %s, dry run %v", node, dryRun), nil
}

func (n *fakeNode) Replace(_ context.Context, node string, dryRun bool) (string, error) {
	return "", &request.Failure{Code: request.TryAgain, Message: "later"}
}

func (n *fakeNode) Identity() Identity {
	return Identity{NodeID: "node-1", ClusterID: "cluster-1", Version: "0.1.0", Replicas: 3, Started: time.Now()}
}

func (n *fakeNode) Figures() Figures {
	return Figures{Members: 3, Voters: 3, Leads: n.tablets, Holds: n.tablets}
}
