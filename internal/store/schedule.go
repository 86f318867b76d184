package store

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// grantEvery is how often a compaction that was put off is thought of again, as long as there is one.
const grantEvery = 100 * time.Millisecond

// scheduler decides when compactions run: as many at a time as the database allows without asking. It does what the
// library's own one does, but for the ticker, which wakes an idle process ten times a second for ever.
type scheduler struct {
	db pebble.DBForCompaction // set once, before everything else

	mu       sync.Mutex
	running  int         // compactions; guarded by mu, like all below
	granting bool        // somebody is asking db for a compaction; one at a time
	idle     *sync.Cond  // tells when granting has ended; uses mu
	timer    *time.Timer // set while a compaction that was put off is to be thought of again
	closed   bool
}

var _ pebble.CompactionScheduler = (*scheduler)(nil)

func newScheduler() *scheduler {
	s := &scheduler{}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// Register implements pebble.CompactionScheduler.
func (s *scheduler) Register(_ int, db pebble.DBForCompaction) { s.db = db }

// Unregister implements pebble.CompactionScheduler: db is not called any more when it returns.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	for s.granting {
		s.idle.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, nil
	}
	if s.db.GetAllowedWithoutPermission() > s.running {
		s.running++
		return true, grant{s}
	}
	s.again(grantEvery)
	return false, nil
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler. It may be called with locks held that a
// grant needs.
func (s *scheduler) UpdateGetAllowedWithoutPermission() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Reset(0)
	}
}

// again plans a grant, if none is planned. mu is held.
func (s *scheduler) again(in time.Duration) {
	if s.timer == nil && !s.closed {
		s.timer = time.AfterFunc(in, func() {
			s.mu.Lock()
			s.timer = nil
			s.mu.Unlock()
			s.grant()
		})
	}
}

// grant lets compactions that wait begin, as many as are allowed.
func (s *scheduler) grant() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.granting {
		s.idle.Wait()
	}
	for !s.closed {
		if s.db.GetAllowedWithoutPermission() <= s.running {
			break
		}
		s.granting = true
		s.mu.Unlock()
		waiting, _ := s.db.GetWaitingCompaction()
		begun := waiting && s.db.Schedule(grant{s})
		s.mu.Lock()
		s.granting = false
		s.idle.Broadcast()
		if !begun {
			return
		}
		s.running++
	}
	s.again(grantEvery)
}

// grant is the leave to run one compaction.
type grant struct{ s *scheduler }

// Started implements pebble.CompactionGrantHandle.
func (grant) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (grant) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (grant) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle.
func (g grant) Done() {
	g.s.mu.Lock()
	g.s.running--
	g.s.mu.Unlock()
	g.s.grant()
}
