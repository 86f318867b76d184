package workload

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/freeport"
	"github.com/quorddb/quord/test/cluster"
)

// The judges themselves are tried on Debian's redis-server, killed with -9 and started again under load: one that
// syncs before it answers must pass, one that keeps everything in memory must fail. A judge that passes both is
// worth nothing; one that fails both would find faults in a correct ring.
func TestJudgesKnowLossWhenTheySeeIt(t *testing.T) {
	Quiet()
	for _, c := range []struct {
		name  string
		flags []string
		keeps bool
	}{
		{"a server that keeps what it acknowledged", []string{"--appendonly", "yes", "--appendfsync", "always"}, true},
		{"a server that forgets", []string{"--appendonly", "no"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r := newRedis(t, c.flags...)
			nodes := NewNodes(r.addr)
			defer nodes.Close()
			counters, history := NewCounters(nodes, "c:", 3), NewHistory(nodes, "h:", 4)
			files, err := NewFiles(".", "f:", ".go")
			if err != nil {
				t.Fatal(err)
			}
			if err := files.Load(ctx, r.addr, 4, nil); err != nil {
				t.Fatal(err)
			}
			if err := files.Verify(ctx, r.addr, 4); err != nil {
				t.Fatal(err)
			}

			running, stop := context.WithCancel(ctx)
			var wg sync.WaitGroup
			wg.Go(func() { _ = counters.Run(running, 3) }) // Err is asked below
			wg.Go(func() {
				if err := history.Run(running, 3); err != nil {
					t.Error(err)
				}
			})
			awaitIncrements(ctx, t, counters, 200)
			r.restart(t)
			awaitIncrements(ctx, t, counters, counters.Tally().Acked+200)
			stop()
			wg.Wait()

			for name, err := range map[string]error{
				"files":    files.Verify(ctx, r.addr, 4),
				"counters": counters.Verify(ctx, r.addr),
				"scans":    NewScans(nodes, "f:*", files.Keys()).Once(ctx),
				"history":  history.Check(30*time.Second, filepath.Join(t.TempDir(), "history.html")),
			} {
				if (err == nil) != c.keeps {
					t.Errorf("%s: %v, but the server keeps its data: %v", name, err, c.keeps)
				}
			}
		})
	}
}

func awaitIncrements(ctx context.Context, t *testing.T, c *Counters, n int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.Tally().Acked < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no %d increments: %s", n, c.Tally())
		}
	}
}

type redisServer struct {
	addr, dir string
	flags     []string
	server    *cluster.Server
}

func newRedis(t *testing.T, flags ...string) *redisServer {
	t.Helper()
	addr, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	r := &redisServer{addr: addr, dir: filepath.Join(t.TempDir(), "redis"), flags: flags}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	t.Cleanup(func() {
		if err := r.server.Kill(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *redisServer) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	if r.server, err = cluster.StartRedis(ctx, r.addr, r.dir, r.flags...); err != nil {
		t.Fatalf("redis-server (apt-get install redis-server, or make test, which does so): %v", err)
	}
}

func (r *redisServer) restart(t *testing.T) {
	t.Helper()
	if err := r.server.Kill(); err != nil {
		t.Fatal(err)
	}
	r.start(t)
}
