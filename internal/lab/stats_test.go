package lab

import (
	"slices"
	"testing"
	"time"
)

// Every figure stands on these few lines.
func TestCounts(t *testing.T) {
	var c Counts
	for v := range 100 {
		c.Add(v + 1)
	}
	if c.N() != 100 || c.Mean() != 50.5 || c.Percentile(1) != 1 || c.Percentile(50) != 50 || c.Percentile(99) != 99 || c.Max() != 100 {
		t.Errorf("1 to 100: %+v", c.Spread())
	}
	var d Counts
	d.Add(0)
	d.Add(0)
	d.Add(3)
	c = nil
	c.Merge(d)
	if s := c.Spread(); s.P1 != 0 || s.P50 != 0 || s.P99 != 3 || s.Mean != 1 || !slices.Equal(s.PDF, []float64{0.666667, 0, 0, 0.333333}) {
		t.Errorf("0 0 3: %+v", s)
	}
	if s := (Counts{}).Spread(); s.Mean != 0 || s.Max != 0 {
		t.Errorf("nothing: %+v", s)
	}
	if p := percentile([]float64{3, 1, 2}, 50); p != 2 {
		t.Errorf("the median of 1 2 3 is %v", p)
	}
}

// Events that come out in another order than they are due would let a message overtake time.
func TestQueueKeepsTheOrder(t *testing.T) {
	rng := random(1, 1)
	var q queue
	for i := range 1000 {
		q.push(event{at: time.Duration(rng.IntN(50)), order: uint64(i)})
	}
	last := q.pop()
	for len(q) > 0 {
		e := q.pop()
		if e.before(last) {
			t.Fatalf("%v after %v", e, last)
		}
		last = e
	}
}
