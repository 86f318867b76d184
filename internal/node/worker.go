package node

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/peer"
	"github.com/quorddb/quord/internal/request"
)

const (
	tickEvery = 10 * time.Millisecond // at most so often the core ticks
	// longestSleep bounds how long an idle worker sleeps, whatever the core says: timers do not count the time of which
	// the machine was suspended.
	longestSleep = time.Second
)

// inbox is what waits for the worker.
type inbox struct {
	mu     sync.Mutex
	room   sync.Cond // tells readers that the worker has taken what there was; uses mu
	reqs   []*request.Request
	events []event
	bytes  int
	limit  int // of bytes; readers of connections wait while it is passed
	closed bool

	wake chan struct{} // holds one token while there is something
}

// event is a frame of a peer, or something for the worker to do; in the order in which they came.
type event struct {
	from  ident.NodeID
	frame []byte
	call  func(*core.Core)
}

func (in *inbox) init(limit int) {
	in.limit = limit
	in.room.L = &in.mu
	in.wake = make(chan struct{}, 1)
}

func (in *inbox) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

func (in *inbox) requests(reqs []*request.Request) bool {
	in.mu.Lock()
	closed := in.closed
	if !closed {
		in.reqs = append(in.reqs, reqs...)
	}
	in.mu.Unlock()
	in.signal()
	return !closed
}

func (in *inbox) frame(from ident.NodeID, frame []byte) {
	in.mu.Lock()
	for in.bytes > in.limit && !in.closed {
		in.room.Wait()
	}
	if !in.closed { // or nobody will ever take it
		in.bytes += len(frame)
		in.events = append(in.events, event{from: from, frame: frame})
	}
	in.mu.Unlock()
	in.signal()
}

// call queues fn for the worker; false when it has ended.
func (in *inbox) call(fn func(*core.Core)) bool {
	in.mu.Lock()
	closed := in.closed
	if !closed {
		in.events = append(in.events, event{call: fn})
	}
	in.mu.Unlock()
	in.signal()
	return !closed
}

// take swaps what waits for the given, emptied slices.
func (in *inbox) take(reqs []*request.Request, events []event) ([]*request.Request, []event) {
	in.mu.Lock()
	reqs, in.reqs = in.reqs, reqs
	events, in.events = in.events, events
	in.bytes = 0
	in.mu.Unlock()
	in.room.Broadcast()
	return reqs, events
}

func (in *inbox) close() {
	in.mu.Lock()
	in.closed = true
	in.mu.Unlock()
	in.room.Broadcast()
	in.signal()
}

// worker owns the core.
type worker struct {
	core   *core.Core
	store  kv.Store
	net    peer.Network
	log    *slog.Logger
	inbox  inbox
	reqs   []*request.Request // what was taken from the inbox
	events []event
	syncs  chan kv.Pending // to the goroutine that waits for the disk
	synced chan error
	done   chan struct{}
	cause  error // why it ended by itself; set before done is closed

	revision uint64 // of the registry that the connections follow
	kept     map[ident.NodeID]bool
	parting  map[ident.NodeID]time.Duration // those to part from, and when
	frames   func(to ident.NodeID, frame []byte)
	unsent   uint64
}

// newWorker returns a worker of c whose inbox holds limit bytes of frames.
func newWorker(c *core.Core, s kv.Store, limit int, log *slog.Logger) *worker {
	w := &worker{
		core: c, store: s, log: log, done: make(chan struct{}), syncs: make(chan kv.Pending), synced: make(chan error, 1),
		kept: map[ident.NodeID]bool{}, parting: map[ident.NodeID]time.Duration{},
	}
	w.inbox.init(limit)
	w.frames = func(to ident.NodeID, frame []byte) {
		if err := w.net.Send(to, frame); err != nil && !errors.Is(err, peer.ErrNoConnection) {
			w.unsent++ // raft and the routers ask again
			if w.unsent&(w.unsent-1) == 0 {
				w.log.Warn("a frame was not sent", "to", to, "bytes", len(frame), "error", err, "so_far", w.unsent)
			}
		}
	}
	return w
}

