package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/config"
)

const (
	maxDevNodes = 64
	// devPatience is how long a ring may take to become healthy before the user is told that it is not.
	devPatience = 2 * time.Minute
	// devPoll is how often the ring is asked.
	devPoll = 200 * time.Millisecond
)

// devRing is what dev is asked for.
type devRing struct {
	nodes, port  int
	dir          string
	replicas     int
	tablets      int
	replaceAfter time.Duration
	logLevel     string
}

// devNode is one node of a devRing; what dev --json prints of it.
type devNode struct {
	Addr     string `json:"addr"`
	PeerAddr string `json:"peer_addr"`
	HTTPAddr string `json:"http_addr"`
	Dir      string `json:"dir"`
	PID      int    `json:"pid"`
}

func (a *app) dev() *cobra.Command {
	var d devRing
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "A ring of processes on this machine, until Ctrl-C",
		Long: "Start a ring of processes of this binary on loopback and print how to connect; Ctrl-C stops them all.\n" +
			"The ports are --port and up for Redis clients, 10000 more for nodes among themselves, 1000 more for HTTP.\n" +
			"Without --dir the data is removed at the end; with it, the next `quord dev --dir` goes on where this one stopped.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if !signal.Ignored(syscall.SIGHUP) {
				// A closed terminal ends the ring as Ctrl-C does, and takes the temporary data along.
				var stop context.CancelFunc
				ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
				defer stop()
			}
			return a.runDev(ctx, d, asJSON)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&d.nodes, "nodes", 3, "how many nodes")
	f.IntVar(&d.port, "port", 7001, "port of the first node; the others follow")
	f.StringVar(&d.dir, "dir", "", "keep the data in this `directory` (default a temporary one)")
	f.IntVar(&d.replicas, "replicas", 3, "nodes that keep each key")
	f.IntVar(&d.tablets, "tablets", 1024, "parts that the data is cut into")
	f.DurationVar(&d.replaceAfter, "replace-after", 5*time.Minute, "grace before a silent node's share is copied elsewhere")
	f.StringVar(&d.logLevel, "log-level", "warn", "debug, info, warn or error")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (d devRing) validate() error {
	switch {
	case d.nodes < 1 || d.nodes > maxDevNodes:
		return usagef("--nodes %d: want 1 to %d", d.nodes, maxDevNodes)
	case d.port < 1 || d.port+d.nodes-1 > 65535-10000:
		return usagef("--port %d: want 1 to %d, so that %s find their ports", d.port, 65535-10000-d.nodes+1, plural(d.nodes, "node"))
	}
	// What is wrong for a node is found before any is started.
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.Flags(fs)
	if err := fs.Parse(d.serveArgs(d.layout("."), 0, true)); err != nil {
		return usageError{err}
	}
	_, err := config.Load(fs, nil)
	return err
}

// layout says where each node listens and keeps its data.
func (d devRing) layout(dir string) []devNode {
	nodes := make([]devNode, d.nodes)
	at := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	for i := range nodes {
		port := d.port + i
		nodes[i] = devNode{Addr: at(port), PeerAddr: at(port + 10000), HTTPAddr: at(port + 1000), Dir: filepath.Join(dir, "node"+strconv.Itoa(i+1))}
	}
	return nodes
}

// serveArgs is the command line of node i.
func (d devRing) serveArgs(nodes []devNode, i int, create bool) []string {
	n := nodes[i]
	line := []string{
		"serve", "--dir", n.Dir, "--addr", n.Addr, "--peer-addr", n.PeerAddr, "--http-addr", n.HTTPAddr,
		"--log-format", "text", "--log-level", d.logLevel,
		"--replicas", strconv.Itoa(d.replicas), "--tablets", strconv.Itoa(d.tablets), "--replace-after", d.replaceAfter.String(),
		// What the machine has is for all of them together.
		"--memory", max(config.MachineQuarter()/config.Size(d.nodes), config.MinMemory).String(),
	}
	if create {
		return append(line, "--init")
	}
	var peers []string
	for _, other := range nodes {
		peers = append(peers, other.PeerAddr)
	}
	return append(line, "--join", strings.Join(peers, ","))
}

func (a *app) runDev(ctx context.Context, d devRing, asJSON bool) (err error) {
	if err := d.validate(); err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	dir, remove, err := d.directory()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	nodes := d.layout(dir)
	if err := portsFree(nodes); err != nil {
		return err
	}

	// The kernel is asked to end a child when the thread that started it ends: this one has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := newProgress(a.err)
	family := newFamily(p, binary, devEnviron(a.environ))
	defer family.stop()

	create, err := d.creates(nodes)
	if err != nil {
		return err
	}
	for i := range nodes {
		pid, err := family.start("node"+strconv.Itoa(i+1), d.serveArgs(nodes, i, create && i == 0))
		if err != nil {
			return err
		}
		nodes[i].PID = pid
	}
	if err := awaitRing(ctx, family, nodes, p); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if asJSON {
		err = printJSON(a.out, struct {
			Dir   string    `json:"dir"`
			Nodes []devNode `json:"nodes"`
		}{dir, nodes})
	} else {
		err = a.howToConnect(nodes, d.dir != "", dir)
	}
	if err != nil {
		return err
	}
	return family.watch(ctx)
}

