package tabletime

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const day = 24 * time.Hour

// epoch is an ordinary moment of the year 2026.
const epoch = int64(1_795_000_000_000)

func ms(d time.Duration) int64 { return d.Milliseconds() }

// observe lets the given clocks, in milliseconds, be seen at mono.
func observe(c *Clock, mono time.Duration, walls ...int64) Correction {
	samples := make([]Sample, len(walls))
	for i, w := range walls {
		samples[i] = Sample{Wall: w, At: mono}
	}
	return c.Observe(mono, len(walls), samples)
}

// A key that has expired must not come back: time never runs back, whatever clocks, samples, entries and even
// the monotonic clock do.
func TestNeverRunsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		mono := time.Duration(rapid.Int64().Draw(t, "mono"))
		last := c.Now(mono)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				mono = time.Duration(rapid.Int64().Draw(t, "any mono"))
			case 1:
				if d := time.Duration(rapid.Int64Range(0, int64(day)).Draw(t, "elapsed")); mono < 1<<62 {
					mono += d
				}
			case 2:
				c.Start(rapid.Int64().Draw(t, "applied"), mono)
			default:
				n := rapid.IntRange(0, 20).Draw(t, "samples")
				samples := make([]Sample, n)
				for i := range samples {
					samples[i] = Sample{Wall: rapid.Int64().Draw(t, "wall"), At: mono - time.Duration(rapid.Int64Range(-int64(time.Minute), int64(time.Minute)).Draw(t, "age"))}
				}
				c.Observe(mono, rapid.IntRange(-1, 9).Draw(t, "replicas"), samples)
			}
			now := c.Now(mono)
			if now < last {
				t.Fatalf("time ran back from %d to %d", last, now)
			}
			if now < 0 || now > Max {
				t.Fatalf("time %d is out of range", now)
			}
			last = now
		}
	})
}

// One broken clock of three must neither expire keys early nor keep them: the tablet's time stays where the two
// right clocks are, and runs at their pace give or take a tenth.
func TestOneWildClockOfThree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		c.Start(epoch, 0)
		mono, wall := time.Duration(0), epoch
		for range rapid.IntRange(1, 50).Draw(t, "rounds") {
			d := time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "elapsed"))
			before := c.Now(mono)
			mono, wall = mono+d, epoch+ms(mono+d)
			wild := rapid.Int64().Draw(t, "wild")
			walls := []int64{wall, wall + rapid.Int64Range(-50, 50).Draw(t, "skew"), wild}
			// The wild node may also be silent, and so may, for a while, a right one.
			switch rapid.IntRange(0, 3).Draw(t, "silent") {
			case 0:
				observe(&c, mono, walls...)
			case 1:
				c.Observe(mono, 3, []Sample{{walls[0], mono}, {walls[2], mono}})
			default:
				c.Observe(mono, 3, []Sample{{walls[0], mono}, {walls[1], mono}})
			}
			moved := c.Now(mono) - before
			// While a right clock was silent the wild one may have held time back for so long that it has to step
			// when both are there again: to where they are, and not beyond.
			lo, hi := ms(d)-ms(d)/Slew-2, ms(d)+ms(d)/Slew+2
			if behind := wall - c.Now(mono); moved < lo || moved > hi && behind > 60 {
				t.Fatalf("in %v time moved %d ms and is %d ms behind the right clocks", d, moved, behind)
			}
			if ahead := c.Now(mono) - wall; ahead > 60 {
				t.Fatalf("time is %d ms ahead of the right clocks", ahead)
			}
		}
	})
}

// With all three heard, the wild one moves nothing at all.
func TestWildClockHeardByAllDoesNotDrift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		c.Start(epoch, 0)
		for i := range 100 {
			mono := time.Duration(i) * time.Second
			wall := epoch + ms(mono)
			observe(&c, mono, wall, rapid.Int64().Draw(t, "wild"), wall)
			if off := c.Now(mono) - wall; off < -2 || off > 2 {
				t.Fatalf("after %v time is off by %d ms", mono, off)
			}
		}
	})
}

// A cluster that was off for a day knows it as soon as a majority has been heard, and expires what is due.
func TestOffForADay(t *testing.T) {
	var c Clock
	c.Start(epoch, 0)
	next := epoch + ms(day)
	if got := c.Observe(0, 3, []Sample{{next, 0}}); got.Majority || c.Now(0) != epoch {
		t.Fatalf("one clock of three was believed: %+v, time %d", got, c.Now(0))
	}
	if got := c.Observe(0, 3, []Sample{{next, 0}, {next + 20, 0}}); got.Step != day || c.Now(0) != next {
		t.Fatalf("two clocks of three were not believed: %+v, time %d, want %d", got, c.Now(0), next)
	}
}

