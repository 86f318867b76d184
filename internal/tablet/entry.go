package tablet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/request"
)

// entryFormat is the version of the format of log entries; an entry of a newer one stops the replica.
const entryFormat = 1

// What an entry does.
const (
	entryCommands = 1 // a run of commands of one origin
	entryExpire   = 2 // the leader found keys whose time has passed
	entryDismiss  = 3 // those who stay know who is former
)

var errEntry = errors.New("tablet: damaged log entry")

// Origin names a write: the node that took it from its client, that node's boot, and a number that grows with
// each write of that boot to this tablet. Low is the smallest number that the origin may still ask for again.
type Origin struct {
	Node   ident.NodeID
	Boot   uint64
	Number uint64
	Low    uint64
}

// entry is what a log entry says, in full: applying needs nothing else but the state.
type entry struct {
	kind   byte
	origin Origin
	time   int64  // tablet time in milliseconds since 1970
	seed   uint64 // for commands that draw at random
	// maxValue is what a value may grow to, in bytes: the leader's setting, so that replicas with another one agree.
	maxValue uint64
	// commands of entryCommands, or as one command the keys of entryExpire, or the epoch (8 bytes, big endian) of the
	// descriptor whose former replicas entryDismiss drops.
	commands []request.Command
}

// AppendCommands appends a run of commands: their number, then for each the number of arguments and each
// argument with its length, all lengths as uvarint.
func AppendCommands(dst []byte, commands []request.Command) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(commands)))
	for _, c := range commands {
		dst = binary.AppendUvarint(dst, uint64(len(c)))
		for _, arg := range c {
			dst = appendBlob(dst, arg)
		}
	}
	return dst
}

// DecodeCommands reads what AppendCommands wrote. The arguments alias b.
func DecodeCommands(b []byte) ([]request.Command, error) { return new(commandSpace).decode(b) }

// commandSpace is where commands are decoded to, again and again.
type commandSpace struct {
	commands []request.Command
	args     [][]byte
}

// maxCommandSpace is how many commands, and how many arguments, there is room for the next time.
const maxCommandSpace = 1024

// decode is DecodeCommands; what it returned before is lost.
func (s *commandSpace) decode(b []byte) ([]request.Command, error) {
	r := reader{b: b}
	n := r.count()
	commands, args := s.commands[:0], s.args[:0]
	if commands == nil {
		commands = make([]request.Command, 0, min(n, maxCommandSpace))
	}
	for range n {
		from, m := len(args), r.count()
		if m == 0 {
			return nil, errEntry
		}
		for range m {
			args = append(args, r.blob())
		}
		if r.failed {
			return nil, errEntry
		}
		commands = append(commands, args[from:len(args):len(args)])
	}
	if r.failed || len(r.b) != 0 {
		return nil, errEntry
	}
	s.commands, s.args = commands, args
	return commands, nil
}

// clear lets go of the commands that were decoded last.
func (s *commandSpace) clear() {
	if max(cap(s.commands), cap(s.args)) > maxCommandSpace {
		*s = commandSpace{}
	}
	clear(s.commands)
	clear(s.args)
}

// appendEntry appends an entry.
func appendEntry(dst []byte, e *entry) []byte {
	dst = append(dst, entryFormat, e.kind)
	dst = append(dst, e.origin.Node[:]...)
	dst = binary.AppendUvarint(dst, e.origin.Boot)
	dst = binary.AppendUvarint(dst, e.origin.Number)
	dst = binary.AppendUvarint(dst, e.origin.Low)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.time))
	dst = binary.BigEndian.AppendUint64(dst, e.seed)
	dst = binary.AppendUvarint(dst, e.maxValue)
	return AppendCommands(dst, e.commands)
}

// dismisses reports whether an encoded entry is a dismissal.
func dismisses(b []byte) bool { return len(b) > 1 && b[1] == entryDismiss }

// entryHead is the most that an entry takes beside its commands.
const entryHead = 2 + ident.Size + 3*binary.MaxVarintLen64 + 16 + binary.MaxVarintLen64

// roomFor is enough for commands as AppendCommands encodes them.
func roomFor(commands []request.Command) int {
	n := binary.MaxVarintLen64
	for _, c := range commands {
		n += binary.MaxVarintLen32
		for _, arg := range c {
			n += binary.MaxVarintLen32 + len(arg)
		}
	}
	return n
}

// decodeEntry reads what appendEntry wrote. The commands alias b, and lie in space.
func decodeEntry(b []byte, space *commandSpace) (entry, error) {
	r := reader{b: b}
	if f := r.byte(); f != entryFormat && !r.failed {
		return entry{}, fmt.Errorf("tablet: a log entry has format %d, this build reads %d", f, entryFormat)
	}
	e := entry{kind: r.byte()}
	copy(e.origin.Node[:], r.bytes(ident.Size))
	e.origin.Boot, e.origin.Number, e.origin.Low = r.uvarint(), r.uvarint(), r.uvarint()
	e.time, e.seed, e.maxValue = int64(r.uint64()), r.uint64(), r.uvarint()
	if r.failed || e.kind < entryCommands || e.kind > entryDismiss {
		return entry{}, errEntry
	}
	var err error
	e.commands, err = space.decode(r.b)
	return e, err
}
