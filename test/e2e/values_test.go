package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorddb/quord/test/cluster"
	"github.com/redis/go-redis/v9"
)

func key(prefix string, i int) string { return fmt.Sprintf("%s:%d", prefix, i) }

// randomBytes returns n bytes that do not compress, the same for the same seed.
func randomBytes(seed uint64, n int) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	_, _ = source.Read(b) // never fails
	return b
}

// What a user loses when this fails: the bytes themselves. Whatever a key or value is made of and however long it
// is, each node gives back what another was given, also after all were killed and started again.
func TestValuesOfEveryKind(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3})
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	values := map[string][]byte{
		"empty":              {},
		"":                   []byte("under the empty key"),
		"all bytes":          every,
		string(every):        []byte("under a key of all bytes"),
		"crlf \r\n$3\r\nfoo": []byte("*1\r\n$4\r\nPING\r\n"),
		"{tag}one":           []byte("a"),
		"{tag}two":           []byte("b"),
		"16 MiB":             randomBytes(1, 16<<20),
		"a long key" + string(randomBytes(2, 4096)): randomBytes(3, 100),
	}
	for i := range 40 {
		values[key("size", i)] = randomBytes(uint64(i), i*i*97)
	}
	ctx := within(t, 3*time.Minute, "storing and reading values")
	conn := client(t, c.Nodes[0])
	for k, v := range values {
		must(t, conn.Set(ctx, k, v, 0).Err())
	}
	compare := func(when string) {
		for _, n := range c.Nodes {
			conn := client(t, n)
			for k, want := range values {
				got, err := conn.Get(ctx, k).Bytes()
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s, GET %.40q at %s: %d bytes, %v; want the %d that were stored", when, k, n.Name, len(got),
						err, len(want))
				}
			}
			if got, err := conn.DBSize(ctx).Result(); err != nil || got != int64(len(values)) {
				t.Fatalf("%s, DBSIZE at %s is %d, %v; want %d", when, n.Name, got, err, len(values))
			}
		}
	}
	compare("before the restart")
	for _, n := range c.Nodes {
		must(t, n.Kill())
	}
	for _, n := range c.Nodes {
		must(t, n.Start())
	}
	healthy(t, c, c.Nodes[0], 3, time.Minute)
	compare("after the restart")
}

// What a user loses when this fails: memory and connections, to a value that is too large, or the word what it was.
func TestTooLargeIsRefused(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 1, Flags: []string{"--max-value", "1MiB"}})
	ctx := within(t, 30*time.Second, "being refused")
	conn := client(t, c.Nodes[0])
	must(t, conn.Set(ctx, "fits", randomBytes(1, 1<<20), 0).Err())
	if err := conn.Set(ctx, "large", randomBytes(1, 1<<20+1), 0).Err(); err == nil {
		t.Error("a value beyond --max-value was taken")
	}
	if n, err := conn.Exists(ctx, "large").Result(); err != nil || n != 0 {
		t.Errorf("EXISTS of a refused key answers %d, %v", n, err)
	}
}

// What a user loses when this fails: a laptop's one node, killed and started again, has lost what it acknowledged.
func TestOneNodeSurvivesKills(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 1})
	n := c.Nodes[0]
	ctx := within(t, 2*time.Minute, "five lives of one node")
	stored := 0
	for life := range 5 {
		acked := make(chan int)
		go func() { acked <- storeUntilItFails(ctx, n.Addr, stored) }()
		awaitKeys(ctx, t, n, stored+200)
		must(t, n.Kill())
		stored = <-acked
		must(t, n.Start())
		must(t, n.WaitReady(ctx))
		conn := client(t, n)
		for i := range stored {
			if got, err := conn.Get(ctx, key("k", i)).Int(); err != nil || got != i {
				t.Fatalf("life %d: key %d of %d acknowledged is %d, %v", life, i, stored, got, err)
			}
		}
	}
	t.Logf("%d keys acknowledged in five lives", stored)
}

// storeUntilItFails stores one key after another and returns how many there are then.
func storeUntilItFails(ctx context.Context, addr string, from int) int {
	conn := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer conn.Close()
	for i := from; ; i++ {
		if conn.Set(ctx, key("k", i), i, 0).Err() != nil {
			return i
		}
	}
}

// awaitKeys returns when a node holds so many keys.
func awaitKeys(ctx context.Context, t *testing.T, n *cluster.Node, keys int) {
	t.Helper()
	conn := client(t, n)
	for {
		_, err := conn.Get(ctx, key("k", keys)).Int()
		if err == nil {
			return
		}
		if !errors.Is(err, redis.Nil) || ctx.Err() != nil {
			t.Fatalf("waiting for %d keys: %v\n%s", keys, err, n.Tail(20))
		}
	}
}
