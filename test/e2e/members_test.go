package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/test/cluster"
)

// idOf returns the node id under which a node is known.
func idOf(t *testing.T, c *cluster.Cluster, via, n *cluster.Node) string {
	t.Helper()
	id, err := c.ID(within(t, 10*time.Second, "asking for the ring"), via, n)
	must(t, err)
	return id
}

// gone fails when the ring still shows a node as one that may come back.
func gone(t *testing.T, c *cluster.Cluster, via *cluster.Node, id string) {
	t.Helper()
	ring, err := c.Ring(within(t, 10*time.Second, "asking for the ring"), via)
	must(t, err)
	for _, node := range ring.Nodes {
		if node.ID == id {
			t.Errorf("the ring still shows a node that is gone for good: %+v", node)
		}
	}
}

// verb runs one verb and fails unless it ends with the code; it returns all that it printed.
func verb(t *testing.T, c *cluster.Cluster, n *cluster.Node, code int, args ...string) string {
	t.Helper()
	ctx := within(t, 2*time.Minute, "quord "+strings.Join(args, " "))
	stdout, stderr, got, err := c.Quord(ctx, n, args...)
	must(t, err)
	if got != code {
		t.Fatalf("quord %s at %s: exit code %d, want %d\n%s%s\n%s", strings.Join(args, " "), n.Name, got, code, stdout,
			stderr, n.Tail(20))
	}
	return string(stdout) + string(stderr)
}

// What a user loses when this fails: five minutes of safety, waiting for a machine that they know is gone; or a
// healthy node, removed by mistake.
func TestRemove(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 4})
	ctx := within(t, 4*time.Minute, "removing a dead node")
	store(ctx, t, c.Nodes[0], "k", 500)
	live, dead := idOf(t, c, c.Nodes[0], c.Nodes[1]), idOf(t, c, c.Nodes[0], c.Nodes[3])
	verb(t, c, c.Nodes[0], 1, "remove", live)

	must(t, c.Nodes[3].Kill())
	_, err := c.WaitStatus(ctx, c.Nodes[0], func(s admin.Status) bool { return s.Nodes.Down == 1 })
	must(t, err)
	verb(t, c, c.Nodes[0], 0, "remove", dead, "--dry-run")
	if id := idOf(t, c, c.Nodes[0], c.Nodes[3]); id != dead {
		t.Errorf("a dry run has removed the node")
	}
	verb(t, c, c.Nodes[0], 0, "remove", dead)
	healthy(t, c, c.Nodes[0], 3, time.Minute)
	gone(t, c, c.Nodes[1], dead)
	for _, n := range c.Nodes[:3] {
		stored(ctx, t, n, "k", 500)
	}

	// It comes back all the same: it is told, and serves nobody.
	must(t, c.Nodes[3].Start())
	until(ctx, t, func() bool { return strings.Contains(logged(c.Nodes[3]), "removed") }, func() string {
		return "a removed node is not told that it is: " + c.Nodes[3].Tail(20)
	})
	gone(t, c, c.Nodes[0], dead)
}

// What a user loses when this fails: the way to put a new machine in the place of a dead one in one step.
func TestReplace(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3})
	ctx := within(t, 4*time.Minute, "replacing a dead node")
	store(ctx, t, c.Nodes[0], "k", 500)
	dead := idOf(t, c, c.Nodes[0], c.Nodes[2])
	must(t, c.Nodes[2].Kill())
	fresh, err := c.Add()
	must(t, err)
	must(t, fresh.Start())
	must(t, fresh.WaitReady(ctx))
	_, err = c.WaitStatus(ctx, fresh, func(s admin.Status) bool { return s.Nodes.Down == 1 }) // it is asked, so it has to know
	must(t, err)
	verb(t, c, fresh, 0, "replace", dead)
	healthy(t, c, fresh, 3, time.Minute)
	gone(t, c, c.Nodes[0], dead)
	for _, n := range c.Running() {
		stored(ctx, t, n, "k", 500)
	}
}
