package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/quorddb/quord/internal/freeport"
	"github.com/quorddb/quord/internal/resp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A user who compares servers relies on the counts: every operation is done once and told once.
func TestRunCountsEveryOperation(t *testing.T) {
	a, b := newTestResponder(t), newTestResponder(t)
	rep, err := Run(t.Context(), Config{
		Addrs: []string{a.addr, b.addr}, Clients: 4, Pipeline: 8, Requests: 10_001, Gets: 3, Sets: 1, Keys: 100, MinSize: 0, MaxSize: 50,
		PIDs: []int{os.Getpid()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Operations != 10_001 || rep.Gets+rep.Sets != rep.Operations || a.seen+b.seen != 10_001 || rep.Failed() != 0 {
		t.Errorf("%d operations (%d gets, %d sets), %d failed; the servers saw %d and %d; want 10001", rep.Operations, rep.Gets, rep.Sets, rep.Failed(), a.seen, b.seen)
	}
	if a.seen == 0 || b.seen == 0 {
		t.Errorf("one server saw nothing: %d and %d", a.seen, b.seen)
	}
	if share := float64(rep.Gets) / float64(rep.Operations); share < 0.7 || share > 0.8 {
		t.Errorf("gets are %.2f of the operations, want 3/4", share)
	}
	l := rep.Latency.All
	if l.Count != rep.Operations || l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max {
		t.Errorf("latencies %+v are in no order", l)
	}
	if len(rep.Servers) != 1 || rep.Servers[0].Problem != "" || rep.Servers[0].Seconds < 0 {
		t.Errorf("server CPU %+v", rep.Servers)
	}
	var text strings.Builder
	if err := rep.Write(&text); err != nil || !strings.Contains(text.String(), "p99.9") {
		t.Errorf("written as %q, %v", text.String(), err)
	}
	b1, err := json.Marshal(rep)
	if err != nil || !bytes.Contains(b1, []byte(`"p99_9"`)) {
		t.Errorf("JSON %s, %v", b1, err)
	}
}

// Without the keys in place a benchmark of gets measures misses.
func TestPrefillStoresEveryKey(t *testing.T) {
	s := newTestResponder(t)
	refused := map[string]bool{}
	s.answer = func(args []string) string {
		if args[0] == "SET" && !refused[args[1]] && len(refused) < 50 {
			refused[args[1]] = true
			return "-TRYAGAIN not yet\r\n"
		}
		return s.redis(args)
	}
	rep, err := Run(t.Context(), Config{Addrs: []string{s.addr}, Clients: 3, Requests: 500, Gets: 1, Keys: 1000, Prefill: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.data) != 1000 || rep.Misses != 0 || rep.Gets != 500 || rep.Sets != 0 {
		t.Errorf("%d keys stored, %d misses in %d gets, %d sets; want 1000, none in 500, none", len(s.data), rep.Misses, rep.Gets, rep.Sets)
	}
}

// Failures must be seen as failures, by their code, and not make the latencies look good.
func TestErrorsAreCountedByCode(t *testing.T) {
	s := newTestResponder(t)
	s.answer = func(args []string) string {
		if args[0] == "SET" {
			return "-CLUSTERDOWN a majority is out of reach\r\n"
		}
		return "$-1\r\n"
	}
	rep, err := Run(t.Context(), Config{Addrs: []string{s.addr}, Clients: 2, Requests: 1000, Pipeline: 3})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Errors["CLUSTERDOWN"] == 0 || rep.Errors["CLUSTERDOWN"]+rep.Misses != 1000 || rep.Latency.Set.Count != 0 || rep.Misses != rep.Gets {
		t.Errorf("errors %v, misses %d, set latencies %d", rep.Errors, rep.Misses, rep.Latency.Set.Count)
	}
	s.answer = func([]string) string { return "-ERR no\r\n" }
	if _, err := Run(t.Context(), Config{Addrs: []string{s.addr}, Requests: 10, Clients: 1}); !errors.Is(err, ErrNothingDone) {
		t.Errorf("a run in which all failed: %v, want ErrNothingDone", err)
	}
}

// A load must outlive the server that a test kills under it.
func TestReconnectsToAnotherServer(t *testing.T) {
	a, b := newTestResponder(t), newTestResponder(t)
	a.answer = func(args []string) string {
		if a.seen > 100 {
			return "" // closes
		}
		return a.redis(args)
	}
	rep, err := Run(t.Context(), Config{Addrs: []string{a.addr, b.addr}, Clients: 2, Pipeline: 4, Requests: 4000})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Errors["CONNECTION"] == 0 || rep.Reconnects == 0 || rep.Operations+rep.Failed() != 4000 {
		t.Errorf("errors %v, %d connected again, %d operations", rep.Errors, rep.Reconnects, rep.Operations)
	}
}

// An open loop must not hide a stall: what was due meanwhile has waited, and nothing else has.
func TestRateCountsFromWhenItWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &responder{data: map[string]string{}}
		s.answer = func(args []string) string {
			if s.seen == 20 {
				time.Sleep(200 * time.Millisecond) // the stall that is measured
			}
			return s.redis(args)
		}
		dial := func(context.Context, string) (net.Conn, error) {
			near, far := net.Pipe()
			go s.serve(far)
			return near, nil
		}
		rep, err := Run(t.Context(), Config{Addrs: []string{"stalls:1"}, Clients: 1, Rate: 1000, Requests: 400, Dial: dial})
		if err != nil {
			t.Fatal(err)
		}
		// Half of the operations were due in the stall, one each millisecond; the others were answered at once.
		near := func(us, ms int64) bool { return us >= 1000*ms-1000 && us <= 1000*ms+1000 }
		if l := rep.Latency.All; l.Count != 400 || !near(l.P50, 0) || !near(l.P90, 160) || !near(l.Max, 200) {
			t.Errorf("the latencies of a stall of 200 ms among 400 ms are %+v", l)
		}
		if rep.Seconds != 0.4 {
			t.Errorf("400 operations at 1000/s took %v s", rep.Seconds)
		}
	})
}

// A server that cannot keep up leaves operations unsent, and the report says so.
func TestRateTellsWhatWasNotSent(t *testing.T) {
	s := newTestResponder(t)
	s.answer = func([]string) string { time.Sleep(10 * time.Millisecond); return "+OK\r\n" }
	rep, err := Run(t.Context(), Config{Addrs: []string{s.addr}, Clients: 1, Rate: 1000, Duration: 200 * time.Millisecond, Sets: 1})
	if err != nil {
		t.Fatal(err)
	}
	if all := rep.Operations + rep.Unsent; all < 199 || all > 201 || rep.Unsent < 100 {
		t.Errorf("%d done and %d unsent of 200 that were due", rep.Operations, rep.Unsent)
	}
}

// Ctrl-C ends a run at once, also while a server is silent.
func TestRunEndsWithItsContext(t *testing.T) {
	s := newTestResponder(t)
	ctx, cancel := context.WithCancel(t.Context())
	hold := make(chan struct{})
	s.answer = func(args []string) string {
		if s.seen == 10 {
			cancel()
			<-hold
		}
		return s.redis(args)
	}
	defer close(hold)
	rep, err := Run(ctx, Config{Addrs: []string{s.addr}, Clients: 3, Duration: time.Hour})
	if !errors.Is(err, context.Canceled) || rep.Operations == 0 || rep.Operations > 10 {
		t.Errorf("%d operations, %v; want a few and that it was cancelled", rep.Operations, err)
	}
}

// Large values in deep pipelines must not bring both sides to wait for each other.
func TestLargeBatches(t *testing.T) {
	s := newTestResponder(t)
	rep, err := Run(t.Context(), Config{Addrs: []string{s.addr}, Clients: 2, Pipeline: 64, Requests: 1000, MinSize: 100_000, MaxSize: 100_000, Keys: 10})
	if err != nil || rep.Operations != 1000 {
		t.Errorf("%d operations, %v", rep.Operations, err)
	}
}

// Nobody there, a wrong password, another protocol: each is said at once.
func TestBadServers(t *testing.T) {
	gone, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Config{Addrs: []string{gone}, Clients: 1}); err == nil || !strings.Contains(err.Error(), gone) {
		t.Errorf("nobody there: %v", err)
	}
	s := newTestResponder(t)
	s.answer = func(args []string) string {
		if args[0] == "AUTH" && args[1] != "right" {
			return "-WRONGPASS no\r\n"
		}
		return "+OK\r\n"
	}
	if _, err := Run(t.Context(), Config{Addrs: []string{s.addr}, Clients: 1, Password: "wrong"}); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := Run(t.Context(), Config{Addrs: []string{s.addr}, Clients: 1, Password: "right", Requests: 5}); err != nil {
		t.Errorf("right password: %v", err)
	}
	s.answer = func([]string) string { return "HTTP/1.1 400 Bad Request\r\n" }
	rep, err := Run(t.Context(), Config{Addrs: []string{s.addr}, Clients: 1, Requests: 5})
	if err == nil || rep.Errors["CONNECTION"] == 0 {
		t.Errorf("another protocol: %v, %v", rep.Errors, err)
	}
}

