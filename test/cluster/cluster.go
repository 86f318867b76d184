package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/freeport"
)

// Config says what to start.
type Config struct {
	// Nodes is how many processes Start starts; default 3.
	Nodes int
	// Replicas, Tablets and ReplaceAfter are the settings of the new cluster; zero leaves each at Quord's default.
	Replicas, Tablets int
	ReplaceAfter      time.Duration
	// Flags are given to every `quord serve` besides.
	Flags []string
	// Tags are the build tags of the nodes' binary.
	Tags []string
	// Links, when not nil, carries the connections between the nodes: each node listens for its peers at an address
	// of its own, and tells the others one that it asks Links to listen at.
	Links Links
	// Logf, when not nil, hears what happens, for a person to read.
	Logf func(format string, args ...any)
}

// Links stands between the nodes: what arrives at the address told, it takes to the address real of the node name.
type Links interface {
	Attach(name, told, real string) error
}

// Cluster is a set of nodes that belong together.
type Cluster struct {
	Nodes []*Node
	Dir   string // holds the nodes' data directories and logs

	cfg    Config
	binary string
}

// New prepares a cluster without starting anything.
func New(cfg Config) (*Cluster, error) {
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.Logf == nil {
		cfg.Logf = func(string, ...any) {}
	}
	binary, err := Binary(cfg.Tags...)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "quord-cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, cfg: cfg, binary: binary}
	for range cfg.Nodes {
		if _, err := c.Add(); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return c, nil
}

// Start starts a new cluster and waits until it is healthy. After an error nothing runs, and the logs are kept.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.StartAll(ctx); err != nil {
		c.Stop()
		return nil, fmt.Errorf("%w\n(logs are kept in %s)", err, c.Dir)
	}
	return c, nil
}

// StartAll starts every node of a new cluster and waits until it is healthy.
func (c *Cluster) StartAll(ctx context.Context) error {
	for i, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		if err := n.WaitReady(ctx); err != nil { // the others have somebody to join
			return err
		}
	}
	for _, n := range c.Nodes {
		if err := n.WaitReady(ctx); err != nil {
			return err
		}
	}
	_, err := c.WaitHealthy(ctx, c.Nodes[0], func(s admin.Status) bool { return s.Nodes.Up == len(c.Nodes) })
	return err
}

// Add prepares one more node: the first one makes the cluster, every other one joins the nodes before it.
func (c *Cluster) Add() (*Node, error) {
	name := "n" + strconv.Itoa(len(c.Nodes)+1)
	n := &Node{
		Name: name, Dir: filepath.Join(c.Dir, name), Log: filepath.Join(c.Dir, name+".log"), binary: c.binary,
	}
	if err := c.address(n); err != nil {
		return nil, err
	}
	if len(c.Nodes) == 0 {
		n.flags = append(n.flags, "--init")
		if c.cfg.Replicas != 0 {
			n.flags = append(n.flags, "--replicas", strconv.Itoa(c.cfg.Replicas))
		}
		if c.cfg.Tablets != 0 {
			n.flags = append(n.flags, "--tablets", strconv.Itoa(c.cfg.Tablets))
		}
		if c.cfg.ReplaceAfter != 0 {
			n.flags = append(n.flags, "--replace-after", c.cfg.ReplaceAfter.String())
		}
	} else {
		var peers []string
		for _, other := range c.Nodes {
			peers = append(peers, other.PeerAddr)
		}
		n.flags = append(n.flags, "--join", strings.Join(peers, ","))
	}
	n.flags = append(n.flags, c.cfg.Flags...)
	c.Nodes = append(c.Nodes, n)
	return n, nil
}

const loopback = "127.0.0.1"

// linkedHost is where nodes whose peers reach them through Links are told to be; they listen for peers on the other
// host of loopback, at the same port.
const linkedHost = "127.0.0.2"

// address gives a node addresses where nobody listens.
func (c *Cluster) address(n *Node) error {
	host := loopback
	if c.cfg.Links != nil {
		host = linkedHost
		n.flags = append(n.flags, "--advertise", host)
	}
	for _, addr := range []*string{&n.Addr, &n.PeerAddr, &n.HTTPAddr} {
		port, err := freeport.Take([]string{linkedHost})
		if err != nil {
			return err
		}
		*addr = net.JoinHostPort(host, strconv.Itoa(port))
	}
	if c.cfg.Links == nil {
		return nil
	}
	_, port, err := net.SplitHostPort(n.PeerAddr)
	if err != nil {
		return err
	}
	n.listen = net.JoinHostPort(loopback, port)
	return c.cfg.Links.Attach(n.Name, n.PeerAddr, n.listen)
}

