package tablet

import (
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/tabletime"
)

// clock is the tablet's time on this replica, which only the leader asks for.
type clock struct {
	tabletime.Clock
	// soonest is at most the earliest expiry in the tablet; 0 where it is not known, -1 where nothing expires.
	soonest int64

	swept   kv.Position // about where the last sweep was proposed, and when
	sweptAt time.Duration
}

func (c *clock) start(last int64, now time.Duration) {
	c.Clock.Start(last, now)
	c.soonest = 0
}

func (c *clock) now(mono time.Duration) int64 { return c.Clock.Now(mono) }

// Observe draws the time of a tablet that this replica leads towards the clocks of its voters.
func (g *Group) Observe(now time.Duration, sample func(r Replica) (tabletime.Sample, bool)) tabletime.Correction {
	var samples [tabletime.MaxSamples]tabletime.Sample
	n := 0
	voters := g.head.descriptor.Voters()
	for _, r := range voters {
		if s, ok := sample(r); ok && n < len(samples) {
			samples[n] = s
			n++
		}
	}
	return g.clock.Observe(now, len(voters), samples[:n])
}

// Time returns the tablet's time in milliseconds since 1970; only that of a leader means anything.
func (g *Group) Time(now time.Duration) int64 { return g.clock.now(now) }

// SweepAt returns when Sweep is wanted next, as far as this replica knows: not more often than heartbeats are sent, so that
// what expires at about the same time goes together; and once an hour at least, for the tablet's time may step.
func (g *Group) SweepAt(now time.Duration) time.Duration {
	if !g.leading || g.clock.soonest < 0 {
		return Never
	}
	left := min(max(g.clock.soonest-g.clock.now(now), 0), time.Hour.Milliseconds())
	return now + max(time.Duration(left)*time.Millisecond, g.cfg.Timing.Heartbeat)
}

// sweepLimit bounds how many keys one entry expires.
const sweepLimit = 256

// Sweep proposes the expiry of keys whose time has passed, if there may be any. more says that it found as many as one
// entry takes, so that it is worth sweeping again soon. What one sweep has proposed is awaited before the next one: a leader
// without a majority would propose the same keys for ever.
func (g *Group) Sweep(now time.Duration) (more bool, err error) {
	c := &g.clock
	if !g.Serving() || c.soonest < 0 || c.soonest > c.now(now) {
		return false, nil
	}
	if c.swept.Term == g.term && c.swept.Index > g.head.applied.Index {
		return now < c.sweptAt+g.cfg.Timing.Heartbeat, nil
	}
	r := Reading{State: g.cfg.Store, Time: c.now(now), Keys: g.head.keys}
	keys, next, err := g.cfg.Machine.Overdue(&r, sweepLimit)
	if err == nil && r.Damage != nil && !g.aloneFor() {
		err = r.Damage // which is to be mended first
	}
	if err != nil {
		return false, err
	}
	if len(keys) > 0 {
		// soonest stays: the next sweep finds what is left once these are gone.
		at := g.lastIndex() + 1
		if g.Expire(now, keys) == Taken {
			c.swept, c.sweptAt = kv.Position{Index: at, Term: g.term}, now
		}
		return len(keys) == sweepLimit, nil
	}
	if next == 0 {
		next = -1
	}
	c.soonest = next
	return false, nil
}
