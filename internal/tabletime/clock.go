package tabletime

import (
	"slices"
	"time"
)

const (
	// Max is the last moment that a tablet knows, the end of the year 9999. Later samples count as this one.
	Max = 253402300799999
	// Slew is the divisor of elapsed time by which a tablet's time may run faster or slower: a tenth.
	Slew = 10
	// StepGap is how far a majority of clocks must be ahead for time to step instead of being slewed.
	StepGap = time.Second
	// MaxAge is the age past which a sample says nothing any more: monotonic clocks drift apart, too.
	MaxAge = 10 * time.Second
	// MaxSamples bounds how many samples one observation looks at; no tablet has more replicas, even in a joint
	// configuration (seven voters before and seven others after).
	MaxSamples = 16
)

// Sample is what one replica's wall clock showed.
type Sample struct {
	Wall int64         // milliseconds since the Unix epoch
	At   time.Duration // the observer's monotonic clock when the sample arrived
}

// Correction says what an observation did, for the shell to log and count.
type Correction struct {
	// Step is how far time jumped forward; zero when it did not.
	Step time.Duration
	// Gap is what is left to be slewed: positive when the majority is ahead. Zero when there was no majority.
	Gap time.Duration
	// Fresh says how many samples counted; Majority, whether they were enough to be heeded.
	Fresh    int
	Majority bool
}

// Clock is the time of one tablet on the node that leads it. The zero value is a clock at 0 that has not been
// started; it belongs to one goroutine.
type Clock struct {
	// Inside, time is in microseconds, so that a slewed millisecond is not lost to rounding.
	base int64         // the time at the monotonic moment from
	from time.Duration // when base held
	gap  int64         // what is to be made up from base on, at most a tenth of what elapses
	high int64         // Invariant: no answer was ever above it, and none below it will be given
}

// Start says that last was the time of the tablet's last applied entry, at the monotonic moment mono. It may be
// called for each applied entry, and must be when a node becomes leader. It moves time forward or not at all.
func (c *Clock) Start(last int64, mono time.Duration) {
	last = micros(last)
	if last <= c.at(mono) {
		return
	}
	// What was to be made up was measured from the old time; the next observation measures anew.
	c.base, c.from, c.gap = last, max(mono, c.from), 0
	c.high = last
}

// Now returns the tablet's time at the monotonic moment mono, in milliseconds since the Unix epoch.
func (c *Clock) Now(mono time.Duration) int64 { return c.at(mono) / 1000 }

// Observe draws time towards what the samples say at the monotonic moment mono. The tablet has the given number
// of replicas (voters); there is at most one sample of each, this node's own among them. The caller collects the
// samples anew or passes the same ones again: those older than MaxAge, and those from the future of mono, say
// nothing.
func (c *Clock) Observe(mono time.Duration, replicas int, samples []Sample) Correction {
	now := c.at(mono)
	reached, fresh, ok := majority(mono, replicas, samples)
	done := Correction{Fresh: fresh, Majority: ok}
	c.base, c.from, c.gap = now, max(mono, c.from), 0
	if !ok {
		return done
	}
	gap := reached - now
	if gap > StepGap.Microseconds() {
		c.base, c.high = reached, reached
		done.Step = span(gap)
		return done
	}
	c.gap = gap
	done.Gap = span(gap)
	return done
}

// majority returns the greatest value that a majority of the replicas' clocks has reached at mono; a replica
// without a fresh sample has reached nothing.
func majority(mono time.Duration, replicas int, samples []Sample) (reached int64, fresh int, ok bool) {
	var walls [MaxSamples]int64
	n := 0
	for _, s := range samples[:min(len(samples), MaxSamples)] {
		age := mono - s.At
		if s.At > mono || age < 0 || age > MaxAge {
			continue
		}
		walls[n] = min(micros(s.Wall)+age.Microseconds(), micros(Max))
		n++
	}
	need := max(replicas, 1)/2 + 1
	if n < need {
		return 0, n, false
	}
	slices.Sort(walls[:n])
	return walls[n-need], n, true
}

// at is Now in microseconds.
func (c *Clock) at(mono time.Duration) int64 {
	var elapsed int64
	if mono > c.from {
		elapsed = (mono - c.from).Microseconds()
	}
	t := c.base + elapsed + slewed(c.gap, elapsed)
	c.high = max(c.high, min(t, micros(Max)))
	return c.high
}

// slewed is what of gap has been made up after elapsed.
func slewed(gap, elapsed int64) int64 {
	most := elapsed / Slew
	return min(max(gap, -most), most)
}

// micros clamps a time in milliseconds to what a tablet knows and turns it into microseconds.
func micros(ms int64) int64 { return min(max(ms, 0), Max) * 1000 }

// span turns microseconds into a Duration, which ends after 292 years.
func span(us int64) time.Duration {
	const most = int64(1<<63-1) / 1000
	return time.Duration(min(max(us, -most), most)) * time.Microsecond
}
