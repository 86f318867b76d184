package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Bounds of a Config.
const (
	maxClients  = 100_000
	maxPipeline = 10_000
	maxSize     = 512 << 20
	maxBatch    = 1 << 30
	maxKeys     = 1_000_000_000_000 // what a key's twelve digits hold
)

// Distribution says how often each key is asked for.
type Distribution string

const (
	// Uniform asks for all keys alike.
	Uniform Distribution = "uniform"
	// Zipf asks for few keys often: the k-th most popular one in proportion to 1/k^1.01. Which keys are popular is
	// spread over the whole range.
	Zipf Distribution = "zipf"
)

// Config is what load to put on which servers. The zero value of a field means the default that it names.
type Config struct {
	// Addrs are the servers, host:port; connections go to them in turn. At least one.
	Addrs []string
	// Password authenticates every connection; "" does not.
	Password string
	// Clients is the number of connections (50).
	Clients int
	// Pipeline is the number of operations that a connection sends at once (1).
	Pipeline int
	// Requests is how many operations to do altogether; Duration how long to go on. The first bound that is reached
	// ends the load; with neither, it is 100,000 operations.
	Requests int64
	Duration time.Duration
	// Gets and Sets is their proportion (1:1 when both are 0).
	Gets, Sets int
	// MinSize and MaxSize bound the size of values in bytes, which is uniform between them (100 when both are 0).
	MinSize, MaxSize int
	// Keys is how many different keys there are (100,000).
	Keys uint64
	// Distribution is Uniform unless told otherwise.
	Distribution Distribution
	// Rate is how many operations are due per second over all connections; 0 is as fast as they are answered.
	Rate float64
	// Prefill stores every key before the load begins.
	Prefill bool
	// Timeout is how long a connection waits for replies before it counts them as lost (10 s), and how long it
	// tries to be connected again.
	Timeout time.Duration
	// PIDs are server processes on this machine whose CPU time is reported per operation.
	PIDs []int
	// Seed makes the stream of operations; equal seeds, equal streams (1).
	Seed uint64

	// Dial connects to a server (net.Dialer).
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Progress, when set, is called about once a second, never by two goroutines at once.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	// Phase is "prefill" or "load".
	Phase string
	// Done of Total operations are answered; Total is 0 when only time bounds them.
	Done, Total int64
	// Elapsed is since the phase began.
	Elapsed time.Duration
	// PerSecond is the rate since the last call.
	PerSecond float64
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Clients, 50)
	def(&c.Pipeline, 1)
	if c.Requests == 0 && c.Duration == 0 {
		c.Requests = 100_000
	}
	if c.Gets == 0 && c.Sets == 0 {
		c.Gets, c.Sets = 1, 1
	}
	if c.MinSize == 0 && c.MaxSize == 0 {
		c.MinSize, c.MaxSize = 100, 100
	}
	if c.Keys == 0 {
		c.Keys = 100_000
	}
	if c.Distribution == "" {
		c.Distribution = Uniform
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	return c
}

// Validate says which values are impossible, and what is allowed.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Addrs) > 0, "addrs: want at least one server")
	for _, a := range c.Addrs {
		_, _, err := net.SplitHostPort(a)
		check(err == nil, "addrs %q: want host:port", a)
	}
	check(c.Clients >= 0 && c.Clients <= maxClients, "clients %d: want 1 to %d", c.Clients, maxClients)
	check(c.Pipeline >= 0 && c.Pipeline <= maxPipeline, "pipeline %d: want 1 to %d", c.Pipeline, maxPipeline)
	check(c.Requests >= 0, "requests %d: want 1 or more", c.Requests)
	check(c.Duration >= 0, "duration %s: want more than 0", c.Duration)
	check(c.Gets >= 0 && c.Sets >= 0 && c.Gets <= 1e6 && c.Sets <= 1e6, "mix %d:%d: want two numbers from 0 to 1000000", c.Gets, c.Sets)
	check(c.MinSize >= 0 && c.MinSize <= c.MaxSize && c.MaxSize <= maxSize, "size %d-%d: want sizes from 0 to %d bytes, the smaller first", c.MinSize, c.MaxSize, maxSize)
	check(int64(c.MaxSize)*int64(max(c.Pipeline, 1)) <= maxBatch, "size %d, pipeline %d: one batch would be larger than %d bytes", c.MaxSize, c.Pipeline, maxBatch)
	check(c.Keys <= maxKeys, "keys %d: want 1 to %d", c.Keys, uint64(maxKeys))
	check(c.Distribution == "" || c.Distribution == Uniform || c.Distribution == Zipf, "distribution %q: want %s or %s", c.Distribution, Uniform, Zipf)
	check(c.Rate >= 0 && c.Rate <= 1e9, "rate %g: want 0 to 1e9 operations per second", c.Rate)
	check(c.Timeout >= 0, "timeout %s: want more than 0", c.Timeout)
	return errors.Join(errs...)
}
