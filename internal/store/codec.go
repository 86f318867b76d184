package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/quorddb/quord/internal/kv"
)

// The first bytes of keys, and what follows the last key of each kind.
const (
	statePrefix = 's'
	stateEnd    = 't'
	logPrefix   = 'l'
	logEnd      = 'm'
	hardPrefix  = 'h'
	hardEnd     = 'i'

	checkpointKey = 'c'
	secretKey     = 'j'
)

const (
	recordKind    = 1
	logKeyLen     = 13
	hardKeyLen    = 5
	entryOverhead = 14
	hardLen       = 45
	checkpointLen = 13
	secretLen     = 9
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func putLogKey(dst []byte, group uint32, index uint64) {
	dst[0] = logPrefix
	binary.BigEndian.PutUint32(dst[1:], group)
	binary.BigEndian.PutUint64(dst[5:], index)
}

func logKey(group uint32, index uint64) []byte {
	k := make([]byte, logKeyLen)
	putLogKey(k, group, index)
	return k
}

// afterGroup returns the first key behind all entries of group.
func afterGroup(group uint32) []byte {
	if group == ^uint32(0) {
		return []byte{logEnd}
	}
	return logKey(group+1, 0)
}

func parseLogKey(k []byte) (group uint32, index uint64, err error) {
	if len(k) != logKeyLen || k[0] != logPrefix {
		return 0, 0, fmt.Errorf("%w: %x is no key of a log entry", kv.ErrCorrupt, k)
	}
	return binary.BigEndian.Uint32(k[1:]), binary.BigEndian.Uint64(k[5:]), nil
}

func putHardKey(dst []byte, group uint32) {
	dst[0] = hardPrefix
	binary.BigEndian.PutUint32(dst[1:], group)
}

// putEntry fills dst, of len(e.Data)+entryOverhead bytes, with the value of e under key.
func putEntry(dst, key []byte, e *kv.Entry) {
	dst[0], dst[1] = recordKind, e.Type
	binary.BigEndian.PutUint64(dst[2:], e.Term)
	n := 10 + copy(dst[10:], e.Data)
	binary.BigEndian.PutUint32(dst[n:], checksum(key, dst[:n]))
}

// decodeEntry reads what putEntry wrote. The entry's data is a copy.
func decodeEntry(key, value []byte) (kv.Entry, error) {
	group, index, err := parseLogKey(key)
	if err != nil {
		return kv.Entry{}, err
	}
	body, err := verify(key, value, entryOverhead)
	if err != nil {
		return kv.Entry{}, fmt.Errorf("group %d, entry %d: %w", group, index, err)
	}
	e := kv.Entry{Index: index, Type: body[1], Term: binary.BigEndian.Uint64(body[2:])}
	e.Data = append(make([]byte, 0, len(body)-10), body[10:]...)
	return e, nil
}

// putHard fills dst, of hardLen bytes, with the hard state and start of g under key.
func putHard(dst, key []byte, g *kv.Group) {
	dst[0] = recordKind
	for i, v := range [...]uint64{g.Hard.Term, g.Hard.Vote, g.Hard.Commit, g.Start.Index, g.Start.Term} {
		binary.BigEndian.PutUint64(dst[1+8*i:], v)
	}
	binary.BigEndian.PutUint32(dst[hardLen-4:], checksum(key, dst[:hardLen-4]))
}

// decodeHard reads what putHard wrote; Last is the start, as if there were no entries.
func decodeHard(key, value []byte) (kv.Group, error) {
	if len(key) != hardKeyLen || key[0] != hardPrefix {
		return kv.Group{}, fmt.Errorf("%w: %x is no key of a hard state", kv.ErrCorrupt, key)
	}
	g := kv.Group{ID: binary.BigEndian.Uint32(key[1:])}
	body, err := verify(key, value, hardLen)
	if err != nil {
		return kv.Group{}, fmt.Errorf("hard state of group %d: %w", g.ID, err)
	}
	if len(value) != hardLen {
		return kv.Group{}, fmt.Errorf("hard state of group %d: %w: %d bytes", g.ID, kv.ErrCorrupt, len(value))
	}
	for i, p := range [...]*uint64{&g.Hard.Term, &g.Hard.Vote, &g.Hard.Commit, &g.Start.Index, &g.Start.Term} {
		*p = binary.BigEndian.Uint64(body[1+8*i:])
	}
	g.Last = g.Start.Index
	return g, nil
}

// verify returns value without its checksum when it is long enough, whole, and of a known kind.
func verify(key, value []byte, least int) ([]byte, error) {
	if len(value) < least {
		return nil, fmt.Errorf("%w: %d bytes are too few", kv.ErrCorrupt, len(value))
	}
	body := value[:len(value)-4]
	if checksum(key, body) != binary.BigEndian.Uint32(value[len(body):]) {
		return nil, fmt.Errorf("%w: checksum mismatch", kv.ErrCorrupt)
	}
	if body[0] != recordKind {
		return nil, fmt.Errorf("%w: record of kind %d, this build reads %d", kv.ErrCorrupt, body[0], recordKind)
	}
	return body, nil
}

// checksum covers the key too, so a value that turns up under another key is noticed.
func checksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, body)
}
