package sim

import (
	"context"
	"slices"
	"time"
)

// Shrunk is the least that still fails.
type Shrunk struct {
	*Result
	Length time.Duration
	Runs   int
}

// shrinkRuns bounds how many runs the search may take.
const shrinkRuns = 60

// Shrink looks for the shortest prefix of a failed run's plan that fails as well, and then for faults in it that can be
// left out. Each attempt is a whole run; what fails may be something else than before, and is a defect all the same.
func Shrink(ctx context.Context, opts Options, failed *Result, progress func(faults, runs int)) *Shrunk {
	opts = opts.withDefaults()
	opts.Planned = true
	began := failed.Began
	best := &Shrunk{Result: failed, Length: opts.Length}
	try := func(plan []Fault, length time.Duration) bool {
		if best.Runs >= shrinkRuns || ctx.Err() != nil {
			return false
		}
		best.Runs++
		if progress != nil {
			progress(len(best.Plan), best.Runs)
		}
		o := opts
		o.Plan, o.Length = plan, length
		res, err := Run(ctx, o)
		if err != nil || len(res.Violations) == 0 {
			return false
		}
		best.Result, best.Length = res, length
		return true
	}
	// What happened after the violation cannot have led to it.
	upto := func(plan []Fault, at time.Duration) []Fault {
		n, _ := slices.BinarySearchFunc(plan, at, func(f Fault, at time.Duration) int { return int(f.At - at) })
		return plan[:n]
	}
	if at := failed.Violations[0].At - began; at < opts.Length {
		try(upto(failed.Plan, at), at+time.Second)
	}
	// The shortest prefix, by halves; then one fault after the other, from the end.
	for lo, hi := 0, len(best.Plan); lo < hi; {
		mid := (lo + hi) / 2
		if try(best.Plan[:mid:mid], lengthOf(best.Plan[:mid], best.Length)) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	for i := len(best.Plan) - 1; i >= 0; i-- {
		try(slices.Concat(best.Plan[:i], best.Plan[i+1:]), best.Length)
	}
	return best
}

// lengthOf returns how long a run of a prefix must be: until its last fault is well under way.
func lengthOf(plan []Fault, most time.Duration) time.Duration {
	if len(plan) == 0 {
		return min(most, 5*time.Second)
	}
	last := plan[len(plan)-1]
	return min(most, last.At+last.For+5*time.Second)
}
