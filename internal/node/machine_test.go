package node

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/quorddb/quord/internal/config"
	"github.com/quorddb/quord/internal/freeport"
)

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
