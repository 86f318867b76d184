package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/freeport"
	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/workload"
)

// store stores n keys through a node and fails when one is not acknowledged.
func store(ctx context.Context, t *testing.T, n *cluster.Node, prefix string, keys int) {
	t.Helper()
	pipe := client(t, n).Pipeline()
	for i := range keys {
		pipe.Set(ctx, key(prefix, i), i, 0)
	}
	_, err := pipe.Exec(ctx)
	must(t, err)
}

// stored checks that n keys are there.
func stored(ctx context.Context, t *testing.T, n *cluster.Node, prefix string, keys int) {
	t.Helper()
	conn := client(t, n)
	for i := range keys {
		if got, err := conn.Get(ctx, key(prefix, i)).Int(); err != nil || got != i {
			t.Fatalf("GET %s at %s: %d, %v\n%s", key(prefix, i), n.Name, got, err, n.Tail(20))
		}
	}
}

// What a user loses when this fails: the truth about a write. With a majority gone nothing is acknowledged and
// nothing is read; what is said is that it was not applied, or may have been; when the others are back all goes on.
func TestMajorityLost(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3, Flags: []string{"--request-timeout", "1s"}})
	ctx := within(t, 3*time.Minute, "losing a majority and having it back")
	store(ctx, t, c.Nodes[0], "before", 300)
	must(t, c.Nodes[1].Kill())
	must(t, c.Nodes[2].Kill())
	conn := workload.NewClient(c.Nodes[0].Addr, 1)
	defer conn.Close()
	for i := range 3 {
		begun := time.Now()
		err := conn.Set(ctx, key("during", i), i, 0).Err()
		if outcome := workload.OutcomeOf(err); outcome != workload.NotApplied && outcome != workload.Unknown {
			t.Errorf("SET without a majority: %v", err)
		}
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("SET without a majority is answered after %s, with --request-timeout 1s", took(begun))
		}
		if err := conn.Get(ctx, key("before", i)).Err(); workload.OutcomeOf(err) != workload.NotApplied {
			t.Errorf("GET without a majority: %v, want TRYAGAIN or CLUSTERDOWN", err)
		}
	}
	if s, err := c.Status(ctx, c.Nodes[0]); err != nil || s.Healthy || len(s.Why) == 0 {
		t.Errorf("status without a majority: %+v, %v", s, err)
	}
	must(t, c.Nodes[1].Start())
	must(t, c.Nodes[2].Start())
	healthy(t, c, c.Nodes[0], 3, time.Minute)
	for _, n := range c.Nodes {
		stored(ctx, t, n, "before", 300)
	}
	store(ctx, t, c.Nodes[2], "after", 300)
}

// What a user loses when this fails: a restart for maintenance becomes an outage. A node that is asked to stop does
// so with exit code 0, the others go on, and it comes back as the node that it was, also at other addresses.
func TestStopAndReturn(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3})
	ctx := within(t, 3*time.Minute, "stopping and returning")
	store(ctx, t, c.Nodes[0], "one", 300)
	before, err := c.Ring(ctx, c.Nodes[0])
	must(t, err)

	n := c.Nodes[2]
	begun := time.Now()
	must(t, n.Terminate(within(t, 20*time.Second, "stopping after SIGTERM")))
	t.Logf("stopped in %s", took(begun))
	awaitWrites(t, c.Nodes[0], "after a node has stopped")
	store(ctx, t, c.Nodes[1], "two", 300)

	old := n.Addr
	for _, addr := range []*string{&n.Addr, &n.PeerAddr, &n.HTTPAddr} {
		*addr, err = freeport.Addr()
		must(t, err)
	}
	must(t, n.Start())
	must(t, n.WaitReady(ctx))
	healthy(t, c, c.Nodes[0], 3, time.Minute)
	stored(ctx, t, n, "one", 300)
	stored(ctx, t, n, "two", 300)
	after, err := c.Ring(ctx, c.Nodes[0])
	must(t, err)
	ids := map[string]string{}
	for _, node := range after.Nodes {
		ids[node.ID] = node.Addr
	}
	for _, node := range before.Nodes {
		want := node.Addr
		if want == old {
			want = n.Addr
		}
		if ids[node.ID] != want {
			t.Errorf("node %s is at %q, want %q", node.ID, ids[node.ID], want)
		}
	}
}

// What a user loses when this fails: a machine that was away for long comes back as a ghost, with old data or a vote.
func TestReturnAfterReplacement(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 4, ReplaceAfter: 2 * time.Second})
	ctx := within(t, 4*time.Minute, "returning after having been replaced")
	store(ctx, t, c.Nodes[0], "k", 500)
	n := c.Nodes[3]
	must(t, n.Kill())
	healthy(t, c, c.Nodes[0], 3, time.Minute)
	pipe := client(t, c.Nodes[1]).Pipeline()
	for i := range 500 {
		pipe.Set(ctx, key("k", i), i+1000, 0)
	}
	_, err := pipe.Exec(ctx)
	must(t, err)
	must(t, n.Start())
	must(t, n.WaitReady(ctx))
	healthy(t, c, c.Nodes[0], 4, time.Minute)
	for _, through := range c.Nodes {
		conn := client(t, through)
		for i := range 500 {
			if got, err := conn.Get(ctx, key("k", i)).Int(); err != nil || got != i+1000 {
				t.Fatalf("GET at %s: %d, %v; want %d", through.Name, got, err, i+1000)
			}
		}
	}
}