// A small difference is slewed: the time reaches the majority's, no faster than a tenth, and then keeps to it.
func TestSlewsToTheMajority(t *testing.T) {
	for _, gap := range []time.Duration{900 * time.Millisecond, -900 * time.Millisecond, -5 * time.Second} {
		var c Clock
		c.Start(epoch, 0)
		got := observe(&c, 0, epoch+ms(gap), epoch+ms(gap), epoch+ms(gap))
		if got.Step != 0 || got.Gap != gap || c.Now(0) != epoch {
			t.Fatalf("gap %v: %+v, time moved %d ms at once", gap, got, c.Now(0)-epoch)
		}
		sign := int64(1)
		if gap < 0 {
			sign = -1
		}
		if got, want := c.Now(time.Second), epoch+1000+sign*100; got != want {
			t.Errorf("gap %v: after one second time is %d, want %d", gap, got, want)
		}
		for _, after := range []time.Duration{gap.Abs() * Slew, gap.Abs()*Slew + day} {
			if got, want := c.Now(after), epoch+ms(gap+after); got != want {
				t.Errorf("gap %v: after %v time is %d, want %d", gap, after, got, want)
			}
		}
	}
}

// A single node's user sets the clock: forward counts at once; back only slows the tablet down, so that nothing
// that has expired returns, and at last it agrees again.
func TestOneReplicaFollowsItsOwnClock(t *testing.T) {
	var c Clock
	c.Start(0, 0)
	observe(&c, 0, epoch)
	if c.Now(0) != epoch {
		t.Fatalf("a new tablet's time is %d, want %d", c.Now(0), epoch)
	}
	observe(&c, 0, epoch+ms(time.Hour))
	if got, want := c.Now(0), epoch+ms(time.Hour); got != want {
		t.Fatalf("after a jump forward time is %d, want %d", got, want)
	}
	var mono time.Duration
	for range 11 * 60 {
		before := c.Now(mono)
		mono += time.Minute
		observe(&c, mono, epoch+ms(mono))
		if moved := c.Now(mono) - before; moved < ms(54*time.Second) || moved > ms(time.Minute) {
			t.Fatalf("with the clock set back, a minute moved time by %d ms", moved)
		}
	}
	if got, want := c.Now(mono), epoch+ms(mono); got != want {
		t.Errorf("after %v time is %d, want %d", mono, got, want)
	}
}

// With an even number of replicas, half of the clocks is no majority.
func TestHalfIsNoMajority(t *testing.T) {
	for _, walls := range [][]int64{{epoch, epoch + ms(day)}, {epoch, epoch, epoch + ms(day), epoch + ms(day)}} {
		var c Clock
		c.Start(epoch, 0)
		if got := observe(&c, 0, walls...); got.Step != 0 || got.Gap != 0 {
			t.Errorf("%d of %d clocks moved time: %+v", len(walls)/2, len(walls), got)
		}
	}
}

// A replica that fell silent must not hold time where its clock once was.
func TestStaleSamplesSayNothing(t *testing.T) {
	var c Clock
	c.Start(epoch, 0)
	old := []Sample{{epoch + ms(day), 0}, {epoch + ms(day), 0}, {epoch + ms(day), time.Hour}}
	mono := MaxAge + time.Millisecond
	if got := c.Observe(mono, 3, old); got.Fresh != 0 || got.Majority {
		t.Fatalf("stale and future samples counted: %+v", got)
	}
	if got, want := c.Now(mono), epoch+ms(mono); got != want {
		t.Errorf("without samples time is %d, want %d", got, want)
	}
	if got := c.Observe(MaxAge, 3, old); got.Fresh != 2 || !got.Majority {
		t.Errorf("samples of age %v did not count: %+v", MaxAge, got)
	}
}

// A leader that applies an entry of its predecessor goes on from that entry's time and still finds its way to
// the majority.
func TestStartMovesForwardOnly(t *testing.T) {
	var c Clock
	c.Start(epoch, 0)
	observe(&c, 0, epoch+500)
	c.Start(epoch-1000, 0)
	if got := c.Now(0); got != epoch {
		t.Fatalf("an older entry moved time by %d ms", got-epoch)
	}
	c.Start(epoch+800, 0)
	if got := c.Now(0); got != epoch+800 {
		t.Fatalf("time is %d after an entry of %d", got, epoch+800)
	}
	observe(&c, 0, epoch+500)
	if got, want := c.Now(time.Minute), epoch+500+ms(time.Minute); got != want {
		t.Errorf("time is %d after a minute, want %d", got, want)
	}
}
