package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorddb/quord/internal/freeport"
	"github.com/quorddb/quord/test/cluster"
)

// etcd is three processes of Debian's etcd-server with their own defaults: puts are on disk on a majority, gets are
// linearizable.
type etcd struct {
	work    string
	servers []*cluster.Server
	addrs   []string
}

func (e *etcd) Name() string  { return etcdThree }
func (e *etcd) Cases() []load { return []load{{"GET", 1}, {"SET", 1}} }
func (e *etcd) Stop() error   { return killAll(e.servers) }

func (e *etcd) PIDs() []int {
	var pids []int
	for _, s := range e.servers {
		pids = append(pids, s.PID())
	}
	return pids
}

func (e *etcd) Start(ctx context.Context, round int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	e.servers, e.addrs = nil, nil
	var peers, members []string
	for i := range 3 {
		client, err := freeport.Addr()
		if err != nil {
			return err
		}
		peer, err := freeport.Addr()
		if err != nil {
			return err
		}
		e.addrs, peers = append(e.addrs, client), append(peers, peer)
		members = append(members, fmt.Sprintf("e%d=http://%s", i, peer))
	}
	// The second server answers only when the first does: none is waited for before all are started.
	started := make(chan error, len(e.addrs))
	var mu sync.Mutex
	for i, addr := range e.addrs {
		go func() {
			name := fmt.Sprintf("e%d", i)
			dir := filepath.Join(e.work, fmt.Sprintf("etcd-%d-%s", round, name))
			s, err := cluster.StartServer(ctx, addr, dir+".log", "etcd", "--name", name, "--data-dir", dir,
				"--listen-client-urls", "http://"+addr, "--advertise-client-urls", "http://"+addr,
				"--listen-peer-urls", "http://"+peers[i], "--initial-advertise-peer-urls", "http://"+peers[i],
				"--initial-cluster", strings.Join(members, ","), "--log-level", "error")
			if err == nil {
				mu.Lock()
				e.servers = append(e.servers, s)
				mu.Unlock()
			}
			started <- err
		}()
	}
	var errs []error
	for range e.addrs {
		errs = append(errs, <-started)
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, killAll(e.servers))
	}
	return nil
}

func (e *etcd) Fill(ctx context.Context, o options) error {
	value := strings.Repeat("x", o.size)
	_, err := e.each(ctx, o, o.keys/o.connections, 0, func(c *clientv3.Client, worker, i int) error {
		_, err := c.Put(ctx, etcdKey(worker*(o.keys/o.connections)+i), value)
		return err
	})
	return err
}

func (e *etcd) Run(ctx context.Context, o options, l load) (measurement, error) {
	value := strings.Repeat("y", o.size)
	return e.each(ctx, o, 0, o.duration, func(c *clientv3.Client, _, _ int) (err error) {
		key := etcdKey(rand.IntN(o.keys))
		if l.verb == "SET" {
			_, err = c.Put(ctx, key, value)
		} else {
			_, err = c.Get(ctx, key)
		}
		return err
	})
}

func etcdKey(i int) string { return fmt.Sprintf("key:%012d", i) }

// each runs do on every connection, as often as operations says or for d, and counts.
func (e *etcd) each(ctx context.Context, o options, operations int, d time.Duration,
	do func(c *clientv3.Client, worker, i int) error,
) (measurement, error) {
	var clients []*clientv3.Client
	defer func() {
		for _, c := range clients {
			_ = c.Close() // it only ever says that the context is over
		}
	}()
	for i := range o.connections {
		c, err := clientv3.New(clientv3.Config{
			Endpoints: []string{e.addrs[i%len(e.addrs)]}, DialTimeout: 5 * time.Second, Context: ctx,
		})
		if err != nil {
			return measurement{}, err
		}
		clients = append(clients, c)
	}
	histograms, errs := make([]*hdrhistogram.Histogram, len(clients)), make([]error, len(clients))
	begun := time.Now()
	var wg sync.WaitGroup
	for worker, c := range clients {
		wg.Go(func() {
			h := newHistogram()
			histograms[worker] = h
			for i := 0; operations == 0 && time.Since(begun) < d || i < operations; i++ {
				sent := time.Now()
				if errs[worker] = do(c, worker, i); errs[worker] != nil {
					return
				}
				errs[worker] = h.RecordValue(time.Since(sent).Microseconds())
			}
		})
	}
	wg.Wait()
	elapsed, all := time.Since(begun), newHistogram()
	for _, h := range histograms {
		all.Merge(h)
	}
	us := func(q float64) time.Duration { return time.Duration(all.ValueAtQuantile(q)) * time.Microsecond }
	return measurement{
		operations: all.TotalCount(), perSecond: float64(all.TotalCount()) / elapsed.Seconds(),
		p50: us(50), p99: us(99), p999: us(99.9),
	}, errors.Join(errs...)
}

// newHistogram counts microseconds up to a minute with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }
