package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/test/cluster"
)

const (
	// lookEvery is how often the processes are looked at, endLines how much of a log is shown.
	lookEvery = 100 * time.Millisecond
	endLines  = 30
)

// vigil gives a context that ends, and says why, as soon as a process ends by itself: what happens to a ring after that says
// little, and the minutes until the end of the round hide what led to it.
func (r *round) vigil(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := r.ended(); err != nil {
					r.say("wrong: %v", err)
					end(err)
					return
				}
			}
		}
	}()
	return ctx, end
}

// ended says which member has ended by itself.
func (r *round) ended() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.members, func(n *cluster.Node) bool {
		return !n.Running() && !excused(r.claimed[n], r.small[n] != "", n.ExitCode())
	})
	if i < 0 {
		return nil
	}
	n := r.members[i]
	return fmt.Errorf("%s has ended by itself with exit code %d\n%s", n.Name, n.ExitCode(), n.Tail(endLines))
}

// excused reports whether a member that has ended with an exit code, -1 for a signal, need not be running: a fault that has
// claimed it may have killed it or told it to stop, and one with a small disk may have filled that.
func excused(claimed, small bool, code int) bool { return claimed && (small || code <= 0) }
