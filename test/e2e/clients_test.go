package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/test/cluster"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// tool runs one of Redis's own tools against a node and returns what it printed. The tools are Debian's redis-tools.
func tool(ctx context.Context, t *testing.T, n *cluster.Node, stdin []byte, name string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(n.Addr)
	must(t, err)
	cmd := exec.CommandContext(ctx, name, append([]string{"-h", host, "-p", port}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is missing: apt-get install redis-tools, or make test, which does so", name)
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// What a user loses when this fails: the clients that people already have do not work with Quord.
func TestClients(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 3})
	t.Run("redis-cli", func(t *testing.T) { testRedisCLI(t, c) })
	t.Run("redis-cli --pipe", func(t *testing.T) { testPipe(t, c) })
	t.Run("redis-benchmark", func(t *testing.T) { testRedisBenchmark(t, c) })
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("go-redis RESP%d", protocol), func(t *testing.T) { testGoRedis(t, c, protocol) })
	}
	t.Run("rueidis", func(t *testing.T) { testRueidis(t, c) })
}

func testRedisCLI(t *testing.T, c *cluster.Cluster) {
	ctx := within(t, time.Minute, "redis-cli")
	for i, call := range []struct {
		args []string
		want string
	}{
		{[]string{"ping"}, "PONG"},
		{[]string{"set", "greeting", "hello"}, "OK"},
		{[]string{"get", "greeting"}, "hello"},
		{[]string{"-3", "get", "greeting"}, "hello"},
		{[]string{"set", "greeting", "again", "nx"}, ""},
		{[]string{"incrby", "visits", "41"}, "41"},
		{[]string{"incr", "visits"}, "42"},
		{[]string{"mset", "a", "1", "b", "2", "c", "3"}, "OK"},
		{[]string{"mget", "a", "b", "c", "nothing"}, "1\n2\n3"},
		{[]string{"expire", "a", "100"}, "1"},
		{[]string{"persist", "a"}, "1"},
		{[]string{"ttl", "a"}, "-1"},
		{[]string{"del", "a", "b", "c"}, "3"},
		{[]string{"cluster", "keyslot", "greeting"}, "12714"},
	} {
		// Each call through another node: any node serves any key.
		if got := tool(ctx, t, c.Nodes[i%3], nil, "redis-cli", call.args...); got != call.want {
			t.Errorf("redis-cli %s: %q, want %q", strings.Join(call.args, " "), got, call.want)
		}
	}
	if got := tool(ctx, t, c.Nodes[0], nil, "redis-cli", "--no-raw", "nonsense", "x"); !strings.Contains(got,
		"ERR unknown command") {
		t.Errorf("an unknown command answers %q", got)
	}
	tool(ctx, t, c.Nodes[0], []byte("set inline 1\r\nget inline\r\n"), "redis-cli")
}

// pipedKeys is how many small keys go through redis-cli --pipe.
const pipedKeys = 100_000

func testPipe(t *testing.T, c *cluster.Cluster) {
	ctx := within(t, 3*time.Minute, "piping 100,000 keys")
	var commands bytes.Buffer
	for i := range pipedKeys {
		k, v := key("pipe", i), fmt.Sprintf("value %d", i)
		fmt.Fprintf(&commands, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(k), k, len(v), v)
	}
	begun := time.Now()
	out := tool(ctx, t, c.Nodes[1], commands.Bytes(), "redis-cli", "--pipe")
	if !strings.Contains(out, fmt.Sprintf("errors: 0, replies: %d", pipedKeys)) {
		t.Fatalf("redis-cli --pipe says\n%s", out)
	}
	t.Logf("%d keys in %s", pipedKeys, took(begun))

	for _, n := range c.Nodes {
		found := 0
		scan := client(t, n).Scan(ctx, 0, "pipe:*", 1000).Iterator()
		for scan.Next(ctx) {
			found++
		}
		must(t, scan.Err())
		if found < pipedKeys {
			t.Errorf("SCAN at %s returns %d keys of %d", n.Name, found, pipedKeys)
		}
	}
	got, err := client(t, c.Nodes[2]).Get(ctx, key("pipe", pipedKeys-1)).Result()
	if want := fmt.Sprintf("value %d", pipedKeys-1); err != nil || got != want {
		t.Errorf("the last key piped is %q, %v; want %q", got, err, want)
	}
}

