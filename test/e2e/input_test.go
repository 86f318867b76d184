package e2e

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/test/cluster"
)

// refused starts a node that must not start, and checks its exit code and that what it says matches every pattern.
func refused(t *testing.T, n *cluster.Node, code int, patterns ...string) {
	t.Helper()
	must(t, n.Start())
	got, err := n.WaitExit(within(t, 30*time.Second, "refusing to start"))
	must(t, err)
	said := n.Tail(50)
	if got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(said) {
			t.Errorf("nothing in its output matches %q:\n%s", pattern, said)
		}
	}
}

// What a user loses when this fails: the reason why a node does not start.
func TestAddressInUse(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 1})
	for _, which := range []struct {
		name string
		take func(n, from *cluster.Node)
	}{
		{"addr", func(n, from *cluster.Node) { n.Addr = from.Addr }},
		{"peer-addr", func(n, from *cluster.Node) { n.PeerAddr = from.PeerAddr }},
		{"http-addr", func(n, from *cluster.Node) { n.HTTPAddr = from.HTTPAddr }},
	} {
		t.Run(which.name, func(t *testing.T) {
			other := idleCluster(t, cluster.Config{Nodes: 1})
			which.take(other.Nodes[0], c.Nodes[0])
			refused(t, other.Nodes[0], 1, "address already in use", "127.0.0.1:")
		})
	}
	must(t, client(t, c.Nodes[0]).Ping(t.Context()).Err())
}

// What a user loses when this fails: data, to two processes that write one directory.
func TestDirectoryInUse(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 1})
	other := idleCluster(t, cluster.Config{Nodes: 1})
	other.Nodes[0].Dir = c.Nodes[0].Dir
	refused(t, other.Nodes[0], 1, regexp.QuoteMeta(c.Nodes[0].Dir), "(?i)in use|lock|another process")
	must(t, client(t, c.Nodes[0]).Set(t.Context(), "k", "v", 0).Err())
}

// What a user loses when this fails: an hour, to a directory that cannot be one and an error that does not say so.
func TestDirectoryUnusable(t *testing.T) {
	t.Run("a file", func(t *testing.T) {
		c := idleCluster(t, cluster.Config{Nodes: 1})
		must(t, os.WriteFile(c.Nodes[0].Dir, []byte("a file"), 0o644))
		refused(t, c.Nodes[0], 1, regexp.QuoteMeta(c.Nodes[0].Dir), "(?i)not a directory")
	})
	t.Run("of a newer format", func(t *testing.T) {
		c := newCluster(t, cluster.Config{Nodes: 1})
		n := c.Nodes[0]
		must(t, n.Terminate(within(t, 30*time.Second, "stopping")))
		raiseFormat(t, n.Dir)
		refused(t, n, 1, "(?i)format", "(?i)newer|version")
	})
}

// raiseFormat makes the data directory say that a later version has written it.
func raiseFormat(t *testing.T, dir string) {
	t.Helper()
	var marker string
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if filepath.Base(path) == "FORMAT" {
			marker = path
		}
		return err
	}))
	if marker == "" {
		t.Fatalf("no file FORMAT below %s", dir)
	}
	b, err := os.ReadFile(marker)
	must(t, err)
	digits := regexp.MustCompile(`[0-9]+`)
	raised := digits.ReplaceAll(b, []byte("9999"))
	if string(raised) == string(b) {
		t.Fatalf("no number in %s: %q", marker, b)
	}
	must(t, os.WriteFile(marker, raised, 0o644))
}

// What a user loses when this fails: two clusters, mixed into one.
func TestOtherCluster(t *testing.T) {
	one := newCluster(t, cluster.Config{Nodes: 1})
	two := newCluster(t, cluster.Config{Nodes: 2})
	ctx := within(t, time.Minute, "refusing another cluster")
	must(t, client(t, one.Nodes[0]).Set(ctx, "of", "one", 0).Err())
	must(t, client(t, two.Nodes[0]).Set(ctx, "of", "two", 0).Err())

	// The second node of the second cluster is pointed at the first one, as a copied configuration would do.
	n := two.Nodes[1]
	must(t, n.Terminate(ctx))
	stray := strayNode(t, n, one.Nodes[0])
	must(t, stray.Start())
	said := regexp.MustCompile(`(?i)another cluster|other cluster|cluster mismatch|belongs to cluster`)
	until(ctx, t, func() bool { return said.MatchString(logged(stray)) }, func() string {
		return "a node of another cluster is not told so: " + stray.Tail(20)
	})
	ring, err := one.Ring(ctx, one.Nodes[0])
	must(t, err)
	if len(ring.Nodes) != 1 {
		t.Errorf("the first cluster has taken a node of the second: %+v", ring.Nodes)
	}
	if got := client(t, one.Nodes[0]).Get(ctx, "of").Val(); got != "one" {
		t.Errorf("the first cluster answers %q", got)
	}
}

// strayNode returns a node in the directory and at the addresses of n that is told to join to, and ends with the test.
func strayNode(t *testing.T, n, to *cluster.Node) *cluster.Node {
	t.Helper()
	stray := n.Joining(to.PeerAddr)
	t.Cleanup(func() {
		if stray.Running() {
			must(t, stray.Kill())
		}
	})
	return stray
}