// ID returns the id of a node, as the node via knows it by its address.
func (c *Cluster) ID(ctx context.Context, via, n *Node) (string, error) {
	ring, err := c.Ring(ctx, via)
	if err != nil {
		return "", err
	}
	for _, node := range ring.Nodes {
		if node.PeerAddr == n.PeerAddr {
			return node.ID, nil
		}
	}
	return "", fmt.Errorf("%s (%s) is not in the ring: %+v", n.Name, n.PeerAddr, ring.Nodes)
}

// Running returns the nodes whose processes run.
func (c *Cluster) Running() []*Node {
	var running []*Node
	for _, n := range c.Nodes {
		if n.Running() {
			running = append(running, n)
		}
	}
	return running
}

// Stop kills every process and keeps the directory.
func (c *Cluster) Stop() {
	for _, n := range c.Running() {
		if err := n.Kill(); err != nil {
			c.cfg.Logf("stop: %v", err)
		}
	}
}

// Remove kills every process and removes the directory.
func (c *Cluster) Remove() error {
	c.Stop()
	return os.RemoveAll(c.Dir)
}

// Quord runs one verb of the command against a node and returns what it printed and its exit code; err is for a
// command that could not be run or was cut off by ctx.
func (c *Cluster) Quord(ctx context.Context, n *Node, args ...string) (stdout, stderr []byte, code int, err error) {
	return Run(ctx, append(args, "--addr", n.Addr)...)
}

// Run runs the command quord and returns what it printed and its exit code; err is for a command that could not be
// run or was cut off by ctx.
func Run(ctx context.Context, args ...string) (stdout, stderr []byte, code int, err error) {
	binary, err := Binary()
	if err != nil {
		return nil, nil, 0, err
	}
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ(), &out, &errs
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, nil, 0, fmt.Errorf("quord %s: %w", strings.Join(args, " "), context.Cause(ctx))
	case errors.As(err, &exit):
		return []byte(out.String()), []byte(errs.String()), exit.ExitCode(), nil
	case err != nil:
		return nil, nil, 0, err
	}
	return []byte(out.String()), []byte(errs.String()), 0, nil
}

// Status asks a node for the state of the cluster, as `quord status --json` prints it.
func (c *Cluster) Status(ctx context.Context, n *Node) (admin.Status, error) {
	var s admin.Status
	err := c.ask(ctx, n, &s, "status")
	return s, err
}

// Ring asks a node for the ring, as `quord ring --json` prints it.
func (c *Cluster) Ring(ctx context.Context, n *Node) (admin.Ring, error) {
	var r admin.Ring
	err := c.ask(ctx, n, &r, "ring")
	return r, err
}

// Lookup asks a node where a key lies, as `quord lookup --json` prints it.
func (c *Cluster) Lookup(ctx context.Context, n *Node, key string) (admin.Lookup, error) {
	var l admin.Lookup
	err := c.ask(ctx, n, &l, "lookup", key)
	return l, err
}

// ask decodes what a verb prints with --json. A cluster that is not healthy may make a verb fail: what counts is
// whether it has answered.
func (c *Cluster) ask(ctx context.Context, n *Node, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stdout, stderr, code, err := c.Quord(ctx, n, append(args, "--json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(stdout, into); err != nil {
		return fmt.Errorf("quord %s at %s: exit code %d, %w\n%s%s", args[0], n.Name, code, err, stdout, stderr)
	}
	return nil
}

// WaitHealthy asks a node for its status until the cluster is healthy and, where more is given, more holds too.
func (c *Cluster) WaitHealthy(ctx context.Context, n *Node, more func(admin.Status) bool) (admin.Status, error) {
	return c.WaitStatus(ctx, n, func(s admin.Status) bool { return s.Healthy && (more == nil || more(s)) })
}

// WaitStatus asks a node for its status until it is as wanted.
func (c *Cluster) WaitStatus(ctx context.Context, n *Node, wanted func(admin.Status) bool) (admin.Status, error) {
	var last string
	for {
		s, err := c.Status(ctx, n)
		if err == nil && wanted(s) {
			return s, nil
		}
		if last = fmt.Sprintf("%+v", s); err != nil {
			last = err.Error()
		}
		if err := n.pause(ctx, statusEvery); err != nil {
			return s, fmt.Errorf("asked %s for its status: %w; at last: %s", n.Name, err, last)
		}
	}
}
