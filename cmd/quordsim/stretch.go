package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
	"github.com/quorddb/quord/internal/lab/chart"
)

func (a *app) stretch() *cobra.Command {
	var s setup
	var nodes int
	var proximity []int
	var p lab.Stretch
	var mode string
	cmd := a.experiment("stretch", "How much longer a lookup takes than one round trip (ToN 2003, table IV)",
		"Puts nodes at random points of a cube, in which a message takes the time of the distance, and looks up random keys.\n"+
			"A finger is the nearest of the first --proximity successors of its place; lists are as long.\n\n"+
			"Convention: stretch is the time of a lookup over the round trip between the node that asks and the owner. With\n"+
			"--preset paper a lookup ends when the one that asks learns from the owner's predecessor who the owner is, with\n"+
			"--preset quord when the owner has said so itself. Keys of the node that asks are left out.\n"+
			"Several values of --proximity are separated by commas; each gives a line of JSON.", &s)
	f := cmd.Flags()
	f.IntVar(&nodes, "nodes", 0, "nodes of the ring (paper 65536, quord 64)")
	f.StringVar(&mode, "mode", "iterative", "iterative or recursive")
	f.IntSliceVar(&proximity, "proximity", []int{16}, "s: how many successors of its place a finger is chosen from; 1 is plain Chord")
	f.IntVar(&p.Lookups, "lookups", 2000, "lookups in each ring")
	f.BoolVar(&p.Live, "live", false, "the ring measures round trips and chooses its fingers itself, from plain ones on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if p.Preset, err = s.check(cmd); err != nil {
			return err
		}
		if p.Mode, err = parseMode(mode); err != nil {
			return err
		}
		orDefault(&nodes, p.Preset, lab.PublishedStretchNodes, 64)
		p.Nodes, p.Seed = nodes, s.seed
		for _, k := range proximity {
			if p.Proximity = k; p.Validate() != nil {
				return usageError{p.Validate()}
			}
		}
		r := report{
			rows:    [][]string{{"NODES", "MODE", "S", "P10", "MEDIAN", "P90", "PUBLISHED P10", "MEDIAN", "P90"}},
			counted: p.Counted(),
		}
		ours := chart.Series{Name: "Quord's ring, --preset " + p.Preset.String(), Line: true}
		published := chart.Series{Name: "published (ToN 2003)", Published: true}
		for _, k := range proximity {
			p.Proximity = k
			rings, err := measure(cmd.Context(), a, fmt.Sprintf("stretch, s = %d", k), s.rings, p.Run)
			if err != nil {
				return err
			}
			res := p.Result(rings)
			r.results = append(r.results, res)
			pub, known := p.Published()
			q := res.Stretch
			r.rows = append(r.rows, []string{
				strconv.Itoa(nodes), p.Mode.String(), strconv.Itoa(k), decimal(q.P10, 2), decimal(q.P50, 2), decimal(q.P90, 2),
				orDash(known, decimal(pub.P10, 1)), orDash(known, decimal(pub.P50, 1)), orDash(known, decimal(pub.P90, 1)),
			})
			ours.Points = append(ours.Points, chart.Point{X: float64(k), Y: q.P50, Low: q.P10, High: q.P90})
			if known {
				published.Points = append(published.Points, chart.Point{X: float64(k), Y: pub.P50, Low: pub.P10, High: pub.P90})
			}
		}
		r.figure = chart.Figure{
			Title:  fmt.Sprintf("Lookup stretch, %d nodes in a cube, %v", nodes, p.Mode),
			Note:   "median, 10th to 90th percentile; " + p.Counted(),
			X:      chart.Axis{Label: "s: successors that a finger is chosen from", Log: 2},
			Y:      chart.Axis{Label: "stretch", Zero: true},
			Series: []chart.Series{ours, published},
		}
		return a.print(&s, r)
	}
	return cmd
}
