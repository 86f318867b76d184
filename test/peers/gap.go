package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/workload"
	"github.com/redis/go-redis/v9"
)

// maxGap is how long a key may be without a successful write when the node that led it is killed.
const maxGap = time.Second

// How the gap is probed: so many keys on each side are written through the nodes that stay, one write at a time each
// with a pause, beginning this long before the kill and ending this long after it.
const (
	probes      = 40
	probePause  = 5 * time.Millisecond
	probeBefore = time.Second
	probeAfter  = 6 * time.Second
)

// gap is what the kill of one node did to keys.
type gap struct {
	node                   string
	led, others            int
	longest, longestOthers time.Duration
}

// measureGaps kills each of three nodes in turn, so many times in all, with the others serving.
func measureGaps(ctx context.Context, kills int) (gaps []gap, err error) {
	workload.Quiet()
	start, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c, err := cluster.Start(start, cluster.Config{Nodes: 3})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Remove()) }()
	for i := range kills {
		victim := c.Nodes[i%3]
		g, err := measureGap(ctx, c, victim, c.Nodes[(i+1)%3])
		if err != nil {
			return nil, err
		}
		fmt.Printf("  %s: %s for %d keys that it led, %s for %d others\n", g.node, g.longest, g.led, g.longestOthers, g.others)
		gaps = append(gaps, g)
		again, cancel := context.WithTimeout(ctx, time.Minute)
		err = errors.Join(victim.Start(), victim.WaitReady(again))
		if err == nil {
			_, err = c.WaitHealthy(again, victim, nil)
		}
		cancel()
		if err != nil {
			return nil, err
		}
	}
	return gaps, nil
}

func measureGap(ctx context.Context, c *cluster.Cluster, victim, through *cluster.Node) (gap, error) {
	led, others, err := probeKeys(ctx, c, victim, through)
	if err != nil {
		return gap{}, err
	}
	client := workload.NewClient(through.Addr, 2*probes)
	defer client.Close()
	running, stop := context.WithCancel(ctx)
	defer stop()
	longest := make([]time.Duration, len(led)+len(others))
	var wg sync.WaitGroup
	for i, key := range append(append([]string{}, led...), others...) {
		wg.Go(func() { longest[i] = probe(running, client, key) })
	}
	// Two spans of time are part of what is measured, not a wait for something.
	err = workload.Rest(ctx, probeBefore)
	if err == nil {
		err = victim.Kill()
	}
	if err == nil {
		err = workload.Rest(ctx, probeAfter)
	}
	stop()
	wg.Wait()
	g := gap{node: victim.Name, led: len(led), others: len(others)}
	for i, d := range longest {
		if i < len(led) {
			g.longest = max(g.longest, d)
		} else {
			g.longestOthers = max(g.longestOthers, d)
		}
	}
	return g, err
}

// probeKeys finds keys that a node leads and keys that others lead.
func probeKeys(ctx context.Context, c *cluster.Cluster, leader, ask *cluster.Node) (led, others []string, err error) {
	ring, err := c.Ring(ctx, ask)
	if err != nil {
		return nil, nil, err
	}
	id := ""
	for _, n := range ring.Nodes {
		if n.Addr == leader.Addr {
			id = n.ID
		}
	}
	for i := 0; i < 1000 && (len(led) < probes || len(others) < probes); i++ {
		key := fmt.Sprintf("probe:%d", i)
		l, err := c.Lookup(ctx, ask, key)
		switch {
		case err != nil:
			return nil, nil, err
		case l.Leader == nil:
			return nil, nil, fmt.Errorf("key %s has no leader in a healthy cluster", key)
		case l.Leader.ID == id && len(led) < probes:
			led = append(led, key)
		case l.Leader.ID != id && len(others) < probes:
			others = append(others, key)
		}
	}
	if len(led) == 0 {
		return nil, nil, fmt.Errorf("%s leads none of 1000 keys", leader.Name)
	}
	return led, others, nil
}

// probe writes a key until ctx ends and returns the longest time between two successes (or to the end).
func probe(ctx context.Context, client *redis.Client, key string) (longest time.Duration) {
	last := time.Now()
	for ctx.Err() == nil {
		if client.Set(ctx, key, "x", 0).Err() == nil {
			now := time.Now()
			longest, last = max(longest, now.Sub(last)), now
		}
		_ = workload.Rest(ctx, probePause) // the loop sees the end itself
	}
	return max(longest, time.Since(last))
}
