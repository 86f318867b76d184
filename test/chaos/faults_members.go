package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/test/cluster"
)

// verbWithin bounds a change of members.
const verbWithin = 90 * time.Second

func within(ctx context.Context, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, verbWithin, fmt.Errorf("%s took more than %s", what, verbWithin))
}

// fresh starts a new node that joins the ring, and waits until it serves.
func (r *round) fresh(ctx context.Context) (*cluster.Node, error) {
	r.mu.Lock()
	n, err := r.cluster.Add()
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := r.equip(n); err != nil {
		return nil, err
	}
	if err := r.launch(n); err != nil {
		return nil, err
	}
	return n, n.WaitReady(ctx)
}

func joinOne(ctx context.Context, r *round, _ *rand.Rand) error {
	r.mu.Lock()
	full := len(r.members) >= maxNodes
	r.mu.Unlock()
	if full {
		return errNotNow
	}
	ctx, cancel := within(ctx, "joining")
	defer cancel()
	n, err := r.fresh(ctx)
	if err != nil {
		return err
	}
	r.join(n)
	r.say("           %s has joined", n.Name)
	return nil
}

func leave(ctx context.Context, r *round, rng *rand.Rand) error {
	r.mu.Lock()
	small := len(r.members) <= minNodes
	r.mu.Unlock()
	if small {
		return errNotNow
	}
	victims, release, err := r.claim(rng, 1)
	if err != nil {
		return err
	}
	defer release()
	n := victims[0]
	ctx, cancel := within(ctx, "leaving")
	defer cancel()
	if err := r.verb(ctx, n, "leave"); err != nil {
		return err
	}
	r.part(n)
	if code, err := n.WaitExit(ctx); err != nil || code != 0 {
		return fmt.Errorf("%s has left and ended with exit code %d, %w", n.Name, code, err)
	}
	r.say("           %s has left", n.Name)
	return nil
}

// verb runs a verb at a node.
func (r *round) verb(ctx context.Context, n *cluster.Node, args ...string) error {
	stdout, stderr, code, err := r.cluster.Quord(ctx, n, args...)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("quord %v at %s: exit code %d\n%s%s\n%s", args, n.Name, code, stdout, stderr, n.Tail(20))
	}
	return nil
}

// lose kills a node for good and waits until another one has noticed.
func (r *round) lose(ctx context.Context, n *cluster.Node) (id string, err error) {
	via := r.calmOne()
	if id, err = r.cluster.ID(ctx, via, n); err != nil {
		return "", err
	}
	if err := r.kill(n); err != nil {
		return "", err
	}
	r.part(n)
	_, err = r.cluster.WaitStatus(ctx, via, func(s admin.Status) bool { return s.Nodes.Down >= 1 })
	return id, err
}

func replace(ctx context.Context, r *round, rng *rand.Rand) error {
	victims, release, err := r.claim(rng, 1)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := within(ctx, "replacing")
	defer cancel()
	id, err := r.lose(ctx, victims[0])
	if err != nil {
		return err
	}
	n, err := r.fresh(ctx)
	if err != nil {
		return err
	}
	r.join(n)
	r.say("           %s dies and %s takes its place", victims[0].Name, n.Name)
	return r.verb(ctx, n, "replace", id)
}

func remove(ctx context.Context, r *round, rng *rand.Rand) error {
	victims, release, err := r.claim(rng, 1)
	if err != nil {
		return err
	}
	defer release()
	n := victims[0]
	ctx, cancel := within(ctx, "removing")
	defer cancel()
	id, err := r.lose(ctx, n)
	if err != nil {
		return err
	}
	if err := r.verb(ctx, r.calmOne(), "remove", id); err != nil {
		return err
	}
	r.say("           %s is removed and comes back with an empty directory", n.Name)
	if err := os.RemoveAll(n.Dir); err != nil {
		return err
	}
	var peers []string
	for _, other := range r.others(nil) {
		peers = append(peers, other.PeerAddr)
	}
	r.mu.Lock()
	n.Join(peers...)
	err = n.Start()
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if err := n.WaitReady(ctx); err != nil {
		return err
	}
	r.join(n)
	return nil
}
