package ring

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"strconv"

	"github.com/quorddb/quord/internal/ident"
)

// MaxBits is the width of the widest identifier space, and that of production.
const MaxBits = 256

// ID is a point on the ring: a number below 2^m, big-endian, right-aligned in 32 bytes.
type ID [MaxBits / 8]byte

// Token is one position of a node on the ring: what the papers call a Chord node.
type Token struct {
	ID   ID
	Node ident.NodeID
}

// Between reports whether x lies strictly between a and b, clockwise from a. It wraps, and every x but a lies
// between a and a (Zave 2017, section III).
func Between(a, x, b ID) bool {
	if a.Compare(b) < 0 {
		return a.Compare(x) < 0 && x.Compare(b) < 0
	}
	return a.Compare(x) < 0 || x.Compare(b) < 0
}

// Within reports whether x lies in (a, b], the part of the ring that a token b with predecessor a owns.
func Within(a, x, b ID) bool { return x == b || Between(a, x, b) }

// Compare orders identifiers as numbers.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// String returns the 64 hexadecimal digits of the identifier.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns what a person wants to read: the number itself where it is small, as in the papers' examples,
// and otherwise the first 8 hexadecimal digits.
func (id ID) Short() string {
	if w := words(id); w[0]|w[1]|w[2] == 0 {
		return strconv.FormatUint(w[3], 10)
	}
	return hex.EncodeToString(id[:4])
}

// String returns the token for people: where it stands, and on which node.
func (t Token) String() string {
	if t.IsZero() {
		return "none"
	}
	return t.ID.Short() + "@" + t.Node.Short()
}

// IsZero reports whether the token is no token: no node holds it.
func (t Token) IsZero() bool { return t.Node.IsZero() }

// Space is the circle of identifiers with m = Bits bits, 1 <= m <= 256. Arithmetic is modulo 2^m.
type Space struct{ Bits int }

// Of returns the identifier n modulo 2^m.
func (s Space) Of(n uint64) ID { return s.wrap([4]uint64{3: n}) }

// Contains reports whether id is a point of this space.
func (s Space) Contains(id ID) bool { return s.wrap(words(id)) == id }

// Add returns a + b.
func (s Space) Add(a, b ID) ID {
	x, y := words(a), words(b)
	var carry uint64
	for i := 3; i >= 0; i-- {
		x[i], carry = bits.Add64(x[i], y[i], carry)
	}
	return s.wrap(x)
}

// AddPower returns a + 2^i for 0 <= i < m: where the i-th finger of a token at a points.
func (s Space) AddPower(a ID, i int) ID {
	var p [4]uint64
	p[3-i/64] = 1 << (i % 64)
	return s.Add(a, id(p))
}

// Distance returns how far b lies clockwise from a: b - a.
func (s Space) Distance(a, b ID) ID {
	x, y := words(b), words(a)
	var borrow uint64
	for i := 3; i >= 0; i-- {
		x[i], borrow = bits.Sub64(x[i], y[i], borrow)
	}
	return s.wrap(x)
}

// wrap reduces a number modulo 2^m.
func (s Space) wrap(w [4]uint64) ID {
	for i := range w {
		low := 64 * (3 - i) // the weight of this word's lowest bit
		switch {
		case s.Bits <= low:
			w[i] = 0
		case s.Bits < low+64:
			w[i] &= 1<<(s.Bits-low) - 1
		}
	}
	return id(w)
}

func words(id ID) (w [4]uint64) {
	for i := range w {
		w[i] = binary.BigEndian.Uint64(id[8*i:])
	}
	return w
}

func id(w [4]uint64) (out ID) {
	for i := range w {
		binary.BigEndian.PutUint64(out[8*i:], w[i])
	}
	return out
}
