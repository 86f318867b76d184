package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/quorddb/quord/internal/slot"
	"github.com/zeebo/xxh3"
)

// Kind is the type of the value that a key holds.
type Kind uint8

// The kinds of values. The numbers are on disk: append only.
const (
	String Kind = iota + 1
	List
	Set
	SortedSet
	Hash
)

// String returns the name that the command TYPE answers.
func (k Kind) String() string {
	switch k {
	case String:
		return "string"
	case List:
		return "list"
	case Set:
		return "set"
	case SortedSet:
		return "zset"
	case Hash:
		return "hash"
	}
	return "unknown"
}

// Record is what is stored under one key (its head) or one field of a collection.
type Record struct {
	Kind Kind
	// ExpireAt is the tablet time in milliseconds since 1970 at which the key is gone; 0 is never.
	ExpireAt int64
	// Version is the log position of the write.
	Version uint64
	// Value is the value of a string, or what a collection keeps in its head or field.
	Value []byte
}

// Expired reports whether the record is gone at tablet time now (milliseconds since 1970).
func (r *Record) Expired(now int64) bool { return r.ExpireAt != 0 && r.ExpireAt <= now }

// ErrChecksum is returned when stored bytes are not what was written.
var ErrChecksum = errors.New("record: checksum mismatch")

const (
	format     = 1
	flagExpiry = 1
)

// Prefix is the first byte of all stored keys.
const Prefix = 'd'

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendKey appends the stored key of (key, field) to dst. The head of a key has an empty field.
func AppendKey(dst, key, field []byte) []byte {
	dst = append(dst, Prefix)
	dst = binary.BigEndian.AppendUint16(dst, slot.Of(key))
	dst = binary.BigEndian.AppendUint64(dst, HashOf(key))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	return append(dst, field...)
}

// HashOf returns the 64-bit hash that orders the keys of a slot.
func HashOf(key []byte) uint64 { return xxh3.Hash(key) }

// AppendPosition appends the first stored key that a key with this slot and hash may have.
func AppendPosition(dst []byte, s uint16, hash uint64) []byte {
	dst = append(dst, Prefix)
	dst = binary.BigEndian.AppendUint16(dst, s)
	return binary.BigEndian.AppendUint64(dst, hash)
}

// Range returns the bounds [lower, upper) of all stored keys of the slots first to last.
func Range(first, last uint16) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint16([]byte{Prefix}, first)
	if last == slot.Count-1 {
		return lower, []byte{Prefix + 1}
	}
	return lower, binary.BigEndian.AppendUint16([]byte{Prefix}, last+1)
}

// ParseKey takes a stored key apart. key and field alias stored.
func ParseKey(stored []byte) (s uint16, hash uint64, key, field []byte, err error) {
	if len(stored) < 12 || stored[0] != Prefix {
		return 0, 0, nil, nil, fmt.Errorf("record: %d bytes are not a stored key", len(stored))
	}
	s, hash = binary.BigEndian.Uint16(stored[1:]), binary.BigEndian.Uint64(stored[3:])
	n, used := binary.Uvarint(stored[11:])
	if used <= 0 || n > uint64(len(stored)-11-used) {
		return 0, 0, nil, nil, errors.New("record: the length of a stored key is damaged")
	}
	rest := stored[11+used:]
	return s, hash, rest[:n], rest[n:], nil
}

// Overhead is the most that a record takes beside its value.
const Overhead = 3 + 8 + 8 + 4

// Append appends the stored form of r under the stored key to dst.
func (r *Record) Append(dst, stored []byte) []byte {
	start := len(dst)
	dst = append(dst, format, byte(r.Kind), 0)
	dst = binary.BigEndian.AppendUint64(dst, r.Version)
	if r.ExpireAt != 0 {
		dst[start+2] = flagExpiry
		dst = binary.BigEndian.AppendUint64(dst, uint64(r.ExpireAt))
	}
	dst = append(dst, r.Value...)
	return binary.BigEndian.AppendUint32(dst, sum(stored, dst[start:]))
}

// Decode reads what Append wrote under the stored key. Value aliases b.
func Decode(stored, b []byte) (Record, error) {
	if len(b) < 15 {
		return Record{}, fmt.Errorf("%w: %d bytes are too few", ErrChecksum, len(b))
	}
	body := b[:len(b)-4]
	if sum(stored, body) != binary.BigEndian.Uint32(b[len(body):]) {
		return Record{}, ErrChecksum
	}
	if body[0] != format {
		return Record{}, fmt.Errorf("record: format %d is unknown, this build reads %d", body[0], format)
	}
	r := Record{Kind: Kind(body[1]), Version: binary.BigEndian.Uint64(body[3:])}
	rest := body[11:]
	if body[2]&flagExpiry != 0 {
		if len(rest) < 8 {
			return Record{}, fmt.Errorf("%w: the expiry is cut off", ErrChecksum)
		}
		r.ExpireAt = int64(binary.BigEndian.Uint64(rest))
		rest = rest[8:]
	}
	r.Value = rest
	return r, nil
}

// sum covers the stored key too, so a record that turns up under another key is noticed.
func sum(stored, body []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, stored), castagnoli, body)
}
