package storetest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"pgregory.net/rapid"
)

// model is the plainest store: a map, and a map of logs. Entries are kept by index, so it does not share the
// arithmetic of spans with what it judges.
type model struct {
	state map[string]string
	logs  map[uint32]modelLog
}

type modelLog struct {
	hard    kv.HardState
	start   kv.Position
	entries map[uint64]kv.Entry
}

func newModel() *model { return &model{state: map[string]string{}, logs: map[uint32]modelLog{}} }

func (m *model) clone() *model {
	c := &model{state: maps.Clone(m.state), logs: maps.Clone(m.logs)}
	for id, l := range c.logs {
		l.entries = maps.Clone(l.entries)
		c.logs[id] = l
	}
	return c
}

func (l modelLog) last() uint64 {
	last := l.start.Index
	for i := range l.entries {
		last = max(last, i)
	}
	return last
}

func (m *model) pairs() []pair {
	var all []pair
	for _, k := range slices.Sorted(maps.Keys(m.state)) {
		all = append(all, pair{k, m.state[k]})
	}
	return all
}

func (m *model) groups() []kv.Group {
	var all []kv.Group
	for _, id := range slices.Sorted(maps.Keys(m.logs)) {
		l := m.logs[id]
		all = append(all, kv.Group{ID: id, Hard: l.hard, Start: l.start, Last: l.last()})
	}
	return all
}

func (m *model) run(id uint32) []kv.Entry {
	l := m.logs[id]
	var all []kv.Entry
	for i := l.start.Index + 1; i <= l.last(); i++ {
		all = append(all, l.entries[i])
	}
	return all
}

// holdsLogsOf reports whether s holds the entries of m, whose groups it has.
func (m *model) holdsLogsOf(s kv.Store) bool {
	for id := range m.logs {
		want := m.run(id)
		if len(want) == 0 {
			continue
		}
		got, err := s.Entries(id, want[0].Index, unlimited, unlimited)
		if err != nil || !slices.EqualFunc(want, got, equalEntries) {
			return false
		}
	}
	return true
}

func (m *model) apply(w *kv.Write) {
	for _, op := range w.State {
		switch op.Kind {
		case kv.Set:
			m.state[string(op.Key)] = string(op.Value)
		case kv.Delete:
			delete(m.state, string(op.Key))
		case kv.DeleteRange:
			maps.DeleteFunc(m.state, func(k, _ string) bool { return k >= string(op.Key) && k < string(op.Value) })
		}
	}
	for _, op := range w.Log {
		m.applyLog(op)
	}
}

func (m *model) applyLog(op kv.LogOp) {
	l, ok := m.logs[op.Group]
	if op.Destroy || !ok {
		l = modelLog{entries: map[uint64]kv.Entry{}}
	}
	ok = ok && !op.Destroy
	if op.Reset != nil {
		l.start, l.entries, ok = *op.Reset, map[uint64]kv.Entry{}, true
	}
	if len(op.Append) > 0 {
		maps.DeleteFunc(l.entries, func(i uint64, _ kv.Entry) bool { return i >= op.Append[0].Index })
		for _, e := range op.Append {
			l.entries[e.Index] = e
		}
		ok = true
	}
	if op.Truncate != nil && op.Truncate.Index > l.start.Index {
		maps.DeleteFunc(l.entries, func(i uint64, _ kv.Entry) bool { return i <= op.Truncate.Index })
		l.start = *op.Truncate
	}
	if op.Hard != nil {
		l.hard, ok = *op.Hard, true
	}
	if delete(m.logs, op.Group); ok {
		m.logs[op.Group] = l
	}
}

// world is a store and the model of it: now is what readers see, tail what a crash may leave: the state after the last
// Write that is certainly durable, and after each Write since. Snapshots stay open meanwhile, each with its model.
type world struct {
	h         Harness
	now       *model
	tail      []*model
	snapshots []past
}

type past struct {
	snap  kv.Snapshot
	model *model
}

// maxSnapshots is how many snapshots are open at most.
const maxSnapshots = 3

