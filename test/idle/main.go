// Command idle measures what a ring of three costs that nobody uses: the processor time that the kernel counts for each
// node, how often its threads are woken, and its memory; and how long it takes until the ring is healthy.
//
// It owns the processes that it starts and their directories, and prints a table in Markdown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/workload"
)

// settle is how long the ring is left alone before it is measured: for a while after it has become healthy it looks closer.
const settle = 20 * time.Second

func main() {
	tablets := flag.String("tablets", "1024,16384", "numbers of tablets, a ring each")
	duration := flag.Duration("duration", time.Minute, "length of each measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("| tablets | healthy after | CPU for that | node | CPU, idle | wake-ups/s | memory |\n|--:|--:|--:|---|--:|--:|--:|\n")
	var err error
	for _, s := range strings.Split(*tablets, ",") {
		n, bad := strconv.Atoi(s)
		if err = errors.Join(bad, err); err == nil {
			err = measure(ctx, n, *duration)
		}
	}
	if err = errors.Join(err, cluster.Cleanup()); err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

// measure starts a ring with so many tablets, and prints a line for each of its nodes.
func measure(ctx context.Context, tablets int, duration time.Duration) (err error) {
	start, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	c, err := cluster.New(cluster.Config{Nodes: 3, Tablets: tablets})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Remove()) }()
	begun := time.Now()
	if err := c.StartAll(start); err != nil {
		return err
	}
	if _, err := c.WaitHealthy(start, c.Nodes[0], func(s admin.Status) bool { return s.Nodes.Up == 3 }); err != nil {
		return err
	}
	took := time.Since(begun)
	var used time.Duration
	for _, n := range c.Nodes {
		cpu, err := n.CPU()
		if err != nil {
			return err
		}
		used += cpu
	}
	// Spans of time are part of what is measured, not a wait for something.
	if err := workload.Rest(ctx, settle); err != nil {
		return err
	}
	before, err := costs(c)
	if err != nil {
		return err
	}
	begun = time.Now()
	if err := workload.Rest(ctx, duration); err != nil {
		return err
	}
	span := time.Since(begun)
	after, err := costs(c)
	if err != nil {
		return err
	}
	for i, n := range c.Nodes {
		fmt.Printf("| %d | %.1f s | %.1f s | %s | %.2f %% | %.0f | %d MB |\n", tablets, took.Seconds(), used.Seconds(), n.Name,
			100*(after[i].cpu-before[i].cpu).Seconds()/span.Seconds(), float64(after[i].wakes-before[i].wakes)/span.Seconds(),
			after[i].memory>>20)
	}
	return nil
}

// cost is what a process has used so far.
type cost struct {
	cpu    time.Duration
	wakes  int64 // how often one of its threads has given the processor up by itself
	memory int64 // resident, in bytes
}

func costs(c *cluster.Cluster) ([]cost, error) {
	out := make([]cost, len(c.Nodes))
	for i, n := range c.Nodes {
		var err error
		if out[i].cpu, err = n.CPU(); err != nil {
			return nil, err
		}
		dir := filepath.Join("/proc", strconv.Itoa(n.PID()))
		kb, err := field(filepath.Join(dir, "status"), "VmRSS:")
		if err != nil {
			return nil, err
		}
		out[i].memory = kb << 10
		threads, err := filepath.Glob(filepath.Join(dir, "task", "*", "status"))
		if err != nil {
			return nil, err
		}
		for _, t := range threads {
			if n, err := field(t, "voluntary_ctxt_switches:"); err == nil { // a thread may have ended
				out[i].wakes += n
			}
		}
	}
	return out, nil
}

// field reads a number from a status file of the kernel's.
func field(path, name string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			return strconv.ParseInt(f[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}