// Impossible wishes are told together with what is possible.
func TestValidate(t *testing.T) {
	ok := Config{Addrs: []string{"a:1"}}
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Config){
		"addrs: want at least one":    func(c *Config) { c.Addrs = nil },
		`addrs "x": want host:port`:   func(c *Config) { c.Addrs = []string{"x"} },
		"clients -1: want":            func(c *Config) { c.Clients = -1 },
		"pipeline 20000: want":        func(c *Config) { c.Pipeline = 20000 },
		"requests -1: want":           func(c *Config) { c.Requests = -1 },
		"duration -1ns: want":         func(c *Config) { c.Duration = -1 },
		"mix -1:0: want":              func(c *Config) { c.Gets = -1 },
		"size 2-1: want":              func(c *Config) { c.MinSize, c.MaxSize = 2, 1 },
		"one batch would be larger":   func(c *Config) { c.MaxSize, c.Pipeline = 1<<28, 100 },
		"keys 2000000000000: want":    func(c *Config) { c.Keys = 2e12 },
		`distribution "normal": want`: func(c *Config) { c.Distribution = "normal" },
		"rate -1: want":               func(c *Config) { c.Rate = -1 },
		"timeout -1ns: want":          func(c *Config) { c.Timeout = -1 },
	} {
		c := ok
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

// The same seed asks for the same things, so that two servers can be compared.
func TestWorkloadRepeats(t *testing.T) {
	for _, d := range []Distribution{Uniform, Zipf} {
		c := Config{Distribution: d, Keys: 1000, MinSize: 1, MaxSize: 30}.withDefaults()
		noise := newNoise(c)
		stream := func(id uint64) (b []byte) {
			w := newWorkload(c, id, noise)
			for range 500 {
				b = w.appendOp(b, w.next())
			}
			return b
		}
		if !bytes.Equal(stream(1), stream(1)) || bytes.Equal(stream(1), stream(2)) {
			t.Errorf("%s: streams do not repeat, or do not differ", d)
		}
	}
}

// A zipf load has hot keys, a uniform one has none.
func TestDistributions(t *testing.T) {
	hottest := func(d Distribution) int {
		c := Config{Distribution: d, Keys: 1000}.withDefaults()
		w := newWorkload(c, 1, newNoise(c))
		count, most := map[uint64]int{}, 0
		for range 20_000 {
			o := w.next()
			if o.key >= c.Keys {
				t.Fatalf("key %d of %d", o.key, c.Keys)
			}
			count[o.key]++
			most = max(most, count[o.key])
		}
		return most
	}
	if u, z := hottest(Uniform), hottest(Zipf); u > 60 || z < 1000 {
		t.Errorf("the hottest key got %d of 20000 uniformly and %d by zipf; want about 20 and over 1000", u, z)
	}
}

// What is sent is what any server reads.
func TestCommandsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Keys: rapid.Uint64Range(1, maxKeys).Draw(t, "keys"), MaxSize: rapid.IntRange(1, 300).Draw(t, "size")}.withDefaults()
		w := newWorkload(c, rapid.Uint64().Draw(t, "stream"), newNoise(c))
		o := w.next()
		args, err := readCommand(bufio.NewReader(bytes.NewReader(w.appendOp(nil, o))))
		if err != nil || len(args) != map[bool]int{false: 2, true: 3}[o.set] || len(args[1]) != keySize {
			t.Fatalf("%v, %v", args, err)
		}
	})
}