// crashed finds which of the states that a crash may leave is there, and goes on from it.
func (w *world) crashed(rt *rapid.T) {
	if !w.h.Exact() {
		pairs, groups := dump(rt, w.h.Store(), "", ""), groups(rt, w.h.Store())
		for _, m := range w.tail[1:] {
			if slices.Equal(m.pairs(), pairs) && slices.Equal(m.groups(), groups) && m.holdsLogsOf(w.h.Store()) {
				w.tail[0] = m
				break
			}
		}
	}
	w.durable(w.tail[0])
	w.check(rt)
}

// durable says that m is now and on the disk.
func (w *world) durable(m *model) {
	w.now, w.tail = m, append(w.tail[:0], m.clone())
}

// testModel compares random histories, with crashes, against the model.
// What a user loses when it fails: whatever the shrunk history shows.
func testModel(t *testing.T, open func(t testing.TB) Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{h: open(t)}
		defer w.h.Close()
		defer w.closeAll(rt)
		w.durable(newModel())
		rt.Repeat(map[string]func(*rapid.T){
			"apply":  w.apply,
			"invent": w.refuse,
			"read":   w.read,
			"open": func(rt *rapid.T) {
				if len(w.snapshots) < maxSnapshots {
					snap, err := w.h.Store().Snapshot()
					if err != nil {
						rt.Fatalf("snapshot: %v", err)
					}
					w.snapshots = append(w.snapshots, past{snap, w.now.clone()})
				}
			},
			"close": func(rt *rapid.T) {
				if n := len(w.snapshots); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(rt, "closed")
					_ = w.snapshots[i].snap.Close()
					w.snapshots = slices.Delete(w.snapshots, i, i+1)
				}
			},
			"crash": func(rt *rapid.T) {
				w.closeAll(rt)
				w.h.Crash(t)
				w.crashed(rt)
			},
			"reopen": func(rt *rapid.T) {
				w.closeAll(rt)
				w.h.Reopen(t)
				w.durable(w.now)
				w.check(rt)
			},
		})
		w.check(rt)
	})
}

func (w *world) closeAll(rt *rapid.T) {
	for _, p := range w.snapshots {
		if err := p.snap.Close(); err != nil {
			rt.Errorf("close a snapshot: %v", err)
		}
	}
	w.snapshots = nil
}

func (w *world) check(rt *rapid.T) {
	s := w.h.Store()
	wantDump(rt, s, "", "", w.now.pairs()...)
	for _, p := range w.snapshots {
		wantReads(rt, p.snap, p.model)
	}
	wantGroups(rt, s, w.now.groups()...)
	for id, l := range w.now.logs {
		if run := w.now.run(id); len(run) > 0 {
			wantEntries(rt, s, id, run[0].Index, unlimited, unlimited, run)
		}
		wantNoEntry(rt, s, id, l.start.Index)
		wantNoEntry(rt, s, id, l.last()+1)
	}
}

// key draws from few keys, so that histories meet themselves.
func key(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "a\x00", "ab", "b", "b\xff", "c", "\xff", "\xff\xff"}).Draw(rt, "key")
}

func (w *world) read(rt *rapid.T) {
	s := w.h.Store()
	snap, err := s.Snapshot()
	if err != nil {
		rt.Fatalf("snapshot: %v", err)
	}
	defer snap.Close()
	for _, r := range []kv.Reader{s, snap, s} {
		wantReads(rt, r, w.now)
	}
	for _, p := range w.snapshots {
		wantReads(rt, p.snap, p.model)
	}
}

// wantReads looks for a key and in a range.
func wantReads(rt *rapid.T, r kv.Reader, m *model) {
	k := key(rt)
	if v, ok := m.state[k]; ok {
		wantGet(rt, r, k, v)
	} else {
		wantNone(rt, r, k)
	}
	lower, upper := key(rt), key(rt)
	var want []pair
	for _, p := range m.pairs() {
		if p.Key >= lower && (upper == "" || p.Key < upper) {
			want = append(want, p)
		}
	}
	wantDump(rt, r, lower, upper, want...)
}

