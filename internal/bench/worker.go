package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/quorddb/quord/internal/resp"
)

const (
	// prefillPipeline is how many keys a connection stores at once before the load.
	prefillPipeline = 64
	// Pauses before a connection is tried again, or a key that could not be stored.
	firstPause, lastPause = 10 * time.Millisecond, 500 * time.Millisecond
	// maxCodes bounds how many different errors are told apart.
	maxCodes = 64
)

// worker is one connection and what it has seen; for one goroutine.
type worker struct {
	*run
	id    int
	addr  int // index of the server that it was last connected to
	work  *workload
	batch []byte
	ops   []op

	get, set                   *hdrhistogram.Histogram
	misses, reconnects, unsent int64
	errors                     map[string]int64

	// mu guards conn, which a run that ends early closes under the worker's feet; nil while there is none.
	mu   sync.Mutex
	conn *conn
}

// adopt takes k for the connection to use.
func (w *worker) adopt(k *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = k
}

// drop closes the connection; whoever waits for replies on it is woken.
func (w *worker) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		_ = w.conn.Close() // only to end what is read or written
		w.conn = nil
	}
}

// connection returns the connection, nil when there is none.
func (w *worker) connection() *conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn
}

func (w *worker) clear() {
	w.get, w.set = newHistogram(), newHistogram()
	w.errors = map[string]int64{}
	w.misses, w.reconnects, w.unsent = 0, 0, 0
}

// prefill stores this worker's part of the keys, and stores again what was refused.
func (w *worker) prefill(ctx context.Context) error {
	n, all := w.Keys, uint64(w.Clients)
	next, end := n*uint64(w.id)/all, n*uint64(w.id+1)/all
	var again []op
	limit := max(1, min(prefillPipeline, maxBatch/(w.MaxSize+64)))
	pause := firstPause
	giveUp := time.Now().Add(w.Timeout)
	for next < end || len(again) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.ops = append(w.ops[:0], again...)
		again = again[:0]
		for ; next < end && len(w.ops) < limit; next++ {
			w.ops = append(w.ops, op{set: true, key: next})
		}
		last := ""
		err := w.exchange(func(i int, r resp.Value) {
			if failed(r) {
				again = append(again, w.ops[i])
				last = fmt.Sprintf("%.*s", maxText, r.Text)
			}
		})
		if err != nil {
			again = append(again[:0], w.ops...) // a key may be stored twice
			if err := w.reconnect(ctx, time.Now().Add(w.Timeout)); err != nil {
				return err
			}
		}
		w.done.Add(int64(len(w.ops) - len(again)))
		if len(again) < len(w.ops) {
			pause, giveUp = firstPause, time.Now().Add(w.Timeout)
			continue
		}
		if time.Now().After(giveUp) {
			if last == "" {
				return err
			}
			return fmt.Errorf("%s answers nothing but %s", w.Addrs[w.addr], last)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
	return nil
}

// load does operations until there are no more to do or the time is up.
func (w *worker) load(ctx context.Context) error {
	end := time.Time{}
	if w.Duration > 0 {
		end = w.start.Add(w.Duration)
	}
	sched := newSchedule(&w.Config, w.start, w.id)
	for sent := 0; ; sent++ {
		due, waited := time.Now(), false
		if w.Rate > 0 {
			due = sched.due(sent)
			if !end.IsZero() && !due.Before(end) {
				return nil
			}
			if wait := time.Until(due); wait > 0 {
				if !sleep(ctx, wait) {
					return nil
				}
				// Timers are late by up to a millisecond, which is not the server's doing.
				due, waited = time.Now(), true
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if !end.IsZero() && !waited && !time.Now().Before(end) {
			if w.Rate > 0 {
				w.unsent += sched.dueBefore(end, sent) * int64(w.Pipeline)
			}
			return nil
		}
		n := w.take()
		if n == 0 {
			return nil
		}
		w.draw(n)
		answered := 0
		err := w.exchange(func(i int, r resp.Value) {
			answered++
			w.note(w.ops[i], r, due)
		})
		w.done.Add(int64(answered))
		if err == nil || ctx.Err() != nil {
			continue
		}
		w.fail(err, n-answered)
		giveUp := time.Now().Add(w.Timeout)
		if !end.IsZero() && end.Before(giveUp) {
			giveUp = end
		}
		if err := w.reconnect(ctx, giveUp); err != nil && (end.IsZero() || time.Now().Before(end)) {
			return err
		}
	}
}

// take returns how many operations this worker may do next, 0 when all have been taken.
func (w *worker) take() int {
	if w.Requests == 0 {
		return w.Pipeline
	}
	left := w.left.Add(int64(-w.Pipeline)) + int64(w.Pipeline)
	return int(min(max(left, 0), int64(w.Pipeline)))
}

func (w *worker) draw(n int) {
	w.ops = w.ops[:0]
	for range n {
		w.ops = append(w.ops, w.work.next())
	}
}

// exchange sends w.ops and reads their replies.
func (w *worker) exchange(each func(int, resp.Value)) error {
	k := w.connection()
	if k == nil {
		return net.ErrClosed
	}
	w.batch = w.batch[:0]
	for _, o := range w.ops {
		w.batch = w.work.appendOp(w.batch, o)
	}
	return k.send(w.batch, len(w.ops), time.Now().Add(w.Timeout), each)
}

func (w *worker) note(o op, r resp.Value, due time.Time) {
	switch {
	case failed(r):
		w.count(code(r), 1)
		return
	case o.set:
		record(w.set, time.Since(due))
		return
	case r.IsNull():
		w.misses++
	}
	record(w.get, time.Since(due))
}

// count notes n failures; past maxCodes different ones it lumps them together.
func (w *worker) count(code string, n int) {
	if _, known := w.errors[code]; !known && len(w.errors) >= maxCodes {
		code = "OTHER"
	}
	w.errors[code] += int64(n)
}

func (w *worker) fail(err error, n int) {
	code := "CONNECTION"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		code = "TIMEOUT"
	}
	w.count(code, n)
}

// reconnect connects to the next server that lets it, until giveUp.
func (w *worker) reconnect(ctx context.Context, giveUp time.Time) error {
	w.drop()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		w.addr = (w.addr + 1) % len(w.Addrs)
		k, err := connect(ctx, &w.Config, w.Addrs[w.addr])
		if err == nil {
			w.adopt(k)
			w.reconnects++
			return nil
		}
		if time.Now().Add(pause).After(giveUp) {
			return fmt.Errorf("%s: %w", w.Addrs[w.addr], err)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// sleep waits; it reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
