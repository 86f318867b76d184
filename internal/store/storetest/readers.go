package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorddb/quord/internal/kv"
)

// witness is what is known of one key while a writer changes it: numbers only ever grow.
type witness struct {
	// applied is the number of the last change that Apply has returned from, read the highest that any reader
	// has seen.
	applied, read atomic.Int64
}

// floor is the number below which no read that begins now may answer.
func (w *witness) floor() int64 { return max(w.applied.Load(), w.read.Load()) }

// saw notes what a reader has seen.
func (w *witness) saw(n int64) {
	for {
		old := w.read.Load()
		if old >= n || w.read.CompareAndSwap(old, n) {
			return
		}
	}
}

// A client that has read a value never reads an older one, from whichever connection. A cache in front of the disk
// breaks this in many ways: a slow reader that brings back what it read, a gap between commit and cache.
func testReadersSeeNoOlderValue(t *testing.T, h Harness) {
	const keys, writes, readers = 6, 2500, 4
	s := h.Store()
	var (
		seen     [keys]witness
		deletion atomic.Int64 // the number of the last DeleteRange that has begun
		done     atomic.Bool
		wg       sync.WaitGroup
	)
	key := func(k int) string { return "key" + strconv.Itoa(k) }
	read := func(k int) error {
		floor := seen[k].floor()
		v, err := s.Get([]byte(key(k)))
		if errors.Is(err, kv.ErrNotFound) {
			if d := deletion.Load(); d < floor {
				return fmt.Errorf("%s is gone, but %d was visible and the last deletion is %d", key(k), floor, d)
			}
			return nil
		}
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return err
		}
		if n < floor {
			return fmt.Errorf("%s reads %d after %d was visible", key(k), n, floor)
		}
		seen[k].saw(n)
		return nil
	}
	for r := range readers {
		wg.Go(func() {
			for k := r; !done.Load(); k++ {
				if err := read(k % keys); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	write := func(ops ...kv.Op) bool {
		_, err := s.Apply(&kv.Write{State: ops}, false)
		if err != nil {
			t.Errorf("apply: %v", err)
		}
		return err == nil
	}
	for n := int64(1); n <= writes && !t.Failed(); n++ {
		if n%50 == 0 {
			deletion.Store(n)
			if write(delRange("key", "kez")) {
				for k := range seen {
					seen[k].applied.Store(n)
				}
			}
			continue
		}
		// Three keys, the first of them twice: the value between must never be seen.
		a, b, c := int(n)%keys, int(n+1)%keys, int(n+3)%keys
		value := strconv.FormatInt(n, 10)
		if write(set(key(a), "0"), set(key(b), value), set(key(c), value), set(key(a), value)) {
			for _, k := range []int{a, b, c} {
				seen[k].applied.Store(n)
			}
		}
	}
	done.Store(true)
	wg.Wait()
}

// Sending the log to a follower while it grows and is truncated must give whole runs of entries, never "damaged".
func testReadersSeeWholeLogs(t *testing.T, h Harness) {
	const group, writes = 3, 1500
	s := h.Store()
	var (
		done atomic.Bool
		wg   sync.WaitGroup
	)
	read := func() error {
		return s.Groups(func(g kv.Group) error {
			lo := g.Start.Index + 1
			found, err := s.Entries(g.ID, lo, g.Last+1, unlimited)
			if err != nil && !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			for i, e := range found {
				if e.Index != lo+uint64(i) {
					return fmt.Errorf("entry %d stands where %d should", e.Index, lo+uint64(i))
				}
			}
			return nil
		})
	}
	for range 2 {
		wg.Go(func() {
			for !done.Load() {
				if err := read(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	next := uint64(1)
	for range writes {
		if t.Failed() {
			break
		}
		op := kv.LogOp{Group: group, Append: entries(next, next+3, 1)}
		next += 3
		if next%60 == 1 {
			op.Truncate = &kv.Position{Index: next - 5, Term: 1}
		}
		if _, err := s.Apply(&kv.Write{Log: []kv.LogOp{op}}, false); err != nil {
			t.Errorf("apply: %v", err)
		}
	}
	done.Store(true)
	wg.Wait()
}
