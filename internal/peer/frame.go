package peer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	// frameHeader is the length of a frame's header.
	frameHeader = 8
	// frameLimit is the longest payload that the header has room for.
	frameLimit = 1<<kindShift - 1
	kindShift  = 28
	// pulseLength is the payload of ping and pong: a time.
	pulseLength = 8
)

// kind says what a frame is. The numbers are on the wire: append only.
type kind uint8

const (
	kindData kind = iota
	kindPing
	kindPong
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header returns the header of a frame. The checksum covers kind and length too.
func header(k kind, payload []byte) (h [frameHeader]byte) {
	word := uint32(k)<<kindShift | uint32(len(payload))
	binary.BigEndian.PutUint32(h[:], word)
	binary.BigEndian.PutUint32(h[4:], crc32.Update(wordSum(word), castagnoli, payload))
	return h
}

// wordSum is the CRC32C of the four bytes of word. It stands here because a call of crc32.Update would move them to
// the heap, once per frame.
func wordSum(word uint32) uint32 {
	crc := ^uint32(0)
	for shift := 24; shift >= 0; shift -= 8 {
		crc = castagnoli[byte(crc)^byte(word>>shift)] ^ crc>>8
	}
	return ^crc
}

// appendPulse appends a ping or a pong.
func appendPulse(dst []byte, k kind, nanos int64) []byte {
	var payload [pulseLength]byte
	binary.BigEndian.PutUint64(payload[:], uint64(nanos))
	h := header(k, payload[:])
	return append(append(dst, h[:]...), payload[:]...)
}

// readFrame reads one frame. The payload is newly allocated, after its length has been found allowed. It returns
// io.EOF only between frames.
func readFrame(r *bufio.Reader, limit int) (kind, []byte, error) {
	h, err := r.Peek(frameHeader)
	if err != nil {
		if err == io.EOF && len(h) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	word, want := binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:])
	k, n := kind(word>>kindShift), int(word&frameLimit)
	switch {
	case k > kindPong:
		return 0, nil, fmt.Errorf("%w: kind %d is unknown", ErrFrame, k)
	case k == kindData && n > limit:
		return 0, nil, fmt.Errorf("%w: %d bytes of payload, at most %d are allowed", ErrFrame, n, limit)
	case k != kindData && n != pulseLength:
		return 0, nil, fmt.Errorf("%w: a keepalive frame of %d bytes, want %d", ErrFrame, n, pulseLength)
	}
	if _, err := r.Discard(frameHeader); err != nil {
		return 0, nil, err // cannot be: the bytes were there
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	if got := crc32.Update(wordSum(word), castagnoli, payload); got != want {
		return 0, nil, fmt.Errorf("%w: checksum %08x, want %08x", ErrFrame, got, want)
	}
	return k, payload, nil
}
