package bench

import (
	"math"
	"time"
)

// schedule says when one connection's batches are due, when the load is given by a rate.
type schedule struct {
	first time.Time
	every float64 // seconds
}

// newSchedule spreads the connections evenly over the time between two batches of one of them.
func newSchedule(c *Config, start time.Time, id int) schedule {
	if c.Rate == 0 {
		return schedule{}
	}
	every := float64(c.Clients*c.Pipeline) / c.Rate
	return schedule{first: start.Add(span(every * float64(id) / float64(c.Clients))), every: every}
}

// due returns when batch k is due.
func (s schedule) due(k int) time.Time { return s.first.Add(span(float64(k) * s.every)) }

// dueBefore counts the batches from k on that are due before end.
func (s schedule) dueBefore(end time.Time, k int) int64 {
	return max(int64(math.Ceil(end.Sub(s.due(k)).Seconds()/s.every)), 0)
}

func span(seconds float64) time.Duration {
	return time.Duration(min(seconds*float64(time.Second), math.MaxInt64/4))
}
