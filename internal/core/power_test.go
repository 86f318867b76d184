package core

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
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
		Dir: "data", FS: mem, MemTableBytes: 128 << 10, CheckpointBytes: 64 << 10, CacheBytes: 1 << 20, ValueCacheBytes: 64 << 10,
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
	t.Run("three nodes", func(t *testing.T) { powerLoss(t, 3, *powerCuts) })
	t.Run("one node", func(t *testing.T) { powerLoss(t, 1, *powerCuts/2) })
}

func powerLoss(t *testing.T, nodes, limit int) {
	const keys = 8
	w := newWorld(t, *powerSeed)
	w.newDisk = func() disk { return openReal(t, vfs.NewCrashableMem(), w.rng) }
	w.found()
	for range nodes - 1 {
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
	for cuts < limit {
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

// A damaged block of a table is found, and what lay there is fetched from other nodes, while clients go on.
func TestDamagedTableIsMended(t *testing.T) {
	w := newWorld(t, 3)
	w.newDisk = func() disk { return openReal(t, vfs.NewCrashableMem(), w.rng) }
	w.found()
	for range 2 {
		w.start(w.add(), w.nodes[0])
	}
	w.settled(time.Minute)
	value := func(i int) string {
		b := make([]byte, 2000)
		rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(b)
		return string(b)
	}
	const keys = 600
	n := w.nodes[1]
	for try := 0; ; try++ {
		for i := range keys {
			w.must(w.nodes[i%3], "SET", fmt.Sprint("key", i), value(i))
		}
		w.kill(n, nil)
		d := n.store.(realDisk)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		found := d.damageTables(value(11), value(99), value(200), value(300), value(400), value(500))
		n.store = openReal(t, d.mem, d.rng)
		w.start(n)
		if found > 0 {
			break
		}
		if try == 10 { // checkpoints are taken beside what happens here
			t.Fatal("none of the values lies in a table")
		}
	}
	w.until(time.Minute, "the damage is found", func() bool { return n.core.mends.found > 0 })
	w.until(time.Minute, "it is mended", func() bool { return len(n.core.mends.of) == 0 && n.core.mends.done > 0 })
	for i := range keys {
		want := fmt.Sprintf("$2000\r\n%s\r\n", value(i))
		if got := w.must(w.nodes[i%3], "GET", fmt.Sprint("key", i)); got != want {
			t.Fatalf("key %d reads %.60q", i, got)
		}
	}
	for _, n := range w.nodes {
		if err := n.store.Close(); err != nil {
			t.Error(err)
		}
		n.core = nil
	}
}

// damageTables flips a bit in each of these values where it lies in a table, and reports how many it found.
func (d realDisk) damageTables(values ...string) (found int) {
	names, err := d.mem.List("data")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		f, err := d.mem.Open("data/" + name)
		if err != nil {
			d.t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			d.t.Fatal(err)
		}
		before := found
		for _, v := range values {
			// A value is not found where the block that it lies in was compressed; entries of logs stand before the state.
			if at := bytes.LastIndex(b, []byte(v[len(v)/2:])); at >= 0 && isState(b[:at]) {
				b[at] ^= 1
				found++
			}
		}
		if found == before {
			continue
		}
		w, err := d.mem.Create("data/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			d.t.Fatal(err)
		}
		_, err = w.Write(b)
		if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
			d.t.Fatal(err)
		}
	}
	return found
}

// isState reports whether what stands behind b in a table is the value of a record, and not an entry of a log.
func isState(b []byte) bool {
	tail := b[max(0, len(b)-1200):]
	return bytes.Contains(tail, []byte("key")) && !bytes.Contains(tail, []byte("SET"))
}
