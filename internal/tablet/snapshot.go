package tablet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
)

// A snapshot of a tablet travels as a head and a stream of chunks. A chunk is
//
//	flags (1 byte; bit 0: the last one)  number of pairs (uvarint)
//	for each: key, value (each with its length as uvarint)
//	CRC32C of all before it (4 bytes)
//
// Keys are state keys, range by range of the machine and in ascending order within each; large results of the windows
// travel after them. The sender keeps its view while the connection is broken, and goes on where the receiver is.

// Source is a snapshot that a leader sends. It holds a view of the store and must be closed.
type Source struct {
	Head     []byte
	Position kv.Position

	view   kv.Snapshot
	ranges [][2][]byte
	at     int    // the range that is being sent
	after  []byte // the last key of it that was sent
}

// Snapshot opens a view of the tablet as it is between two turns. The log is kept from there on until Release.
func (g *Group) Snapshot() (*Source, error) {
	view, err := g.cfg.Store.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("tablet %d: open a snapshot: %w", g.cfg.Tablet, err)
	}
	if g.hold == 0 {
		g.hold, g.holdBytes = g.head.applied.Index, g.bytes
	}
	return &Source{
		Head: g.head.append(nil), Position: g.head.applied, view: view,
		ranges: stateRanges(g.cfg.Tablet, g.cfg.Machine),
	}, nil
}

// Release lets the log be truncated again: no snapshot of this replica is under way.
func (g *Group) Release() { g.hold = 0 }

// stateRanges returns what a snapshot of a tablet holds beside its head.
func stateRanges(tablet uint32, m Machine) [][2][]byte {
	lower, upper := resultRange(tablet)
	return append(slices.Clone(m.Ranges()), [2][]byte{lower, upper})
}

// Close lets go of the view.
func (s *Source) Close() error { return s.view.Close() }

// Cursor is a place between two chunks of a snapshot; the zero value is its beginning.
type Cursor struct {
	at    int
	after []byte
}

// Cursor returns where the chunk ends that Next returned last.
func (s *Source) Cursor() Cursor { return Cursor{s.at, bytes.Clone(s.after)} }

// Seek makes Next go on from a place.
func (s *Source) Seek(c Cursor) { s.at, s.after = c.at, bytes.Clone(c.after) }

// Next returns the next chunk of about size bytes and whether it is the last one.
func (s *Source) Next(size int) (chunk []byte, last bool, err error) {
	var pairs []byte
	n := 0
	for s.at < len(s.ranges) && len(pairs) < size {
		from, to := s.ranges[s.at][0], s.ranges[s.at][1]
		if s.after != nil {
			from = append(bytes.Clone(s.after), 0)
		}
		full := false
		var damaged error
		err := s.view.Scan(from, to, func(k, v []byte) bool {
			if damaged = checkPair(k, v); damaged != nil {
				return false
			}
			pairs = appendBlob(appendBlob(pairs, k), v)
			n++
			s.after = append(s.after[:0], k...)
			full = len(pairs) >= size
			return !full
		})
		if err = errors.Join(err, damaged); err != nil {
			return nil, false, fmt.Errorf("read a snapshot: %w", err)
		}
		if !full {
			s.at, s.after = s.at+1, nil
		}
	}
	last = s.at >= len(s.ranges)
	chunk = append(chunk, b2u(last))
	chunk = binary.AppendUvarint(chunk, uint64(n))
	chunk = append(chunk, pairs...)
	return binary.BigEndian.AppendUint32(chunk, crc32.Checksum(chunk, castagnoli)), last, nil
}

var errChunk = errors.New("tablet: damaged chunk of a snapshot")

// decodeChunk returns the pairs of a chunk as Set operations; they alias b.
func decodeChunk(b []byte) (ops []kv.Op, last bool, err error) {
	if len(b) < 6 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, false, errChunk
	}
	r := reader{b: b[:len(b)-4]}
	last = r.byte() == 1
	for range r.count() {
		op := kv.Op{Kind: kv.Set, Key: r.blob(), Value: r.blob()}
		if r.failed || len(op.Key) == 0 {
			return nil, false, errChunk
		}
		ops = append(ops, op)
	}
	if r.failed || len(r.b) != 0 {
		return nil, false, errChunk
	}
	return ops, last, nil
}

// Sink receives a snapshot. Chunks are staged under keys of their own beside the replica's present state, which
// stays whole and usable until everything has arrived; then the stage is moved into its place, and a crash during
// the move starts it again. A snapshot of one chunk goes straight to its place, in one Write.
type Sink struct {
	tablet   uint32
	node     ident.NodeID
	machine  Machine
	store    kv.Store
	head     []byte
	position kv.Position
	// Bytes counts what arrived.
	Bytes    int64
	complete bool
	held     bool   // once complete: the replica's log holds the snapshot's place
	moved    []byte // the last staged key that was moved; nil before the move has begun
	moving   bool
	step     int // bytes of the stage that one Write moves
}

