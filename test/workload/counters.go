package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// backoff is how long a worker rests after a command that was not applied, so that it does not spin on a dead node.
const backoff = 10 * time.Millisecond

// readShare is one in how many commands of Counters is a read.
const readShare = 4

// Counters increments and reads a few counters through random nodes and checks every reply against what was known
// when the command was sent:
//
//   - no two increments answer the same number (none counted twice);
//   - a reply is not below what had been answered before the command was sent (no read goes back, nothing is lost);
//   - in the end a counter lies between the acknowledged increments and those plus the unknown ones.
type Counters struct {
	// Pause is how long a worker rests after each command; it is set before Run.
	Pause time.Duration

	nodes    *Nodes
	counters []*counter

	mu    sync.Mutex
	wrong []error // guarded by mu; the first few
}

type counter struct {
	key string

	mu      sync.Mutex
	seen    map[int64]struct{} // guarded by mu; what increments have answered
	floor   int64              // guarded by mu; the highest number answered so far
	acked   int64              // guarded by mu
	unknown int64              // guarded by mu
	refused int64              // guarded by mu
	reads   int64              // guarded by mu
}

// Tally is what Counters has done so far.
type Tally struct{ Acked, Unknown, Refused, Reads int64 }

// String says it in one line.
func (t Tally) String() string {
	return fmt.Sprintf("%d increments acknowledged, %d unknown, %d refused; %d reads",
		t.Acked, t.Unknown, t.Refused, t.Reads)
}

// maxWrong bounds how many failures are kept: the first ones explain the others.
const maxWrong = 10

// NewCounters returns n counters whose keys begin with prefix. None of the keys may exist.
func NewCounters(nodes *Nodes, prefix string, n int) *Counters {
	c := &Counters{nodes: nodes}
	for i := range n {
		c.counters = append(c.counters, &counter{key: prefix + strconv.Itoa(i), seen: map[int64]struct{}{}})
	}
	return c
}

// Run keeps workers busy until ctx ends, and returns what was wrong so far.
func (c *Counters) Run(ctx context.Context, workers int) error {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				c.step(ctx)
				if c.Pause > 0 {
					_ = Rest(ctx, c.Pause) // the loop sees the end itself
				}
			}
		})
	}
	wg.Wait()
	return c.Err()
}

func (c *Counters) step(ctx context.Context) {
	// A command that has been sent is waited for even when ctx ends meanwhile: cutting it off would make it unknown.
	client, sent := c.nodes.Random(), context.WithoutCancel(ctx)
	one := c.counters[rand.IntN(len(c.counters))]
	floor := one.known()
	if rand.IntN(readShare) == 0 {
		v, err := client.Get(sent, one.key).Int64()
		if outcome := OutcomeOf(err); outcome == Done {
			c.complain(one.read(v, floor))
		} else if outcome == Unexpected {
			c.complain(fmt.Errorf("GET %s: %w", one.key, err))
		} else {
			_ = Rest(ctx, backoff) // the loop sees the end itself
		}
		return
	}
	v, err := client.Incr(sent, one.key).Result()
	switch OutcomeOf(err) {
	case Done:
		c.complain(one.incremented(v, floor))
	case NotApplied:
		one.count(&one.refused)
		_ = Rest(ctx, backoff) // the loop sees the end itself
	case Unknown:
		one.count(&one.unknown)
		_ = Rest(ctx, backoff) // the loop sees the end itself
	case Unexpected:
		c.complain(fmt.Errorf("INCR %s: %w", one.key, err))
	}
}

func (c *counter) known() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floor
}

func (c *counter) count(what *int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what++
}

func (c *counter) read(v, floor int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	if v < floor {
		return fmt.Errorf("GET %s answered %d after %d had been answered: a read went back", c.key, v, floor)
	}
	c.floor = max(c.floor, v)
	return nil
}

func (c *counter) incremented(v, floor int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked++
	_, twice := c.seen[v]
	c.seen[v] = struct{}{}
	c.floor = max(c.floor, v)
	switch {
	case twice:
		return fmt.Errorf("INCR %s answered %d twice: an increment is lost", c.key, v)
	case v <= floor:
		return fmt.Errorf("INCR %s answered %d after %d had been answered: increments are lost", c.key, v, floor)
	}
	return nil
}

// Tally returns what has been done so far.
func (c *Counters) Tally() (t Tally) {
	for _, one := range c.counters {
		one.mu.Lock()
		t.Acked += one.acked
		t.Unknown += one.unknown
		t.Refused += one.refused
		t.Reads += one.reads
		one.mu.Unlock()
	}
	return t
}

// Verify reads every counter through the node at addr, when no Run is under way, and checks it against what was
// acknowledged.
func (c *Counters) Verify(ctx context.Context, addr string) error {
	client := NewClient(addr, 1)
	defer client.Close()
	errs := []error{c.Err()}
	for _, one := range c.counters {
		var v int64
		err := retry(ctx, func() error {
			var err error
			v, err = client.Get(ctx, one.key).Int64()
			return err
		})
		one.mu.Lock()
		switch {
		case err != nil && (OutcomeOf(err) != Done || one.acked > 0):
			errs = append(errs, fmt.Errorf("GET %s at %s: %w", one.key, addr, err))
		case v < max(one.acked, one.floor):
			errs = append(errs, fmt.Errorf("%s is %d at %s, but %d increments were acknowledged and %d was answered",
				one.key, v, addr, one.acked, one.floor))
		case v > one.acked+one.unknown:
			errs = append(errs, fmt.Errorf("%s is %d at %s, but only %d increments were acknowledged and %d unknown: "+
				"some were counted twice", one.key, v, addr, one.acked, one.unknown))
		}
		one.mu.Unlock()
	}
	return errors.Join(errs...)
}

// Err returns what was wrong so far.
func (c *Counters) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.wrong...)
}

func (c *Counters) complain(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) < maxWrong {
		c.wrong = append(c.wrong, err)
	}
}

// Rest lets a span of time pass. It returns why ctx ended, when that came first.
func Rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retry repeats what may safely be done twice until it is Done, Unexpected, or ctx ends.
func retry(ctx context.Context, do func() error) error {
	for {
		err := do()
		if outcome := OutcomeOf(err); outcome == Done || outcome == Unexpected || ctx.Err() != nil {
			return err
		}
		_ = Rest(ctx, backoff) // the loop sees the end itself
	}
}