func testRedisBenchmark(t *testing.T, c *cluster.Cluster) {
	ctx := within(t, 3*time.Minute, "redis-benchmark")
	out := tool(ctx, t, c.Nodes[0], nil, "redis-benchmark", "-q", "-n", "5000", "-c", "50", "-P", "16", "-r", "1000",
		"-t", "ping_inline,ping_mbulk,set,get,incr,mset")
	if strings.Contains(strings.ToLower(out), "error") {
		t.Errorf("redis-benchmark complains:\n%s", out)
	}
	if n := len(regexp.MustCompile(`requests per second`).FindAllString(out, -1)); n != 6 {
		t.Errorf("redis-benchmark finished %d of 6 tests:\n%s", n, out)
	}
}

func testGoRedis(t *testing.T, c *cluster.Cluster, protocol int) {
	ctx := within(t, time.Minute, "go-redis")
	conn := redis.NewClient(&redis.Options{Addr: c.Nodes[protocol%3].Addr, Protocol: protocol, ClientName: "e2e"})
	defer conn.Close()
	k := func(name string) string { return fmt.Sprintf("goredis%d:%s", protocol, name) }

	must(t, conn.Set(ctx, k("s"), "v", time.Hour).Err())
	if ttl := conn.TTL(ctx, k("s")).Val(); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("TTL after SET EX 3600 is %s", ttl)
	}
	if _, err := conn.Get(ctx, k("nothing")).Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of a missing key: %v, want redis.Nil", err)
	}
	if old, err := conn.SetArgs(ctx, k("s"), "w", redis.SetArgs{Get: true, KeepTTL: true}).Result(); err != nil || old != "v" {
		t.Errorf("SET GET KEEPTTL answers %q, %v", old, err)
	}
	pipe := conn.Pipeline()
	var sums []*redis.IntCmd
	for i := range 200 {
		sums = append(sums, pipe.IncrBy(ctx, k("sum"), int64(i)), pipe.Incr(ctx, k(key("other", i%7))))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if got := sums[len(sums)-2].Val(); got != 199*200/2 {
		t.Errorf("the last of the pipelined increments answers %d, want %d", got, 199*200/2)
	}
	if got := conn.IncrByFloat(ctx, k("f"), 0.5).Val(); got != 0.5 {
		t.Errorf("INCRBYFLOAT answers %g", got)
	}
	commands, err := conn.Command(ctx).Result()
	if err != nil || commands["get"] == nil || commands["get"].FirstKeyPos != 1 {
		t.Errorf("COMMAND: %v, %v", commands["get"], err)
	}
	if info := conn.Info(ctx).Val(); !strings.Contains(info, "redis_mode:standalone\r\n") {
		t.Errorf("INFO does not say what it should:\n%s", info)
	}
	var keys []string
	scan := conn.Scan(ctx, 0, k("other:*"), 3).Iterator()
	for scan.Next(ctx) {
		keys = append(keys, scan.Val())
	}
	must(t, scan.Err())
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) != 7 {
		t.Errorf("SCAN returned %v, want 7 keys", keys)
	}
}

func testRueidis(t *testing.T, c *cluster.Cluster) {
	ctx := within(t, time.Minute, "rueidis")
	// Client-side caching waits for CLIENT TRACKING; without it DisableCache is what rueidis asks for.
	conn, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{c.Nodes[1].Addr}, DisableCache: true, ForceSingleClient: true,
	})
	must(t, err)
	defer conn.Close()
	must(t, conn.Do(ctx, conn.B().Set().Key("rueidis:s").Value("v").ExSeconds(60).Build()).Error())
	if got, err := conn.Do(ctx, conn.B().Get().Key("rueidis:s").Build()).ToString(); err != nil || got != "v" {
		t.Errorf("GET answers %q, %v", got, err)
	}
	var commands rueidis.Commands
	for i := range 500 {
		commands = append(commands, conn.B().Incr().Key(key("rueidis", i%50)).Build())
	}
	for i, result := range conn.DoMulti(ctx, commands...) {
		if got, err := result.AsInt64(); err != nil || got != int64(i/50+1) {
			t.Fatalf("pipelined increment %d answers %d, %v; want %d", i, got, err, i/50+1)
		}
	}
	if got, err := conn.Do(ctx, conn.B().Get().Key("rueidis:nothing").Build()).ToString(); !rueidis.IsRedisNil(err) {
		t.Errorf("GET of a missing key: %q, %v", got, err)
	}
}
