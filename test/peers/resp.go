package main

import (
	"context"
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/bench"
)

// resp drives a server of the Redis protocol with the generator of `quord bench`.
type resp struct {
	name  string
	loads []load
	addrs []string
}

func (r *resp) Name() string  { return r.name }
func (r *resp) Cases() []load { return r.loads }

// Fill stores every key once.
func (r *resp) Fill(ctx context.Context, o options) error {
	_, err := r.run(ctx, bench.Config{
		Addrs: r.addrs, Clients: o.connections, Pipeline: 16, MinSize: o.size, MaxSize: o.size, Keys: uint64(o.keys),
		Prefill: true, Requests: 1,
	})
	return err
}

func (r *resp) Run(ctx context.Context, o options, l load) (measurement, error) {
	c := bench.Config{
		Addrs: r.addrs, Clients: o.connections, Pipeline: l.pipeline, Duration: o.duration, MinSize: o.size,
		MaxSize: o.size, Keys: uint64(o.keys), Gets: 1,
	}
	if l.verb == "SET" {
		c.Gets, c.Sets = 0, 1
	}
	report, err := r.run(ctx, c)
	us := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	return measurement{
		operations: report.Operations, perSecond: report.PerSecond,
		p50: us(report.Latency.All.P50), p99: us(report.Latency.All.P99), p999: us(report.Latency.All.P999),
	}, err
}

// run refuses results in which an operation failed or found nothing: they would compare errors with work.
func (*resp) run(ctx context.Context, c bench.Config) (bench.Report, error) {
	report, err := bench.Run(ctx, c)
	switch {
	case err != nil:
		return report, err
	case report.Failed() > 0:
		return report, fmt.Errorf("operations failed: %v", report.Errors)
	case report.Misses > 0:
		return report, fmt.Errorf("%d keys were not found", report.Misses)
	}
	return report, nil
}
