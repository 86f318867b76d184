package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/quorddb/quord/internal/kv"
)

// group is what the store remembers of a group's log: its bounds, so that Apply need not read the disk, and the entries
// that Pebble does not have. Those in Pebble come before them.
type group struct {
	// now, exists and tail are what readers may see; guarded by groupMu. tail holds the entries up to now.Last that are
	// not in Pebble. Its elements never change; a capture shares them.
	now    kv.Group
	exists bool
	tail   []kv.Entry

	// next, nextExists and staged belong to the Apply under way.
	next       kv.Group
	nextExists bool
	staged     bool

	// The others are guarded by applyMu. changed says that Pebble does not show the group as it is; fork is the lowest
	// index from which on entries were replaced since the last capture; stored is what Pebble has entries of, valid or
	// not, and belongs to the checkpoint.
	changed bool
	fork    uint64
	stored  kv.Span
}

const noFork = ^uint64(0)

// tailStart returns the index before the first entry of the tail.
func (g *group) tailStart() uint64 { return g.now.Last - uint64(len(g.tail)) }

// follow does to a group what op does, whose effect is e.
func (g *group) follow(op *kv.LogOp, e *kv.Effect) {
	g.changed = true
	if op.Destroy || op.Reset != nil {
		g.tail, g.fork, g.now.Last = nil, 0, 0
		if op.Reset != nil {
			g.now.Last = op.Reset.Index
		}
	}
	if len(op.Append) > 0 {
		first := op.Append[0].Index
		if first <= g.now.Last {
			g.fork = min(g.fork, first)
			start := g.tailStart()
			keep := max(first-1, start) - start
			g.tail = g.tail[:keep:keep] // what was captured must not be written over
		}
		g.tail = append(g.tail, op.Append...)
		g.now.Last = e.After.Last
	}
	if start := g.tailStart(); e.After.Start.Index > start && len(g.tail) > 0 {
		cut := min(e.After.Start.Index-start, uint64(len(g.tail)))
		g.tail = append([]kv.Entry(nil), g.tail[cut:]...)
	}
	g.now, g.exists = e.After, e.Exists
}

// groupCapture is a group as a checkpoint writes it.
type groupCapture struct {
	group  *group
	now    kv.Group
	exists bool
	tail   []kv.Entry
	stored kv.Span
}

// capture returns the group as it is. What happens from now on is up to the next one.
func (g *group) capture() groupCapture {
	g.changed, g.fork = false, noFork
	return groupCapture{group: g, now: g.now, exists: g.exists, tail: g.tail, stored: g.stored}
}

// fill puts into b what makes Pebble show the group. Batch methods answer errors only to indexed batches.
func (c *groupCapture) fill(b *pebble.Batch) {
	id := c.now.ID
	live := c.live()
	dropEntries(b, id, kv.Span{Lo: c.stored.Lo, Hi: min(c.stored.Hi, live.Lo)})
	dropEntries(b, id, kv.Span{Lo: max(c.stored.Lo, live.Hi), Hi: c.stored.Hi})
	for i := range c.tail {
		e := &c.tail[i]
		d := b.SetDeferred(logKeyLen, len(e.Data)+entryOverhead)
		putLogKey(d.Key, id, e.Index)
		putEntry(d.Value, d.Key, e)
		_ = d.Finish()
	}
	if !c.exists {
		d := b.DeleteDeferred(hardKeyLen)
		putHardKey(d.Key, id)
		_ = d.Finish()
		return
	}
	d := b.SetDeferred(hardKeyLen, hardLen)
	putHardKey(d.Key, id)
	putHard(d.Value, d.Key, &c.now)
	_ = d.Finish()
}

// live returns what the log holds.
func (c *groupCapture) live() kv.Span {
	if !c.exists {
		return kv.Span{Lo: noFork, Hi: noFork}
	}
	return kv.Span{Lo: c.now.Start.Index + 1, Hi: c.now.Last + 1}
}