const moveBytes = 4 << 20 // of the stage, in one Write

// NewSink prepares to receive the snapshot with this head. It is an error when the head does not name node.
func NewSink(tablet uint32, node ident.NodeID, m Machine, store kv.Store, head []byte) (*Sink, error) {
	h, err := decodeHead(head)
	if err != nil {
		return nil, fmt.Errorf("tablet %d: snapshot: %w", tablet, err)
	}
	if _, ok := h.descriptor.Find(node); !ok {
		return nil, fmt.Errorf("tablet %d: a snapshot came whose descriptor (%s) does not name this node", tablet, &h.descriptor)
	}
	return &Sink{tablet: tablet, node: node, machine: m, store: store, head: bytes.Clone(head), position: h.applied, step: moveBytes}, nil
}

// Position returns where in the log the snapshot stands.
func (s *Sink) Position() kv.Position { return s.position }

// Complete reports whether the last chunk has arrived.
func (s *Sink) Complete() bool { return s.complete }

// Holder is a replica as far as a snapshot has to know it: a Group, or one that is Lost.
type Holder interface {
	// Log returns what it holds of its log.
	Log() kv.Group
	// Has reports whether it holds, or has applied, the very entry at a position, and so all before it. It is an error that
	// this cannot be known and matters.
	Has(p kv.Position) (bool, error)
}

// Receive takes the next chunk, for r. The Write it returns stages it; with whole it installs the snapshot at once. Both
// need a sync when the sink is complete; from then on r must not change.
func (s *Sink) Receive(chunk []byte, r Holder) (w *kv.Write, whole bool, err error) {
	ops, last, err := decodeChunk(chunk)
	if err != nil {
		return nil, false, err
	}
	first := s.Bytes == 0
	s.Bytes += int64(len(chunk))
	if last {
		if s.held, err = r.Has(s.position); err != nil {
			return nil, false, err
		}
		s.complete = true
	}
	if first && last {
		w = s.install(r.Log())
		w.State = append(w.State, ops...)
		return w, true, nil
	}
	w = &kv.Write{}
	if first {
		lower, upper := stageRange(s.tablet)
		w.State = append(w.State, kv.Op{Kind: kv.DeleteRange, Key: lower, Value: upper})
	}
	for _, op := range ops {
		w.State = append(w.State, kv.Op{Kind: kv.Set, Key: stageKey(s.tablet, op.Key), Value: op.Value})
	}
	if last {
		w.State = append(w.State, kv.Op{Kind: kv.Set, Key: stageKey(s.tablet, nil), Value: append([]byte{b2u(s.held)}, s.head...)})
		// The head that is about to go may be all that says on disk that what lies beyond the snapshot was decided.
		if hard := r.Log().Hard; s.held && hard.Commit > s.position.Index {
			w.Log = append(w.Log, kv.LogOp{Group: s.tablet, Hard: &hard})
		}
	}
	return w, false, nil
}

// Move returns the next Write of the move of a complete stage into its place, nil when all is done. The last one
// makes the replica what the snapshot says, and needs a sync.
func (s *Sink) Move(log kv.Group) (w *kv.Write, last bool, err error) {
	w = &kv.Write{}
	if !s.moving {
		s.moving = true
		// What is there until the last Write is no replica, also if the stage should be lost: its head cannot be read.
		w.State = append(w.State, kv.Op{Kind: kv.Set, Key: headKey(s.tablet), Value: []byte{0}})
		for _, r := range stateRanges(s.tablet, s.machine) {
			w.State = append(w.State, kv.Op{Kind: kv.DeleteRange, Key: r[0], Value: r[1]})
		}
	}
	lower, upper := stageRange(s.tablet)
	prefix := len(lower)
	from := append(bytes.Clone(lower), 0) // past the head
	if s.moved != nil {
		from = append(bytes.Clone(s.moved), 0)
	}
	size, full := 0, false
	err = s.store.Scan(from, upper, func(k, v []byte) bool {
		w.State = append(w.State, kv.Op{Kind: kv.Set, Key: bytes.Clone(k[prefix:]), Value: bytes.Clone(v)})
		s.moved = bytes.Clone(k)
		size += len(k) + len(v)
		full = size >= s.step
		return !full
	})
	if err != nil {
		return nil, false, fmt.Errorf("tablet %d: move a snapshot into its place: %w", s.tablet, err)
	}
	if full {
		return w, false, nil
	}
	end := s.install(log)
	// The ranges were emptied when the move began; what has been moved stays.
	w.Log = end.Log
	w.State = append(w.State,
		kv.Op{Kind: kv.Set, Key: headKey(s.tablet), Value: s.head},
		kv.Op{Kind: kv.DeleteRange, Key: lower, Value: upper})
	return w, true, nil
}