// directory returns where the data goes, and what is to be done about it at the end.
func (d devRing) directory() (dir string, remove func() error, err error) {
	if d.dir != "" {
		if err := os.MkdirAll(d.dir, 0o755); err != nil {
			return "", nil, fmt.Errorf("make the directory: %w", err)
		}
		return d.dir, func() error { return nil }, nil
	}
	dir, err = os.MkdirTemp("", "quord-dev-")
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	return dir, func() error {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove the data: %w", err)
		}
		return nil
	}, nil
}

// creates reports whether the first node makes the cluster: only where no node has any data yet. A first node that
// has lost its directory joins the others.
func (d devRing) creates(nodes []devNode) (bool, error) {
	for _, n := range nodes {
		entries, err := os.ReadDir(n.Dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("look into the data directory: %w", err)
		}
		if len(entries) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// portsFree finds out before anything is started whether something else sits on one of the ports.
func portsFree(nodes []devNode) error {
	for _, n := range nodes {
		for _, addr := range []string{n.Addr, n.PeerAddr, n.HTTPAddr} {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return fmt.Errorf("%s cannot be used (another ring may be running; --port takes other ports): %w", addr, err)
			}
			_ = l.Close()
		}
	}
	return nil
}

// devEnviron returns the environment without the settings of a node: those of a ring of several would collide.
func devEnviron(environ []string) []string {
	var kept []string
	for _, e := range environ {
		if !strings.HasPrefix(e, "QUORD_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// awaitRing waits until all nodes are up and the ring calls itself healthy. When that takes long it says what is
// missing and goes on: the ring may be of use as it is.
func awaitRing(ctx context.Context, family *family, nodes []devNode, p *progress) error {
	t := target{addr: nodes[0].Addr}
	c := t.dial(dialWithin)
	defer c.close()
	defer p.show("")
	patience := time.NewTimer(devPatience)
	defer patience.Stop()
	poll := time.NewTicker(devPoll)
	defer poll.Stop()
	for {
		var s admin.Status
		err := c.ask(ctx, &s, "QUORD.STATUS")
		if err == nil && s.Healthy && s.Nodes.Up >= len(nodes) {
			return nil
		}
		waiting := fmt.Sprintf("%d of %s up; tablets: %s", s.Nodes.Up, plural(len(nodes), "node"), tabletCounts(s.Tablets))
		if err != nil {
			waiting = "the first node to answer"
		}
		p.show("waiting for the ring: " + waiting)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case gone := <-family.ended:
			return fmt.Errorf("%s ended while the ring was starting: %s (its last words stand above)", gone.name, gone.how())
		case <-patience.C:
			fmt.Fprintf(p, "quord: the ring is not healthy after %s: %s\n", devPatience, waiting)
			return nil
		case <-poll.C:
		}
	}
}

func (a *app) howToConnect(nodes []devNode, keep bool, dir string) error {
	fmt.Fprintf(a.out, "A ring of %s is up; any of them serves every key.\n\n", plural(len(nodes), "node"))
	rows := [][]string{{"NODE", "REDIS", "METRICS", "PID", "DATA"}}
	for i, n := range nodes {
		rows = append(rows, []string{strconv.Itoa(i + 1), n.Addr, "http://" + n.HTTPAddr + "/metrics", strconv.Itoa(n.PID), n.Dir})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(nodes[0].Addr)
	_, last, _ := net.SplitHostPort(nodes[len(nodes)-1].Addr)
	fate := "is removed at the end"
	if keep {
		fate = "is kept; `quord dev --dir " + dir + "` goes on with it"
	}
	_, err := fmt.Fprintf(a.out, "\n"+
		"  redis-cli -p %[1]s set greeting hello\n"+
		"  redis-cli -p %[2]s get greeting\n"+
		"  quord ring --addr %[3]s\n"+
		"  quord lookup greeting --trace --addr %[3]s\n\n"+
		"The data %[4]s. Ctrl-C stops the ring.\n", port, last, nodes[0].Addr, fate)
	return err
}

// prefixer copies what a child writes, line by line, with its name in front.
type prefixer struct {
	to     io.Writer // shared by all children; one Write is one line
	prefix string
	line   []byte
}

// maxLine bounds what is kept of a line that does not end.
const maxLine = 64 << 10

// Write never fails: a child must not stop because nobody reads its log.
func (p *prefixer) Write(b []byte) (int, error) {
	for _, c := range b {
		p.line = append(p.line, c)
		if c == '\n' || len(p.line) == maxLine {
			p.flush()
		}
	}
	return len(b), nil
}

func (p *prefixer) flush() {
	if len(p.line) == 0 {
		return
	}
	if p.line[len(p.line)-1] != '\n' {
		p.line = append(p.line, '\n')
	}
	_, _ = p.to.Write(append([]byte(p.prefix), p.line...))
	p.line = p.line[:0]
}
