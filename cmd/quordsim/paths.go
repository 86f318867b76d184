package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
	"github.com/quorddb/quord/internal/lab/chart"
)

func (a *app) paths() *cobra.Command {
	var s setup
	var nodes []int
	var p lab.Paths
	var mode string
	var state bool
	cmd := a.experiment("paths", "How many nodes a lookup asks (SIGCOMM 2001, figure 10)",
		"Looks up random keys from random nodes of a converged ring, and counts the nodes asked.\n\n"+
			"Convention: with --preset paper and no successor lists, the nodes up to the first whose finger table names\n"+
			"the owner are counted, the one that asks among them and the owner not (figure 10). With successor lists, and\n"+
			"with --preset quord, every other node asked is counted, the owner among them (ToN, tables II and III).\n"+
			"KNOWN is how many other nodes a node knows, in the mean: its state.\n"+
			"One size draws the distribution of lengths (figure 10b), several draw the means (figure 10a).\n"+
			"Several sizes are separated by commas; each gives a line of JSON.", &s)
	f := cmd.Flags()
	f.IntSliceVar(&nodes, "nodes", nil, "nodes of the ring (paper 4096, quord 128)")
	f.IntVar(&p.Lookups, "lookups", 10000, "lookups in each ring")
	f.IntVar(&p.Tokens, "tokens", 0, "tokens of each node (paper 1, quord 64)")
	f.IntVar(&p.Successors, "successors", 0, "length of the successor lists; 1 is none (paper 1, quord 16)")
	f.BoolVar(&state, "state", false, "draw how many others a node knows, too")
	f.StringVar(&mode, "mode", "iterative", "iterative or recursive")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if p.Preset, err = s.check(cmd); err != nil {
			return err
		}
		if p.Mode, err = parseMode(mode); err != nil {
			return err
		}
		orList(&nodes, p.Preset, 4096, 128)
		orDefault(&p.Tokens, p.Preset, 1, lab.QuordTokens)
		orDefault(&p.Successors, p.Preset, 1, 16)
		p.Seed = s.seed
		for _, n := range nodes {
			if p.Nodes = n; p.Validate() != nil {
				return usageError{p.Validate()}
			}
		}
		r := report{
			rows:    [][]string{{"NODES", "MEAN", "P1", "P50", "P99", "MAX", "PUBLISHED", "P1", "P99", "1/2 LOG2 N", "KNOWN"}},
			counted: p.Counted(),
		}
		var results []lab.PathsResult
		for _, n := range nodes {
			p.Nodes = n
			rings, err := measure(cmd.Context(), a, fmt.Sprintf("paths, %d nodes", n), s.rings, p.Run)
			if err != nil {
				return err
			}
			res := p.Result(rings)
			results = append(results, res)
			r.results = append(r.results, res)
			pub, known := p.Published()
			r.rows = append(r.rows, []string{
				strconv.Itoa(n), decimal(res.Hops.Mean, 3), strconv.Itoa(res.Hops.P1), strconv.Itoa(res.Hops.P50),
				strconv.Itoa(res.Hops.P99), strconv.Itoa(res.Hops.Max),
				orDash(known, decimal(pub.Mean, 2)), orDash(known, strconv.Itoa(pub.P1)), orDash(known, strconv.Itoa(pub.P99)),
				decimal(halfLog2(n), 2), decimal(res.Known, 1),
			})
		}
		r.figure = pathsFigure(p, results, state)
		return a.print(&s, r)
	}
	return cmd
}

// pathsFigure is figure 10(a), or 10(b) where there is one size only.
func pathsFigure(p lab.Paths, results []lab.PathsResult, state bool) chart.Figure {
	f := chart.Figure{Note: "counted: " + p.Counted()}
	ours := chart.Series{Name: "Quord's ring, --preset " + p.Preset.String(), Line: true}
	published := chart.Series{Name: "published (SIGCOMM 2001)", Published: true}
	if len(results) == 1 {
		res := results[0]
		f.Title = fmt.Sprintf("Path length in a ring of %d nodes", res.Nodes)
		f.X, f.Y = chart.Axis{Label: "path length", Zero: true}, chart.Axis{Label: "share of lookups", Zero: true}
		for hops, share := range res.Hops.PDF {
			ours.Points = append(ours.Points, chart.Point{X: float64(hops), Y: share})
		}
		f.Series = []chart.Series{ours}
		if _, known := p.Published(); known && res.Nodes == lab.PublishedPathPDFNodes {
			for hops, share := range lab.PublishedPathPDF {
				published.Points = append(published.Points, chart.Point{X: float64(hops), Y: share})
			}
			f.Series = append(f.Series, published)
		}
		return f
	}
	f.Title = "Path length and size of the ring (mean, 1st to 99th percentile)"
	f.X, f.Y = chart.Axis{Label: "nodes", Log: logBase(results)}, chart.Axis{Label: "path length", Zero: true}
	half := chart.Series{Name: "1/2 log2 N", Line: true, Published: true}
	for _, res := range results {
		n := float64(res.Nodes)
		ours.Points = append(ours.Points, chart.Point{X: n, Y: res.Hops.Mean, Low: float64(res.Hops.P1), High: float64(res.Hops.P99)})
		half.Points = append(half.Points, chart.Point{X: n, Y: halfLog2(res.Nodes)})
		p.Nodes = res.Nodes
		if pub, known := p.Published(); known {
			published.Points = append(published.Points, chart.Point{X: n, Y: pub.Mean, Low: float64(pub.P1), High: float64(pub.P99)})
		}
	}
	f.Series = []chart.Series{ours, published, half}
	if state {
		known := chart.Series{Name: "other nodes that a node knows", Line: true}
		for _, res := range results {
			known.Points = append(known.Points, chart.Point{X: float64(res.Nodes), Y: res.Known})
		}
		f.Title, f.Y.Label = "Path length and state per node", "path length; nodes known"
		f.Series = []chart.Series{ours, known, half}
	}
	return f
}

func halfLog2(n int) float64 { return math.Log2(float64(n)) / 2 }

// logBase returns the base in which sizes are drawn: 10 where they go far.
func logBase(results []lab.PathsResult) int {
	if results[len(results)-1].Nodes > 1<<17 {
		return 10
	}
	return 2
}
