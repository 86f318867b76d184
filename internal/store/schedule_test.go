package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// backlog is a database with compactions that wait.
type backlog struct {
	allowed, waiting int
	begun            []pebble.CompactionGrantHandle
	asked            int
}

func (b *backlog) GetAllowedWithoutPermission() int { b.asked++; return b.allowed }

func (b *backlog) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return b.waiting > 0, pebble.WaitingCompaction{}
}

func (b *backlog) Schedule(h pebble.CompactionGrantHandle) bool {
	b.waiting--
	b.begun = append(b.begun, h)
	return true
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
		db.waiting = 2
		if ok, _ := s.TrySchedule(); ok {
			t.Fatal("two at a time, one is allowed")
		}
		first.Done()
		if len(db.begun) != 1 {
			t.Fatalf("%d have begun when the first had ended, want 1", len(db.begun))
		}
		db.allowed = 2
		time.Sleep(2 * grantEvery)
		if len(db.begun) != 2 {
			t.Fatalf("%d have begun after two are allowed, want 2", len(db.begun))
		}
		for _, h := range db.begun {
			h.Done()
		}
		time.Sleep(time.Second)
		asked := db.asked
		time.Sleep(time.Hour)
		if db.asked != asked {
			t.Errorf("asked %d times in an idle hour", db.asked-asked)
		}
		s.Unregister()
		if ok, _ := s.TrySchedule(); ok {
			t.Error("a compaction begins after the end")
		}
	})
}
