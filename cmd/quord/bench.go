package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/bench"
	"github.com/quorddb/quord/internal/config"
)

func (a *app) bench() *cobra.Command {
	var c bench.Config
	var addrs, mix, size, dist string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put load on nodes, or on any Redis, and measure",
		Long: "Put load on nodes, or on any Redis, and measure. Connections are spread over --addrs; the load is as fast as it is\n" +
			"answered, or at --rate, where latency counts from when an operation was due. Keys are key:000000000000 and up;\n" +
			"what is stored under them is overwritten. A connection that breaks goes to the next address.",
		Args: args(cobra.NoArgs),
	}
	t := a.talks(cmd)
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&addrs, "addrs", "", "several servers, `host:port,...` (default the one of --addr)")
	f.IntVar(&c.Clients, "clients", 50, "connections")
	f.IntVar(&c.Pipeline, "pipeline", 1, "operations that a connection sends at once")
	f.Int64Var(&c.Requests, "requests", 0, "operations altogether (default 100000, or as many as --duration allows)")
	f.DurationVar(&c.Duration, "duration", 0, "how long to go on")
	f.StringVar(&mix, "mix", "1:1", "gets to sets, such as 9:1, 1:0 or 0:1")
	f.StringVar(&size, "size", "100", "bytes of a value, or a range such as 100-4KiB")
	f.Uint64Var(&c.Keys, "keys", 100_000, "different keys")
	f.StringVar(&dist, "distribution", "uniform", "uniform, or zipf: few keys often")
	f.Float64Var(&c.Rate, "rate", 0, "operations due per second over all connections (0: as fast as they are answered)")
	f.BoolVar(&c.Prefill, "prefill", true, "store every key first when the mix has gets")
	f.DurationVar(&c.Timeout, "timeout", 10*time.Second, "how long to wait for an answer")
	f.IntSliceVar(&c.PIDs, "pids", nil, "server processes on this machine whose CPU time per operation is told, `pid,...`")
	f.Uint64Var(&c.Seed, "seed", 1, "equal seeds ask for the same keys in the same order")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		c.Addrs = []string{t.addr}
		if addrs != "" {
			c.Addrs = strings.Split(addrs, ",")
		}
		c.Password = t.password
		c.Distribution = bench.Distribution(dist)
		for _, zero := range []string{"clients", "pipeline", "keys", "timeout", "requests", "duration", "seed"} {
			// To the package a zero is the default; from the command line it is a mistake.
			if f := cmd.Flags().Lookup(zero); f.Changed && (f.Value.String() == "0" || f.Value.String() == "0s") {
				return usagef("--%s 0: want more than 0", zero)
			}
		}
		if c.Gets, c.Sets, err = parseMix(mix); err != nil {
			return err
		}
		if c.MinSize, c.MaxSize, err = parseSizes(size); err != nil {
			return err
		}
		c.Prefill = c.Prefill && c.Gets > 0
		if err := c.Validate(); err != nil {
			return usageError{err}
		}
		p := newProgress(a.err)
		c.Progress = func(now bench.Progress) { p.show(benchProgress(now, c.Duration)) }
		rep, err := bench.Run(cmd.Context(), c)
		p.show("")
		return a.printBench(cmd, t, rep, err)
	}
	return cmd
}

func (a *app) printBench(cmd *cobra.Command, t *target, rep bench.Report, runErr error) error {
	var op *net.OpError
	switch {
	case runErr != nil && cmd.Context().Err() != nil:
		runErr = errors.New("interrupted: this is what was measured until then")
	case errors.As(runErr, &op) && op.Op == "dial" && errors.Is(op, syscall.ECONNREFUSED):
		runErr = fmt.Errorf("cannot reach %s: connection refused; is a node running there? `quord serve` starts one", op.Addr)
	}
	if runErr != nil && len(rep.Addrs) == 0 {
		return runErr
	}
	var err error
	if t.asJSON {
		err = printJSON(a.out, rep)
	} else {
		err = rep.Write(a.out)
	}
	return errors.Join(runErr, err)
}

func benchProgress(p bench.Progress, duration time.Duration) string {
	line := fmt.Sprintf("%s: %d operations, %.0f/s", p.Phase, p.Done, p.PerSecond)
	switch {
	case p.Total > 0 && p.PerSecond > 0:
		return line + fmt.Sprintf(", %s left", (time.Duration(float64(p.Total-p.Done)/p.PerSecond)*time.Second).Round(time.Second))
	case p.Phase == "load" && duration > 0:
		return line + fmt.Sprintf(", %s left", max(duration-p.Elapsed, 0).Round(time.Second))
	}
	return line
}

func parseMix(text string) (gets, sets int, err error) {
	g, s, ok := strings.Cut(text, ":")
	gets, err1 := strconv.Atoi(g)
	sets, err2 := strconv.Atoi(s)
	if !ok || errors.Join(err1, err2) != nil || gets < 0 || sets < 0 || gets+sets == 0 {
		return 0, 0, usagef("--mix %q: want gets:sets, such as 9:1, 1:0 or 0:1", text)
	}
	return gets, sets, nil
}

func parseSizes(text string) (lo, hi int, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	l, err1 := config.ParseSize(from)
	h, err2 := config.ParseSize(to)
	if errors.Join(err1, err2) != nil || h < 1 || h < l || h > maxInput {
		return 0, 0, usagef("--size %q: want a size from 1 byte to %s such as 100 or 4KiB, or a range such as 100-4KiB", text, maxInput)
	}
	return int(l), int(h), nil
}