// wrote says that Pebble shows what was captured, so what is left of that in the tail is let go. It reports whether
// there is nothing to remember of the group at all.
func (g *group) wrote(c *groupCapture) bool {
	g.stored = kv.Span{}
	if live := c.live(); live.Len() > 0 {
		g.stored = live
	}
	valid := min(c.now.Last+1, g.fork) // entries below it are in Pebble as they are here
	if start := g.tailStart(); c.exists && g.exists && valid > start+1 {
		cut := min(valid-1-start, uint64(len(g.tail)))
		g.tail = append([]kv.Entry(nil), g.tail[cut:]...)
	}
	return !g.exists && !g.changed && g.stored.Len() == 0
}

// stage works out what ops do to their groups, into s.effects. Nothing of it is visible before publish.
func (s *Store) stage(ops []kv.LogOp) error {
	for i := range ops {
		g := s.stageGroup(ops[i].Group)
		e, err := ops[i].Effect(g.next, g.nextExists)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		g.next, g.nextExists = e.After, e.Exists
		s.effects = append(s.effects, e)
	}
	return nil
}

func (s *Store) stageGroup(id uint32) *group {
	s.groupMu.RLock()
	g := s.groups[id]
	s.groupMu.RUnlock()
	if g == nil {
		g = &group{now: kv.Group{ID: id}, fork: noFork}
		s.groupMu.Lock()
		s.groups[id] = g
		s.groupMu.Unlock()
	}
	if !g.staged {
		// Only the holder of applyMu writes now and exists, so it may read them without groupMu.
		g.next, g.nextExists, g.staged = g.now, g.exists, true
		s.staged = append(s.staged, g)
	}
	return g
}

// publish shows readers what was staged: what ops do.
func (s *Store) publish(ops []kv.LogOp) {
	if len(ops) == 0 {
		return
	}
	s.groupMu.Lock()
	defer s.groupMu.Unlock()
	for i := range ops {
		s.groups[ops[i].Group].follow(&ops[i], &s.effects[i])
	}
}

// unstage ends what stage began, published or not, and forgets groups of which nothing is known.
func (s *Store) unstage() {
	for _, g := range s.staged {
		g.staged = false
		if !g.exists && !g.changed && g.stored.Len() == 0 {
			s.groupMu.Lock()
			delete(s.groups, g.now.ID)
			s.groupMu.Unlock()
		}
	}
	s.staged, s.effects = reuse(s.staged), reuse(s.effects)
}

// reuse empties a scratch slice, and lets go of one that has grown large.
func reuse[T any](scratch []T) []T {
	if cap(scratch) > maxScratch {
		return nil
	}
	clear(scratch)
	return scratch[:0]
}

