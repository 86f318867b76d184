package peer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/quorddb/quord/internal/ident"
)

// What the two sides say in a handshake, and its bytes. doc.go draws them.

const (
	magic            = "QUORDP"
	handshakeVersion = 1

	greetingHeader = len(magic) + 2 + 2
	// greetingMin is what a body of version 1 has at least: nonce, key, instance, and a Hello without address.
	greetingMin = nonceSize + ed25519.PublicKeySize + 8 + helloMin
	greetingMax = 4096
	helloMin    = ident.Size + 8 + 8 + 4*2 + 8 + 2
	nonceSize   = 32

	addressMax = 255
	reasonMax  = 1024

	proofSize     = 8 + 1 + ed25519.SignatureSize
	verdictHeader = 1 + 8 + 2
)

// greeting is the first thing that each side says.
type greeting struct {
	nonce [nonceSize]byte
	key   [ed25519.PublicKeySize]byte
	// instance is drawn when a Transport opens: it tells a process from the one before it.
	instance uint64
	hello    Hello
}

// id returns the identifier that the key proves, once a signature has been verified.
func (g *greeting) id() ident.NodeID { return ident.NodeOf(g.key[:]) }

// encode returns the bytes of the greeting, header included.
func (g *greeting) encode() []byte {
	b := append(make([]byte, 0, greetingHeader+greetingMin+len(g.hello.Address)), magic...)
	b = binary.BigEndian.AppendUint16(b, handshakeVersion)
	b = binary.BigEndian.AppendUint16(b, uint16(greetingMin+len(g.hello.Address)))
	b = append(b, g.nonce[:]...)
	b = append(b, g.key[:]...)
	b = binary.BigEndian.AppendUint64(b, g.instance)
	b = append(b, g.hello.Cluster[:]...)
	b = binary.BigEndian.AppendUint64(b, g.hello.Boot)
	b = binary.BigEndian.AppendUint64(b, g.hello.Sequence)
	b = binary.BigEndian.AppendUint16(b, g.hello.ProtocolMin)
	b = binary.BigEndian.AppendUint16(b, g.hello.ProtocolMax)
	b = binary.BigEndian.AppendUint16(b, g.hello.FormatMin)
	b = binary.BigEndian.AppendUint16(b, g.hello.FormatMax)
	b = binary.BigEndian.AppendUint64(b, uint64(g.hello.WallMillis))
	b = binary.BigEndian.AppendUint16(b, uint16(len(g.hello.Address)))
	return append(b, g.hello.Address...)
}

// readGreeting reads one greeting and returns its bytes too, as the signatures cover them.
func readGreeting(r io.Reader) (raw []byte, err error) {
	head := make([]byte, greetingHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("%w: read greeting: %w", ErrHandshake, err)
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, fmt.Errorf("%w: the other end does not speak Quord's peer protocol", ErrHandshake)
	}
	n := int(binary.BigEndian.Uint16(head[len(magic)+2:]))
	if n > greetingMax {
		return nil, fmt.Errorf("%w: a greeting of %d bytes, at most %d are allowed", ErrHandshake, n, greetingMax)
	}
	raw = append(make([]byte, 0, greetingHeader+n), head...)[:greetingHeader+n]
	if _, err := io.ReadFull(r, raw[greetingHeader:]); err != nil {
		return nil, fmt.Errorf("%w: read greeting: %w", ErrHandshake, err)
	}
	return raw, nil
}

// decodeGreeting takes the bytes apart that readGreeting returned. What follows the address is left to later
// versions.
func decodeGreeting(raw []byte) (g greeting, err error) {
	if v := binary.BigEndian.Uint16(raw[len(magic):]); v != handshakeVersion {
		return g, fmt.Errorf("%w: the other side speaks version %d of the handshake, this build version %d",
			ErrHandshake, v, handshakeVersion)
	}
	b := raw[greetingHeader:]
	if len(b) < greetingMin {
		return g, fmt.Errorf("%w: a greeting of %d bytes, want at least %d", ErrHandshake, len(b), greetingMin)
	}
	b = b[copy(g.nonce[:], b):]
	b = b[copy(g.key[:], b):]
	g.instance, b = binary.BigEndian.Uint64(b), b[8:]
	h := &g.hello
	b = b[copy(h.Cluster[:], b):]
	h.Boot, h.Sequence, b = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), b[16:]
	h.ProtocolMin, h.ProtocolMax = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	h.FormatMin, h.FormatMax = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	h.WallMillis = int64(binary.BigEndian.Uint64(b[8:]))
	n := int(binary.BigEndian.Uint16(b[16:]))
	b = b[18:]
	if n > addressMax || n > len(b) {
		return g, fmt.Errorf("%w: an address of %d bytes in a greeting with %d left, at most %d are allowed",
			ErrHandshake, n, len(b), addressMax)
	}
	h.Address = printable(b[:n])
	return g, nil
}

