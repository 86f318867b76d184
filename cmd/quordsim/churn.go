package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/lab"
	"github.com/quorddb/quord/internal/lab/chart"
)

func (a *app) churn() *cobra.Command {
	var s setup
	var rates []float64
	var c lab.Churn
	cmd := a.experiment("churn", "Lookups while nodes join and leave (ToN 2003, table III)",
		"Lets nodes join and leave at random, each at --rate, and looks up a random key a second from random nodes. With\n"+
			"--preset paper nodes stabilize every 15 to 45 seconds, with --preset quord as production does; packets take 50 ms\n"+
			"in the mean, exponentially; a timeout is 500 ms.\n\n"+
			"Convention: hops are the nodes that answered, the owner among them; a timeout is a node asked that did not. A\n"+
			"lookup that ends in an error has failed. It is wrong if a token accepts it although, of all tokens whose join has\n"+
			"completed (the one that follows has taken them as its predecessor) and that have not left, another one owns the\n"+
			"key; that is asked of lookups for fingers and joins, too.\n"+
			"Several values of --rate are separated by commas; each gives a line of JSON.", &s)
	f := cmd.Flags()
	f.IntVar(&c.Nodes, "nodes", 0, "nodes at the beginning (paper 1000, quord 24)")
	f.IntVar(&c.Successors, "successors", 0, "length of the successor lists (paper 20, quord 16)")
	f.Float64SliceVar(&rates, "rate", []float64{0.05}, "`rates`: joins per second, and departures per second")
	f.Float64Var(&c.Hours, "hours", 0, "virtual time (paper 1, quord 0.1)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if c.Preset, err = s.check(cmd); err != nil {
			return err
		}
		orDefault(&c.Nodes, c.Preset, 1000, 24)
		orDefault(&c.Successors, c.Preset, 20, 16)
		if c.Hours == 0 {
			if c.Hours = 1; c.Preset == lab.Quord {
				c.Hours = 0.1
			}
		}
		c.Seed = s.seed
		for _, rate := range rates {
			if c.Rate = rate; c.Validate() != nil {
				return usageError{c.Validate()}
			}
		}
		r := report{
			rows: [][]string{{
				"RATE", "HOPS", "P1", "P99", "PUBLISHED", "TIMEOUTS", "P1", "P99", "PUBLISHED", "FAILED/10000", "PUBLISHED", "WRONG",
			}},
			counted: "nodes that answered, the owner included; every node asked that did not answer is a timeout",
		}
		ours := chart.Series{Name: "hops, Quord's ring, --preset " + c.Preset.String(), Line: true}
		pubHops := chart.Series{Name: "hops, published (ToN 2003)", Published: true}
		lost := chart.Series{Name: "timeouts, Quord's ring", Line: true}
		pubLost := chart.Series{Name: "timeouts, published (ToN 2003)", Published: true}
		for _, rate := range rates {
			c.Rate = rate
			rings, err := measure(cmd.Context(), a, fmt.Sprintf("churn, %v a second", rate), s.rings, c.Run)
			if err != nil {
				return err
			}
			res := c.Result(rings)
			r.results = append(r.results, res)
			pub, known := c.Published()
			r.rows = append(r.rows, []string{
				fmt.Sprint(rate), decimal(res.Hops.Mean, 2), strconv.Itoa(res.Hops.P1), strconv.Itoa(res.Hops.P99),
				orDash(known, fmt.Sprintf("%.2f (%d, %d)", pub.Hops, pub.HopsP1, pub.HopsP99)),
				decimal(res.Timeouts.Mean, 2), strconv.Itoa(res.Timeouts.P1), strconv.Itoa(res.Timeouts.P99),
				orDash(known, fmt.Sprintf("%.2f (%d, %d)", pub.Timeouts, pub.TimeoutsP1, pub.TimeoutsP99)),
				decimal(res.FailedPer10000, 2), orDash(known, strconv.Itoa(pub.Failed)), strconv.FormatInt(res.Wrong, 10),
			})
			ours.Points = append(ours.Points, chart.Point{X: rate, Y: res.Hops.Mean, Low: float64(res.Hops.P1), High: float64(res.Hops.P99)})
			lost.Points = append(lost.Points, chart.Point{X: rate, Y: res.Timeouts.Mean, Low: float64(res.Timeouts.P1), High: float64(res.Timeouts.P99)})
			if known {
				pubHops.Points = append(pubHops.Points, chart.Point{X: rate, Y: pub.Hops, Low: float64(pub.HopsP1), High: float64(pub.HopsP99)})
				pubLost.Points = append(pubLost.Points, chart.Point{X: rate, Y: pub.Timeouts, Low: float64(pub.TimeoutsP1), High: float64(pub.TimeoutsP99)})
			}
		}
		r.figure = chart.Figure{
			Title:  fmt.Sprintf("Lookups under churn, %d nodes, lists of %d", c.Nodes, c.Successors),
			Note:   "mean, 1st to 99th percentile; hops count the owner",
			X:      chart.Axis{Label: "joins per second, and departures per second", Zero: true},
			Y:      chart.Axis{Label: "hops, timeouts", Zero: true},
			Series: []chart.Series{ours, pubHops, lost, pubLost},
		}
		return a.print(&s, r)
	}
	return cmd
}
