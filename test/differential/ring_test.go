package differential

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/command/gen"
	"github.com/quorddb/quord/test/cluster"
)

// ringCommands is how many commands of a sequence go through a real ring: each costs several fsyncs.
const ringCommands = 1500

func TestMain(m *testing.M) {
	code := m.Run()
	if err := cluster.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// What a user loses when this fails: what evaluation gets right, and the way through sessions, forwarding, the log
// and the conversion of replies gets wrong. Each command goes through another node of a ring of three.
func TestRingAgreesWithRedis(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{Nodes: 3, Tablets: 64, Flags: []string{"--max-value", "1MiB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.Stop()
			t.Logf("directories and logs are kept in %s", c.Dir)
			return
		}
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	})
	nodes := make([]*Redis, len(c.Nodes))
	for i, n := range c.Nodes {
		nodes[i] = dialNode(t, n.Addr)
	}
	redis := newTestRedis(t)
	everySlot := slices.DeleteFunc(gen.Commands(), func(name string) bool {
		return name == "msetnx" || name == "lpush" // over slots CROSSSLOT, and not there yet
	})
	oneSlot := slices.DeleteFunc(gen.Commands(), func(name string) bool { return name == "lpush" })
	t.Run("keys of one slot", func(t *testing.T) {
		compareRing(t, redis, nodes, gen.Config{Seed: *seed, Tag: "tag", Only: oneSlot})
	})
	t.Run("keys of many slots", func(t *testing.T) {
		compareRing(t, redis, nodes, gen.Config{Seed: *seed + 1, Keys: 12, Only: everySlot})
	})
}

// dialNode connects to a node in RESP3, as StartRedis does to Redis.
func dialNode(t *testing.T, addr string) *Redis {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &Redis{conn: conn, r: bufio.NewReaderSize(conn, 1<<16)}
	do(t, r, "HELLO", "3")
	return r
}

func compareRing(t *testing.T, redis *Redis, nodes []*Redis, cfg gen.Config) {
	do(t, redis, "FLUSHALL")
	do(t, nodes[0], "FLUSHALL")
	cfg.Now, cfg.MaxValue = time.Now().UnixMilli(), maxValue
	sequence := gen.New(cfg)
	var history [][][]byte
	for i := range ringCommands {
		args := sequence.Next()
		history = append(history, args)
		want, err := redis.Do(args)
		if err != nil {
			t.Fatalf("command %d, %s: %v", i, gen.Format(args), err)
		}
		got, err := nodes[i%len(nodes)].Do(args)
		if err != nil {
			t.Fatalf("command %d, %s, node %d: %v", i, gen.Format(args), i%len(nodes), err)
		}
		if !gen.Same(args, want, got) {
			t.Fatalf("command %d of seed %d differs from Redis:\n%s\nredis: %s\nring:  %s\nbefore that:\n%s",
				i, cfg.Seed, gen.Format(args), shorten(want), shorten(got), concerning(history))
		}
	}
}
