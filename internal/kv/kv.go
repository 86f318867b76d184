// Package kv says what a node asks of its disk: an ordered map of bytes for state, and a log per Raft group.
//
// It holds interfaces and plain values only. store (Pebble) and memstore implement them, storetest judges
// both, tablet and core use them. The arithmetic of logs (LogOp.Effect) is here too, so that both agree on it. State and log are written together as one Write: the log may one day live in a
// file of its own, and what has to hold then is stated here:
//
//   - The log of a Write is durable before, or together with, its state. State never gets ahead of the log on
//     disk, though either may lose its unsynced tail in a crash.
//   - What a LogOp appends, and its hard state, may so survive a crash without the state of its Write. What removes
//     entries (Destroy, Reset, Truncate) takes effect on disk no sooner than the state that was written with it.
//   - The state of one Write is atomic: after a crash all of it is there or none of it, and if it is there, so
//     is the state of every earlier Write.
//   - A Write is visible to readers when Apply returns, and durable when its Pending has been waited for.
//
// Concurrency: one goroutine calls Apply; any number of goroutines read.
package kv

import "errors"

// ErrNotFound is returned by Get when no such key exists.
var ErrNotFound = errors.New("kv: key not found")

// ErrCorrupt is wrapped by errors about stored bytes that cannot be what was written.
var ErrCorrupt = errors.New("kv: stored data is corrupt")

// ErrInvalid is wrapped by Apply's error about a Write that contradicts the store's limits or a log: a gap, an
// entry that was truncated. Nothing of that Write was applied, and the store goes on.
var ErrInvalid = errors.New("kv: the write is invalid")

// ErrClosed is returned by every operation after Close.
var ErrClosed = errors.New("kv: the store is closed")

// ErrFailed is wrapped by every error of a store that refuses writes for good: a sync failed, and what the disk
// holds is unknown until the store is opened again.
var ErrFailed = errors.New("kv: the disk failed, the store refuses writes")

// ErrNoSpace is wrapped, beside ErrFailed, by the error of a store that failed because the disk is full.
var ErrNoSpace = errors.New("kv: no space left on the disk")

// Reader reads state at one moment (Snapshot) or as of now (Store).
type Reader interface {
	// Get returns the value of key, or ErrNotFound. The caller must not modify the value; it stays valid.
	Get(key []byte) ([]byte, error)
	// Scan calls fn for each key in [lower, upper) in ascending order until fn returns false. An empty upper
	// means no bound. key and value are valid only during the call.
	Scan(lower, upper []byte, fn func(key, value []byte) bool) error
}

// Snapshot is the state at the moment when it was taken. It must be closed.
type Snapshot interface {
	Reader
	Close() error
}

// Op is one change of state. DeleteRange deletes [Key, Value).
type Op struct {
	Kind  OpKind
	Key   []byte
	Value []byte
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds of Op.
const (
	Set OpKind = iota + 1
	Delete
	DeleteRange
)

// Entry is one entry of a group's log. Type is opaque here.
type Entry struct {
	Index, Term uint64
	Type        uint8
	Data        []byte
}

// HardState is what Raft must not forget: term, vote (a replica id, 0 for none) and commit index.
type HardState struct {
	Term, Vote, Commit uint64
}

// LogOp is what one Write does to the log of one group, in this order: Destroy or Reset, Append, Truncate, Hard.
type LogOp struct {
	Group uint32
	// Destroy removes the group's log and hard state altogether.
	Destroy bool
	// Reset, when not nil, drops all entries; the log then begins after (Index, Term).
	Reset *Position
	// Append adds consecutive entries. Entries from Append[0].Index on that are there already are replaced,
	// those beyond the last appended are dropped. Append[0].Index lies in [Start+1, Last+1].
	Append []Entry
	// Truncate, when not nil, drops all entries up to and including Index; the log then begins after
	// (Index, Term). Index is at most Last; at or below Start nothing changes.
	Truncate *Position
	// Hard, when not nil, replaces the hard state.
	Hard *HardState
}

// Position is a place in a log.
type Position struct{ Index, Term uint64 }

// Group is what a log holds of one group.
type Group struct {
	ID   uint32
	Hard HardState
	// Start is the position before the first entry; Last the index of the last entry (Start.Index if none).
	Start Position
	Last  uint64
}

// Write is what one turn of a worker changes.
type Write struct {
	Log   []LogOp
	State []Op
}

// Empty reports whether there is nothing to write.
func (w *Write) Empty() bool { return len(w.Log) == 0 && len(w.State) == 0 }

// Pending is a Write on its way to the disk. Wait returns when it is durable, and must be called exactly once;
// with a Write that was applied without sync it returns at once.
// After an error the store refuses all further writes: a failed fsync is never retried.
type Pending interface{ Wait() error }

// Store is the disk of one node.
type Store interface {
	Reader
	// Snapshot returns the state as of now.
	Snapshot() (Snapshot, error)
	// Apply makes w visible. With sync the returned Pending waits for the disk; without, it returns at once and
	// w becomes durable with the next synced Write, which may be an empty one. The store takes over the bytes of
	// keys, values and entries, which nobody may change any more; the slices that list them stay the caller's. After an error that wraps ErrInvalid nothing was applied; after any other the
	// outcome is unknown and the store has failed.
	Apply(w *Write, sync bool) (Pending, error)
	// Groups calls fn for each group that has a log, in ascending order, until fn returns an error, which it
	// returns. fn may use the store.
	Groups(fn func(Group) error) error
	// Entries returns the entries [lo, hi) of a group, at least one if there is any, else as many as fit into
	// maxBytes of data. It returns ErrNotFound where the log does not hold lo, and nothing where hi <= lo.
	// The caller must not modify the entries' data; it stays valid.
	Entries(group uint32, lo, hi, maxBytes uint64) ([]Entry, error)
	// Close makes durable what was applied, where the disk still obeys, and ends the store and its snapshots.
	Close() error
}
