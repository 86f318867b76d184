package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"github.com/quorddb/quord/internal/config"
	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/freeport"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should come soon.
const patience = 30 * time.Second

// machine is where a node of a test lives: its directory, its addresses, and the process that runs there, if any.
type machine struct {
	t    testing.TB
	dir  string
	addr string
	peer string
	log  *logbook
	node *Node
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{t: t, dir: filepath.Join(t.TempDir(), "data"), addr: freeAddr(t), peer: freeAddr(t), log: &logbook{}}
	t.Cleanup(func() {
		m.stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", m.addr, m.log)
		}
	})
	return m
}

// freeAddr returns an address of loopback that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// config returns the settings of a node with few tablets.
func (m *machine) config(flags ...string) config.Serve {
	m.t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.Flags(fs)
	args := append([]string{
		"--dir", m.dir, "--addr", m.addr, "--peer-addr", m.peer, "--http-addr", "", "--tablets", "16", "--memory", "64MiB",
		"--replace-after", "3s",
	}, flags...)
	if err := fs.Parse(args); err != nil {
		m.t.Fatal(err)
	}
	cfg, err := config.Load(fs, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return cfg
}

func (m *machine) open(ctx context.Context, flags ...string) (*Node, error) {
	return Open(ctx, m.config(flags...), "test", slog.New(slog.NewTextHandler(m.log, nil)))
}

// start runs a node and waits until it is ready.
func (m *machine) start(flags ...string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n, err := m.open(ctx, flags...)
	if err != nil {
		m.t.Fatalf("start %s: %v\n%s", m.addr, err, m.log)
	}
	m.node = n
	eventually(m.t, m.addr+" is ready", func() error { return n.Ready() })
}

// stop ends the node in peace. What it waits for in vain, Close says.
func (m *machine) stop() {
	if m.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.node.Close(ctx); err != nil {
		m.t.Errorf("close %s: %v", m.addr, err)
	}
	m.node = nil
}

// eventually waits until cond says nil.
func eventually(t testing.TB, what string, cond func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = cond(); err == nil {
			return
		}
	}
	t.Fatalf("still not: %s: %v", what, err)
}

// healthy waits until the node says that the cluster of so many nodes is healthy.
func (m *machine) healthy(nodes int) {
	m.t.Helper()
	b := &backend{node: m.node}
	eventually(m.t, "a healthy cluster", func() error {
		s, err := b.Status(context.Background())
		if err == nil && (!s.Healthy || s.Nodes.Up != nodes || s.Tablets.Moving > 0) {
			err = fmt.Errorf("%+v", s)
		}
		return err
	})
}

// client is one connection of a Redis client.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (m *machine) client() *client {
	m.t.Helper()
	conn, err := net.Dial("tcp", m.addr)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	return &client{m.t, conn, bufio.NewReader(conn)}
}

// do sends a command and returns the reply: the text of a line, or of a string.
func (c *client) do(args ...string) (string, error) {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.conn.Write(b.Bytes()); err != nil {
		return "", err
	}
	return c.reply()
}

// reply reads one reply, of a list only its head.
func (c *client) reply() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line[0] != '$' || line == "$-1" {
		return line, nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil {
		return "", err
	}
	value := make([]byte, n+2)
	_, err = io.ReadFull(c.r, value)
	return string(value[:n]), err
}

func (c *client) must(want string, args ...string) {
	c.t.Helper()
	if got, err := c.do(args...); err != nil || got != want {
		c.t.Fatalf("%q: %q, %v; want %q", args, got, err, want)
	}
}

// logbook is a log that tests read.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String returns all that was logged.
func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// One process: what was acknowledged is there after a restart, and nothing of a node outlives Close.
func TestOneNode(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start("--init")
	banner := m.node.Banner()
	c := m.client()
	for i := range 100 {
		c.must("+OK", "SET", fmt.Sprint("k", i), fmt.Sprint("v", i))
	}
	m.stop()
	if strings.Contains(m.log.String(), "still led here") {
		t.Error("a node alone waited for others to take over what it led")
	}
	if _, err := net.Dial("tcp", m.addr); err == nil {
		t.Error("somebody still listens")
	}
	m.start()
	if got := m.node.Banner(); got != banner {
		t.Errorf("it came back as %q, was %q", got, banner)
	}
	c = m.client()
	for i := range 100 {
		c.must(fmt.Sprint("v", i), "GET", fmt.Sprint("k", i))
	}
}

