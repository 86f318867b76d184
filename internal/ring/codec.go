package ring

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorddb/quord/internal/ident"
)

// Version is the version of the messages' format.
const Version = 1

// ErrMessage is returned when bytes are not a message of a version and within the bounds that this node knows.
var ErrMessage = errors.New("malformed ring message")

// The parts that a message may carry behind its head, in the order in which they stand.
const (
	hasEpoch = 1 << iota
	hasTo
	hasFrom
	hasTarget
	hasOrigin
	hasPred
	hasList
	hasHops
	hasFloor
)

// parts says what each kind of message carries.
var parts = [lastKind + 1]uint16{
	Query:   hasTo | hasFrom | hasEpoch,
	State:   hasTo | hasFrom | hasEpoch | hasFloor | hasPred | hasList,
	Busy:    hasTo | hasFrom,
	Gone:    hasTo | hasFrom,
	Ping:    hasTo | hasFrom,
	Pong:    hasTo | hasFrom,
	Notify:  hasTo | hasFrom | hasEpoch,
	Leave:   hasTo | hasFrom | hasEpoch | hasFloor | hasList,
	Find:    hasTo | hasTarget,
	Route:   hasFrom | hasTarget | hasPred | hasList,
	Forward: hasTo | hasTarget | hasOrigin | hasHops,
	Nudge:   hasTo | hasFrom,
	Found:   hasFrom | hasTarget | hasList | hasHops,
}

const (
	flagClaim = 1 << iota
	flagJoining
	flagCeded
	flagsKnown = flagClaim | flagJoining | flagCeded

	headSize  = 3 // version, kind, flags and verdict
	tokenSize = len(ID{}) + ident.Size
)

// Append appends the encoded message to dst and returns it.
func (m *Message) Append(dst []byte) []byte {
	var flags byte
	if m.Claim {
		flags |= flagClaim
	}
	if m.Joining {
		flags |= flagJoining
	}
	if m.Ceded {
		flags |= flagCeded
	}
	dst = append(dst, Version, byte(m.Kind), flags|byte(m.Verdict)<<4)
	dst = binary.AppendUvarint(dst, m.Seq)
	has := parts[m.Kind]
	if has&hasEpoch != 0 {
		dst = binary.BigEndian.AppendUint64(dst, m.Epoch)
	}
	if has&hasTo != 0 {
		dst = append(dst, m.To[:]...)
	}
	if has&hasFrom != 0 {
		dst = append(dst, m.From[:]...)
	}
	if has&hasTarget != 0 {
		dst = append(dst, m.Target[:]...)
	}
	if has&hasFloor != 0 {
		dst = append(dst, m.Floor[:]...)
	}
	if has&hasOrigin != 0 {
		dst = append(dst, m.Origin[:]...)
	}
	if has&hasPred != 0 {
		dst = appendToken(dst, m.Pred)
	}
	if has&hasHops != 0 {
		dst = append(dst, m.Hops, m.Limit)
	}
	if has&hasList != 0 {
		dst = append(dst, byte(len(m.List)))
		for _, t := range m.List {
			dst = appendToken(dst, t)
		}
	}
	return dst
}

func appendToken(dst []byte, t Token) []byte {
	dst = append(dst, t.ID[:]...)
	return append(dst, t.Node[:]...)
}

// DecodeMessage reads one message, which must fill b. The message shares no memory with b. An error wraps
// ErrMessage and says what was wrong.
func DecodeMessage(b []byte) (Message, error) {
	var m Message
	if len(b) < headSize {
		return m, fmt.Errorf("%w: %d bytes", ErrMessage, len(b))
	}
	if b[0] != Version {
		return m, fmt.Errorf("%w: version %d, this node knows %d", ErrMessage, b[0], Version)
	}
	m.Kind, m.Verdict = Kind(b[1]), Verdict(b[2]>>4)
	answers := m.Kind == Route || m.Kind == Found
	switch flags := b[2] & 0xf; {
	case m.Kind == 0 || m.Kind > lastKind:
		return m, fmt.Errorf("%w: unknown %v", ErrMessage, m.Kind)
	case flags&^flagsKnown != 0:
		return m, fmt.Errorf("%w: unknown flags %#x", ErrMessage, flags)
	case answers != (m.Verdict != 0) || m.Verdict > lastVerd:
		return m, fmt.Errorf("%w: %v with verdict %d", ErrMessage, m.Kind, m.Verdict)
	default:
		m.Claim, m.Joining, m.Ceded = flags&flagClaim != 0, flags&flagJoining != 0, flags&flagCeded != 0
	}
	r := reader{b: b[headSize:]}
	m.Seq = r.uvarint()
	has := parts[m.Kind]
	if has&hasEpoch != 0 {
		m.Epoch = r.uint64()
	}
	if has&hasTo != 0 {
		r.bytes(m.To[:])
	}
	if has&hasFrom != 0 {
		r.bytes(m.From[:])
	}
	if has&hasTarget != 0 {
		r.bytes(m.Target[:])
	}
	if has&hasFloor != 0 {
		r.bytes(m.Floor[:])
	}
	if has&hasOrigin != 0 {
		r.bytes(m.Origin[:])
	}
	if has&hasPred != 0 {
		m.Pred = r.token()
	}
	if has&hasHops != 0 {
		m.Hops, m.Limit = r.byte(), r.byte()
	}
	if has&hasList != 0 {
		n := int(r.byte())
		// The length is checked against what is there before memory is taken.
		if n > MaxList || len(r.b) != n*tokenSize {
			return Message{}, fmt.Errorf("%w: %v lists %d tokens in %d bytes", ErrMessage, m.Kind, n, len(r.b))
		}
		if n > 0 {
			m.List = make([]Token, n)
		}
		for i := range m.List {
			if m.List[i] = r.token(); m.List[i].IsZero() {
				return Message{}, fmt.Errorf("%w: %v lists a token of no node", ErrMessage, m.Kind)
			}
		}
	}
	if r.short || len(r.b) != 0 {
		return Message{}, fmt.Errorf("%w: %v of %d bytes is cut or too long", ErrMessage, m.Kind, len(b))
	}
	return m, nil
}

// reader takes fields off the front of b; short is set once a field was not there.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) bytes(into []byte) {
	if len(r.b) < len(into) {
		r.short, r.b = true, nil
		return
	}
	copy(into, r.b)
	r.b = r.b[len(into):]
}

func (r *reader) byte() byte {
	var b [1]byte
	r.bytes(b[:])
	return b[0]
}

func (r *reader) uint64() uint64 {
	var b [8]byte
	r.bytes(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.short, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) token() (t Token) {
	r.bytes(t.ID[:])
	r.bytes(t.Node[:])
	return t
}