// What a user loses when this fails: a second cluster made silently where the first was only out of reach.
func TestJoinNobody(t *testing.T) {
	c := idleCluster(t, cluster.Config{Nodes: 2})
	n := c.Nodes[1] // told to join the first, which does not run
	must(t, n.Start())
	ctx := within(t, 30*time.Second, "waiting for somebody to join")
	until(ctx, t, func() bool { return !n.Running() || strings.Contains(logged(n), c.Nodes[0].PeerAddr) }, func() string {
		return "it does not say whom it waits for: " + n.Tail(20)
	})
	if !n.Running() {
		t.Fatalf("it gave up instead of waiting:\n%s", n.Tail(20))
	}
	if _, code, err := n.HTTP(ctx, "/readyz"); err == nil && code == http.StatusOK {
		t.Error("a node that waits to join says that it is ready")
	}
	// Once there is somebody, it joins.
	must(t, c.Nodes[0].Start())
	healthy(t, c, c.Nodes[0], 2, time.Minute)
}

// logged returns what a node's processes have logged, without the line that this package writes at each start.
func logged(n *cluster.Node) string {
	b, err := os.ReadFile(n.Log)
	if err != nil {
		return ""
	}
	var kept []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "--- start") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// What a user loses when this fails: a cluster of one that nobody asked for.
func TestJoinItself(t *testing.T) {
	c := idleCluster(t, cluster.Config{Nodes: 1})
	n := c.Nodes[0].Joining(c.Nodes[0].PeerAddr)
	refused(t, n, 2, "join", "itself")
}

// What a user loses when this fails: everything, to the first stranger on the network.
func TestExposedWithoutPassword(t *testing.T) {
	ctx := within(t, time.Minute, "refusing to be exposed")
	dir := filepath.Join(t.TempDir(), "data")
	_, stderr, code, err := cluster.Run(ctx, "serve", "--dir", dir, "--addr", "0.0.0.0:0", "--init")
	must(t, err)
	if code != 2 || !strings.Contains(string(stderr), "password") || !strings.Contains(string(stderr), "0.0.0.0") {
		t.Errorf("exit code %d, want 2 and a word about the password:\n%s", code, stderr)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("a refused start has left %s behind", dir)
	}
}

// What a user loses when this fails: the effect of a setting that was misspelt, silently.
func TestUnknownSettings(t *testing.T) {
	ctx := within(t, time.Minute, "refusing unknown settings")
	file := filepath.Join(t.TempDir(), "quord.yaml")
	must(t, os.WriteFile(file, []byte("adress: 127.0.0.1:7000\n"), 0o644))
	for _, args := range [][]string{
		{"serve", "--adress", "127.0.0.1:7000"},
		{"serve", "--config", file},
		{"serve", "--tablets", "1000"},
		{"nonsense"},
	} {
		_, stderr, code, err := cluster.Run(ctx, args...)
		must(t, err)
		if code != 2 || len(stderr) == 0 {
			t.Errorf("quord %s: exit code %d, want 2 and a reason:\n%s", strings.Join(args, " "), code, stderr)
		}
	}
}

// What a user loses when this fails: the node, to one client that sends rubbish, or nothing, or reads nothing.
func TestClientsThatMisbehave(t *testing.T) {
	c := newCluster(t, cluster.Config{Nodes: 1})
	n := c.Nodes[0]
	ctx := within(t, time.Minute, "bearing with bad clients")
	good := client(t, n)
	must(t, good.Set(ctx, "large", randomBytes(1, 8<<20), 0).Err())
	for _, rubbish := range []string{
		"*1\r\n$99999999999\r\n", "*-5\r\n$1\r\n", "*99999999\r\n", "*1\r\n:1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("x", 1<<20), "set \"unbalanced\r\n",
	} {
		conn := dial(ctx, t, n)
		if _, err := io.WriteString(conn, rubbish); err == nil {
			answer, _ := bufio.NewReader(conn).ReadString('\n') // an answer or the end, either is fine
			if answer != "" && answer[0] != '-' && answer[0] != '*' {
				t.Errorf("rubbish %.20q is answered %q", rubbish, answer)
			}
		}
	}
	// Vanished in the middle of a command, and slow readers of far more than sockets buffer.
	half := dial(ctx, t, n)
	_, err := io.WriteString(half, "*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1000\r\nabc")
	must(t, err)
	must(t, half.Close())
	slow := dial(ctx, t, n)
	_, err = io.WriteString(slow, strings.Repeat("*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n", 200))
	must(t, err)
	for i := range 500 {
		must(t, good.Set(ctx, key("meanwhile", i%50), i, 0).Err())
	}
	if exists := good.Exists(ctx, "half").Val(); exists != 0 {
		t.Error("half a command was carried out")
	}
}

func dial(ctx context.Context, t *testing.T, n *cluster.Node) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", n.Addr)
	must(t, err)
	deadline, _ := ctx.Deadline()
	must(t, conn.SetDeadline(deadline))
	t.Cleanup(func() { _ = conn.Close() }) // the node may have closed it
	return conn
}

// What a user loses when this fails: access control.
func TestPassword(t *testing.T) {
	c := idleCluster(t, cluster.Config{Nodes: 1, Flags: []string{"--password", "secret"}})
	n := c.Nodes[0]
	must(t, n.Start())
	ctx := within(t, time.Minute, "the password")
	must(t, n.WaitReady(ctx))
	if got := tool(ctx, t, n, nil, "redis-cli", "get", "k"); !strings.HasPrefix(got, "NOAUTH") {
		t.Errorf("without a password GET answers %q", got)
	}
	if got := tool(ctx, t, n, nil, "redis-cli", "--no-auth-warning", "-a", "secret", "set", "k", "v"); got != "OK" {
		t.Errorf("with the password SET answers %q", got)
	}
	if got := tool(ctx, t, n, nil, "redis-cli", "--no-auth-warning", "-a", "wrong", "get", "k"); !strings.Contains(got,
		"WRONGPASS") && !strings.Contains(got, "NOAUTH") {
		t.Errorf("with a wrong password GET answers %q", got)
	}
}