// run takes turns until ctx ends or the core cannot go on.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	defer w.drain()
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer close(w.syncs)
	go w.waitForDisk()
	var nextTick time.Duration
	for {
		runtime.Gosched() // who is about to add to the inbox does so now, and shares the disk's sync
		took := w.takeIn()
		at := monotonic()
		if idle := w.idle(at, nextTick); !took && idle > 0 {
			timer.Reset(idle)
			select {
			case <-w.inbox.wake:
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			continue
		}
		if at >= nextTick {
			nextTick = at + tickEvery
			w.core.At(now())
			w.core.Tick()
		}
		if err := w.turns(); err != nil {
			w.cause = err
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// idle returns how long there is nothing to do from a moment on, when nothing comes in: until the core wants a tick, but
// not before next.
func (w *worker) idle(at, next time.Duration) time.Duration {
	if w.core.HasWork() {
		return 0
	}
	if len(w.parting) == 0 {
		next = max(next, w.core.Next())
	}
	return min(next-at, longestSleep)
}

// takeIn lets the core know what waits in the inbox. It reports whether there was anything.
func (w *worker) takeIn() bool {
	clear(w.reqs)
	clear(w.events)
	w.reqs, w.events = w.inbox.take(w.reqs[:0], w.events[:0])
	if len(w.reqs) == 0 && len(w.events) == 0 {
		return false
	}
	w.core.At(now())
	w.handle(w.events)
	w.core.Submit(w.reqs)
	return true
}

// waitForDisk waits for one Write after the other, so that the worker can do something else meanwhile.
func (w *worker) waitForDisk() {
	for p := range w.syncs {
		w.synced <- p.Wait()
	}
}

// write hands a Write to the store. One to be synced is then on its way to the disk, which await waits for.
func (w *worker) write(changes *kv.Write, sync bool) error {
	if changes.Empty() {
		return nil
	}
	pending, err := w.store.Apply(changes, sync)
	if err != nil {
		return err
	}
	if sync {
		w.syncs <- pending
		return nil
	}
	return pending.Wait()
}

// await returns when the Write under way is on disk. What comes in meanwhile is taken in, and what it leads to is sent as
// far as nothing has to be on disk for it: requests go on to other nodes, their answers to clients. It does not take a turn.
func (w *worker) await() error {
	for {
		select {
		case err := <-w.synced:
			return err
		case <-w.inbox.wake:
			w.takeIn()
			w.core.Early(w.frames)
		}
	}
}

func (w *worker) handle(events []event) {
	for i := range events {
		e := &events[i]
		if e.call != nil {
			e.call(w.core)
			continue
		}
		if err := w.core.Receive(e.from, e.frame); err != nil {
			w.log.Error("a frame could not be read; the connection is closed", "from", e.from, "error", err)
			w.net.DropPeer(e.from)
			delete(w.kept, e.from)
			w.revision = 0 // connected again with the next look at the registry
		}
	}
}

// maxTurns bounds the turns that are taken before the inbox is looked at again.
const maxTurns = 8

// turns takes turns while there is work.
func (w *worker) turns() error {
	for range maxTurns {
		if !w.core.HasWork() {
			break
		}
		t := w.core.Turn()
		if err := w.core.Err(); err != nil && !errors.Is(err, core.ErrLeft) {
			w.report()
			return err
		}
		w.core.Early(w.frames)
		if err := w.write(&t.Write, t.Sync); err != nil {
			return err
		}
		for changes := w.core.Apply(); changes != nil; changes = w.core.Apply() {
			if err := w.write(changes, false); err != nil {
				return err
			}
		}
		if err := w.core.Err(); err != nil && !errors.Is(err, core.ErrLeft) {
			w.report()
			return err
		}
		w.core.Applied()
		w.core.Early(w.frames) // answers need not wait for the disk: what they tell is on that of a majority
		if t.Sync {
			if err := w.await(); err != nil {
				return err
			}
		}
		w.core.At(now())
		w.core.Persisted(w.frames)
	}
	w.report()
	at := monotonic()
	w.follow(at)
	w.part(at)
	if err := w.core.Err(); err != nil {
		return err
	}
	return nil
}

// report logs what the core tells.
func (w *worker) report() {
	for _, e := range w.core.Events() {
		w.log.Log(context.Background(), slog.Level(e.Level), e.Text, e.Attrs...)
	}
}

// follow keeps connections to the members of the newest registry, and to no others.
func (w *worker) follow(at time.Duration) {
	reg := w.core.Registry()
	if reg == nil || reg.Revision() == w.revision {
		return
	}
	w.revision = reg.Revision()
	wanted := map[ident.NodeID]bool{}
	for _, m := range reg.Members() {
		if m.ID != w.core.Self() {
			wanted[m.ID] = true
			w.net.SetPeer(m.ID, m.Addresses.Peer)
		}
	}
	for id := range w.kept {
		if !wanted[id] {
			w.parting[id] = at + partAfter
		}
	}
	w.kept = wanted
}

// partAfter is how long the connection to a node that was removed is kept: the answer to its leaving, and the
// registry without it, are on their way.
const partAfter = time.Second

// part ends the connections to nodes that are no members any more.
func (w *worker) part(at time.Duration) {
	for id, until := range w.parting {
		switch {
		case w.kept[id]:
			delete(w.parting, id)
		case at >= until:
			delete(w.parting, id)
			w.net.DropPeer(id)
		}
	}
}

// drain ends what came too late.
func (w *worker) drain() {
	w.inbox.close()
	reqs, events := w.inbox.take(nil, nil)
	for _, r := range reqs {
		r.End(nil, stopped)
	}
	w.core.Stop(stopped)
	for _, e := range events {
		if e.call != nil {
			e.call(nil)
		}
	}
}

var stopped = &request.Failure{Code: request.TryAgain, Message: "this node is stopping"}

// on runs fn on the worker and waits for it, unless ctx or the worker ends first. It reports whether fn ran; when it
// reports false fn will not run any more, so fn may write to what the caller reads.
func (w *worker) on(ctx context.Context, fn func(*core.Core)) bool {
	var begun atomic.Bool // by the worker, or given up by the caller: whoever is first
	ran := make(chan bool, 1)
	if !w.inbox.call(func(c *core.Core) {
		if !begun.CompareAndSwap(false, true) {
			return
		}
		if c != nil {
			fn(c)
		}
		ran <- c != nil
	}) {
		return false
	}
	select {
	case ok := <-ran:
		return ok
	case <-ctx.Done():
		if begun.CompareAndSwap(false, true) {
			return false
		}
		return <-ran
	}
}
