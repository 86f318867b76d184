package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/workload"
)

// replaceAfter is the grace before a silent node's share is copied elsewhere: minutes in production, seconds here.
const replaceAfter = 5 * time.Second

// job is the main job while it runs: a cluster, the files, and the counters that go on whatever happens.
type job struct {
	*testing.T
	*report
	c        *cluster.Cluster
	files    *workload.Files
	nodes    *workload.Nodes
	counters *workload.Counters
	scans    *workload.Scans
}

// What a user loses when this fails: the one thing that Quord is for. A ring takes thousands of real files through
// one node; processes are killed, join, leave, and all start again; every acknowledged byte is there through every
// node, and counters incremented all the while have lost and doubled nothing.
func TestMainJob(t *testing.T) {
	if testing.Short() {
		t.Skip("the main job takes minutes; -short leaves it out")
	}
	j := newJob(t)
	stopCounting := j.startCounting()

	j.loadAndKill(j.c.Nodes[0], j.c.Nodes[2])
	stopScanning := j.startScanning()
	j.verifyEverywhere()
	j.waitReplicated("n3's share is copied to the others", 4)
	j.verifyEverywhere()

	j.join()
	j.kill(j.c.Nodes[1])
	j.waitReplicated("n2's share is copied to the others", 4)
	j.leave(j.c.Nodes[3])
	j.waitReplicated("n4 has left and nothing is missing", 3)
	j.verifyEverywhere()

	j.restartAll()
	j.waitReplicated("everything is back", 3)
	j.verifyEverywhere()

	stopScanning()
	j.say("SCAN: %s", j.scans)
	stopCounting()
	for _, n := range j.c.Running() {
		if err := j.counters.Verify(within(t, time.Minute, "reading the counters"), n.Addr); err != nil {
			t.Fatal(err)
		}
	}
	j.say("counters: %s; nothing lost, nothing doubled, no read went back", j.counters.Tally())
}

func newJob(t *testing.T) *job {
	j := &job{T: t, report: newReport(t)}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	must(t, err)
	j.files, err = workload.NewFiles(filepath.Join(strings.TrimSpace(string(goroot)), "src"), "go/src/", ".go", "cmd")
	must(t, err)
	j.c = newCluster(t, cluster.Config{Nodes: 5, Tablets: 256, ReplaceAfter: replaceAfter})
	j.say("five processes form a ring of %d tablets, three replicas each", 256)
	j.nodes = workload.NewNodes()
	t.Cleanup(func() {
		if err := j.nodes.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, n := range j.c.Nodes {
		j.nodes.Add(n.Addr)
	}
	j.counters = workload.NewCounters(j.nodes, "count:", 24)
	return j
}

// startCounting increments counters in the background until the returned function is called.
func (j *job) startCounting() (stop func()) {
	return j.start(func(ctx context.Context) error { return j.counters.Run(ctx, 4) })
}

// startScanning walks over the files' keys in the background until the returned function is called.
func (j *job) startScanning() (stop func()) {
	j.scans = workload.NewScans(j.nodes, "go/src/*", j.files.Keys())
	end := j.start(j.scans.Run)
	return func() {
		end()
		if j.scans.Walks() == 0 {
			j.Error("no walk with SCAN came to its end")
		}
	}
}

func (j *job) start(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(j.Context())
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = run(ctx) })
	j.Cleanup(func() { cancel(); wg.Wait() })
	return func() {
		cancel()
		wg.Wait()
		if err != nil {
			j.Fatal(err)
		}
	}
}

// loadAndKill stores the files through one node and kills another when half of them are acknowledged.
func (j *job) loadAndKill(through, victim *cluster.Node) {
	begun, half := time.Now(), j.files.Len()/2
	err := j.files.Load(within(j.T, 3*time.Minute, "storing the files"), through.Addr, 8, func(n int) {
		if n == half {
			if err := victim.Kill(); err != nil {
				j.Error(err)
			}
			j.say("%s is killed with -9 after %d of %d files", victim.Name, n, j.files.Len())
		}
	})
	must(j.T, err)
	must(j.T, j.nodes.Remove(victim.Addr))
	n, size := j.files.Acked()
	if n != j.files.Len() {
		j.Fatalf("%d of %d files were acknowledged", n, j.files.Len())
	}
	j.say("%d files of Go's standard library, %.1f MB, stored through %s in %s", n, float64(size)/1e6, through.Name,
		took(begun))
}

// verifyEverywhere reads every acknowledged file back through every running node, byte for byte.
func (j *job) verifyEverywhere() {
	j.Helper()
	var names []string
	begun := time.Now()
	for _, n := range j.c.Running() {
		if err := j.files.Verify(within(j.T, 2*time.Minute, "reading the files back"), n.Addr, 8); err != nil {
			j.Fatalf("%v\n%s", err, tails(j.c))
		}
		names = append(names, n.Name)
	}
	if err := j.counters.Err(); err != nil {
		j.Fatal(err)
	}
	files, _ := j.files.Acked()
	j.say("%d files read back through each of %s, byte for byte, in %s", files, strings.Join(names, ", "), took(begun))
}

// waitReplicated waits until every tablet has its replicas again, and checks it against the ring's own account.
func (j *job) waitReplicated(what string, up int) {
	j.Helper()
	begun := time.Now()
	via := j.c.Running()[0]
	s := healthy(j.T, j.c, via, up, 2*time.Minute)
	if s.Tablets.UnderReplicated != 0 || s.Tablets.Unavailable != 0 {
		j.Fatalf("healthy, but %d tablets lack a replica and %d do not answer", s.Tablets.UnderReplicated,
			s.Tablets.Unavailable)
	}
	ring := awaitRing(j.T, j.c, via, func(ring admin.Ring) error {
		holds := 0
		for _, n := range ring.Nodes {
			if n.State == "up" {
				holds += n.Holds
			}
		}
		if want := ring.Replicas * ring.Tablets; holds != want {
			return fmt.Errorf("the nodes that are up hold %d replicas, want %d", holds, want)
		}
		return nil
	})
	j.say("%s: every tablet has %d replicas on %d nodes, after %s", what, ring.Replicas, up, took(begun))
}

func (j *job) join() {
	n, err := j.c.Add()
	must(j.T, err)
	must(j.T, n.Start())
	must(j.T, n.WaitReady(within(j.T, time.Minute, "joining")))
	j.nodes.Add(n.Addr)
	j.say("%s joins", n.Name)
	j.waitReplicated(n.Name+" has taken its share", 5)
	j.mustHoldSomething(n)
}

// mustHoldSomething fails when a node that has joined got no share: it would be there for nothing.
func (j *job) mustHoldSomething(n *cluster.Node) {
	awaitRing(j.T, j.c, n, func(ring admin.Ring) error {
		for _, node := range ring.Nodes {
			if node.Addr == n.Addr && node.Holds > 0 && node.Leads > 0 {
				return nil
			}
		}
		return fmt.Errorf("%s holds or leads nothing", n.Name)
	})
}

func (j *job) kill(n *cluster.Node) {
	must(j.T, n.Kill())
	must(j.T, j.nodes.Remove(n.Addr))
	j.say("%s is killed with -9", n.Name)
}

func (j *job) leave(n *cluster.Node) {
	begun := time.Now()
	ctx := within(j.T, 2*time.Minute, "leaving")
	stdout, stderr, code, err := j.c.Quord(ctx, n, "leave")
	must(j.T, err)
	if code != 0 {
		j.Fatalf("quord leave at %s: exit code %d\n%s%s\n%s", n.Name, code, stdout, stderr, n.Tail(20))
	}
	if code, err := n.WaitExit(ctx); err != nil || code != 0 {
		j.Fatalf("%s after it has left: exit code %d, %v", n.Name, code, err)
	}
	must(j.T, j.nodes.Remove(n.Addr))
	j.say("%s has handed everything over and left in %s", n.Name, took(begun))
}

// restartAll kills every process at the same moment and starts them again.
func (j *job) restartAll() {
	all := j.c.Running()
	var wg sync.WaitGroup
	for _, n := range all {
		wg.Go(func() {
			if err := n.Kill(); err != nil {
				j.Error(err)
			}
		})
	}
	wg.Wait()
	begun := time.Now()
	for _, n := range all {
		must(j.T, n.Start())
	}
	for _, n := range all {
		must(j.T, n.WaitReady(within(j.T, time.Minute, "starting again")))
	}
	j.say("all %d are killed with -9 at once and started again; ready after %s", len(all), took(begun))
}

// What a user loses when this fails: an operator's view of a node that serves nobody.
func TestPagesForMachines(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 1})
	for path, want := range map[string]string{
		"/healthz": "", "/readyz": "", "/metrics": "quord_",
	} {
		body, code, err := c.Nodes[0].HTTP(within(t, 5*time.Second, path), path)
		must(t, err)
		if code != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s answered %d, want 200 and %q in\n%.300s", path, code, want, body)
		}
	}
	ring, err := c.Ring(within(t, 5*time.Second, "the ring"), c.Nodes[0])
	must(t, err)
	if len(ring.Nodes) != 1 || ring.Nodes[0].Addr != c.Nodes[0].Addr || ring.Tablets != tablets {
		t.Errorf("the ring of one says %s", fmt.Sprintf("%+v", ring))
	}
	checkShares(t, ring)
}

func checkShares(t *testing.T, ring admin.Ring) {
	t.Helper()
	sum := 0.0
	for _, n := range ring.Nodes {
		sum += n.Share
	}
	if sum < 0.999 || sum > 1.001 {
		t.Errorf("the shares of the ring sum to %g, want 1", sum)
	}
}
