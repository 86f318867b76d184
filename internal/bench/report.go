package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a run felt like. Latencies are in microseconds.
type Report struct {
	Addrs        []string `json:"addrs"`
	Clients      int      `json:"clients"`
	Pipeline     int      `json:"pipeline"`
	Mix          string   `json:"mix"` // gets:sets
	MinSize      int      `json:"min_size"`
	MaxSize      int      `json:"max_size"`
	Keys         uint64   `json:"keys"`
	Distribution string   `json:"distribution"`
	// Rate is the rate that was asked for; 0 is as fast as it goes.
	Rate float64 `json:"rate"`

	Seconds float64 `json:"seconds"`
	// Operations counts those that were answered without an error: Gets + Sets. Misses are gets of absent keys.
	Operations int64   `json:"operations"`
	PerSecond  float64 `json:"ops_per_s"`
	Gets       int64   `json:"gets"`
	Sets       int64   `json:"sets"`
	Misses     int64   `json:"misses"`
	// Errors counts the operations that failed, by the first word of the server's error; CONNECTION stands for
	// those whose connection broke before they were answered, and TIMEOUT for those that were not in time.
	Errors     map[string]int64 `json:"errors"`
	Reconnects int64            `json:"reconnects"`
	// Unsent counts operations that were due before the end and were not sent, because the answers came too slowly.
	Unsent int64 `json:"unsent"`

	Latency Latencies `json:"latency_us"`

	// ServerCPU is the CPU time of all the server processes that were named per operation, 0 when none was.
	ServerCPU float64     `json:"server_cpu_us_per_op"`
	Servers   []ServerCPU `json:"servers"`
}

// Latencies holds the distribution over all operations and over each kind.
type Latencies struct {
	All Latency `json:"all"`
	Get Latency `json:"get"`
	Set Latency `json:"set"`
}

// Latency is a distribution in microseconds, exact to three digits.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p99_9"`
	Max   int64   `json:"max"`
}

// ServerCPU is what one server process spent.
type ServerCPU struct {
	PID     int     `json:"pid"`
	Seconds float64 `json:"cpu_seconds"`
	PerOp   float64 `json:"cpu_us_per_op"`
	// Problem says why nothing is known, as when the process has ended.
	Problem string `json:"problem,omitempty"`
}

// maxLatency is the largest latency that a histogram tells from larger ones, in microseconds.
const maxLatency = int64(10 * time.Minute / time.Microsecond)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency, 3) }

// record notes one latency, rounded up to whole microseconds.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	us := int64((d + time.Microsecond - 1) / time.Microsecond)
	_ = h.RecordValue(min(max(us, 1), maxLatency)) // cannot be out of range
}

func distribution(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	return Latency{
		Count: h.TotalCount(), Mean: h.Mean(), Max: h.Max(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
	}
}

// Failed returns how many operations failed.
func (r *Report) Failed() int64 {
	n := int64(0)
	for _, k := range r.Errors {
		n += k
	}
	return n
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer) error {
	load := "as fast as it goes"
	if r.Rate > 0 {
		load = fmt.Sprintf("%.0f operations/s asked for", r.Rate)
	}
	size := fmt.Sprintf("%d", r.MinSize)
	if r.MaxSize != r.MinSize {
		size = fmt.Sprintf("%d to %d", r.MinSize, r.MaxSize)
	}
	fmt.Fprintf(w, "%s: %d connections, pipeline %d, get:set %s, values of %s bytes, %d keys (%s), %s\n",
		strings.Join(r.Addrs, " "), r.Clients, r.Pipeline, r.Mix, size, r.Keys, r.Distribution, load)
	fmt.Fprintf(w, "%.0f operations/s: %d in %.2f s (%d gets, of which %d found nothing; %d sets)\n",
		r.PerSecond, r.Operations, r.Seconds, r.Gets, r.Misses, r.Sets)

	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "latency in us\tmean\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, row := range []struct {
		name string
		l    Latency
	}{{"get", r.Latency.Get}, {"set", r.Latency.Set}, {"all", r.Latency.All}} {
		if row.l.Count > 0 {
			fmt.Fprintf(tw, "%s\t%.0f\t%d\t%d\t%d\t%d\t%d\t\n", row.name, row.l.Mean, row.l.P50, row.l.P90, row.l.P99, row.l.P999, row.l.Max)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, code := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "errors %s: %d\n", code, r.Errors[code])
	}
	if r.Reconnects > 0 {
		fmt.Fprintf(w, "connections made again: %d\n", r.Reconnects)
	}
	if r.Unsent > 0 {
		fmt.Fprintf(w, "due but not sent, the answers came too slowly: %d\n", r.Unsent)
	}
	for _, s := range r.Servers {
		if s.Problem != "" {
			fmt.Fprintf(w, "server process %d: %s\n", s.PID, s.Problem)
			continue
		}
		fmt.Fprintf(w, "server process %d: %.2f s of CPU, %.2f us per operation\n", s.PID, s.Seconds, s.PerOp)
	}
	return nil
}