// Three processes: any serves any key; one stops in peace and clients of the others wait for nobody; one leaves.
func TestThreeNodes(t *testing.T) {
	t.Parallel()
	ms := []*machine{newMachine(t), newMachine(t), newMachine(t)}
	ms[0].start("--init")
	ms[1].start("--join", ms[0].peer)
	ms[2].start("--join", ms[0].peer+","+ms[1].peer)
	ms[0].healthy(3)
	var clients []*client
	for _, m := range ms {
		clients = append(clients, m.client())
	}
	for i := range 60 {
		clients[i%3].must("+OK", "SET", fmt.Sprint("k", i), fmt.Sprint("v", i))
		clients[(i+1)%3].must(fmt.Sprint("v", i), "GET", fmt.Sprint("k", i))
	}

	// Clients of the others go on while one stops: each request succeeds. That none waits long is seen in virtual time
	// (core's TestHandOver).
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i, c := range clients[:2] {
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				got, err := c.do("INCR", fmt.Sprint("n", i, k%16))
				if err != nil || got[0] != ':' {
					t.Errorf("while a node stops: %q, %v", got, err)
					return
				}
			}
		})
	}
	ms[2].stop()
	close(stop)
	wg.Wait()
	ms[2].start()
	ms[0].healthy(3)

	n := ms[2].node
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var done, total int64
	if err := (&backend{node: n}).Leave(ctx, func(d, all int64) { done, total = d, all }); err != nil {
		s, _ := (&backend{node: n}).Status(context.Background())
		t.Fatalf("leave: %v after %d of %d: %+v", err, done, total, s)
	}
	if err := n.Wait(); err != nil {
		t.Errorf("after leaving the node ends with %v", err)
	}
	ms[2].stop()
	ms[0].healthy(2)
	c := ms[1].client()
	for i := range 60 {
		c.must(fmt.Sprint("v", i), "GET", fmt.Sprint("k", i))
	}
}

