package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// pairs are what a storm chooses from: changes of members together with other harm, above all, since that is where
// rings have broken most often.
var pairs = []string{
	"join+kill", "join+flap", "join+pause-1s", "join+isolate", "join+one-way", "join+clock",
	"leave+pause-1s", "leave+slow-all", "leave+deaf", "leave+join",
	"replace+slow-one", "replace+loss", "remove+pause-1s", "remove+flap",
	"kill+slow-one", "kill+clock", "kill+mute", "kill+pause-20s", "kill+loss", "slow-all+isolate",
}

// storm does two of the other kinds at once.
func storm(ctx context.Context, r *round, rng *rand.Rand) error {
	f, err := named(pairs[rng.IntN(len(pairs))])
	if err != nil {
		return err
	}
	r.say("           %s", f.name)
	return f.run(ctx, r, rng)
}

// named returns the kind of fault with a name, or several kinds at once, joined by +.
func named(name string) (*fault, error) {
	var parts []*fault
	for part := range strings.SplitSeq(name, "+") {
		i := slices.IndexFunc(faults, func(f *fault) bool { return f.name == part })
		if i < 0 {
			return nil, fmt.Errorf("there is no kind of fault %q (--list shows them)", part)
		}
		parts = append(parts, faults[i])
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &fault{name: name, run: func(ctx context.Context, r *round, rng *rand.Rand) error {
		r.several = true
		defer func() { r.several = false }()
		return atOnce(ctx, r, rng, parts)
	}}, nil
}

// atOnce does several kinds at once, and is not now when none of them can be done now.
func atOnce(ctx context.Context, r *round, rng *rand.Rand, parts []*fault) error {
	var wg sync.WaitGroup
	errs := make([]error, len(parts))
	for i, f := range parts {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
		wg.Go(func() { errs[i] = f.run(ctx, r, own) })
	}
	wg.Wait()
	done := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return errors.Is(err, errNotNow) })
	if len(done) == 0 {
		return errNotNow
	}
	return errors.Join(done...)
}
