package lab

import (
	"fmt"

	"github.com/quorddb/quord/internal/ring"
)

// Load measures how many keys each node is responsible for: SIGCOMM 2001, figures 8 and 9; theorem 1.
//
// Counted are the keys for which the owner's check of one of the node's tokens says yes (Ring.Owns); nodes without a
// key count too.
type Load struct {
	Preset Preset
	Nodes  int
	Keys   int
	Tokens int
	Seed   uint64
}

// KeysPerNode is a distribution over nodes.
type KeysPerNode struct {
	Mean float64 `json:"mean"`
	P1   int     `json:"p1"`
	P99  int     `json:"p99"`
	Max  int     `json:"max"`
}

// LoadResult is what Load prints as JSON.
type LoadResult struct {
	KeysPerNode KeysPerNode `json:"keys_per_node"`
}

// Validate says which choice makes no sense.
func (l Load) Validate() error {
	if err := all(
		in("nodes", l.Nodes, 2, MaxSize), in("keys", l.Keys, 1, 1<<30), in("tokens", l.Tokens, 1, ring.MaxTokens),
	); err != nil {
		return err
	}
	return worldSize(l.Preset, l.Nodes, l.Tokens, 1)
}

// Run measures one ring.
func (l Load) Run(n int) (Counts, error) {
	rng := random(l.Seed, n)
	at, err := l.Preset.places(l.Nodes, l.Tokens, rng)
	if err != nil {
		return nil, err
	}
	w := &world{}
	c, err := w.settle(l.Preset.config(1), at, rng, nil)
	if err != nil {
		return nil, err
	}
	keys := make([]int, l.Nodes)
	each := len(at) / l.Nodes // rings of one real node
	for range l.Keys {
		key := randomID(rng)
		t := c.owner(key)
		standing := number(t.Node)
		if got, ok := w.rings[standing].Owns(key); !ok || got != t {
			return nil, fmt.Errorf("%v does not say that it owns %v", t, key.Short())
		}
		keys[standing/each]++
	}
	var counts Counts
	for _, k := range keys {
		counts.Add(k)
	}
	return counts, nil
}

// Result sums rings up.
func (l Load) Result(rings []Counts) LoadResult {
	var c Counts
	for _, r := range rings {
		c.Merge(r)
	}
	return LoadResult{KeysPerNode{round(c.Mean(), 4), c.Percentile(1), c.Percentile(99), c.Max()}}
}
