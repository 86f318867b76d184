package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/quorddb/quord/internal/freeport"
	"github.com/quorddb/quord/test/cluster"
)

// load is one kind of work.
type load struct {
	verb     string // GET or SET
	pipeline int
}

func (l load) String() string { return fmt.Sprintf("%s P%d", l.verb, l.pipeline) }

// measurement is what one run of a load has shown.
type measurement struct {
	operations     int64
	perSecond      float64
	p50, p99, p999 time.Duration
	cpu            float64 // microseconds of the servers' processors per operation
}

// system is one make of server, as one process or several.
type system interface {
	Name() string
	Start(ctx context.Context, round int) error
	Stop() error
	PIDs() []int
	Fill(ctx context.Context, o options) error
	Cases() []load
	Run(ctx context.Context, o options, l load) (measurement, error)
}

// The names of the systems, as the table prints them.
const (
	quordOne   = "Quord, 1 node"
	quordThree = "Quord, 3 nodes"
	redisSync  = "Redis, appendfsync always"
	redisPlain = "Redis, in memory"
	etcdThree  = "etcd, 3 nodes"
)

// systems lists who is measured, in the order of their turns.
func systems(work string) []system {
	every := []load{{"GET", 1}, {"GET", 16}, {"SET", 1}, {"SET", 16}}
	return []system{
		&quord{resp: resp{name: quordOne, loads: every}, nodes: 1},
		&redisServer{resp: resp{name: redisSync, loads: every}, work: work, flags: []string{
			"--appendonly", "yes", "--appendfsync", "always",
		}},
		&redisServer{resp: resp{name: redisPlain, loads: every}, work: work, flags: []string{"--appendonly", "no"}},
		&quord{resp: resp{name: quordThree, loads: every}, nodes: 3},
		&etcd{work: work},
	}
}

// quord is one or several `quord serve` with the settings that a user gets.
type quord struct {
	resp
	nodes int
	c     *cluster.Cluster
}

func (q *quord) Start(ctx context.Context, _ int) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if q.c, err = cluster.Start(ctx, cluster.Config{Nodes: q.nodes}); err != nil {
		return err
	}
	q.addrs = nil
	for _, n := range q.c.Nodes {
		q.addrs = append(q.addrs, n.Addr)
	}
	return nil
}

func (q *quord) Stop() error { return q.c.Remove() }

func (q *quord) PIDs() []int {
	var pids []int
	for _, n := range q.c.Nodes {
		pids = append(pids, n.PID())
	}
	return pids
}

// redisServer is Debian's redis-server.
type redisServer struct {
	resp
	work  string
	flags []string
	s     *cluster.Server
}

func (r *redisServer) Start(ctx context.Context, round int) error {
	addr, err := freeport.Addr()
	if err != nil {
		return err
	}
	dir := filepath.Join(r.work, "redis-"+r.flags[1]+"-"+strconv.Itoa(round))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r.addrs = []string{addr}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r.s, err = cluster.StartRedis(ctx, addr, dir, r.flags...)
	return err
}

func (r *redisServer) Stop() error { return r.s.Kill() }
func (r *redisServer) PIDs() []int { return []int{r.s.PID()} }

// killAll ends several servers.
func killAll(servers []*cluster.Server) error {
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Kill())
	}
	return errors.Join(errs...)
}
