package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
	"github.com/quorddb/quord/internal/lab/chart"
)

func (a *app) balance() *cobra.Command {
	var s setup
	var tokens []int
	var b lab.Balance
	cmd := a.experiment("balance", "How evenly tablets lie on nodes (Dynamo 2007, figure 8)",
		"Places tablets of equal size, 3 copies of each, on the nodes of a ring. With --preset paper tokens stand at random,\n"+
			"which is Dynamo's strategy 2; with --preset quord each node chooses its tokens for balance when it joins.\n\n"+
			"Convention: what a node holds is compared with what one of its weight should hold. max_over_mean is the worst of\n"+
			"all nodes of all rings, of first targets and of copies; efficiency is Dynamo's: in copies, the mean over the\n"+
			"fullest node, in the mean of all rings.\n"+
			"Several values of --tokens are separated by commas; each gives a line of JSON.", &s)
	f := cmd.Flags()
	f.IntVar(&b.Nodes, "nodes", 0, "nodes of the ring (paper 30, quord 16)")
	f.IntSliceVar(&tokens, "tokens", nil, "tokens of a node of weight 1 (paper 64, quord 64)")
	f.IntVar(&b.Tablets, "tablets", 0, "tablets: a power of two (paper 16384, quord 1024)")
	f.Float64SliceVar(&b.Weights, "weights", nil, "`weights` of the nodes, in turn (1)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if b.Preset, err = s.check(cmd); err != nil {
			return err
		}
		orDefault(&b.Nodes, b.Preset, 30, 16)
		orDefault(&b.Tablets, b.Preset, 16384, lab.QuordTablets)
		orList(&tokens, b.Preset, 64, lab.QuordTokens)
		b.Seed = s.seed
		for _, t := range tokens {
			if b.Tokens = t; b.Validate() != nil {
				return usageError{b.Validate()}
			}
		}
		r := report{
			rows:    [][]string{{"NODES", "TOKENS", "TABLETS", "MAX/MEAN", "EFFICIENCY", "METADATA"}},
			counted: "first targets and copies of tablets, relative to a node's weight; the worst of all rings",
		}
		ours := chart.Series{Name: "Quord, --preset " + b.Preset.String(), Line: true}
		for _, t := range tokens {
			b.Tokens = t
			rings, err := measure(cmd.Context(), a, fmt.Sprintf("balance, %d tokens", t), s.rings, b.Run)
			if err != nil {
				return err
			}
			res := b.Result(rings)
			r.results = append(r.results, res)
			r.rows = append(r.rows, []string{
				strconv.Itoa(b.Nodes), strconv.Itoa(t), strconv.Itoa(b.Tablets), decimal(res.MaxOverMean, 3),
				decimal(res.Efficiency, 3), strconv.Itoa(b.Metadata()),
			})
			ours.Points = append(ours.Points, chart.Point{X: float64(b.Metadata()), Y: res.Efficiency})
		}
		r.figure = chart.Figure{
			Title:  fmt.Sprintf("Balance and what a node must know, %d nodes, 3 copies of %d tablets", b.Nodes, b.Tablets),
			Note:   "efficiency: mean over the fullest node, in copies",
			X:      chart.Axis{Label: "entries of metadata a node keeps", Log: 10},
			Y:      chart.Axis{Label: "efficiency"},
			Series: append([]chart.Series{ours}, dynamo()...),
		}
		return a.print(&s, r)
	}
	return cmd
}

// dynamo is Dynamo's figure 8.
func dynamo() []chart.Series {
	one := chart.Series{Name: "Dynamo 1: random tokens, their arcs", Published: true, Line: true}
	two := chart.Series{Name: "Dynamo 2: random tokens, equal partitions", Published: true, Line: true}
	three := chart.Series{Name: "Dynamo 3: equal shares of partitions", Published: true, Line: true}
	for _, p := range lab.PublishedBalance {
		one.Points = append(one.Points, chart.Point{X: p.Metadata, Y: p.RandomTokens})
		two.Points = append(two.Points, chart.Point{X: p.Metadata, Y: p.EqualParts})
		three.Points = append(three.Points, chart.Point{X: p.Metadata, Y: p.EqualShares})
	}
	return []chart.Series{one, two, three}
}
