package server

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// counters are the figures of a server since it started, or since CONFIG RESETSTAT.
type counters struct {
	accepted, rejected, acceptErrors    atomic.Uint64
	killed, slow, protocol, authFailed  atomic.Uint64
	authTimeouts, noMemory, oversize    atomic.Uint64
	bytesIn, bytesOut                   atomic.Uint64
	batches, commands, requests, splits atomic.Uint64
}

// Buckets is the number of buckets of a latency histogram. Bucket i counts what took less than BucketBound(i); the last
// one has no bound.
const Buckets = 24

// BucketBound returns the upper bound of bucket i: 4.096 us, doubled with each bucket.
func BucketBound(i int) time.Duration { return time.Duration(4096 << i) }

// tally counts commands of one name and outcome.
type tally struct {
	calls, nanos atomic.Uint64
	buckets      [Buckets]atomic.Uint64
}

func (t *tally) add(n uint64, took time.Duration) {
	t.calls.Add(n)
	t.nanos.Add(n * uint64(took))
	t.buckets[min(bits.Len64(uint64(took)>>12), Buckets-1)].Add(n)
}

func (t *tally) reset() {
	t.calls.Store(0)
	t.nanos.Store(0)
	for i := range t.buckets {
		t.buckets[i].Store(0)
	}
}

func (t *tally) load() Tally {
	out := Tally{Calls: t.calls.Load(), Time: time.Duration(t.nanos.Load())}
	for i := range t.buckets {
		out.Buckets[i] = t.buckets[i].Load()
	}
	return out
}

// Tally is how often commands of one name and outcome were answered and how long they took, from the moment they were
// read to the moment their reply was ready. Commands of one batch have the time of the batch.
type Tally struct {
	Calls   uint64
	Time    time.Duration
	Buckets [Buckets]uint64
}

// CommandMetrics are the figures of one command.
type CommandMetrics struct {
	// Name is as in COMMAND: "get", "client|list". It is "unknown" for what is no command.
	Name string
	// OK and Failed are what was executed; Rejected counts what was refused before (its arguments, NOAUTH, CROSSSLOT).
	OK, Failed Tally
	Rejected   uint64
}

// Metrics are the figures of a Server. Counters begin at its start, gauges stand beside their bound.
type Metrics struct {
	Connections, MaxConnections int
	InputBytes, MaxInputBytes   int64 // what input buffers take beyond 64 KiB for each connection

	Accepted, Rejected, AcceptErrors uint64
	// Dropped counts connections that the server ended, by reason: killed (CLIENT KILL), slow, protocol_error,
	// auth_timeout, no_memory.
	Dropped            map[string]uint64
	AuthFailed         uint64
	Oversize           uint64 // commands that were refused for an argument over the limits
	BytesIn, BytesOut  uint64
	Batches, Commands  uint64
	Requests, SplitUps uint64

	ByCommand []CommandMetrics  // those that were called at least once, by name
	Errors    map[string]uint64 // error replies by their first word
}

// Metrics returns the figures of this moment.
func (s *Server) Metrics() Metrics {
	s.mu.Lock()
	connections := len(s.sessions)
	s.mu.Unlock()
	c := &s.counted
	m := Metrics{
		Connections: connections, MaxConnections: s.cfg.MaxClients,
		InputBytes: s.input.Load(), MaxInputBytes: s.cfg.MaxInput,
		Accepted: c.accepted.Load(), Rejected: c.rejected.Load(), AcceptErrors: c.acceptErrors.Load(),
		Dropped: map[string]uint64{
			"killed": c.killed.Load(), "slow": c.slow.Load(), "protocol_error": c.protocol.Load(),
			"auth_timeout": c.authTimeouts.Load(), "no_memory": c.noMemory.Load(),
		},
		AuthFailed: c.authFailed.Load(), Oversize: c.oversize.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(), Batches: c.batches.Load(), Commands: c.commands.Load(),
		Requests: c.requests.Load(), SplitUps: c.splits.Load(),
		Errors: s.errors.load(),
	}
	for _, e := range s.table {
		m.add(e)
	}
	m.add(s.unknown)
	slices.SortFunc(m.ByCommand, func(a, b CommandMetrics) int { return cmp.Compare(a.Name, b.Name) })
	return m
}

func (m *Metrics) add(e *entry) {
	c := CommandMetrics{Name: e.name, OK: e.ok.load(), Failed: e.failed.load(), Rejected: e.rejected.Load()}
	if c.OK.Calls+c.Failed.Calls+c.Rejected > 0 {
		m.ByCommand = append(m.ByCommand, c)
	}
}

// resetStats carries out CONFIG RESETSTAT.
func (s *Server) resetStats() {
	c := &s.counted
	for _, n := range []*atomic.Uint64{
		&c.accepted, &c.rejected, &c.acceptErrors, &c.killed, &c.slow, &c.protocol, &c.authFailed, &c.authTimeouts,
		&c.noMemory, &c.oversize, &c.bytesIn, &c.bytesOut, &c.batches, &c.commands, &c.requests, &c.splits,
	} {
		n.Store(0)
	}
	reset := func(e *entry) {
		e.ok.reset()
		e.failed.reset()
		e.rejected.Store(0)
	}
	for _, e := range s.table {
		reset(e)
	}
	reset(s.unknown)
	s.errors.reset()
}

// maxErrorCodes bounds the codes that are counted apart, as Redis does.
const maxErrorCodes = 128

// errorCounts counts error replies by their first word.
type errorCounts struct {
	mu sync.Mutex
	n  map[string]uint64
}

func (e *errorCounts) add(reply []byte) {
	word := reply[1:]
	if i := slices.IndexFunc(word, func(c byte) bool { return c <= ' ' }); i >= 0 {
		word = word[:i]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n == nil {
		e.n = map[string]uint64{}
	}
	if _, known := e.n[string(word)]; !known && len(e.n) >= maxErrorCodes {
		return
	}
	e.n[string(word)]++
}

func (e *errorCounts) load() map[string]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.n)
}

func (e *errorCounts) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.n)
}