// Groups implements kv.Store.
func (s *Store) Groups(fn func(kv.Group) error) error {
	if s.gate.closed() {
		return kv.ErrClosed
	}
	s.groupMu.RLock()
	all := make([]kv.Group, 0, len(s.groups))
	for _, g := range s.groups {
		if g.exists {
			all = append(all, g.now)
		}
	}
	s.groupMu.RUnlock()
	slices.SortFunc(all, func(a, b kv.Group) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	for _, g := range all {
		if err := fn(g); err != nil {
			return err
		}
	}
	return nil
}

// errGap says that entries were not where the group's bounds promised them.
var errGap = errors.New("entries are missing")

// Entries implements kv.Store.
func (s *Store) Entries(group uint32, lo, hi, maxBytes uint64) ([]kv.Entry, error) {
	if hi <= lo {
		return nil, nil
	}
	if !s.gate.enter() {
		return nil, kv.ErrClosed
	}
	defer s.gate.leave()
	found, err := s.entries(group, lo, hi, maxBytes)
	if errors.Is(err, errGap) && !s.isWedged() {
		// Bounds and entries are read one after the other, and an Apply came between. Look while there is none.
		s.applyMu.Lock()
		found, err = s.entries(group, lo, hi, maxBytes)
		s.applyMu.Unlock()
	}
	if errors.Is(err, errGap) {
		return nil, fmt.Errorf("store: group %d, entries [%d, %d): %w: %w", group, lo, hi, kv.ErrCorrupt, err)
	}
	return found, err
}

func (s *Store) entries(id uint32, lo, hi, maxBytes uint64) (found []kv.Entry, err error) {
	s.groupMu.RLock()
	var bounds kv.Group
	var tail []kv.Entry
	g, ok := s.groups[id]
	if ok = ok && g.exists; ok {
		bounds, tail = g.now, g.tail
	}
	s.groupMu.RUnlock()
	if !ok || lo <= bounds.Start.Index || lo > bounds.Last {
		return nil, kv.ErrNotFound
	}
	hi = min(hi, bounds.Last+1)
	left := budget{bytes: maxBytes}
	start := bounds.Last - uint64(len(tail))
	if lo <= start {
		if found, err = s.stored(id, lo, min(hi, start+1), &left); err != nil || left.spent {
			return found, err
		}
		lo = start + 1
	}
	for ; lo < hi && left.take(len(tail[lo-start-1].Data)); lo++ {
		found = append(found, tail[lo-start-1])
	}
	return found, nil
}

// budget is how many bytes of data may still be read; the first entry is always within.
type budget struct {
	bytes, used uint64
	any, spent  bool
}

func (b *budget) take(n int) bool {
	b.used += uint64(n)
	if b.any && b.used > b.bytes {
		b.spent = true
		return false
	}
	b.any = true
	return true
}

// stored reads the entries [lo, hi) from Pebble, which has them.
func (s *Store) stored(id uint32, lo, hi uint64, left *budget) (found []kv.Entry, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: logKey(id, lo), UpperBound: logKey(id, hi)})
	if err != nil {
		return nil, readError("read log", err)
	}
	defer func() {
		if closeErr := it.Close(); closeErr != nil {
			found, err = nil, readError("read log", closeErr)
		}
	}()
	found = make([]kv.Entry, 0, min(hi-lo, 64))
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, readError("read log", err)
		}
		if !left.take(max(0, len(value)-entryOverhead)) {
			return found, nil
		}
		e, err := decodeEntry(it.Key(), value)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		if e.Index != lo+uint64(len(found)) {
			return nil, fmt.Errorf("%w before %d", errGap, e.Index)
		}
		found = append(found, e)
	}
	if it.Error() == nil && uint64(len(found)) < hi-lo {
		return nil, fmt.Errorf("%w from %d on", errGap, lo+uint64(len(found)))
	}
	return found, nil
}

// loadGroups reads the hard states and finds the ends of the logs.
func (s *Store) loadGroups() (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{hardPrefix}, UpperBound: []byte{hardEnd}})
	if err != nil {
		return readError("read hard states", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	logs, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{logPrefix}, UpperBound: []byte{logEnd}})
	if err != nil {
		return readError("read logs", err)
	}
	defer func() { err = errors.Join(err, logs.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return readError("read hard states", err)
		}
		g, err := decodeHard(it.Key(), value)
		if err != nil {
			return err
		}
		if err := findEnd(logs, &g); err != nil {
			return err
		}
		s.groups[g.ID] = &group{now: g, exists: true, fork: noFork, stored: kv.Span{Lo: g.Start.Index + 1, Hi: g.Last + 1}}
	}
	if err := it.Error(); err != nil {
		return readError("read hard states", err)
	}
	return s.refuseOrphans(logs)
}

// findEnd sets g.Last, and checks that the log begins where it should.
func findEnd(logs *pebble.Iterator, g *kv.Group) error {
	if !logs.SeekGE(logKey(g.ID, 0)) {
		return logs.Error()
	}
	id, first, err := parseLogKey(logs.Key())
	if err != nil || id != g.ID {
		return err
	}
	if first != g.Start.Index+1 {
		return fmt.Errorf("%w: the log of group %d begins at %d, it should after %d",
			kv.ErrCorrupt, g.ID, first, g.Start.Index)
	}
	if !logs.SeekLT(afterGroup(g.ID)) {
		return logs.Error()
	}
	_, g.Last, err = parseLogKey(logs.Key())
	return err
}

// refuseOrphans makes sure that every entry belongs to a group.
func (s *Store) refuseOrphans(logs *pebble.Iterator) error {
	for ok := logs.First(); ok; {
		id, _, err := parseLogKey(logs.Key())
		if err != nil {
			return err
		}
		if s.groups[id] == nil {
			return fmt.Errorf("%w: there are log entries of group %d, but no hard state", kv.ErrCorrupt, id)
		}
		ok = logs.SeekGE(afterGroup(id))
	}
	return logs.Error()
}
