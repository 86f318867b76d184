package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/quorddb/quord/test/workload"
)

func kill(ctx context.Context, r *round, rng *rand.Rand) error {
	victims, release, err := r.claim(rng, 1)
	if err != nil {
		return err
	}
	defer release()
	n := victims[0]
	led, err := r.led(ctx, n)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := r.kill(n); err != nil {
		return err
	}
	if err := workload.Rest(ctx, between(rng, gapSpan, gapSpan+5*time.Second)); err != nil {
		return err
	}
	r.noteGap(n, led, begun)
	return r.launch(n)
}

func killTwo(ctx context.Context, r *round, rng *rand.Rand) error {
	victims, release, err := r.claim(rng, 2)
	if err != nil {
		return err
	}
	defer release()
	for _, n := range victims {
		if err := r.kill(n); err != nil {
			return err
		}
		if err := workload.Rest(ctx, between(rng, 0, 2*time.Second)); err != nil {
			return err
		}
	}
	for _, n := range victims {
		if err := r.launch(n); err != nil {
			return err
		}
		if err := workload.Rest(ctx, between(rng, 0, 2*time.Second)); err != nil {
			return err
		}
	}
	return nil
}

func killAll(_ context.Context, r *round, rng *rand.Rand) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.claimed) > 0 {
		return errNotNow
	}
	members := slices.Clone(r.members)
	var wg sync.WaitGroup
	errs := make([]error, len(members))
	for i, n := range members {
		wg.Go(func() { errs[i] = n.Kill() })
	}
	wg.Wait()
	rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	for _, n := range members {
		errs = append(errs, n.Start())
	}
	return errors.Join(errs...)
}

// roll is what maintenance does: nobody should feel it.
func roll(ctx context.Context, r *round, rng *rand.Rand) error {
	for _, i := range rng.Perm(len(r.others(nil))) {
		members := r.others(nil)
		n := members[i%len(members)]
		release, err := r.claimThis(n)
		if err != nil {
			return err
		}
		stopping, cancel := context.WithTimeoutCause(ctx, verbWithin, fmt.Errorf("stopping and starting took more than %s", verbWithin))
		err = n.Terminate(stopping)
		if err == nil {
			err = r.launch(n)
		}
		if err == nil {
			err = n.WaitReady(stopping)
		}
		cancel()
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

func pauseShort(ctx context.Context, r *round, rng *rand.Rand) error {
	return pause(ctx, r, rng, time.Second)
}

func pauseLong(ctx context.Context, r *round, rng *rand.Rand) error {
	return pause(ctx, r, rng, 20*time.Second)
}

func pause(ctx context.Context, r *round, rng *rand.Rand, d time.Duration) error {
	victims, release, err := r.claim(rng, 1)
	if err != nil {
		return err
	}
	defer release()
	if err := victims[0].Pause(); err != nil {
		return err
	}
	return errors.Join(workload.Rest(ctx, d), victims[0].Resume())
}

// clock shifts the clock of one node; while it is off, it jumps once more. It is one node only, because a tablet's time
// follows what a majority of its replicas' clocks has reached: two wrong clocks may be the majority of a tablet.
func clock(ctx context.Context, r *round, rng *rand.Rand) error {
	victims, release, err := r.claim(rng, 1)
	if err != nil {
		return err
	}
	defer release()
	n := victims[0]
	var errs []error
	for range 2 {
		by := between(rng, time.Second, 24*time.Hour)
		if rng.IntN(2) == 0 {
			by = -by
		}
		r.say("           %s: its clock is off by %s", n.Name, by.Round(time.Second))
		errs = append(errs, r.shift(n, by))
		errs = append(errs, workload.Rest(ctx, between(rng, 2*time.Second, 4*time.Second)))
	}
	return errors.Join(append(errs, r.shift(n, 0))...)
}
