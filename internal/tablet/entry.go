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
	// commands of entryCommands, or the keys of entryExpire as one command.
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
func DecodeCommands(b []byte) ([]request.Command, error) {
	r := reader{b: b}
	n := r.count()
	commands := make([]request.Command, 0, min(n, 1024))
	for range n {
		args := r.count()
		if args == 0 {
			return nil, errEntry
		}
		c := make(request.Command, 0, min(args, 1024))
		for range args {
			c = append(c, r.blob())
		}
		if r.failed {
			return nil, errEntry
		}
		commands = append(commands, c)
	}
	if r.failed || len(r.b) != 0 {
		return nil, errEntry
	}
	return commands, nil
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

// decodeEntry reads what appendEntry wrote. The commands alias b.
func decodeEntry(b []byte) (entry, error) {
	r := reader{b: b}
	if f := r.byte(); f != entryFormat && !r.failed {
		return entry{}, fmt.Errorf("tablet: a log entry has format %d, this build reads %d", f, entryFormat)
	}
	e := entry{kind: r.byte()}
	copy(e.origin.Node[:], r.bytes(ident.Size))
	e.origin.Boot, e.origin.Number, e.origin.Low = r.uvarint(), r.uvarint(), r.uvarint()
	e.time, e.seed, e.maxValue = int64(r.uint64()), r.uint64(), r.uvarint()
	if r.failed || e.kind != entryCommands && e.kind != entryExpire {
		return entry{}, errEntry
	}
	var err error
	e.commands, err = DecodeCommands(r.b)
	return e, err
}
