// Command peers measures Quord beside its peers, back to back in one run on one machine: Debian's redis-server for
// one node, Debian's etcd-server for three. Each system in its turn is started alone, filled, measured and stopped;
// the turns are repeated and the median counts, so that a machine that changes its mind hurts all alike.
//
// Where the protocol is the same, so is the generator: `quord bench` drives Quord and Redis. etcd is driven through
// its own Go client with as many connections. Server CPU is what the kernel counted for the servers' processes, so
// it does not depend on the generator; throughput does, as generator and servers share the machine.
//
// It owns the processes it starts and the directory bench-results, and ends with a table in Markdown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/quorddb/quord/test/cluster"
)

// options are what a run can be told.
type options struct {
	rounds      int
	duration    time.Duration
	keys, size  int
	connections int
	out         string
	only        string
	gap, doc    bool
	kills       int
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each system has its turn; the median counts")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "length of one measurement")
	flag.IntVar(&o.keys, "keys", 100_000, "keys")
	flag.IntVar(&o.size, "size", 100, "bytes of a value")
	flag.IntVar(&o.connections, "connections", 50, "client connections, spread over all nodes")
	flag.StringVar(&o.out, "out", "", "directory for the results (default bench-results in the repository's root)")
	flag.StringVar(&o.only, "only", "", "measure only systems whose name contains this")
	flag.BoolVar(&o.gap, "gap", true, "also kill nodes and measure how long keys cannot be written")
	flag.IntVar(&o.kills, "kills", 3, "how many")
	flag.BoolVar(&o.doc, "doc", false, "put the figures into doc/performance.md too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := errors.Join(run(ctx, o), cluster.Cleanup())
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	if o.out == "" {
		o.out = filepath.Join(root, "bench-results")
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "quord-peers-")
	if err != nil {
		return err
	}
	results := newResults()
	for round := range o.rounds {
		for _, s := range systems(work) {
			if !strings.Contains(s.Name(), o.only) {
				continue
			}
			fmt.Printf("round %d of %d: %s\n", round+1, o.rounds, s.Name())
			if err := turn(ctx, o, s, round, results); err != nil {
				return fmt.Errorf("%s: %w (directories and logs are kept in %s)", s.Name(), err, work)
			}
		}
	}
	var gaps []gap
	if o.gap && strings.Contains(quordThree, o.only) {
		fmt.Println("kill -9 under load")
		if gaps, err = measureGaps(ctx, o.kills); err != nil {
			return fmt.Errorf("kill -9 under load: %w", err)
		}
	}
	var figures strings.Builder
	write(&figures, o, results, gaps)
	path := filepath.Join(o.out, "peers.md")
	if err := os.WriteFile(path, []byte(figures.String()), 0o644); err != nil {
		return err
	}
	fmt.Printf("\n%s\nwritten to %s\n", figures.String(), path)
	if o.doc {
		if err := update(filepath.Join(root, "doc", "performance.md"), figures.String()); err != nil {
			return err
		}
	}
	return os.RemoveAll(work)
}

// turn starts a system, fills it, measures every case and stops it. Each turn begins with empty directories.
func turn(ctx context.Context, o options, s system, round int, results *results) (err error) {
	if err := s.Start(ctx, round); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.Fill(ctx, o); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	for _, c := range s.Cases() {
		m, err := measure(ctx, o, s, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		results.add(s.Name(), c, m)
		fmt.Printf("  %-8s %9.0f/s  p50 %7s  p99 %8s  p99.9 %8s  %6.1f us CPU/op\n", c, m.perSecond, m.p50, m.p99, m.p999,
			m.cpu)
	}
	return nil
}

// measure runs one case and counts the servers' processor time around it.
func measure(ctx context.Context, o options, s system, c load) (measurement, error) {
	before, err := processorTime(s.PIDs())
	if err != nil {
		return measurement{}, err
	}
	m, err := s.Run(ctx, o, c)
	if err != nil {
		return measurement{}, err
	}
	after, err := processorTime(s.PIDs())
	if err != nil {
		return measurement{}, err
	}
	if m.operations == 0 {
		return measurement{}, errors.New("nothing was done")
	}
	m.cpu = float64((after - before).Microseconds()) / float64(m.operations)
	return m, nil
}

func processorTime(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		d, err := cluster.ProcessCPU(pid)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// machine says where the figures come from.
func machine() string {
	name := "an unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s", runtime.NumCPU(), name, runtime.Version())
}
