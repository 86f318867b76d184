package core

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/slot"
	"github.com/quorddb/quord/internal/store"
)

// writers asks a node for one write after the other, so many at a time.
type writers struct {
	core  *Core
	store *store.Store
	ended []*request.Request
	bad   *request.Failure
}

// Ended implements request.Owner.
func (w *writers) Ended(r *request.Request) {
	if r.Failure != nil {
		w.bad = r.Failure
	}
	w.ended = append(w.ended, r)
}

// turn is one turn of a node without connections.
func (w *writers) turn(b *testing.B) {
	t := w.core.Turn()
	w.core.Early(func(ident.NodeID, []byte) {})
	p, err := w.store.Apply(&t.Write, t.Sync)
	if err != nil {
		b.Fatal(err)
	}
	for changes := w.core.Apply(); changes != nil; changes = w.core.Apply() {
		if _, err := w.store.Apply(changes, false); err != nil {
			b.Fatal(err)
		}
	}
	w.core.Applied()
	if err := p.Wait(); err != nil {
		b.Fatal(err)
	}
	w.core.Persisted(func(ident.NodeID, []byte) {})
}

// SETs of 100 bytes on one node of 1024 tablets: what the goroutine that owns the node does for each, and the store. The
// file system is in memory.
func BenchmarkSet(b *testing.B) {
	for _, atOnce := range []int{50, 800} {
		b.Run(fmt.Sprintf("at_once=%d", atOnce), func(b *testing.B) { benchmarkSet(b, atOnce) })
	}
}

func benchmarkSet(b *testing.B, atOnce int) {
	const keys, tablets = 100_000, 1024
	mem := vfs.NewMem()
	s, err := store.Open(store.Config{Dir: "data", FS: mem, CheckpointBytes: 64 << 20, CacheBytes: 64 << 20, ValueCacheBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	w := newWorld(b, 1)
	w.newDisk = func() disk { return realDisk{s, b, mem, w.rng} }
	n := w.foundWith(registry.Settings{Replicas: 3, Tablets: tablets, ReplaceAfter: replaceAfter, Format: Format}, 1)
	w.settled(time.Minute)
	load := &writers{core: n.core, store: s}
	var all []*request.Request
	value := make([]byte, 100)
	rng := rand.New(rand.NewPCG(1, 2))
	next := func(r *request.Request) {
		key := fmt.Appendf(nil, "key:%012d", rng.IntN(keys))
		*r = request.Request{
			Tablet: slot.Tablet(slot.Of(key), tablets), Write: true, Owner: load,
			Commands: append(r.Commands[:0], request.Command{[]byte("SET"), key, value}),
		}
	}
	for range atOnce {
		all = append(all, &request.Request{})
	}
	load.ended = all
	now, turns := n.time(), 0
	step := func() {
		due := append(all[:0], load.ended...)
		load.ended = make([]*request.Request, 0, atOnce)
		for _, r := range due {
			next(r)
		}
		now.Mono += time.Millisecond
		now.Wall++
		n.core.At(now)
		if turns++; turns%10 == 0 {
			n.core.Tick()
		}
		n.core.Submit(due)
		load.turn(b)
		all = due
	}
	for range 2 * keys / atOnce {
		step()
	}
	b.ReportAllocs()
	began := cpu(b)
	b.ResetTimer()
	for done := 0; done < b.N; {
		step()
		done += len(load.ended)
	}
	b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
	if load.bad != nil {
		b.Fatal(load.bad)
	}
}

// cpu returns how long the process has been on a processor: unlike the time that passes, it hardly depends on what else
// the machine does.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
