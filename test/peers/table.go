package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// results collects the measurements of all rounds.
type results struct {
	of map[string]map[load][]measurement
}

func newResults() *results { return &results{of: map[string]map[load][]measurement{}} }

func (r *results) add(name string, l load, m measurement) {
	if r.of[name] == nil {
		r.of[name] = map[load][]measurement{}
	}
	r.of[name][l] = append(r.of[name][l], m)
}

// median returns the round with the median throughput.
func (r *results) median(name string, l load) (measurement, bool) {
	all := slices.Clone(r.of[name][l])
	if len(all) == 0 {
		return measurement{}, false
	}
	slices.SortFunc(all, func(a, b measurement) int { return int(a.perSecond - b.perSecond) })
	return all[len(all)/2], true
}

// goal is what Quord wants to reach of a peer's throughput.
type goal struct {
	system string
	load   load
	peer   string
	ratio  float64
}

var goals = []goal{
	{quordOne, load{"GET", 1}, redisSync, 0.5},
	{quordOne, load{"GET", 16}, redisSync, 0.4},
	{quordOne, load{"SET", 1}, redisSync, 0.4},
	{quordOne, load{"SET", 16}, redisSync, 0.4},
	{quordThree, load{"SET", 1}, etcdThree, 1.5},
	{quordThree, load{"GET", 1}, etcdThree, 1.0},
}

// write prints everything as Markdown.
func write(out io.Writer, o options, r *results, gaps []gap) {
	fmt.Fprintf(out, "%s, %s. Values of %d B, %d keys, %d connections over all nodes, %s a measurement, median of %d.\n\n",
		time.Now().UTC().Format("2006-01-02"), machine(), o.size, o.keys, o.connections, o.duration, o.rounds)
	fmt.Fprintln(out, "| system | work | requests/s | p50 | p99 | p99.9 | server CPU us/op |")
	fmt.Fprintln(out, "|---|---|--:|--:|--:|--:|--:|")
	for _, s := range systems("") {
		for _, l := range s.Cases() {
			if m, ok := r.median(s.Name(), l); ok {
				fmt.Fprintf(out, "| %s | %s | %.0f | %s | %s | %s | %.1f |\n", s.Name(), l, m.perSecond, m.p50, m.p99, m.p999, m.cpu)
			}
		}
	}
	fmt.Fprintln(out, "\n| goal | ratio | wanted | |")
	fmt.Fprintln(out, "|---|--:|--:|---|")
	for _, g := range goals {
		ours, ok1 := r.median(g.system, g.load)
		theirs, ok2 := r.median(g.peer, g.load)
		if ok1 && ok2 {
			ratio := ours.perSecond / theirs.perSecond
			fmt.Fprintf(out, "| %s: %s / %s | %.2f | %.1f | %s |\n", g.load, g.system, g.peer, ratio, g.ratio,
				verdict(ratio >= g.ratio))
		}
	}
	for _, g := range gaps {
		fmt.Fprintf(out, "| kill -9 of %s: longest time without a successful write, %d keys it led | %s | %s | %s |\n", g.node,
			g.led, g.longest.Round(time.Millisecond), maxGap, verdict(g.longest <= maxGap))
		fmt.Fprintf(out, "| the same, %d keys that others led | %s | | |\n", g.others, g.longestOthers.Round(time.Millisecond))
	}
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "missed"
}
