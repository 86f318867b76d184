package tablet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
)

// head is the part of a tablet's replicated state that is not data. It is rewritten, in the same Write as the
// data, whenever entries were applied, so state and applied position never disagree.
type head struct {
	applied kv.Position
	// time is the tablet time of the last entry that carried one, in milliseconds since 1970.
	time int64
	// keys counts the keys, those included whose expiry nobody has noticed yet.
	keys       int64
	descriptor Descriptor
	windows    windows
}

const headFormat = 1

// headSlack is how much a head may grow in a turn before its encoding has to be copied.
const headSlack = 64

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errHead    = errors.New("tablet: the head record is damaged")
)

// State keys of a tablet beside its data (which package record lays out).
const (
	prefixHead    = 'm' // 'm' tablet (4 bytes): head
	prefixResult  = 'w' // 'w' tablet (4) node (16) boot (8) number (8): a large result
	prefixExpiry  = 'x' // 'x' slot (2) time (8) key: the key expires then
	prefixRetired = 't' // 't' tablet (4): the highest replica id that was removed from this node (8)
	prefixStaging = 'S' // 'S' tablet (4): what is being received; 'S' tablet (4) key: a key of it
)

func headKey(tablet uint32) []byte { return binary.BigEndian.AppendUint32([]byte{prefixHead}, tablet) }

func retiredKey(tablet uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefixRetired}, tablet)
}

func resultKey(tablet uint32, k largeKey) []byte {
	b := binary.BigEndian.AppendUint32([]byte{prefixResult}, tablet)
	b = append(b, k.node[:]...)
	b = binary.BigEndian.AppendUint64(b, k.boot)
	return binary.BigEndian.AppendUint64(b, k.number)
}

// resultRange bounds the large results of a tablet.
func resultRange(tablet uint32) (lower, upper []byte) {
	return prefixRange(binary.BigEndian.AppendUint32([]byte{prefixResult}, tablet))
}

// prefixRange bounds all keys that begin with prefix, which must not be all 0xff.
func prefixRange(prefix []byte) (lower, upper []byte) {
	upper = append([]byte(nil), prefix...)
	for i := len(upper) - 1; ; i-- {
		upper[i]++
		if upper[i] != 0 {
			return prefix, upper[:i+1]
		}
	}
}

// append appends the encoded head: format (1 byte), applied index and term (uvarint), time (8 bytes), keys
// (uvarint), descriptor, windows, CRC32C of all before it (4 bytes).
func (h *head) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, headFormat)
	dst = binary.AppendUvarint(dst, h.applied.Index)
	dst = binary.AppendUvarint(dst, h.applied.Term)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.time))
	dst = binary.AppendUvarint(dst, uint64(h.keys))
	dst = h.descriptor.Append(dst)
	dst = h.windows.append(dst)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func decodeHead(b []byte) (*head, error) {
	if len(b) < 5 {
		return nil, errHead
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return nil, errHead
	}
	r := reader{b: body}
	if f := r.byte(); f != headFormat {
		return nil, fmt.Errorf("tablet: the head record has format %d, this build reads %d", f, headFormat)
	}
	h := &head{applied: kv.Position{Index: r.uvarint(), Term: r.uvarint()}, time: int64(r.uint64()), keys: int64(r.uvarint())}
	if r.failed {
		return nil, errHead
	}
	var err error
	if h.descriptor, r.b, err = DecodeDescriptor(r.b); err != nil {
		return nil, err
	}
	h.windows.decode(&r)
	if r.failed || len(r.b) != 0 {
		return nil, errHead
	}
	return h, nil
}

// Birth returns the Write that creates a tablet whose only replica is on node: the first, and only, time.
func Birth(tablet uint32, node ident.NodeID, time int64) *kv.Write {
	start := kv.Position{Index: 1, Term: 1}
	h := head{applied: start, time: time, descriptor: Descriptor{
		Epoch: 1, NextID: 2, Replicas: []Replica{{ID: 1, Node: node, Role: Voter}},
	}}
	return &kv.Write{
		Log:   []kv.LogOp{{Group: tablet, Reset: &start, Hard: &kv.HardState{Term: 1, Commit: 1}}},
		State: []kv.Op{{Kind: kv.Set, Key: headKey(tablet), Value: h.append(nil)}},
	}
}
