package tablet

import (
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/request"
)

// Machine is the state behind a group's log. What it does depends on the entry and the state alone, so every
// replica comes to the same. The data of tablets and the registry of the system group are two machines.
type Machine interface {
	// Apply evaluates the commands of one write and returns one reply per command, as RESP3 bytes that the
	// machine does not touch again. Where the first ones have changed much, or have long replies, it stops after them:
	// the others did not happen. The commands' bytes stay valid as long as the turn.
	Apply(m *Moment, commands []request.Command) [][]byte
	// Damage returns what damage the commands of a write would meet in the state as it is, nil where there is none.
	Damage(state kv.Reader, commands []request.Command) error
	// Expire removes those of the keys whose time has passed, and returns how many.
	Expire(m *Moment, keys [][]byte) int
	// Read evaluates read commands, or the first ones where those have long replies. expired lists keys that were found past their time: no answer may be given
	// before the log says that they are gone.
	// Replies are appended to those given, and may be built in the space that lies behind them.
	Read(r *Reading, commands []request.Command, replies [][]byte) (out, expired [][]byte)
	// Overdue returns keys whose time has passed, at most limit, and the time of the earliest expiry that
	// remains (0: none).
	Overdue(r *Reading, limit int) (keys [][]byte, next int64, err error)
	// Ranges returns the ranges of state keys, as [lower, upper) pairs, that make up the machine's state.
	Ranges() [][2][]byte
	// Installed says that the state was replaced as a whole.
	Installed(r kv.Reader) error
}

// Moment is what applying one entry sees and changes.
type Moment struct {
	Tx *Tx
	// Index is the position of the entry in the log: the version of what it writes.
	Index uint64
	// Time is the tablet time in milliseconds since 1970, Seed what random choices are drawn from.
	Time int64
	Seed uint64
	// MaxValue is what a value may grow to, in bytes.
	MaxValue int
	// Keys counts the keys of the tablet.
	Keys *int64
	// Soonest is at most the earliest expiry in the tablet; 0 where it is not known, -1 where nothing expires.
	Soonest *int64
	// Alone says that no other replica applies the entry, so that a command that meets a damaged record may be refused;
	// Wounds counts those. Otherwise damage is an error of Tx, and nothing of the entry comes to pass.
	Alone  bool
	Wounds uint64
}

// Reading is the state as a read sees it.
type Reading struct {
	State kv.Reader
	Time  int64
	Keys  int64
	// Damage is set by Read and Overdue when they met stored bytes that are not what was written; replies are then of no
	// use, but to tell so.
	Damage error
}
