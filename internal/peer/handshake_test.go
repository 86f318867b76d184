package peer

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quorddb/quord/internal/ident"
	"pgregory.net/rapid"
)

func drawGreeting(t *rapid.T) greeting {
	var g greeting
	copy(g.nonce[:], rapid.SliceOfN(rapid.Byte(), nonceSize, nonceSize).Draw(t, "nonce"))
	copy(g.key[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
	g.instance = rapid.Uint64().Draw(t, "instance")
	copy(g.hello.Cluster[:], rapid.SliceOfN(rapid.Byte(), ident.Size, ident.Size).Draw(t, "cluster"))
	g.hello.Boot, g.hello.Sequence = rapid.Uint64().Draw(t, "boot"), rapid.Uint64().Draw(t, "sequence")
	g.hello.ProtocolMin, g.hello.ProtocolMax = rapid.Uint16().Draw(t, "pmin"), rapid.Uint16().Draw(t, "pmax")
	g.hello.FormatMin, g.hello.FormatMax = rapid.Uint16().Draw(t, "fmin"), rapid.Uint16().Draw(t, "fmax")
	g.hello.WallMillis = rapid.Int64().Draw(t, "wall")
	g.hello.Address = rapid.StringMatching(`[a-z0-9.:\[\]-]{0,255}`).Draw(t, "address")
	return g
}

// What one node says of itself, the other hears; what a later version adds does not disturb it.
func TestGreetingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGreeting(t)
		b := g.encode()
		more := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "more")
		binary.BigEndian.PutUint16(b[len(magic)+2:], uint16(len(b)-greetingHeader+len(more)))
		b = append(b, more...)
		raw, err := readGreeting(bytes.NewReader(append(b, "what follows"...)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(raw, b) {
			t.Fatalf("read %x, want %x", raw, b)
		}
		got, err := decodeGreeting(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(g, got, cmp.AllowUnexported(greeting{})); diff != "" {
			t.Fatalf("(-said +heard):\n%s", diff)
		}
	})
}

// A verdict arrives with its reason, cut to its bound and fit for a terminal.
func TestVerdictRoundTrip(t *testing.T) {
	for reason, want := range map[string]string{
		"": "", "removed on 3 May": "removed on 3 May", "clear\x1b[2J\n": "clear?[2J?", "\xff\xfe": "?",
		strings.Repeat("x", 2000): strings.Repeat("x", reasonMax),
	} {
		v := verdict{code: refused, ticket: 77, reason: reason}
		got, err := readVerdict(bytes.NewReader(v.encode()))
		if err != nil || got.code != refused || got.ticket != 77 || got.reason != want {
			t.Errorf("%q arrived as %+v (%v), want %q", reason, got, err, want)
		}
	}
}

// stranger is the dialling side of a handshake, written by hand.
type stranger struct {
	key ed25519.PrivateKey
	nc  net.Conn
}

func (s *stranger) greeting() []byte {
	g := greeting{hello: Hello{ProtocolMin: 1, ProtocolMax: 1}}
	copy(g.key[:], s.key.Public().(ed25519.PublicKey))
	return g.encode()
}

// greet says the greeting and returns both.
func (s *stranger) greet(t *testing.T, mine []byte) greetings {
	t.Helper()
	if err := say(s.nc, mine); err != nil {
		t.Fatal(err)
	}
	theirs, err := readGreeting(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	return greetings{mine, theirs}
}

// closed fails unless the other side closes the connection without a further word.
func (s *stranger) closed(t *testing.T) {
	t.Helper()
	if err := s.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	n, err := s.nc.Read(make([]byte, 1))
	if n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the other side said %d bytes more (%v), want the connection to be closed", n, err)
	}
}

// Who cannot prove an identity must not be believed, or a machine could vote in another's name.
func TestIdentityMustBeProved(t *testing.T) {
	keys := testKeys(3)
	for name, forge := range map[string]func(s *stranger, said greetings) proof{
		"another key": func(_ *stranger, said greetings) (p proof) {
			copy(p.signature[:], ed25519.Sign(keys[2], transcript(dialler, claim{}, said)))
			return p
		},
		"the other role": func(s *stranger, said greetings) (p proof) {
			copy(p.signature[:], ed25519.Sign(s.key, transcript(acceptor, claim{}, said)))
			return p
		},
		"another claim": func(s *stranger, said greetings) (p proof) {
			copy(p.signature[:], ed25519.Sign(s.key, transcript(dialler, claim{}, said)))
			p.claim.live = true
			return p
		},
		"an earlier conversation": func(s *stranger, said greetings) (p proof) {
			earlier := greetings{said[dialler], bytes.Clone(said[acceptor])}
			earlier[acceptor][greetingHeader] ^= 1 // its nonce
			copy(p.signature[:], ed25519.Sign(s.key, transcript(dialler, claim{}, earlier)))
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, keys[0], listen(t))
			nc, err := net.Dial("tcp", a.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			s := &stranger{keys[1], nc}
			p := forge(s, s.greet(t, s.greeting()))
			if err := say(nc, p.encode()); err != nil {
				t.Fatal(err)
			}
			s.closed(t)
			a.quiet(t)
			if peers := a.Metrics().Peers; len(peers) != 0 {
				t.Errorf("links are left: %+v", peers)
			}
		})
	}
}

