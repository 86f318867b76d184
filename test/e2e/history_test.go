package e2e

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/workload"
)

// What a user loses when this fails: the promise that the ring behaves like one machine. Registers and counters are
// used through all nodes while processes are killed, paused and restarted; porcupine judges all that was seen.
func TestHistoryUnderKills(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3})
	nodes := workload.NewNodes()
	t.Cleanup(func() { must(t, nodes.Close()) })
	for _, n := range c.Nodes {
		nodes.Add(n.Addr)
	}
	h := workload.NewHistory(nodes, "h:", 12)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = h.Run(ctx, 6) })

	// A healthy cluster between two blows: what is judged is the change, and a majority is always left.
	for i := range 6 {
		victim, other := c.Nodes[i%3], c.Nodes[(i+1)%3]
		if i%2 == 0 {
			must(t, victim.Kill())
			awaitWrites(t, other, "after a kill")
			must(t, victim.Start())
		} else {
			must(t, victim.Pause())
			awaitWrites(t, other, "during a pause")
			must(t, victim.Resume())
		}
		must(t, victim.WaitReady(within(t, 30*time.Second, "being ready again")))
		healthy(t, c, other, 3, time.Minute)
	}
	cancel()
	wg.Wait()
	must(t, err)
	t.Log(h.Summary())
	must(t, h.Check(2*time.Minute, filepath.Join(c.Dir, "history.html")))
}

// awaitWrites returns when keys in many tablets can be written through n: whoever led them has been replaced.
func awaitWrites(t *testing.T, n *cluster.Node, when string) {
	t.Helper()
	ctx := within(t, 30*time.Second, "writing everywhere "+when)
	conn := workload.NewClient(n.Addr, 1)
	defer conn.Close()
	for i := range 2 * tablets {
		for {
			err := conn.Set(ctx, key("probe", i), "x", 0).Err()
			if err == nil {
				break
			}
			if workload.OutcomeOf(err) == workload.Unexpected || ctx.Err() != nil {
				t.Fatalf("SET through %s %s: %v\n%s", n.Name, when, err, n.Tail(20))
			}
		}
	}
}