// All nodes stop and start again: the ring is there again, with all data.
func TestRestartOfAll(t *testing.T) {
	t.Parallel()
	ms := []*machine{newMachine(t), newMachine(t), newMachine(t)}
	ms[0].start("--init")
	ms[1].start("--join", ms[0].peer)
	ms[2].start("--join", ms[0].peer)
	ms[0].healthy(3)
	c := ms[0].client()
	for i := range 50 {
		c.must("+OK", "SET", fmt.Sprint("k", i), fmt.Sprint("v", i))
	}
	for _, m := range ms {
		m.stop()
	}
	var wg sync.WaitGroup
	for _, m := range ms { // at the same time, for one alone is not ready
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		wg.Go(func() {
			var err error
			if m.node, err = m.open(ctx); err != nil {
				t.Errorf("%s does not start again: %v", m.addr, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	ms[2].healthy(3)
	c = ms[1].client()
	for i := range 50 {
		c.must(fmt.Sprint("v", i), "GET", fmt.Sprint("k", i))
	}
}

// A node may be started before the one that it joins.
func TestJoinWaits(t *testing.T) {
	t.Parallel()
	first, second := newMachine(t), newMachine(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	type opened struct {
		n   *Node
		err error
	}
	joined := make(chan opened, 1)
	go func() {
		n, err := second.open(ctx, "--join", first.peer)
		joined <- opened{n, err}
	}()
	eventually(t, "the second node waits", func() error {
		select {
		case o := <-joined:
			t.Fatalf("it did not wait: %v", o.err)
		default:
		}
		if _, err := os.Stat(filepath.Join(second.dir, keyFile)); err != nil {
			return err
		}
		return nil
	})
	first.start("--init")
	o := <-joined
	if o.err != nil {
		t.Fatal(o.err)
	}
	second.node = o.n
	first.healthy(2)
}

// Somebody who gives up waiting gets the prompt back, and leaves nothing behind.
func TestOpenIsCancelled(t *testing.T) {
	m := newMachine(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	nobody, opened := freeAddr(t), make(chan error, 1)
	go func() {
		_, err := m.open(ctx, "--join", nobody)
		opened <- err
	}()
	eventually(t, "the node waits", func() error { _, err := os.Stat(filepath.Join(m.dir, keyFile)); return err })
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Errorf("Open returned %v", err)
	}
	// The start that was cut is begun again, now as a cluster of its own.
	m.start("--init")
	m.client().must("+OK", "SET", "a", "b")
}

// Two processes never use one directory, whoever comes second is told why, and the first does not notice.
func TestDirectoryInUse(t *testing.T) {
	m := newMachine(t)
	m.start("--init")
	other := newMachine(t)
	other.dir = m.dir
	_, err := other.open(context.Background())
	if err == nil || !strings.Contains(err.Error(), m.dir) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process: %v", err)
	}
	m.client().must("+OK", "SET", "a", "b")
}

// An address that is in use is named, and nothing was written before that was noticed.
func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, which := range []string{"addr", "peer-addr", "http-addr"} {
		m := newMachine(t)
		_, err := m.open(context.Background(), "--init", "--"+which, l.Addr().String())
		if err == nil || !strings.Contains(err.Error(), "--"+which+" "+l.Addr().String()) {
			t.Errorf("%s in use: %v", which, err)
		}
		if _, err := os.Stat(m.dir); err == nil {
			t.Error("a data directory was made")
		}
		for _, a := range []string{m.addr, m.peer} {
			free, err := net.Listen("tcp", a)
			if err != nil {
				t.Errorf("%s is still listened on: %v", a, err)
				continue
			}
			free.Close()
		}
	}
}

// Without its key a directory is nobody's: a new key over old votes could vote twice.
func TestLostOrDamagedKey(t *testing.T) {
	m := newMachine(t)
	m.start("--init")
	m.client().must("+OK", "SET", "key", "value")
	m.stop()
	path := filepath.Join(m.dir, keyFile)
	pem, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ content, want string }{
		{"", "want a PEM block"}, {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", path + " is no key"},
	} {
		if err := os.WriteFile(path, []byte(bad.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.open(context.Background()); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("key %q: %v", bad.content, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := m.open(context.Background(), "--init"); err == nil || !strings.Contains(err.Error(), "identity is lost") {
		t.Errorf("without its key: %v", err)
	}
	// Any 32 bytes are a key, so one with a bit turned over is another node's. What is stored must outlive the attempt.
	if _, err := makeKey(m.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := m.open(context.Background()); err == nil || !strings.Contains(err.Error(), "Put the right key back") {
		t.Errorf("with another key: %v", err)
	}
	if err := os.WriteFile(path, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	// As where a file system was not mounted: an empty cluster under the old name would be taken for the one that there was.
	held, away := filepath.Join(m.dir, storeDir), filepath.Join(m.dir, "away")
	if err := os.Rename(held, away); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--init"}, {"--join", "127.0.0.1:1"}} {
		if _, err := m.open(context.Background(), args...); err == nil || !strings.Contains(err.Error(), "but no store") {
			t.Errorf("without its store, %v: %v", args, err)
		}
	}
	if err := os.Rename(away, held); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.client().must("value", "GET", "key")
}

// A node whose registry cannot be read does not start without anybody to ask; with --join it is told, and is what it was.
func TestDamagedRegistry(t *testing.T) {
	one, other := newMachine(t), newMachine(t)
	one.start("--init")
	other.start("--join", one.peer)
	one.healthy(2)
	other.client().must("+OK", "SET", "key", "value")
	self := other.node.self
	other.stop()
	s, err := store.Open(store.Config{Dir: filepath.Join(other.dir, storeDir)})
	if err != nil {
		t.Fatal(err)
	}
	w := &kv.Write{State: []kv.Op{
		{Kind: kv.Set, Key: []byte("r"), Value: []byte("damaged")}, {Kind: kv.Set, Key: []byte("nregistry"), Value: []byte("damaged")},
	}}
	if err := errors.Join(commit(s, w), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := other.open(context.Background()); err == nil || !strings.Contains(err.Error(), "--join") {
		t.Fatalf("without anybody to ask: %v", err)
	}
	other.start("--join", one.peer)
	one.healthy(2)
	if other.node.self != self {
		t.Fatalf("node %s has become %s", self, other.node.self)
	}
	other.client().must("value", "GET", "key")
}

// A first start that ends before it has made the key, as where the disk is full, leaves an empty store. The next one goes on
// from there.
func TestStartIsCutBeforeTheKey(t *testing.T) {
	m := newMachine(t)
	cfg := m.config()
	s, err := store.Open(store.Config{Dir: filepath.Join(cfg.Dir, storeDir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m.start("--init")
	m.client().must("+OK", "SET", "key", "value")
}

// The node of one cluster that is pointed at another one stays what it is, and both say why.
func TestOtherCluster(t *testing.T) {
	t.Parallel()
	one, other := newMachine(t), newMachine(t)
	one.start("--init")
	other.start("--init")
	other.client().must("+OK", "SET", "a", "other")
	if _, err := other.node.net.DialSeed(context.Background(), one.peer); err == nil || !strings.Contains(err.Error(), "never merge") {
		t.Errorf("dialled: %v", err)
	}
	eventually(t, "a word in the log", func() error {
		if !strings.Contains(one.log.String(), "never merge") {
			return errors.New("none yet")
		}
		return nil
	})
	other.stop()
	other.start("--join", one.peer)
	one.healthy(1)
	other.client().must("other", "GET", "a")
}

// A node at another address is the same node.
func TestOtherAddress(t *testing.T) {
	t.Parallel()
	ms := []*machine{newMachine(t), newMachine(t), newMachine(t)}
	ms[0].start("--init")
	ms[1].start("--join", ms[0].peer)
	ms[2].start("--join", ms[0].peer)
	ms[0].healthy(3)
	ms[1].stop()
	ms[1].addr, ms[1].peer = freeAddr(t), freeAddr(t)
	ms[1].start()
	ms[0].healthy(3)
	eventually(t, "the new address", func() error {
		r, err := (&backend{node: ms[2].node}).Ring(context.Background())
		if err == nil && !strings.Contains(fmt.Sprintf("%+v", r), ms[1].peer) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
}

// Requests that are under way when the node stops end, each with an answer or with a broken connection.
func TestCloseUnderLoad(t *testing.T) {
	m := newMachine(t)
	m.start("--init")
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for i := range 8 {
		c := m.client()
		wg.Go(func() {
			for k := 0; ; k++ {
				got, err := c.do("SET", fmt.Sprint("k", i), fmt.Sprint(k))
				if k == 0 {
					started <- struct{}{}
				}
				if err != nil {
					return
				}
				if got != "+OK" && !strings.HasPrefix(got, "-TRYAGAIN") && !strings.HasPrefix(got, "-UNCERTAIN") {
					t.Errorf("while stopping: %q", got)
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	m.stop()
	wg.Wait()
}

// Everything that may be asked of a node that has stopped says so, at once.
func TestAfterClose(t *testing.T) {
	m := newMachine(t)
	m.start("--init")
	n := m.node
	m.stop()
	b := &backend{node: n}
	if err := n.Ready(); err == nil {
		t.Error("it is ready")
	}
	if err := n.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if _, err := b.Status(context.Background()); err == nil {
		t.Error("it has a status")
	}
	if err := b.Leave(context.Background(), func(int64, int64) {}); err == nil {
		t.Error("it leaves")
	}
	if n.worker.inbox.call(func(*core.Core) { t.Error("it does something") }) {
		t.Error("the inbox is open")
	}
	n.worker.inbox.frame(ident.NodeID{1}, []byte("late"))
	if _, events := n.worker.inbox.take(nil, nil); len(events) > 0 {
		t.Error("a frame is kept that nobody will read")
	}
}