// A failure must not pass for an answer, and is counted by its code.
func TestFailures(t *testing.T) {
	r := resp.NewReplyReader(strings.NewReader("+OK\r\n$-1\r\n-WRONGTYPE x y\r\n!9\r\nERR a bad\r\n-"+strings.Repeat("x", 99)+"\r\n"), maxReply)
	for _, want := range []string{"", "", "WRONGTYPE", "ERR", strings.Repeat("x", maxCode)} {
		v, err := r.Read()
		if err != nil || failed(v) != (want != "") || failed(v) && code(v) != want {
			t.Errorf("%s (%v): failed %v, want the code %q", v, err, failed(v), want)
		}
	}
}

// CPU per operation is what servers are compared by.
func TestParseStat(t *testing.T) {
	const stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 150 25 7 8 20 0 1 0 9 10 11"
	if got, err := parseStat([]byte(stat)); err != nil || got != 1750*time.Millisecond {
		t.Errorf("%s, %v; want 1.75s", got, err)
	}
	for _, bad := range []string{"", "1 (x) S 1", "42 (a) S 1 42 42 0 -1 4194560 1 2 3 4 x 25 7 8"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is read as %s", bad, got)
		}
	}
	if _, err := processCPU(-1); err == nil {
		t.Error("a process that is not has CPU time")
	}
}

func TestSchedule(t *testing.T) {
	start := time.Unix(100, 0)
	c := Config{Clients: 2, Pipeline: 5, Rate: 100}
	s := newSchedule(&c, start, 1)
	if got := s.due(3).Sub(start); got != 350*time.Millisecond {
		t.Errorf("batch 3 of connection 1 is due after %s, want 350ms", got)
	}
	if got := s.dueBefore(start.Add(time.Second), 3); got != 7 {
		t.Errorf("%d batches are due from the third within a second, want 7", got)
	}
	if got := s.dueBefore(start, 3); got != 0 {
		t.Errorf("%d batches were due before the start", got)
	}
}
