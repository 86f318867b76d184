package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/config"
	"github.com/quorddb/quord/internal/resp"
)

// fakeNode is a node for tests of the command line: it listens, answers what the verbs ask, and keeps strings in a
// map. Nodes whose directories are neighbours count as one ring. The zone tells it how to misbehave.
type fakeNode struct {
	cfg   config.Serve
	l     net.Listener
	left  chan struct{}
	conns sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
	data map[string]string
}

const (
	fakeID    = "a1b2c3d4000000000000000000000000"
	fakeOther = "a1ffffff000000000000000000000000"
	fakeDead  = "deadbeef000000000000000000000000"
)

func openFake(ctx context.Context, cfg config.Serve, log *slog.Logger) (runningNode, error) {
	switch cfg.Zone {
	case "cannot":
		return nil, errors.New("the data directory is in use by process 42")
	case "waits":
		log.Info("waiting for a member to answer")
		<-ctx.Done()
		return nil, fmt.Errorf("join: %w", ctx.Err())
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	start, err := cfg.Start(len(entries) == 0)
	if err != nil {
		return nil, err
	}
	log.Info("starting", "start", start.String())
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, "up"), []byte(start.String()+"\n"), 0o644); err != nil {
		return nil, err
	}
	n := &fakeNode{cfg: cfg, l: l, left: make(chan struct{}), open: map[net.Conn]bool{}, data: map[string]string{}}
	n.conns.Go(n.accept)
	return n, nil
}

func (n *fakeNode) Banner() string { return "fake node at " + n.l.Addr().String() }

func (n *fakeNode) Wait() error {
	<-n.left
	if n.cfg.Zone == "fails" {
		return errors.New("the disk has failed")
	}
	return nil
}

func (n *fakeNode) Close(context.Context) error {
	_ = n.l.Close()
	n.mu.Lock()
	for c := range n.open {
		_ = c.Close()
	}
	n.mu.Unlock()
	n.conns.Wait()
	return os.Rename(filepath.Join(n.cfg.Dir, "up"), filepath.Join(n.cfg.Dir, "closed"))
}

func (n *fakeNode) accept() {
	for {
		c, err := n.l.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		n.open[c] = true
		n.mu.Unlock()
		n.conns.Go(func() { n.serve(c) })
	}
}

func (n *fakeNode) serve(c net.Conn) {
	defer c.Close()
	r := resp.NewReader(bufio.NewReader(c), resp.Limits{})
	authenticated := n.cfg.Password == ""
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			return
		}
		if !ok {
			if r.Fill() != nil {
				return
			}
			continue
		}
		var args []string
		for _, a := range cmd.Args {
			args = append(args, string(a))
		}
		args[0] = strings.ToUpper(args[0])
		reply := n.answer(args, &authenticated)
		if _, err := c.Write(reply); err != nil {
			return
		}
		if args[0] == "QUORD.LEAVE" && len(args) == 1 {
			close(n.left)
			return
		}
	}
}

func (n *fakeNode) answer(args []string, authenticated *bool) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if args[0] == "HELLO" || args[0] == "AUTH" {
		if n.cfg.Password != "" && slices.Contains(args, n.cfg.Password) {
			*authenticated = true
		} else if slices.Contains(args, "AUTH") {
			return []byte("-WRONGPASS invalid username-password pair or user is disabled.\r\n")
		}
	}
	if !*authenticated {
		return []byte("-NOAUTH Authentication required.\r\n")
	}
	switch args[0] {
	case "HELLO":
		return appendJSON(nil, map[string]any{"server": "redis", "version": "7.2.0", "proto": 3.0, "id": 1.0, "mode": "standalone", "role": "master", "modules": []any{}})
	case "GET":
		v, ok := n.data[args[1]]
		if !ok {
			return resp.AppendNull(nil)
		}
		return resp.AppendBulk(nil, v)
	case "SET":
		if n.cfg.Zone == "full" {
			return resp.AppendError(nil, "CLUSTERDOWN 2 of 3 replicas of tablet 7 are out of reach")
		}
		n.data[args[1]] = args[2]
		return []byte("+OK\r\n")
	case "DEL", "EXISTS":
		hits := int64(0)
		for _, k := range args[1:] {
			if _, ok := n.data[k]; ok {
				hits++
				if args[0] == "DEL" {
					delete(n.data, k)
				}
			}
		}
		return resp.AppendInt(nil, hits)
	case "SCAN":
		return n.scan(args[1:])
	case "INFO":
		return resp.AppendVerbatim(nil, "# Quord\r\nnode_id:"+fakeID+"\r\ncluster_id:00\r\n")
	case "QUORD.RING":
		return reply(n.ring())
	case "QUORD.STATUS":
		return reply(n.status())
	case "QUORD.LOOKUP":
		self := admin.Place{ID: fakeID, Addr: n.cfg.Addr}
		return reply(admin.Lookup{
			Key: args[1], Slot: 15495, Tablet: 968, ID: "f2", Model: "strong", Epoch: 3, Leader: &self, Replicas: []admin.Place{self},
			Mode: strings.ToLower(args[2]), Hops: 1, Path: []admin.Hop{{ID: fakeID, Addr: n.cfg.Addr, RTTus: 80}},
		})
	case "QUORD.LEAVE":
		if len(args) == 2 {
			return resp.AppendBulk(nil, "node "+fakeID+" would hand over 16 tablets and stop")
		}
		return []byte("+OK\r\n")
	case "QUORD.REMOVE", "QUORD.REPLACE":
		if len(args) == 2 && args[1] == fakeOther {
			return resp.AppendError(nil, "ERR node "+args[1]+" is up")
		}
		return resp.AppendBulk(nil, strings.Join(args, " "))
	}
	return resp.AppendError(nil, fmt.Sprintf("ERR unknown command '%s', with args beginning with: ", args[0]))
}

