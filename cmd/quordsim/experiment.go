package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
	"github.com/quorddb/quord/internal/lab/chart"
	"github.com/quorddb/quord/internal/ring"
)

// setup is what all experiments on the ring are told.
type setup struct {
	seed   uint64
	rings  int
	preset string
	json   bool
	svg    string
}

// maxRings bounds how many rings one call averages over.
const maxRings = 10000

// experiment makes the command of an experiment that measures rings and draws a figure. A flag whose value is 0
// stands for its preset's value, which the flag's text names.
func (a *app) experiment(use, short, long string, s *setup) *cobra.Command {
	cmd := a.bareExperiment(use, short, long, s)
	cmd.Flags().StringVar(&s.svg, "svg", "", "draw the figure into this file")
	cmd.Flags().StringVar(&s.preset, "preset", "paper", "paper: Chord as it was published; quord: as production runs it")
	return cmd
}

// bareExperiment makes the command of an experiment, with the flags that all of them have.
func (a *app) bareExperiment(use, short, long string, s *setup) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: noArgs}
	f := cmd.Flags()
	f.Uint64Var(&s.seed, "seed", 1, "equal seeds give equal results")
	f.IntVar(&s.rings, "rings", 20, "how many independent rings to average over")
	f.BoolVar(&s.json, "json", false, "print JSON, one line for each set of parameters")
	s.preset = "paper"
	return cmd
}

// check returns the preset, and refuses what no experiment can do, before hours of computing.
func (s *setup) check(cmd *cobra.Command) (lab.Preset, error) {
	for _, name := range []string{"nodes", "successors", "tokens", "tablets", "keys", "lookups", "hours", "steps"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "0" {
			return 0, usagef("--%s 0: want more; without the flag the preset decides", name)
		}
	}
	if s.svg != "" {
		if dir, err := os.Stat(filepath.Dir(s.svg)); err != nil || !dir.IsDir() {
			return 0, usagef("--svg %s: there is no directory %s", s.svg, filepath.Dir(s.svg))
		}
	}
	if s.rings < 1 || s.rings > maxRings {
		return 0, usagef("--rings %d: want 1 to %d", s.rings, maxRings)
	}
	switch s.preset {
	case "paper":
		return lab.Paper, nil
	case "quord":
		return lab.Quord, nil
	}
	return 0, usagef("--preset %q: want paper or quord", s.preset)
}

// orDefault fills in what the user left to the preset.
func orDefault(value *int, preset lab.Preset, paper, quord int) {
	if *value == 0 {
		if *value = paper; preset == lab.Quord {
			*value = quord
		}
	}
}

func orList(values *[]int, preset lab.Preset, paper, quord int) {
	if len(*values) == 0 {
		if *values = []int{paper}; preset == lab.Quord {
			*values = []int{quord}
		}
	}
}

func parseMode(s string) (ring.Mode, error) {
	switch s {
	case ring.Iterative.String():
		return ring.Iterative, nil
	case ring.Recursive.String():
		return ring.Recursive, nil
	}
	return 0, usagef("--mode %q: want %v or %v", s, ring.Iterative, ring.Recursive)
}

// measure calls one for each ring, on all processors, and returns what they gave in the rings' order.
func measure[S any](ctx context.Context, a *app, what string, rings int, one func(ring int) (S, error)) ([]S, error) {
	out := make([]S, rings)
	errs := make(chan error, rings)
	next := make(chan int)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), rings) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for i := range next {
				var err error
				out[i], err = one(i)
				errs <- err
			}
		}()
	}
	began := time.Now()
	var failed error
	todo := 0
	for done := 0; done < rings && failed == nil; {
		a.show(bar(what, done, rings, time.Since(began)))
		if todo == rings {
			failed = <-errs
			done++
			continue
		}
		select {
		case next <- todo:
			todo++
		case failed = <-errs:
			done++
		case <-ctx.Done():
			failed = ctx.Err()
		}
	}
	close(next)
	workers.Wait()
	a.show("")
	return out, failed
}

// bar draws how much is done.
func bar(what string, done, all int, took time.Duration) string {
	const wide = 24
	full := done * wide / all
	line := fmt.Sprintf("%s [%s%s] %d of %d rings", what, strings.Repeat("#", full), strings.Repeat(".", wide-full), done, all)
	if done > 0 {
		left := took / time.Duration(done) * time.Duration(all-done)
		line += fmt.Sprintf(", about %v left", left.Round(time.Second))
	}
	return line
}

// report is what an experiment has to show.
type report struct {
	results []any // one JSON line each
	rows    [][]string
	counted string // how it was counted
	figure  chart.Figure
}

// print writes the report as it is wanted.
func (a *app) print(s *setup, r report) error {
	if s.svg != "" {
		if err := os.WriteFile(s.svg, []byte(r.figure.SVG()), 0o644); err != nil {
			return fmt.Errorf("draw the figure: %w", err)
		}
	}
	if s.json {
		for _, v := range r.results {
			if err := printJSON(a.out, v); err != nil {
				return err
			}
		}
		return nil
	}
	if err := printTable(a.out, r.rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "Counted: %s\n", r.counted)
	return err
}

// printTable writes rows of aligned columns; the first row is the heading.
func printTable(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

func decimal(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }

// orDash writes a published number, or that there is none.
func orDash(known bool, s string) string {
	if !known {
		return "-"
	}
	return s
}