// role is which end of a connection a side is.
type role uint8

const (
	dialler role = iota
	acceptor
)

func (r role) other() role { return 1 - r }

// greetings are the bytes that both sides began with, by role.
type greetings [2][]byte

// proof shows that its sender holds the key of its greeting, and says what it knows of earlier connections.
type proof struct {
	claim     claim
	signature [ed25519.SignatureSize]byte
}

// claim is what the senior of the two nodes says of the connections it has had with this very process of the
// junior. The junior says nothing here.
type claim struct {
	// seen is the highest ticket among them.
	seen uint64
	// live: that connection is still up as far as the senior knows.
	live bool
}

// transcript is what a side signs: both greetings, its role and its claim. Without the role, one could be handed
// its own signature.
func transcript(r role, c claim, said greetings) []byte {
	h := sha512.New()
	h.Write(said[dialler])
	h.Write(said[acceptor])
	b := []byte("quord peer handshake: dialler\x00")
	if r == acceptor {
		b = []byte("quord peer handshake: acceptor\x00")
	}
	return h.Sum(appendClaim(b, c))
}

func appendClaim(b []byte, c claim) []byte {
	b = binary.BigEndian.AppendUint64(b, c.seen)
	if c.live {
		return append(b, 1)
	}
	return append(b, 0)
}

func (p *proof) encode() []byte {
	return append(appendClaim(make([]byte, 0, proofSize), p.claim), p.signature[:]...)
}

func readProof(r io.Reader) (p proof, err error) {
	b := make([]byte, proofSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return p, fmt.Errorf("%w: read proof: %w", ErrHandshake, err)
	}
	if b[8] > 1 {
		return p, fmt.Errorf("%w: a claim is %d, want 0 or 1", ErrHandshake, b[8])
	}
	p.claim = claim{seen: binary.BigEndian.Uint64(b), live: b[8] == 1}
	copy(p.signature[:], b[9:])
	return p, nil
}

// code is what a verdict comes to. The numbers are on the wire: append only.
type code uint8

const (
	accepted code = iota + 1
	refused
	// duplicate: welcome, but another connection between the two is kept.
	duplicate
)

// verdict is the last thing that each side says.
type verdict struct {
	code code
	// ticket numbers the connections that the junior has accepted in the life of its process; 0 from the senior.
	ticket uint64
	reason string
}

func (v *verdict) encode() []byte {
	reason := v.reason[:min(len(v.reason), reasonMax)]
	b := append(make([]byte, 0, verdictHeader+len(reason)), byte(v.code))
	b = binary.BigEndian.AppendUint64(b, v.ticket)
	b = binary.BigEndian.AppendUint16(b, uint16(len(reason)))
	return append(b, reason...)
}

func readVerdict(r io.Reader) (v verdict, err error) {
	head := make([]byte, verdictHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return v, fmt.Errorf("%w: read verdict: %w", ErrHandshake, err)
	}
	v.code, v.ticket = code(head[0]), binary.BigEndian.Uint64(head[1:])
	n := int(binary.BigEndian.Uint16(head[9:]))
	if v.code < accepted || v.code > duplicate {
		return v, fmt.Errorf("%w: verdict %d is unknown", ErrHandshake, v.code)
	}
	if n > reasonMax {
		return v, fmt.Errorf("%w: a reason of %d bytes, at most %d are allowed", ErrHandshake, n, reasonMax)
	}
	reason := make([]byte, n)
	if _, err := io.ReadFull(r, reason); err != nil {
		return v, fmt.Errorf("%w: read verdict: %w", ErrHandshake, err)
	}
	v.reason = printable(reason)
	return v, nil
}

// printable makes text of another machine fit for a log and a terminal.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
}
