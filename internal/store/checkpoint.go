package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/quorddb/quord/internal/kv"
)

// A checkpoint moves what lies in memory to Pebble: in one batch, with the number of the last Write that is in it. After a
// crash the journal is replayed from there. So Pebble needs no log of its own, sees a key once per checkpoint however
// often it was written, and never sees most entries of logs, which are truncated before.

// keeper says when checkpoints are taken: one at a time, on a goroutine of its own.
type keeper struct {
	wake chan struct{} // holds one token
	done chan struct{}

	mu     sync.Mutex
	ended  sync.Cond // told when a checkpoint has ended, well or not, and when the store closes; uses mu
	closed bool      // guarded by mu
}

func (k *keeper) init() {
	k.wake, k.done = make(chan struct{}, 1), make(chan struct{})
	k.ended.L = &k.mu
}

func (k *keeper) kick() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// over says that a checkpoint has ended. It reports whether there may be another one.
func (k *keeper) over() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended.Broadcast()
	return !k.closed
}

// close ends the goroutine, when a checkpoint that it is taking has ended. It may never end once Pebble has given up.
func (k *keeper) close(wedged <-chan struct{}) {
	k.mu.Lock()
	k.closed = true
	k.ended.Broadcast()
	k.mu.Unlock()
	k.kick()
	select {
	case <-k.done:
	case <-wedged:
	}
}

// keep takes checkpoints while there is reason to, and prepares files for the journal, until the store is closed. Nobody waits
// for its errors: they make the store fail, and whoever uses it next is told.
func (s *Store) keep() {
	defer close(s.keeper.done)
	for range s.keeper.wake {
		if s.journal.Short() && s.Err() == nil {
			if err := s.journal.Prepare(); err != nil {
				_ = s.fail("journal", err)
			}
		}
		for s.due(1) && s.Err() == nil {
			if err := s.checkpoint(); err != nil {
				_ = s.fail("checkpoint", err)
			}
			if !s.keeper.over() {
				return
			}
		}
		if !s.keeper.over() {
			return
		}
	}
}

// patience is how many times what calls for a checkpoint there may be before Writes wait for it.
const patience = 4

// due reports whether there is times as much in memory as calls for a checkpoint.
func (s *Store) due(times int64) bool { return s.volume.Load() >= times*s.cfg.CheckpointBytes }

// pace sees to it that a checkpoint is taken when it is due, and waits for it when it is long overdue. The caller must
// not hold applyMu.
func (s *Store) pace() {
	if !s.due(1) {
		return
	}
	s.keeper.kick()
	if !s.due(patience) {
		return
	}
	s.counts.stalls.Add(1)
	s.cfg.Logger.Warn("writes wait for a checkpoint", "dir", s.cfg.Dir, "journal_bytes", s.volume.Load())
	k := &s.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	for s.due(patience) && !k.closed && s.Err() == nil {
		k.ended.Wait()
	}
}

// capture is what a checkpoint writes: the state of the store after one Write.
type capture struct {
	number uint64 // of that Write in the journal
	volume int64
	layers layers
	groups []groupCapture
}

func (s *Store) capture() capture {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	c := capture{number: s.journal.Last(), volume: s.volume.Load(), layers: s.rotate()[1:]}
	s.groupMu.RLock()
	defer s.groupMu.RUnlock()
	for _, g := range s.groups {
		if g.changed {
			c.groups = append(c.groups, g.capture())
		}
	}
	return c
}

// rotate makes the newest layer one that does not change any more, unless it is empty, and returns the list. It is called
// with applyMu held.
func (s *Store) rotate() layers {
	above := *s.layers.Load()
	if above[0].empty() {
		return above
	}
	next := append(layers{new(layer)}, above...)
	s.layers.Store(&next)
	return next
}

func (s *Store) checkpoint() error {
	c := s.capture()
	// The database must not get ahead of the journal.
	if err := s.journal.Sync(c.number); err != nil {
		return err
	}
	if err := s.write(&c); err != nil {
		return err
	}
	s.release(&c)
	s.counts.checkpoints.Add(1)
	return s.journal.Release(c.number)
}