// The same conversation with an honest proof is believed: the tests above fail for the reason they name.
func TestHonestStrangerIsBelieved(t *testing.T) {
	keys := testKeys(2)
	a := open(t, keys[0], listen(t))
	nc, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{keys[1], nc}
	said := s.greet(t, s.greeting())
	var p proof
	copy(p.signature[:], ed25519.Sign(s.key, transcript(dialler, claim{}, said)))
	if err := say(nc, p.encode()); err != nil {
		t.Fatal(err)
	}
	theirs, err := readProof(nc)
	if err != nil {
		t.Fatal(err)
	}
	g, err := decodeGreeting(said[acceptor])
	if err != nil {
		t.Fatal(err)
	}
	if g.id() != a.ID() || !ed25519.Verify(g.key[:], transcript(acceptor, theirs.claim, said), theirs.signature[:]) {
		t.Fatal("the node has not proved its own identity")
	}
	v := verdict{code: accepted, ticket: 1} // keys[1] is the junior
	if err := say(nc, v.encode()); err != nil {
		t.Fatal(err)
	}
	if v, err := readVerdict(nc); err != nil || v.code != accepted {
		t.Fatalf("the verdict is %+v, %v", v, err)
	}
	a.next(t, "connected")
	// A damaged frame ends the connection and is named as the cause.
	damaged := frameOf(kindData, []byte("x"))
	damaged[len(damaged)-1] ^= 1
	if err := say(nc, append(frameOf(kindData, []byte("whole")), damaged...)); err != nil {
		t.Fatal(err)
	}
	if e := a.next(t, "receive"); string(e.payload) != "whole" {
		t.Errorf("received %q", e.payload)
	}
	if e := a.next(t, "disconnected"); !errors.Is(e.err, ErrFrame) {
		t.Errorf("the cause is %v, want ErrFrame", e.err)
	}
	nc.Close()
}

// A client that took the peer port for another must be let go, and what it is told must not be misread.
func TestOtherProtocols(t *testing.T) {
	a := open(t, testKeys(1)[0], listen(t))
	for name, hello := range map[string]string{
		"redis": "*1\r\n$4\r\nPING\r\n", "http": "GET / HTTP/1.1\r\n\r\n",
		"too long": magic + "\x00\x01\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", a.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if err := say(nc, []byte(hello)); err != nil {
				t.Fatal(err)
			}
			(&stranger{nc: nc}).closed(t)
		})
	}
	a.quiet(t)
}

// A later version of the handshake must be told apart from damage, on both sides.
func TestOtherVersionOfTheHandshake(t *testing.T) {
	keys := testKeys(2)
	a := open(t, keys[0], listen(t))
	nc, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s := &stranger{keys[1], nc}
	later := s.greeting()
	later[len(magic)+1] = 2
	said := s.greet(t, later) // the node answers with its own version, so that the newer side can say what it met
	s.closed(t)
	if v := binary.BigEndian.Uint16(said[acceptor][len(magic):]); v != handshakeVersion {
		t.Errorf("the node answers as version %d", v)
	}
	_, err = decodeGreeting(later)
	if err == nil || !strings.Contains(err.Error(), "version 2 of the handshake, this build version 1") {
		t.Errorf("got %v", err)
	}
}

// An address too long for the greeting must be an error here and not a handshake that nobody understands.
func TestLongAddress(t *testing.T) {
	keys := testKeys(2)
	a := open(t, keys[0], listen(t), func(cfg *Config) {
		cfg.Hello = func() Hello { return Hello{Address: strings.Repeat("a", addressMax+1)} }
	})
	b := open(t, keys[1], listen(t))
	if _, err := a.DialSeed(t.Context(), b.addr); err == nil || !strings.Contains(err.Error(), "256 bytes") {
		t.Errorf("got %v", err)
	}
}

