package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
	"github.com/quorddb/quord/internal/lab/chart"
)

func (a *app) failures() *cobra.Command {
	var s setup
	var fail []float64
	var f lab.Failures
	cmd := a.experiment("failures", "Lookups when many nodes have died at once (ToN 2003, table II)",
		"Kills each node with the given probability, lets nothing be repaired, and looks up random keys.\n\n"+
			"Convention: hops are the nodes that answered, the owner among them; a timeout is a node asked that did not. What\n"+
			"a lookup learns of the dead, the next one has forgotten. A token asked as the owner accepts, as the paper's does;\n"+
			"a lookup that ends anywhere but at the living token that follows the key has failed. In production that token\n"+
			"would refuse until the ring around it has settled.\n"+
			"Several values of --fail are separated by commas; each gives a line of JSON.", &s)
	flags := cmd.Flags()
	flags.IntVar(&f.Nodes, "nodes", 1000, "nodes of the ring, before any dies")
	flags.IntVar(&f.Successors, "successors", 20, "length of the successor lists")
	flags.Float64SliceVar(&fail, "fail", []float64{0.5}, "`shares`: the probability that a node dies")
	flags.IntVar(&f.Lookups, "lookups", 10000, "lookups in each ring")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if f.Preset, err = s.check(cmd); err != nil {
			return err
		}
		f.Seed = s.seed
		for _, p := range fail {
			if f.Fail = p; f.Validate() != nil {
				return usageError{f.Validate()}
			}
		}
		r := report{
			rows: [][]string{{
				"DEAD", "HOPS", "P1", "P99", "PUBLISHED", "TIMEOUTS", "P1", "P99", "PUBLISHED", "MODEL", "FAILED",
			}},
			counted: "nodes that answered, the owner included; every node asked that did not answer is a timeout",
		}
		ours := chart.Series{Name: "hops, Quord's ring", Line: true}
		pubHops := chart.Series{Name: "hops, published (ToN 2003)", Published: true}
		lost := chart.Series{Name: "timeouts, Quord's ring", Line: true}
		pubLost := chart.Series{Name: "timeouts, published (ToN 2003)", Published: true}
		for _, p := range fail {
			f.Fail = p
			rings, err := measure(cmd.Context(), a, fmt.Sprintf("failures, %v dead", p), s.rings, f.Run)
			if err != nil {
				return err
			}
			res := f.Result(rings)
			r.results = append(r.results, res)
			pub, known := f.Published()
			r.rows = append(r.rows, []string{
				fmt.Sprint(p), decimal(res.Hops.Mean, 2), strconv.Itoa(res.Hops.P1), strconv.Itoa(res.Hops.P99),
				orDash(known, fmt.Sprintf("%.2f (%d, %d)", pub.Hops, pub.HopsP1, pub.HopsP99)),
				decimal(res.Timeouts.Mean, 2), strconv.Itoa(res.Timeouts.P1), strconv.Itoa(res.Timeouts.P99),
				orDash(known, fmt.Sprintf("%.2f (%d, %d)", pub.Timeouts, pub.TimeoutsP1, pub.TimeoutsP99)),
				orDash(known, decimal(pub.ModelTimeouts, 2)), strconv.FormatInt(res.Failed, 10),
			})
			ours.Points = append(ours.Points, chart.Point{X: p, Y: res.Hops.Mean, Low: float64(res.Hops.P1), High: float64(res.Hops.P99)})
			lost.Points = append(lost.Points, chart.Point{X: p, Y: res.Timeouts.Mean, Low: float64(res.Timeouts.P1), High: float64(res.Timeouts.P99)})
			if known {
				pubHops.Points = append(pubHops.Points, chart.Point{X: p, Y: pub.Hops, Low: float64(pub.HopsP1), High: float64(pub.HopsP99)})
				pubLost.Points = append(pubLost.Points, chart.Point{X: p, Y: pub.Timeouts, Low: float64(pub.TimeoutsP1), High: float64(pub.TimeoutsP99)})
			}
		}
		r.figure = chart.Figure{
			Title:  fmt.Sprintf("Lookups after simultaneous deaths, %d nodes, lists of %d", f.Nodes, f.Successors),
			Note:   "mean, 1st to 99th percentile; hops count the owner",
			X:      chart.Axis{Label: "share of nodes that died", Zero: true},
			Y:      chart.Axis{Label: "hops, timeouts", Zero: true},
			Series: []chart.Series{ours, pubHops, lost, pubLost},
		}
		return a.print(&s, r)
	}
	return cmd
}
