package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNothingDone is returned when not one operation succeeded.
var ErrNothingDone = errors.New("not one operation succeeded")

// Run puts the load on the servers and reports. When ctx ends early the report is of what was done until then, and
// the error is ctx's.
func Run(ctx context.Context, c Config) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	c = c.withDefaults()
	r := &run{Config: c, noise: newNoise(c)}
	defer r.closeAll()
	if err := r.connectAll(ctx); err != nil {
		return Report{}, err
	}
	if c.Prefill {
		if err := r.phase(ctx, "prefill", int64(c.Keys), (*worker).prefill); err != nil {
			return Report{}, fmt.Errorf("store the keys before the load: %w", err)
		}
	}
	before := r.cpu()
	for _, w := range r.workers {
		w.clear()
	}
	r.left.Store(c.Requests)
	err := r.phase(ctx, "load", c.Requests, (*worker).load)
	rep := r.report(before, r.cpu())
	if err == nil && rep.Operations == 0 {
		err = ErrNothingDone
	}
	return rep, err
}

// run is one run.
type run struct {
	Config
	noise   []byte
	workers []*worker
	start   time.Time // of the phase
	took    time.Duration
	// left counts operations that nobody has taken yet; only where Requests bounds them.
	left atomic.Int64
	done atomic.Int64 // operations answered in this phase, for progress
}

// connectAll connects every worker, so that the load begins at full strength and a wrong address is told at once.
func (r *run) connectAll(ctx context.Context) error {
	for i := range r.Clients {
		w := &worker{run: r, id: i, addr: i % len(r.Addrs), work: newWorkload(r.Config, uint64(i)+1, r.noise)}
		w.clear()
		r.workers = append(r.workers, w)
		k, err := connect(ctx, &r.Config, r.Addrs[w.addr])
		if err != nil {
			return fmt.Errorf("connection %d of %d to %s: %w", i+1, r.Clients, r.Addrs[w.addr], err)
		}
		w.adopt(k)
	}
	return nil
}

func (r *run) closeAll() {
	for _, w := range r.workers {
		w.drop()
	}
}

// phase runs do in every worker at once. Its error is that of ctx, or of a worker that could not go on.
func (r *run) phase(ctx context.Context, name string, total int64, do func(*worker, context.Context) error) error {
	r.done.Store(0)
	r.start = time.Now()
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A connection that waits for replies is woken when the run ends early.
	stopWaking := context.AfterFunc(outer, func() {
		for _, w := range r.workers {
			w.drop()
		}
	})
	defer stopWaking()
	var reporter sync.WaitGroup
	if r.Progress != nil {
		reporter.Go(func() { r.reportProgress(ctx, name, total) })
	}
	var wg sync.WaitGroup
	errs := make([]error, len(r.workers))
	for i, w := range r.workers {
		wg.Go(func() { errs[i] = do(w, ctx) })
	}
	wg.Wait()
	r.took = time.Since(r.start)
	cancel()
	reporter.Wait()
	if err := outer.Err(); err != nil {
		return err
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) reportProgress(ctx context.Context, name string, total int64) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	last, lastAt := int64(0), r.start
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			done := r.done.Load()
			r.Progress(Progress{
				Phase: name, Done: done, Total: total, Elapsed: now.Sub(r.start),
				PerSecond: float64(done-last) / now.Sub(lastAt).Seconds(),
			})
			last, lastAt = done, now
		}
	}
}

// cpu asks what the servers have spent so far.
func (r *run) cpu() []processTime {
	list := make([]processTime, len(r.PIDs))
	for i, pid := range r.PIDs {
		list[i].spent, list[i].err = processCPU(pid)
	}
	return list
}

type processTime struct {
	spent time.Duration
	err   error
}

// report adds up what the workers have seen.
func (r *run) report(before, after []processTime) Report {
	rep := Report{
		Addrs: r.Addrs, Clients: r.Clients, Pipeline: r.Pipeline, Mix: fmt.Sprintf("%d:%d", r.Gets, r.Sets),
		MinSize: r.MinSize, MaxSize: r.MaxSize, Keys: r.Keys, Distribution: string(r.Distribution), Rate: r.Rate,
		Seconds: r.took.Seconds(), Errors: map[string]int64{}, Servers: []ServerCPU{},
	}
	get, set, all := newHistogram(), newHistogram(), newHistogram()
	for _, w := range r.workers {
		get.Merge(w.get)
		set.Merge(w.set)
		for code, n := range w.errors {
			rep.Errors[code] += n
		}
		rep.Misses += w.misses
		rep.Reconnects += w.reconnects
		rep.Unsent += w.unsent
	}
	all.Merge(get)
	all.Merge(set)
	rep.Latency = Latencies{All: distribution(all), Get: distribution(get), Set: distribution(set)}
	rep.Gets, rep.Sets, rep.Operations = get.TotalCount(), set.TotalCount(), all.TotalCount()
	if rep.Seconds > 0 {
		rep.PerSecond = float64(rep.Operations) / rep.Seconds
	}
	for i, pid := range r.PIDs {
		s := ServerCPU{PID: pid}
		if err := errors.Join(before[i].err, after[i].err); err != nil {
			s.Problem = err.Error()
		} else {
			spent := after[i].spent - before[i].spent
			s.Seconds = spent.Seconds()
			if rep.Operations > 0 {
				s.PerOp = float64(spent.Microseconds()) / float64(rep.Operations)
			}
		}
		rep.ServerCPU += s.PerOp
		rep.Servers = append(rep.Servers, s)
	}
	return rep
}