// What a user loses when this fails: acknowledged writes, to a restored backup of one node that votes with a memory
// it no longer has. It is refused, and told the way out.
func TestDirectoryGoneBackInTime(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3})
	ctx := within(t, 3*time.Minute, "refusing an old copy")
	n := c.Nodes[2]
	store(ctx, t, c.Nodes[0], "one", 300)
	must(t, n.Terminate(ctx))
	copied := filepath.Join(c.Dir, "copy")
	must(t, os.CopyFS(copied, os.DirFS(n.Dir)))
	must(t, n.Start())
	must(t, n.WaitReady(ctx))
	healthy(t, c, c.Nodes[0], 3, time.Minute)
	store(ctx, t, c.Nodes[0], "two", 300)
	must(t, n.Terminate(ctx))

	must(t, os.RemoveAll(n.Dir))
	must(t, os.Rename(copied, n.Dir))
	must(t, n.Start())
	said := regexp.MustCompile(`(?i)back in time|rolled back|older copy|went back|gone back|restored copy|below`)
	until(ctx, t, func() bool { return said.MatchString(logged(n)) }, func() string {
		return "a directory gone back in time is not refused: " + n.Tail(20)
	})
	stored(ctx, t, c.Nodes[0], "one", 300)
	stored(ctx, t, c.Nodes[1], "two", 300)
}

// What a user loses when this fails: data on the first failure of a pair, or a pair that pretends to be available.
func TestTwoNodes(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 2, Flags: []string{"--request-timeout", "1s"}})
	ctx := within(t, 2*time.Minute, "two nodes")
	store(ctx, t, c.Nodes[0], "k", 200)
	stored(ctx, t, c.Nodes[1], "k", 200)
	must(t, c.Nodes[0].Kill())
	conn := workload.NewClient(c.Nodes[1].Addr, 1)
	defer conn.Close()
	if err := conn.Set(ctx, "k:0", "x", 0).Err(); workload.OutcomeOf(err) == workload.Done {
		t.Error("one of two nodes acknowledges a write alone")
	}
	must(t, c.Nodes[0].Start())
	healthy(t, c, c.Nodes[1], 2, time.Minute)
	for i, n := range c.Nodes {
		got, err := client(t, n).Get(ctx, "k:1").Int()
		if err != nil || got != 1 {
			t.Errorf("GET at node %d: %d, %v", i, got, err)
		}
	}
}

// What a user loses when this fails: the way to find out where a key lies.
func TestVerbs(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3})
	ctx := within(t, time.Minute, "the verbs")
	ok := func(n *cluster.Node, args ...string) string {
		t.Helper()
		stdout, stderr, code, err := c.Quord(ctx, n, args...)
		must(t, err)
		if code != 0 {
			t.Fatalf("quord %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
		}
		return strings.TrimSpace(string(stdout))
	}
	ok(c.Nodes[0], "put", "greeting", "hello")
	if got := ok(c.Nodes[1], "get", "greeting"); got != "hello" {
		t.Errorf("get prints %q", got)
	}
	if got := ok(c.Nodes[2], "scan"); got != "greeting" {
		t.Errorf("scan prints %q", got)
	}
	l, err := c.Lookup(ctx, c.Nodes[2], "greeting")
	must(t, err)
	if l.Slot != 12714 || l.Tablet != 12714*tablets/16384 || l.Leader == nil || len(l.Replicas) != 3 || l.Model != "strong" {
		t.Errorf("lookup says %+v", l)
	}
	if l.Leader != nil && (len(l.Targets) == 0 || l.Targets[0].ID != l.Leader.ID) {
		t.Errorf("the first target does not lead: %+v", l)
	}
	ring := awaitRing(t, c, c.Nodes[1], func(ring admin.Ring) error {
		leads := 0
		for _, n := range ring.Nodes {
			leads += n.Leads
			if n.Holds != tablets || n.State != "up" {
				return fmt.Errorf("in a ring of three each node holds every tablet, %s does not", n.Addr)
			}
		}
		if len(ring.Nodes) != 3 || leads != tablets {
			return fmt.Errorf("%d nodes lead %d of %d tablets", len(ring.Nodes), leads, tablets)
		}
		return nil
	})
	checkShares(t, ring)
	ok(c.Nodes[0], "del", "greeting")
	if _, _, code, err := c.Quord(ctx, c.Nodes[1], "get", "greeting"); err != nil || code != 1 {
		t.Errorf("get of a missing key: exit code %d, %v; want 1", code, err)
	}
	for _, verb := range []string{"ring", "status", "version"} {
		args := []string{verb, "--addr", c.Nodes[0].Addr}
		if verb == "version" {
			args = args[:1]
		}
		if out, errs, code, err := cluster.Run(ctx, args...); err != nil || code != 0 || len(out) == 0 {
			t.Errorf("quord %s: exit code %d, %v\n%s%s", verb, code, err, out, errs)
		}
	}
}

// What a user loses when this fails: keys that expire on one node only, or come back when another leads.
func TestExpiryIsOneForAll(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3})
	ctx := within(t, time.Minute, "keys expiring")
	pipe := client(t, c.Nodes[0]).Pipeline()
	const keys = 200
	for i := range keys {
		pipe.Set(ctx, key("gone", i), i, 1500*time.Millisecond)
		pipe.Set(ctx, key("kept", i), i, 0)
	}
	_, err := pipe.Exec(ctx)
	must(t, err)
	other := client(t, c.Nodes[1])
	until(ctx, t, func() bool { return other.DBSize(ctx).Val() == keys }, func() string {
		return "keys past their time, which nobody touches, are still counted"
	})
	must(t, c.Nodes[0].Kill())
	awaitWrites(t, c.Nodes[1], "after a kill")
	for _, n := range c.Nodes[1:] {
		conn := client(t, n)
		for i := range keys {
			if n, err := conn.Exists(ctx, key("gone", i)).Result(); err != nil || n != 0 {
				t.Fatalf("an expired key is back: EXISTS answers %d, %v", n, err)
			}
		}
	}
}
