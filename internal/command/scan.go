package command

import (
	"errors"
	"slices"
	"strconv"

	"github.com/quorddb/quord/internal/record"
)

const (
	// hashBits is how many bits of a key's hash are in a cursor; the slot takes the other 14.
	hashBits = 50
	// ScanBound is the most keys that one evaluation of a scan looks at, whatever COUNT asks for, and
	// ScanBytes about the most bytes that it answers: other requests of the tablet wait meanwhile.
	ScanBound = 4096
	ScanBytes = 1 << 20
	// scanCount is COUNT where none is given.
	scanCount = 10
)

// Cursor returns the place of a key in a SCAN of the whole keyspace: its slot, then the first 50 bits of its hash.
//
// A cursor is a place, not a position in some server's structure. The store orders keys by slot, hash and key
// itself, so "the next ones from here" means the same on every replica, after a restart, and after the tablet has
// moved; no server remembers anything about a scan. A key never changes its place. So a key that is there from the
// first call to the last is passed exactly once by the sequence of cursors, which only grows, and is returned at
// least once. The hash loses 14 bits; keys that share a cursor are therefore always returned in one reply.
//
// 0 is the beginning of the keyspace, and also what SCAN answers at the end. That is not ambiguous, because a scan
// that begins at 0 passes all keys whose cursor is 0 before it answers.
func Cursor(s uint16, hash uint64) uint64 {
	return uint64(s)<<hashBits | hash>>(64-hashBits)
}

// ParseCursor returns the first slot and hash that have this cursor. Every number is a cursor.
func ParseCursor(c uint64) (s uint16, hash uint64) {
	return uint16(c >> hashBits), c << (64 - hashBits)
}

// ScanOptions are the arguments of SCAN.
type ScanOptions struct {
	Cursor uint64
	// Count is how many keys to look at, at least 1.
	Count int64
	// Match and Type restrict what is returned where they are not nil.
	Match, Type []byte
}

// ParseScan reads the arguments of SCAN, the name first. problem is the text of an error, or empty.
func ParseScan(args [][]byte) (o ScanOptions, problem string) {
	o.Count = scanCount
	var ok bool
	if o.Cursor, ok = parseUint(args[1]); !ok {
		return o, errCursor
	}
	words := args[2:]
	for ; len(words) >= 2; words = words[2:] {
		switch {
		case equalFold(words[0], "count"):
			if o.Count, ok = parseInt(words[1]); !ok {
				return o, errNotInteger
			}
			if o.Count < 1 {
				return o, errSyntax
			}
		case equalFold(words[0], "match"):
			o.Match = words[1]
		case equalFold(words[0], "type"):
			o.Type = words[1]
		default:
			return o, errSyntax
		}
	}
	if len(words) != 0 {
		return o, errSyntax
	}
	return o, ""
}

// Command returns the internal command that asks a tablet for its part of the scan.
func (o *ScanOptions) Command() [][]byte {
	args := [][]byte{
		[]byte("_scan"),
		strconv.AppendUint(nil, o.Cursor, 10),
		[]byte("count"), strconv.AppendInt(nil, o.Count, 10),
	}
	if o.Match != nil {
		args = append(args, []byte("match"), o.Match)
	}
	if o.Type != nil {
		args = append(args, []byte("type"), o.Type)
	}
	return args
}

// accept reports whether a key is to be returned.
func (o *ScanOptions) accept(key []byte, r *record.Record, now int64) bool {
	return !r.Expired(now) &&
		(o.Type == nil || equalFold(o.Type, r.Kind.String())) &&
		(o.Match == nil || Match(o.Match, key))
}

// evalScan answers an array of the cursor to go on from, 0 when the tablet has no more keys, and the keys.
func evalScan(v View, args [][]byte, out []byte) []byte {
	o, problem := ParseScan(args)
	if problem != "" {
		return appendError(out, problem)
	}
	start, now := len(out), v.Now()
	limit := min(o.Count, ScanBound)
	var seen, returned int64
	var last, next uint64
	firstSlot, firstHash := ParseCursor(o.Cursor)
	v.Scan(firstSlot, firstHash, func(s uint16, hash uint64, key []byte, r record.Record) bool {
		here := Cursor(s, hash)
		if seen > 0 && here != last && (seen >= limit || len(out)-start >= ScanBytes) {
			next = here
			return false
		}
		last = here
		seen++
		if o.accept(key, &r, now) {
			out = appendBulk(out, key)
			returned++
		}
		return true
	})
	// The header is known only now.
	var header [64]byte
	h := appendHeader(header[:0], '*', int(returned)+1)
	h = appendBulk(h, strconv.AppendUint(nil, next, 10))
	return slices.Insert(out, start, h...)
}

// ErrReply is returned when bytes are not the reply of the internal command that was asked for.
var ErrReply = errors.New("command: unexpected reply of an internal command")

// ParseScanReply takes the reply of ScanOptions.Command apart. The keys alias reply.
func ParseScanReply(reply []byte) (next uint64, keys [][]byte, err error) {
	n, rest, ok := cutHeader(reply, '*')
	if !ok || n < 1 || n > uint64(len(reply)) {
		return 0, nil, ErrReply
	}
	keys = make([][]byte, 0, n-1)
	for i := range n {
		var size uint64
		if size, rest, ok = cutHeader(rest, '$'); !ok || size > uint64(len(rest)) || len(rest)-int(size) < 2 {
			return 0, nil, ErrReply
		}
		item := rest[:size]
		rest = rest[size+2:]
		if i > 0 {
			keys = append(keys, item)
		} else if next, ok = parseUint(item); !ok {
			return 0, nil, ErrReply
		}
	}
	if len(rest) != 0 {
		return 0, nil, ErrReply
	}
	return next, keys, nil
}

// cutHeader reads one line of a kind and a number.
func cutHeader(b []byte, kind byte) (n uint64, rest []byte, ok bool) {
	i := slices.Index(b, '\n')
	if i < 3 || b[0] != kind || b[i-1] != '\r' {
		return 0, nil, false
	}
	n, ok = parseUint(b[1 : i-1])
	return n, b[i+1:], ok
}
