package workload

import (
	"context"
	"sync"
	"time"
)

// Probes writes a few keys again and again, each as often as a pause lets it, through nodes that are believed to
// serve, and remembers when a write of each was acknowledged: so it can be said afterwards for how long a key could
// not be written while something happened.
type Probes struct {
	Keys []string

	nodes *Nodes
	pause time.Duration

	mu    sync.Mutex
	acked [][]time.Time // guarded by mu; by place in Keys, ascending
}

// NewProbes returns probes of these keys.
func NewProbes(nodes *Nodes, pause time.Duration, keys ...string) *Probes {
	return &Probes{Keys: keys, nodes: nodes, pause: pause, acked: make([][]time.Time, len(keys))}
}

// Run writes until ctx ends.
func (p *Probes) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for i, key := range p.Keys {
		wg.Go(func() {
			for place := i; ctx.Err() == nil; _ = Rest(ctx, p.pause) { // which sees the end itself
				client, _ := p.nodes.At(place)
				if client.Set(ctx, key, "x", 0).Err() != nil {
					place++
					continue
				}
				p.mu.Lock()
				p.acked[i] = append(p.acked[i], time.Now())
				p.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// Gap returns the longest time within a span during which no write of the key at a place was acknowledged, and the sum
// of all such times that are longer than grace.
func (p *Probes) Gap(place int, from, to time.Time, grace time.Duration) (longest, down time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := from
	count := func(at time.Time) {
		gap := at.Sub(last)
		longest = max(longest, gap)
		if gap > grace {
			down += gap
		}
		last = at
	}
	for _, at := range p.acked[place] {
		switch {
		case !at.After(from):
		case at.After(to):
			count(to)
			return longest, down
		default:
			count(at)
		}
	}
	count(to)
	return longest, down
}

// Acked returns how many writes of all keys were acknowledged since from.
func (p *Probes) Acked(from time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, times := range p.acked {
		for i := len(times) - 1; i >= 0 && times[i].After(from); i-- {
			n++
		}
	}
	return n
}