// scan pages through the keys in order; the cursor is how many have been returned.
func (n *fakeNode) scan(args []string) []byte {
	var keys []string
	for k := range n.data {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	from, _ := strconv.Atoi(args[0])
	count, pattern := 10, "*"
	for i := 1; i+1 < len(args); i += 2 {
		switch args[i] {
		case "COUNT":
			count, _ = strconv.Atoi(args[i+1])
		case "MATCH":
			pattern = args[i+1]
		}
	}
	to := min(from+min(count, 7), len(keys))
	next := strconv.Itoa(to)
	if to == len(keys) {
		next = "0"
	}
	var found []string
	for _, k := range keys[from:to] {
		if ok, _ := path.Match(pattern, k); ok {
			found = append(found, k)
		}
	}
	out := resp.AppendBulk(resp.AppendArray(nil, 2), next)
	out = resp.AppendArray(out, len(found))
	for _, k := range found {
		out = resp.AppendBulk(out, k)
	}
	return out
}

func (n *fakeNode) ring() admin.Ring {
	node := func(id, state string, share float64) admin.Node {
		return admin.Node{ID: id, Addr: n.cfg.Addr, PeerAddr: n.cfg.PeerAddr, Weight: 1, State: state, Tokens: 64, Share: share, Leads: 8, Holds: 16}
	}
	return admin.Ring{Cluster: "c0ffee", Replicas: 3, Tablets: 16, Nodes: []admin.Node{node(fakeID, "up", 0.5), node(fakeOther, "up", 0.5), node(fakeDead, "down", 0)}}
}

func (n *fakeNode) status() admin.Status {
	all, _ := filepath.Glob(filepath.Join(n.cfg.Dir, "..", "*", "up"))
	up := slices.DeleteFunc(all, func(name string) bool { // where a directory is in the way the node has not started
		info, err := os.Stat(name)
		return err != nil || !info.Mode().IsRegular()
	})
	s := admin.Status{Healthy: n.cfg.Zone != "sick", Nodes: admin.NodeCounts{Up: len(up)}, Tablets: admin.TabletCounts{Total: 16}}
	if !s.Healthy {
		s.Why = []string{"2 of 16 tablets have too few replicas"}
		s.Tablets.UnderReplicated = 2
		s.Workers = []admin.Worker{{Name: "transfers", State: "waiting", Why: "a node with room", Done: 3, Total: 5, BytesPerSec: 3 << 20, EtaSec: 90}}
	}
	return s
}

// reply writes one of package admin's structs as a RESP3 map, by its JSON names.
func reply(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		panic(err)
	}
	return appendJSON(nil, tree)
}

func appendJSON(out []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		out = resp.AppendMap(out, len(v))
		for _, k := range sortedKeys(v) {
			out = appendJSON(resp.AppendBulk(out, k), v[k])
		}
		return out
	case []any:
		out = resp.AppendArray(out, len(v))
		for _, e := range v {
			out = appendJSON(out, e)
		}
		return out
	case string:
		return resp.AppendBulk(out, v)
	case bool:
		return resp.AppendBool(out, v)
	case float64:
		if v == float64(int64(v)) {
			return resp.AppendInt(out, int64(v))
		}
		return resp.AppendDouble(out, v)
	}
	return resp.AppendNull(out)
}

// runQuord is the binary of the test scripts: the real one, but for the node.
func runQuord() {
	a := app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(), open: openFake}
	os.Exit(a.run(os.Args[1:]))
}

// runDumb is a server that is no node: dumb ADDR TEXT answers anything with TEXT and hangs up; dumb ADDR says nothing
// at all, and makes the file "asked" when it is asked for something.
func runDumb() {
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	text := strings.Join(os.Args[2:], " ")
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		line, _ := bufio.NewReader(c).ReadString('\n')
		if text == "" && line != "" {
			_ = os.WriteFile("asked", []byte(line), 0o644)
			select {}
		}
		_, _ = io.WriteString(c, text+"\r\n")
		_ = c.Close()
	}
}
