package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/workload"
	"github.com/redis/go-redis/v9"
)

// tablets is how many tablets the small rings of these tests have: enough to spread, few enough to start at once.
const tablets = 64

func TestMain(m *testing.M) {
	workload.Quiet()
	code := m.Run()
	if err := cluster.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// within returns a context that ends, with a cause that says what took too long, after d.
func within(t *testing.T, d time.Duration, what string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("%s took more than %s", what, d))
	t.Cleanup(cancel)
	return ctx
}

// newCluster starts a healthy cluster that ends with the test. What the nodes left behind is kept after a failure.
func newCluster(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	if cfg.Tablets == 0 {
		cfg.Tablets = tablets
	}
	cfg.Logf = t.Logf
	c, err := cluster.Start(within(t, 90*time.Second, "starting the cluster"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c)
	return c
}

// idleCluster prepares a cluster that ends with the test, and starts nothing.
func idleCluster(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	cfg.Logf = t.Logf
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, c)
	return c
}

func keep(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	t.Cleanup(func() {
		c.Stop()
		for _, n := range c.Nodes {
			if complaint := n.Broken(); complaint != "" {
				t.Errorf("%s: its log says: %s", n.Name, complaint)
			}
		}
		if t.Failed() {
			t.Logf("directories and logs are kept in %s", c.Dir)
			return
		}
		if err := c.Remove(); err != nil {
			t.Errorf("remove the cluster: %v", err)
		}
	})
}

// client returns a go-redis client of a node, as an application would make it, closed with the test.
func client(t *testing.T, n *cluster.Node) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: n.Addr, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second})
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Errorf("close the client of %s: %v", n.Name, err)
		}
	})
	return c
}

// must ends the test when an action of its own has failed.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// healthy waits until the cluster is healthy with so many nodes up.
func healthy(t *testing.T, c *cluster.Cluster, via *cluster.Node, up int, d time.Duration) admin.Status {
	t.Helper()
	ctx := within(t, d, fmt.Sprintf("becoming healthy with %d nodes up", up))
	s, err := c.WaitHealthy(ctx, via, func(s admin.Status) bool { return s.Nodes.Up == up })
	if err != nil {
		t.Fatalf("%v\n%s", err, tails(c))
	}
	return s
}

// awaitRing asks for the ring until it is as wanted. What nodes say about themselves reaches the others about once a
// second, so the ring's account of who leads and holds what follows a status with a delay.
func awaitRing(t *testing.T, c *cluster.Cluster, via *cluster.Node, wanted func(admin.Ring) error) admin.Ring {
	t.Helper()
	ctx := within(t, 15*time.Second, "the ring's account of itself")
	var ring admin.Ring
	var err error
	until(ctx, t, func() bool {
		if ring, err = c.Ring(ctx, via); err == nil {
			err = wanted(ring)
		}
		return err == nil
	}, func() string { return fmt.Sprintf("%v: %+v", err, ring.Nodes) })
	return ring
}

// tails returns the last lines of every node's log.
func tails(c *cluster.Cluster) string {
	var all strings.Builder
	for _, n := range c.Nodes {
		fmt.Fprintf(&all, "%s\n", n.Tail(8))
	}
	return all.String()
}

// until asks again and again until something holds, or fails with what say returns when ctx ends first.
func until(ctx context.Context, t *testing.T, holds func() bool, say func() string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%v\n%s", context.Cause(ctx), say())
		}
	}
}