// A node that is refused once a second must not fill the log.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	var r refusalLog
	e := &RefusedError{ID: ident.NodeID{1}, Reason: "removed"}
	if !r.news(e) || r.news(e) {
		t.Error("the same refusal is news once")
	}
	if !r.news(&RefusedError{ID: ident.NodeID{1}, Reason: "another cluster"}) {
		t.Error("another reason is news")
	}
	for i := range 2 * refusalsKept {
		r.news(&RefusedError{ID: ident.NodeID{2, byte(i), byte(i >> 8)}})
	}
	if n := len(r.last); n > refusalsKept {
		t.Errorf("%d refusals are remembered, want at most %d", n, refusalsKept)
	}
}

// Any greeting that is accepted is what was said, and nothing crashes.
func FuzzGreeting(f *testing.F) {
	s := &stranger{key: testKeys(1)[0]}
	f.Add(s.greeting())
	f.Add(append([]byte(magic), 0, 2, 0, 0))
	f.Add(s.greeting()[:60])
	f.Add([]byte("*1\r\n$4\r\nPING\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := readGreeting(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(raw) > greetingHeader+greetingMax || !bytes.HasPrefix(b, raw) {
			t.Fatalf("%x was read as %x", b, raw)
		}
		g, err := decodeGreeting(raw)
		if err != nil {
			return
		}
		if len(g.hello.Address) > addressMax {
			t.Fatalf("an address of %d bytes", len(g.hello.Address))
		}
		if again, err := decodeGreeting(g.encode()); err != nil || again != g {
			t.Fatalf("%+v became %+v (%v)", g, again, err)
		}
	})
}

// The same for proofs and verdicts.
func FuzzVerdict(f *testing.F) {
	for _, v := range []verdict{{code: accepted, ticket: 9}, {code: refused, reason: "no"}, {code: duplicate}} {
		f.Add(v.encode())
	}
	f.Add((&proof{claim: claim{seen: 5, live: true}}).encode())
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := readProof(bytes.NewReader(b)); err == nil && !bytes.HasPrefix(b, p.encode()) {
			t.Fatalf("%x was read as the proof %+v", b, p)
		}
		v, err := readVerdict(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(v.reason) > reasonMax || v.code < accepted || v.code > duplicate {
			t.Fatalf("%x was read as %+v", b, v)
		}
		if again, err := readVerdict(bytes.NewReader(v.encode())); err != nil || again != v {
			t.Fatalf("%+v became %+v (%v)", v, again, err)
		}
	})
}

// scripted is a connection on which the other side says what it says, whatever it hears.
type scripted struct {
	net.Conn
	io.Reader
}

func (s scripted) Read(b []byte) (int, error)     { return s.Reader.Read(b) }
func (scripted) Write(b []byte) (int, error)      { return len(b), nil }
func (scripted) Close() error                     { return nil }
func (scripted) SetDeadline(time.Time) error      { return nil }
func (scripted) SetWriteDeadline(time.Time) error { return nil }
func (scripted) RemoteAddr() net.Addr             { return pipeAddr("scripted") }

// Nobody gets in by a script: whatever is said to either side of a handshake, it ends in an error.
func FuzzHandshake(f *testing.F) {
	keys := testKeys(2)
	s := &stranger{key: keys[1]}
	p := proof{}
	v := verdict{code: accepted, ticket: 1}
	f.Add(append(append(s.greeting(), p.encode()...), v.encode()...), true)
	f.Add(append(s.greeting(), p.encode()[:40]...), false)
	f.Add((&stranger{key: keys[0]}).greeting(), true)
	f.Add([]byte(magic), false)
	a := open(f, keys[0], listen(f))
	f.Fuzz(func(t *testing.T, said []byte, dials bool) {
		as := acceptor
		if dials {
			as = dialler
		}
		if _, err := a.handshake(t.Context(), scripted{Reader: bytes.NewReader(said)}, as, ident.NodeID{}); err == nil {
			t.Fatalf("%x got in", said)
		}
		if n := len(a.Metrics().Peers); n != 0 {
			t.Fatalf("%d links are left", n)
		}
	})
}

func ExampleRefusedError() {
	fmt.Println(&RefusedError{ID: ident.NodeID{0xab, 0xcd}, ByPeer: true, Reason: "node was removed"})
	// Output: refused by node abcd0000: node was removed
}
