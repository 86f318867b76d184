package store

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// backlog is a database with compactions that wait.
type backlog struct {
	mu               sync.Mutex
	allowed, waiting int
	begun            []pebble.CompactionGrantHandle
	asked            int
}

func (b *backlog) GetAllowedWithoutPermission() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return b.allowed
}

func (b *backlog) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting > 0, pebble.WaitingCompaction{}
}

func (b *backlog) Schedule(h pebble.CompactionGrantHandle) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting--
	b.begun = append(b.begun, h)
	return true
}

func (b *backlog) set(allowed, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed, b.waiting = allowed, waiting
}

// seen returns which compactions have begun, and how often the database was asked.
func (b *backlog) seen() (begun []pebble.CompactionGrantHandle, asked int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun, b.asked
}

// A compaction that was put off runs when there is room for it: when another ends, or soon after the database allows
// more. Where none waits, nothing wakes the process.
func TestCompactionsThatWaitAreBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &backlog{allowed: 1}
		s := newScheduler()
		s.Register(2, db)
		ok, first := s.TrySchedule()
		if !ok {
			t.Fatal("the first compaction has to wait")
		}
		db.set(1, 2)
		if ok, _ := s.TrySchedule(); ok {
			t.Fatal("two at a time, one is allowed")
		}
		first.Done()
		if begun, _ := db.seen(); len(begun) != 1 {
			t.Fatalf("%d have begun when the first had ended, want 1", len(begun))
		}
		db.set(2, 1)
		time.Sleep(2 * grantEvery)
		begun, _ := db.seen()
		if len(begun) != 2 {
			t.Fatalf("%d have begun after two are allowed, want 2", len(begun))
		}
		for _, h := range begun {
			h.Done()
		}
		time.Sleep(time.Second)
		_, asked := db.seen()
		time.Sleep(time.Hour)
		if _, now := db.seen(); now != asked {
			t.Errorf("asked %d times in an idle hour", now-asked)
		}
		s.Unregister()
		if ok, _ := s.TrySchedule(); ok {
			t.Error("a compaction begins after the end")
		}
	})
}
