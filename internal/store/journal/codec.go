package journal

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	magic        = "QRDJRNL1"
	headerLen    = 32
	recordHead   = 24
	alignment    = 8
	maxPayload   = 1<<31 - 1
	crcOfRecord  = 4 // where the CRC stands in a record; it covers all from numberAt on
	numberAt     = 8
	crcOfHeader  = headerLen - 4
	firstAt      = 16
	fileNumberAt = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeHeader(file, first uint64) []byte {
	b := make([]byte, headerLen)
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[fileNumberAt:], file)
	binary.LittleEndian.PutUint64(b[firstAt:], first)
	binary.LittleEndian.PutUint32(b[crcOfHeader:], crc32.Checksum(b[:crcOfHeader], castagnoli))
	return b
}

// validHeader reports whether b begins with the header of a file.
func validHeader(b []byte, file uint64) bool {
	return len(b) >= headerLen && string(b[:len(magic)]) == magic &&
		binary.LittleEndian.Uint64(b[fileNumberAt:]) == file &&
		binary.LittleEndian.Uint32(b[crcOfHeader:]) == crc32.Checksum(b[:crcOfHeader], castagnoli)
}

// seed is what the CRCs of a file's records begin with. A client can have bytes of its choice written into a payload, and
// what a file held before stands behind its end; without the secret it could pass for records.
func seed(file uint64, secret uint32) uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, file), castagnoli) ^ secret
}

// finish fills the head of the record that begins at start, and pads it. The CRC is left to seal: the file in which
// the record will stand is not known yet.
func finish(b []byte, start int, number uint64) []byte {
	payload := len(b) - start - recordHead
	binary.LittleEndian.PutUint32(b[start:], uint32(payload))
	binary.LittleEndian.PutUint64(b[start+numberAt:], number)
	for len(b)%alignment != 0 {
		b = append(b, 0)
	}
	return b
}

// seal completes the records of b for the file with that seed.
func seal(b []byte, seed uint32, durable uint64) {
	for len(b) > 0 {
		payload := int(binary.LittleEndian.Uint32(b))
		binary.LittleEndian.PutUint64(b[numberAt+8:], durable)
		sum := crc32.Update(seed, castagnoli, b[numberAt:recordHead+payload])
		binary.LittleEndian.PutUint32(b[crcOfRecord:], sum)
		b = b[padded(payload):]
	}
}

// padded is what a record with such a payload takes.
func padded(payload int) int {
	return (recordHead + payload + alignment - 1) / alignment * alignment
}

type record struct {
	number, durable uint64
	payload         []byte
	size            int // with head and padding
}

// decode reads the record at the beginning of b, which belongs to a file with that seed.
func decode(b []byte, seed uint32) (r record, ok bool) {
	if len(b) < recordHead {
		return r, false
	}
	payload := int(binary.LittleEndian.Uint32(b))
	if payload > maxPayload || payload > len(b)-recordHead {
		return r, false
	}
	if binary.LittleEndian.Uint32(b[crcOfRecord:]) != crc32.Update(seed, castagnoli, b[numberAt:recordHead+payload]) {
		return r, false
	}
	r = record{
		number: binary.LittleEndian.Uint64(b[numberAt:]), durable: binary.LittleEndian.Uint64(b[numberAt+8:]),
		payload: b[recordHead : recordHead+payload], size: min(padded(payload), len(b)),
	}
	return r, r.number > 0
}