// write makes Pebble show, durably, what was captured. The cache of values must know before readers go past the layers.
func (s *Store) write(c *capture) error {
	ops := c.layers.ops()
	b := s.db.NewBatch()
	for i := range c.groups {
		c.groups[i].fill(b)
	}
	fillState(b, ops)
	if err := b.Set([]byte{checkpointKey}, encodeCheckpoint(c.number), nil); err != nil {
		return err
	}
	return guard(func() error {
		s.values.begin(ops)
		if err := b.Commit(pebble.NoSync); err != nil {
			return err
		}
		s.values.end()
		return errors.Join(b.Close(), s.db.Flush())
	})
}

// release lets go of what Pebble has by now.
func (s *Store) release(c *capture) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	above := *s.layers.Load()
	next := append(layers(nil), above[:len(above)-len(c.layers)]...)
	s.layers.Store(&next)
	s.volume.Add(-c.volume)
	s.groupMu.Lock()
	defer s.groupMu.Unlock()
	for i := range c.groups {
		if g := c.groups[i].group; g.wrote(&c.groups[i]) {
			delete(s.groups, g.now.ID)
		}
	}
}

// encodeCheckpoint returns the value that says which Writes the database has.
func encodeCheckpoint(number uint64) []byte {
	v := binary.BigEndian.AppendUint64([]byte{recordKind}, number)
	return binary.BigEndian.AppendUint32(v, checksum([]byte{checkpointKey}, v))
}

// checkpointed returns the number of the last Write that the database has; 0 for none.
func (s *Store) checkpointed() (uint64, error) {
	v, closer, err := s.db.Get([]byte{checkpointKey})
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, readError("read the checkpoint", err)
	}
	body, err := verify([]byte{checkpointKey}, v, checkpointLen)
	if err == nil && len(v) != checkpointLen {
		err = fmt.Errorf("%w: %d bytes", kv.ErrCorrupt, len(v))
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("the number of the checkpoint: %w", err), closer.Close())
	}
	return binary.BigEndian.Uint64(body[1:]), closer.Close()
}

// makeSecret draws the secret of a new journal. It lies where damage is noticed in any case: without the secret no record
// of the journal can be told from nothing.
func (s *Store) makeSecret() error {
	v := []byte{recordKind, 0, 0, 0, 0}
	rand.Read(v[1:]) //nolint:errcheck // it never fails
	v = binary.BigEndian.AppendUint32(v, checksum([]byte{secretKey}, v))
	if err := s.db.Set([]byte{secretKey}, v, pebble.NoSync); err != nil {
		return err
	}
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
	case <-s.failed: // Pebble would try for ever, and so would its Close
		s.wedge()
	}
	return s.Err()
}

// secret returns the secret of the journal; 0 for the directory of a build that had none.
func (s *Store) secret() (uint32, error) {
	v, closer, err := s.db.Get([]byte{secretKey})
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, readError("read the secret of the journal", err)
	}
	body, err := verify([]byte{secretKey}, v, secretLen)
	if err == nil && len(v) != secretLen {
		err = fmt.Errorf("%w: %d bytes", kv.ErrCorrupt, len(v))
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("the secret of the journal: %w", err), closer.Close())
	}
	return binary.BigEndian.Uint32(body[1:]), closer.Close()
}

// recover opens the journal and takes over what it has and the database has not.
func (s *Store) recover() error {
	after, err := s.checkpointed()
	if err != nil {
		return err
	}
	secret, err := s.secret()
	if err != nil {
		return err
	}
	s.journal, err = s.openJournal(after, secret, func(number uint64, payload []byte) error {
		w, err := decodeWrite(payload)
		if err != nil {
			return err
		}
		defer s.unstage()
		if err := s.stage(w.Log); err != nil {
			return fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
		}
		s.absorb(w, number)
		s.volume.Add(int64(len(payload)))
		return nil
	})
	return err
}
