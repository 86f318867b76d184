package tablet

// Held is how much of something is kept in memory at this moment, and the bound that is stated for it. A judge sums Now
// from what is there, not from the counters that the bound is kept with: these may be what is wrong.
type Held struct {
	What      string
	Now, Most int
}

// Footprint returns what this replica holds, between two turns. A single entry may be larger than a bound of bytes: what is
// larger by itself is let in alone, so it is left out of the sums that it alone exceeds.
func (g *Group) Footprint() []Held {
	applied, rest := 0, 0
	for i, e := range g.log.tail {
		if g.log.tailStart()+uint64(i)+1 <= g.head.applied.Index {
			applied += len(e.GetData())
		} else if i < len(g.log.tail)-1 {
			rest += len(e.GetData())
		}
	}
	inline, results := 0, 0
	for i := range g.head.windows.origins {
		o := &g.head.windows.origins[i]
		results = max(results, len(o.results))
		for _, r := range o.results {
			inline += len(r.replies)
		}
	}
	return []Held{
		{"bytes of applied entries in memory", applied, tailBytes},
		// A leader takes over what the one before it may have left, and proposes as much itself.
		{"bytes of entries in memory that are not applied", rest, 2 * maxUncommitted},
		{"bytes of results in the head", inline, maxInline},
		{"results of one origin", results, maxWindow},
		{"origins with results", len(g.head.windows.origins), maxOrigins},
		{"writes that wait for an answer", len(g.waiting), maxWaiting},
		{"reads that wait for an answer", g.reads.len(), maxWaiting},
	}
}
