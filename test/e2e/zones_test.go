package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/test/cluster"
)

// What a user loses when this fails: everything, with one rack. Replicas lie in distinct zones, so all keys stay readable and
// writable while a whole zone is dead, the others can say that it is, and it is back when it is started again.
func TestLostZone(t *testing.T) {
	c := idleCluster(t, cluster.Config{Nodes: 6, Tablets: tablets})
	zone := map[string]string{} // by address
	for i, n := range c.Nodes {
		zone[n.Addr] = fmt.Sprintf("rack%d", i/2)
		n.Env = append(n.Env, "QUORD_ZONE="+zone[n.Addr])
	}
	ctx := within(t, 3*time.Minute, "losing a zone and having it back")
	must(t, c.StartAll(ctx))
	ring, err := c.Ring(ctx, c.Nodes[5])
	must(t, err)
	for _, n := range ring.Nodes {
		if n.Zone != zone[n.Addr] {
			t.Errorf("%s is in zone %q, the ring says %q", n.Addr, zone[n.Addr], n.Zone)
		}
	}
	store(ctx, t, c.Nodes[0], "before", 300)
	for i := range 30 {
		at, err := c.Lookup(ctx, c.Nodes[i%6], key("before", i))
		must(t, err)
		seen := map[string]bool{}
		for _, r := range at.Replicas {
			seen[zone[r.Addr]] = true
		}
		if len(seen) != 3 {
			t.Fatalf("the replicas of %q lie in %d zones, want 3: %v", at.Key, len(seen), at.Replicas)
		}
	}

	must(t, c.Nodes[0].Kill())
	must(t, c.Nodes[1].Kill())
	for _, n := range c.Nodes[2:] {
		stored(ctx, t, n, "before", 300)
	}
	store(ctx, t, c.Nodes[4], "without", 300)
	_, err = c.WaitStatus(ctx, c.Nodes[3], func(s admin.Status) bool { return s.Nodes.Down == 2 && s.Tablets.Unavailable == 0 })
	must(t, err)

	must(t, c.Nodes[0].Start())
	must(t, c.Nodes[1].Start())
	healthy(t, c, c.Nodes[2], 6, time.Minute)
	for _, n := range c.Nodes {
		stored(ctx, t, n, "before", 300)
		stored(ctx, t, n, "without", 300)
	}
}
