package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quorddb/quord/internal/store"
)

var (
	powerCuts = flag.Int("power-cuts", 150, "how often TestPowerLoss cuts the power of a node")
	powerSeed = flag.Uint64("power-seed", 1, "the seed of TestPowerLoss")
)

// realDisk is the store of production on a file system in memory, which forgets what was not synced: all of it, or a
// part that is drawn block by block, as disks do.
type realDisk struct {
	*store.Store
	t   testing.TB
	mem *vfs.MemFS
	rng *rand.Rand
}

func openReal(t testing.TB, mem *vfs.MemFS, rng *rand.Rand) realDisk {
	t.Helper()
	s, err := store.Open(store.Config{
		Dir: "data", FS: mem, MemTableBytes: 128 << 10, CacheBytes: 1 << 20, ValueCacheBytes: 64 << 10,
	})
	if err != nil {
		t.Fatalf("after a power cut the store does not open: %v", err)
	}
	return realDisk{s, t, mem, rng}
}

func (d realDisk) Crash(func(int) int) disk {
	var cfg vfs.CrashCloneCfg
	if d.rng.IntN(3) == 0 {
		cfg = vfs.CrashCloneCfg{UnsyncedDataPercent: d.rng.IntN(100), RNG: rand.New(rand.NewPCG(d.rng.Uint64(), 0))}
	}
	left := d.mem.CrashClone(cfg)
	_ = d.Close() // it writes to a file system that is no more
	return openReal(d.t, left, d.rng)
}

// register is what clients know of a key that is written by one of them at a time: the value that was acknowledged last,
// and those whose outcome nobody knows, which may have been applied, even late.
type register struct {
	acked, tried int
	last         *call
	unknown      map[int]bool
}

// settle takes the outcome of the last write, if it has one.
func (r *register) settle(acked *int) bool {
	switch {
	case r.last == nil:
	case !r.last.over():
		return false
	case r.last.ends > 0 && r.last.req.Failure == nil:
		r.acked = r.tried
		delete(r.unknown, r.tried)
		*acked++
	}
	r.last = nil
	return true
}

// An acknowledged write must be there after power cuts, of one node or of all at once, wherever they find the disks:
// in the midst of a sync, of a table being written, of a log being begun.
func TestPowerLoss(t *testing.T) {
	const keys = 8
	w := newWorld(t, *powerSeed)
	w.newDisk = func() disk { return openReal(t, vfs.NewCrashableMem(), w.rng) }
	w.found()
	for range 2 {
		w.start(w.add(), w.nodes[0])
	}
	w.settled(time.Minute)
	registers := make([]*register, keys)
	for k := range registers {
		registers[k] = &register{unknown: map[int]bool{}}
	}
	acked, cuts := 0, 0
	write := func() {
		k := w.rng.IntN(keys)
		up := w.running()
		if len(up) == 0 {
			return
		}
		r := registers[k]
		if !r.settle(&acked) {
			return
		}
		r.tried++
		r.unknown[r.tried] = true
		// Some values are large, so that tables are written all the time.
		value := strconv.Itoa(r.tried) + " " + strings.Repeat("x", w.rng.IntN(2)*w.rng.IntN(4000))
		r.last = w.ask(up[w.rng.IntN(len(up))], "SET", fmt.Sprint("power", k), value)
	}
	for cuts < *powerCuts {
		for range 20 + w.rng.IntN(40) {
			write()
			w.run(time.Duration(w.rng.IntN(20)) * time.Millisecond)
		}
		if w.rng.IntN(4) == 0 {
			for _, n := range w.nodes {
				w.kill(n, nil)
				cuts++
			}
		} else {
			n := w.nodes[w.rng.IntN(len(w.nodes))]
			n.crashIn = 1 + w.rng.IntN(8)
			for range 50 {
				write()
				w.run(5 * time.Millisecond)
				if n.core == nil {
					break
				}
			}
			if n.core != nil {
				w.kill(n, nil)
			}
			cuts++
		}
		w.run(time.Duration(w.rng.IntN(200)) * time.Millisecond)
		for _, n := range w.nodes {
			if n.core == nil {
				w.start(n)
			}
		}
		for k, r := range registers {
			r.settle(&acked)
			w.check(k, r)
		}
	}
	w.settled(time.Minute)
	for k, r := range registers {
		w.check(k, r)
	}
	for _, n := range w.nodes {
		if err := n.store.Close(); err != nil {
			t.Error(err)
		}
		n.core = nil
	}
	t.Logf("%d power cuts, %d acknowledged writes", cuts, acked)
}

// check reads a register: nothing that was acknowledged may be missing, and nothing there that nobody wrote.
func (w *world) check(k int, r *register) {
	w.t.Helper()
	name := fmt.Sprint("power", k)
	for range 10 {
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		c := w.ask(n, "GET", name)
		w.until(6*time.Second, "an answer to a read", c.over)
		if c.ends == 0 || c.req.Failure != nil {
			continue
		}
		got := 0
		if reply := c.reply(); !strings.HasPrefix(reply, "_") && !strings.HasPrefix(reply, "$-1") {
			_, body, _ := strings.Cut(reply, "\r\n")
			text, _, _ := strings.Cut(body, " ")
			var err error
			if got, err = strconv.Atoi(text); err != nil {
				w.t.Fatalf("%s reads %.60q", name, reply)
			}
		}
		if got != r.acked && !r.unknown[got] {
			w.t.Fatalf("%s reads %d: %d was acknowledged last, %d was tried last", name, got, r.acked, r.tried)
		}
		return
	}
	w.t.Fatalf("%s cannot be read\n%s", name, w.describe())
}
