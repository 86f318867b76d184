package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
	"github.com/quorddb/quord/internal/lab/chart"
)

func (a *app) join() *cobra.Command {
	var s setup
	var nodes []int
	var j lab.Join
	cmd := a.experiment("join", "What it costs that a node joins, or leaves (SIGCOMM 2001, theorems 1 and 3)",
		"Lets one node more join a settled ring, or one leave it, and counts messages and copies of tablets that move.\n\n"+
			"Convention: messages are those to and from the newcomer until it owns its part of the ring and, with --preset\n"+
			"paper, knows all its fingers, without the rounds of stabilization that follow; of a leaver, those by which it takes\n"+
			"leave. Ideal is the newcomer's fair share of the copies, or what a node held in the mean. All are means.\n"+
			"Several sizes are separated by commas; each gives a line of JSON.", &s)
	f := cmd.Flags()
	f.IntSliceVar(&nodes, "nodes", nil, "nodes before (paper 256, quord 15)")
	f.BoolVar(&j.Leave, "leave", false, "let a node leave instead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if j.Preset, err = s.check(cmd); err != nil {
			return err
		}
		orList(&nodes, j.Preset, 256, 15)
		j.Seed = s.seed
		for _, n := range nodes {
			if j.Nodes = n; j.Validate() != nil {
				return usageError{j.Validate()}
			}
		}
		r := report{
			rows:    [][]string{{"NODES", "TABLETS", "MESSAGES", "LOG2^2 N", "TABLETS MOVED", "IDEAL", "MOVED/IDEAL"}},
			counted: "messages to and from the newcomer, or of the leaver, and copies of tablets with another holder",
		}
		ours := chart.Series{Name: "Quord's ring, --preset " + j.Preset.String(), Line: true}
		theory := chart.Series{Name: "log2^2 N (theorem 3 names the order, not the factor)", Line: true, Published: true}
		for _, n := range nodes {
			j.Nodes = n
			rings, err := measure(cmd.Context(), a, fmt.Sprintf("join, %d nodes", n), s.rings, j.Run)
			if err != nil {
				return err
			}
			res := j.Result(rings)
			r.results = append(r.results, res)
			square := math.Pow(math.Log2(float64(n)), 2)
			r.rows = append(r.rows, []string{
				strconv.Itoa(n), strconv.Itoa(j.Tablets()), decimal(res.Messages, 1), decimal(square, 1),
				decimal(res.TabletsMoved, 1), decimal(res.Ideal, 1), decimal(res.TabletsMoved/res.Ideal, 3),
			})
			ours.Points = append(ours.Points, chart.Point{X: float64(n), Y: res.Messages})
			theory.Points = append(theory.Points, chart.Point{X: float64(n), Y: square})
		}
		r.figure = chart.Figure{
			Title:  "Messages of one join or departure",
			Note:   "means; without the rounds of stabilization that every node makes anyway",
			X:      chart.Axis{Label: "nodes", Log: 2},
			Y:      chart.Axis{Label: "messages", Zero: true},
			Series: []chart.Series{ours, theory},
		}
		return a.print(&s, r)
	}
	return cmd
}