// install returns the Write that empties the replica's state and sets its head and log to the snapshot's. A log that
// holds the snapshot's place stays from there on: the replica has acknowledged what is in it.
func (s *Sink) install(log kv.Group) *kv.Write {
	hard := log.Hard
	if hard.Term < s.position.Term {
		hard.Term, hard.Vote = s.position.Term, 0
	}
	op := kv.LogOp{Group: s.tablet, Hard: &hard}
	if s.held {
		hard.Commit = max(hard.Commit, s.position.Index)
		op.Truncate = &s.position
	} else {
		hard.Commit = s.position.Index
		op.Reset = &s.position
	}
	w := &kv.Write{Log: []kv.LogOp{op}}
	for _, r := range stateRanges(s.tablet, s.machine) {
		w.State = append(w.State, kv.Op{Kind: kv.DeleteRange, Key: r[0], Value: r[1]})
	}
	w.State = append(w.State, kv.Op{Kind: kv.Set, Key: headKey(s.tablet), Value: s.head})
	return w
}

// Logged returns the log that a Write which installs a snapshot leaves of the one before.
func Logged(w *kv.Write, before kv.Group) (kv.Group, error) {
	e, err := w.Log[0].Effect(before, true)
	return e.After, err
}

// Has implements Holder. What is to be applied yet is in memory, so damage to the disk does not matter; what was applied since
// the place has to be readable, for it will be applied again.
func (g *Group) Has(p kv.Position) (bool, error) {
	if p.Index <= g.head.applied.Index { // a snapshot's place is committed, as what was applied is
		if err := g.readable(p.Index+1, g.head.applied.Index); err != nil {
			return false, fmt.Errorf("tablet %d: read again what was applied after the place of a snapshot: %w", g.cfg.Tablet, err)
		}
		return true, nil
	}
	if p.Index > g.log.last {
		return false, nil
	}
	term, err := g.log.Term(p.Index)
	if err != nil {
		return false, fmt.Errorf("tablet %d: look for the place of a snapshot in the log: %w", g.cfg.Tablet, err)
	}
	return term == p.Term, nil
}

// Staged returns the sink of a complete stage that a crash left behind, or nil.
func Staged(tablet uint32, node ident.NodeID, m Machine, store kv.Store) (*Sink, error) {
	head, err := store.Get(stageKey(tablet, nil))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil //nolint:nilnil // nothing staged is an ordinary answer
	}
	if err != nil {
		return nil, fmt.Errorf("tablet %d: look for a staged snapshot: %w", tablet, err)
	}
	if len(head) == 0 || head[0] > 1 {
		return nil, fmt.Errorf("tablet %d: a staged snapshot: %w", tablet, errHead)
	}
	s, err := NewSink(tablet, node, m, store, head[1:])
	if err != nil {
		return nil, err
	}
	s.complete, s.held = true, head[0] == 1
	return s, nil
}

func stageKey(tablet uint32, key []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{prefixStaging}, tablet)
	return append(b, key...)
}

// StageRange bounds the state keys of a snapshot that is being received.
func StageRange(tablet uint32) (lower, upper []byte) { return stageRange(tablet) }

// StagesRange bounds those of all tablets.
func StagesRange() (lower, upper []byte) { return prefixRange([]byte{prefixStaging}) }

func stageRange(tablet uint32) (lower, upper []byte) { return prefixRange(stageKey(tablet, nil)) }

// Hard returns the replica's hard state.
func (g *Group) Hard() kv.HardState { return g.log.hard }

// Wants reports whether a snapshot at this position would bring the replica forward. One whose place the log holds
// would not: entries that this replica has acknowledged may lie beyond it, and installing it would lose them.
// One that is hurt wants any from where its log goes on.
func (g *Group) Wants(p kv.Position) bool {
	if g.hurt.err != nil {
		return p.Index >= g.log.start.Index
	}
	return !g.leading && !g.Holds(p)
}

// Holds reports whether all that a snapshot at this position stands for is in the log or the state of this replica:
// it has applied it, knows it committed, or holds the very entry, and so, by the way of logs, all before it.
func (g *Group) Holds(p kv.Position) bool {
	if g.hurt.err != nil {
		return false
	}
	if p.Index <= max(g.log.hard.Commit, g.head.applied.Index) {
		return true
	}
	term, err := g.log.Term(p.Index)
	return err == nil && term == p.Term
}

// Destroy returns the Write that removes all of the replica from this node, and remembers that its id is spent.
func (g *Group) Destroy() *kv.Write {
	return Erase(g.cfg.Tablet, g.cfg.Machine, g.replica)
}

// Retired returns the highest id of a replica of the tablet that was removed from this node: what comes for it or
// an earlier one is too late.
func Retired(store kv.Reader, tablet uint32) (uint64, error) {
	b, err := store.Get(retiredKey(tablet))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("tablet %d: %w", tablet, err)
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("tablet %d: retired replica: %w", tablet, kv.ErrCorrupt)
	}
	return binary.BigEndian.Uint64(b), nil
}
