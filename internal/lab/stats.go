package lab

import (
	"math"
	"slices"
)

// Counts is a histogram of small whole numbers: Counts[v] is how often v was seen.
type Counts []int64

// Add notes that v, which is not negative, was seen.
func (c *Counts) Add(v int) {
	for len(*c) <= v {
		*c = append(*c, 0)
	}
	(*c)[v]++
}

// Merge adds all of another histogram.
func (c *Counts) Merge(other Counts) {
	for len(*c) < len(other) {
		*c = append(*c, 0)
	}
	for v, n := range other {
		(*c)[v] += n
	}
}

// N returns how many were seen.
func (c Counts) N() (n int64) {
	for _, k := range c {
		n += k
	}
	return n
}

// Mean returns the mean; 0 of nothing.
func (c Counts) Mean() float64 {
	var sum, n float64
	for v, k := range c {
		sum += float64(v) * float64(k)
		n += float64(k)
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

// Percentile returns the smallest value that at least p percent do not exceed (nearest rank); 0 of nothing.
func (c Counts) Percentile(p float64) int {
	rank := int64(math.Ceil(p / 100 * float64(c.N())))
	var seen int64
	for v, k := range c {
		if seen += k; seen >= max(rank, 1) {
			return v
		}
	}
	return 0
}

// Max returns the largest value seen.
func (c Counts) Max() int {
	for v := len(c) - 1; v > 0; v-- {
		if c[v] > 0 {
			return v
		}
	}
	return 0
}

// PDF returns the share of each value.
func (c Counts) PDF() []float64 {
	n := float64(max(c.N(), 1))
	out := make([]float64, c.Max()+1)
	for v := range out {
		if v < len(c) {
			out[v] = round(float64(c[v])/n, 6)
		}
	}
	return out
}

// Spread is a distribution of whole numbers as the papers print it.
type Spread struct {
	Mean float64   `json:"mean"`
	P1   int       `json:"p1"`
	P50  int       `json:"p50"`
	P99  int       `json:"p99"`
	Max  int       `json:"max"`
	PDF  []float64 `json:"pdf"` // PDF[v] is the share of the value v
}

// Spread sums the histogram up.
func (c Counts) Spread() Spread {
	return Spread{round(c.Mean(), 4), c.Percentile(1), c.Percentile(50), c.Percentile(99), c.Max(), c.PDF()}
}

// percentile returns the nearest-rank percentile of values, which it sorts.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	i := int(math.Ceil(p/100*float64(len(values)))) - 1
	return values[min(max(i, 0), len(values)-1)]
}

// round keeps what a figure can show, so that results read well and compare byte for byte.
func round(x float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(x*p) / p
}