func (w *world) apply(rt *rapid.T) {
	next := w.now.clone()
	var write kv.Write
	for range rapid.IntRange(0, 4).Draw(rt, "ops") {
		write.State = append(write.State, stateOp(rt))
	}
	for range rapid.IntRange(0, 2).Draw(rt, "log_ops") {
		op := logOp(rt, next)
		next.applyLog(op)
		write.Log = append(write.Log, op)
	}
	sync := rapid.Bool().Draw(rt, "sync")
	wait := sync && rapid.Bool().Draw(rt, "wait")
	p, err := w.h.Store().Apply(&write, sync)
	if err != nil {
		rt.Fatalf("apply: %v", err)
	}
	w.now.apply(&write)
	if sync && !wait {
		w.check(rt) // visible before it is durable
	}
	if err := p.Wait(); err != nil {
		rt.Fatalf("wait: %v", err)
	}
	if sync {
		w.durable(w.now)
	} else {
		w.tail = append(w.tail, w.now.clone())
	}
}

// refuse applies a Write whose last part is invalid: nothing of it may be seen.
func (w *world) refuse(rt *rapid.T) {
	next := w.now.clone()
	op := logOp(rt, next)
	next.applyLog(op)
	bad := kv.LogOp{Group: op.Group, Append: entries(next.logs[op.Group].last()+2, next.logs[op.Group].last()+3, 1)}
	_, err := w.h.Store().Apply(&kv.Write{Log: []kv.LogOp{op, bad}, State: []kv.Op{stateOp(rt)}}, true)
	if !errors.Is(err, kv.ErrInvalid) {
		rt.Fatalf("a Write with a gap: %v", err)
	}
	w.check(rt)
}

func stateOp(rt *rapid.T) kv.Op {
	switch rapid.IntRange(0, 5).Draw(rt, "kind") {
	case 0:
		return del(key(rt))
	case 1:
		lower, upper := key(rt), key(rt)
		return delRange(lower, upper+"\x00")
	case 2:
		return set(key(rt), strings.Repeat("x", rapid.SampledFrom([]int{0, 1000, 70_000}).Draw(rt, "size")))
	default:
		return set(key(rt), rapid.StringN(0, 4, 8).Draw(rt, "value"))
	}
}

// logOp draws a LogOp that is valid in m.
func logOp(rt *rapid.T, m *model) kv.LogOp {
	op := kv.LogOp{Group: rapid.SampledFrom([]uint32{0, 1, ^uint32(0)}).Draw(rt, "group")}
	l := m.logs[op.Group]
	start, last := l.start.Index, l.last()
	term := rapid.Uint64Range(1, 9).Draw(rt, "term")
	if rapid.IntRange(0, 9).Draw(rt, "destroy") == 0 {
		op.Destroy, start, last = true, 0, 0
	}
	if rapid.IntRange(0, 9).Draw(rt, "reset") == 0 {
		start = rapid.Uint64Range(0, 99).Draw(rt, "reset_index")
		last = start
		op.Reset = &kv.Position{Index: start, Term: term}
	}
	if rapid.IntRange(0, 3).Draw(rt, "append") > 0 {
		first := last + 1
		if rapid.IntRange(0, 3).Draw(rt, "overwrite") == 0 {
			first = rapid.Uint64Range(start+1, last+1).Draw(rt, "first")
		}
		n := rapid.SampledFrom([]uint64{1, 2, 5, 40}).Draw(rt, "entries")
		op.Append, last = entries(first, first+n, term), first+n-1
	}
	if rapid.IntRange(0, 4).Draw(rt, "truncate") == 0 {
		op.Truncate = &kv.Position{Index: rapid.Uint64Range(0, last).Draw(rt, "truncate_index"), Term: term}
	}
	if rapid.IntRange(0, 2).Draw(rt, "hard") == 0 {
		op.Hard = &kv.HardState{Term: term, Vote: rapid.Uint64Range(0, 3).Draw(rt, "vote"), Commit: last}
	}
	return op
}
