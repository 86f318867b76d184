package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
	"github.com/quorddb/quord/internal/lab/chart"
)

func (a *app) load() *cobra.Command {
	var s setup
	var keys, tokens []int
	var l lab.Load
	cmd := a.experiment("load", "How many keys a node is responsible for (SIGCOMM 2001, figures 8 and 9)",
		"Puts random keys on a ring and counts, for each node, those that the owner's check of its tokens claims.\n\n"+
			"Convention: percentiles are over all nodes of all rings, those without a key among them.\n"+
			"Several --keys draw figure 8(a), several --tokens draw figure 9; each pair gives a line of JSON.", &s)
	f := cmd.Flags()
	f.IntVar(&l.Nodes, "nodes", 0, "nodes of the ring (paper 10000, quord 128)")
	f.IntSliceVar(&keys, "keys", nil, "keys on the ring (paper 1000000, quord 1000000)")
	f.IntSliceVar(&tokens, "tokens", nil, "tokens of each node (paper 1, quord 64)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if l.Preset, err = s.check(cmd); err != nil {
			return err
		}
		orDefault(&l.Nodes, l.Preset, 10000, 128)
		orList(&keys, l.Preset, 1e6, 1e6)
		orList(&tokens, l.Preset, 1, lab.QuordTokens)
		if s.svg != "" && len(keys) > 1 && len(tokens) > 1 {
			return usagef("--svg: a figure is drawn over several --keys or over several --tokens, not both")
		}
		l.Seed = s.seed
		var todo []lab.Load
		for _, t := range tokens {
			for _, k := range keys {
				l.Tokens, l.Keys = t, k
				if err := l.Validate(); err != nil {
					return usageError{err}
				}
				todo = append(todo, l)
			}
		}
		r := report{
			rows:    [][]string{{"NODES", "TOKENS", "KEYS", "MEAN", "P1", "P99", "MAX", "P99/MEAN", "PUBLISHED P1", "P99"}},
			counted: "keys that the owner's check of a node's tokens claims; percentiles over all nodes of all rings",
		}
		var results []lab.LoadResult
		for _, l := range todo {
			rings, err := measure(cmd.Context(), a, fmt.Sprintf("load, %d keys, %d tokens", l.Keys, l.Tokens), s.rings, l.Run)
			if err != nil {
				return err
			}
			res := l.Result(rings)
			results, r.results = append(results, res), append(r.results, res)
			pub, known := l.Published(len(tokens) > 1 || l.Tokens > 1)
			k := res.KeysPerNode
			r.rows = append(r.rows, []string{
				strconv.Itoa(l.Nodes), strconv.Itoa(l.Tokens), strconv.Itoa(l.Keys), decimal(k.Mean, 1), strconv.Itoa(k.P1),
				strconv.Itoa(k.P99), strconv.Itoa(k.Max), decimal(float64(k.P99)/k.Mean, 2),
				orDash(known, decimal(pub.P1, 0)), orDash(known, decimal(pub.P99, 0)),
			})
		}
		r.figure = loadFigure(todo, results, len(tokens) > 1)
		return a.print(&s, r)
	}
	return cmd
}

func loadFigure(todo []lab.Load, results []lab.LoadResult, byTokens bool) chart.Figure {
	f := chart.Figure{
		Title: fmt.Sprintf("Keys per node, %d nodes (mean, 1st to 99th percentile)", todo[0].Nodes),
		Note:  "counted: keys that the owner's check of a node's tokens claims",
		X:     chart.Axis{Label: "keys", Zero: true},
		Y:     chart.Axis{Label: "keys per node", Zero: true},
	}
	if byTokens {
		f.X = chart.Axis{Label: "tokens of each node"}
	}
	ours := chart.Series{Name: "Quord's ring, --preset " + todo[0].Preset.String()}
	published := chart.Series{Name: "published (SIGCOMM 2001)", Published: true}
	for i, l := range todo {
		x := float64(l.Keys)
		if byTokens {
			x = float64(l.Tokens)
		}
		k := results[i].KeysPerNode
		ours.Points = append(ours.Points, chart.Point{X: x, Y: k.Mean, Low: float64(k.P1), High: float64(k.P99)})
		if pub, known := l.Published(byTokens || l.Tokens > 1); known {
			published.Points = append(published.Points, chart.Point{X: x, Y: pub.Mean, Low: pub.P1, High: pub.P99})
		}
	}
	f.Series = []chart.Series{ours, published}
	return f
}
