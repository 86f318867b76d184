package tablet

import (
	"errors"
	"fmt"

	"github.com/quorddb/quord/internal/kv"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// raftLog is the log of one replica as the raft library reads it (raft.Storage): the tail in memory, what is
// older on disk. The group appends to it in the same turn in which it hands the entries to the disk.
type raftLog struct {
	group uint32
	store kv.Store

	hard  kv.HardState
	start kv.Position // what lies at or before it has been truncated
	known kv.Position // where the state stood when the replica was opened: its term is known without the entry
	last  uint64

	// tail holds the entries (last-len(tail), last]; bytes is the size of their data.
	tail  []*pb.Entry
	bytes int
	// damaged says that an entry on disk could not be read; what is on disk alone has been applied.
	damaged bool

	conf func() *pb.ConfState
}

// Bounds of what a replica keeps of its log in memory once it has been applied.
const (
	tailEntries = 64
	tailBytes   = 64 << 10
)

func (l *raftLog) tailStart() uint64 { return l.last - uint64(len(l.tail)) }

// append adds consecutive entries, replacing those from the first of them on.
func (l *raftLog) append(entries []*pb.Entry) {
	first := entries[0].GetIndex()
	if keep := first - 1 - min(l.tailStart(), first-1); first-1 >= l.tailStart() && keep < uint64(len(l.tail)) {
		for _, e := range l.tail[keep:] {
			l.bytes -= len(e.GetData())
		}
		l.tail = l.tail[:keep]
	} else if first-1 < l.tailStart() {
		l.tail, l.bytes = nil, 0
	}
	l.tail = append(l.tail, entries...)
	for _, e := range entries {
		l.bytes += len(e.GetData())
	}
	l.last = entries[len(entries)-1].GetIndex()
}

// forget drops entries up to applied from memory until keep of them are left, or less where those are large.
func (l *raftLog) forget(applied uint64, keep int) {
	drop, applying := 0, min(len(l.tail), int(applied-l.tailStart()))
	for drop < applying && (len(l.tail)-drop > keep || l.bytes > tailBytes) {
		l.bytes -= len(l.tail[drop].GetData())
		drop++
	}
	if drop > 0 {
		n := copy(l.tail, l.tail[drop:])
		clear(l.tail[n:])
		l.tail = l.tail[:n]
	}
}

// truncate says that entries up to to are gone.
func (l *raftLog) truncate(to kv.Position) {
	l.start = to
	for len(l.tail) > 0 && l.tail[0].GetIndex() <= to.Index {
		l.bytes -= len(l.tail[0].GetData())
		l.tail[0] = nil
		l.tail = l.tail[1:]
	}
}

// InitialState implements raft.Storage.
func (l *raftLog) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return &pb.HardState{Term: &l.hard.Term, Vote: &l.hard.Vote, Commit: &l.hard.Commit}, l.conf(), nil
}

// FirstIndex implements raft.Storage.
func (l *raftLog) FirstIndex() (uint64, error) { return l.start.Index + 1, nil }

// LastIndex implements raft.Storage.
func (l *raftLog) LastIndex() (uint64, error) { return l.last, nil }

// Term implements raft.Storage.
func (l *raftLog) Term(i uint64) (uint64, error) {
	switch {
	case i == l.start.Index:
		return l.start.Term, nil
	case i == l.known.Index && i > l.start.Index:
		return l.known.Term, nil
	case i < l.start.Index:
		return 0, raft.ErrCompacted
	case i > l.last:
		return 0, raft.ErrUnavailable
	case i > l.tailStart():
		return l.tail[i-l.tailStart()-1].GetTerm(), nil
	}
	entries, err := l.store.Entries(l.group, i, i+1, 0)
	if Damaged(err) {
		l.damaged = true
		return 0, raft.ErrCompacted
	}
	if err != nil {
		return 0, fmt.Errorf("read log entry %d of tablet %d: %w", i, l.group, err)
	}
	return entries[0].Term, nil
}

// Entries implements raft.Storage.
func (l *raftLog) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if lo <= l.start.Index {
		return nil, raft.ErrCompacted
	}
	if hi > l.last+1 {
		return nil, raft.ErrUnavailable
	}
	if lo > l.tailStart() {
		return limit(l.tail[lo-l.tailStart()-1:hi-l.tailStart()-1], maxSize), nil
	}
	stored, err := l.store.Entries(l.group, lo, hi, maxSize)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, raft.ErrUnavailable
	}
	if Damaged(err) {
		l.damaged = true
		return nil, raft.ErrCompacted
	}
	if err != nil {
		return nil, fmt.Errorf("read log entries %d to %d of tablet %d: %w", lo, hi, l.group, err)
	}
	out := make([]*pb.Entry, len(stored))
	for i, e := range stored {
		out[i] = newEntry(e.Index, e.Term, pb.EntryType(e.Type), e.Data)
	}
	return out, nil
}

// limit returns a copy of the longest prefix of entries, at least one, whose data fits into maxSize.
func limit(entries []*pb.Entry, maxSize uint64) []*pb.Entry {
	var size uint64
	n := 0
	for n < len(entries) {
		size += uint64(len(entries[n].GetData())) + entryOverhead
		if n > 0 && size > maxSize {
			break
		}
		n++
	}
	return append([]*pb.Entry(nil), entries[:n]...)
}

// entryOverhead is what an entry counts beyond its data.
const entryOverhead = 24

// Snapshot implements raft.Storage. The library learns only where a snapshot would stand; what it holds is
// streamed by the transfer that the MsgSnap sets off.
func (l *raftLog) Snapshot() (*pb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

func entryType(t uint8) pb.EntryType { return pb.EntryType(t) }

func newEntry(index, term uint64, t pb.EntryType, data []byte) *pb.Entry {
	e := &struct {
		pb.Entry
		index, term uint64
		t           pb.EntryType
	}{index: index, term: term, t: t}
	e.Entry.Index, e.Entry.Term, e.Entry.Type, e.Entry.Data = &e.index, &e.term, &e.t, data
	return &e.Entry
}
