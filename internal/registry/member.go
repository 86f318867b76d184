package registry

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

// Bounds of what a registry holds. With all of them at their most its encoding is below MaxEncoded.
const (
	MaxMembers = 1024
	MaxRemoved = 4096    // removed members that are remembered; the ones removed first are forgotten first; see doc.go
	MaxTokens  = 1 << 18 // of all members
	MaxAddress = 255     // bytes
	MaxZone    = 64      // bytes
)

// State is what the cluster knows of a member. The numbers are not part of any format; the texts are.
type State uint8

// The states of a member; doc.go has the transitions.
const (
	Joining State = iota + 1
	Up
	Leaving
	Down
	Removed
)

var stateNames = [...]string{Joining: "joining", Up: "up", Leaving: "leaving", Down: "down", Removed: "removed"}

// String returns the name of the state as it is shown to users.
func (s State) String() string {
	if s < Joining || s > Removed {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

// MarshalText writes the name of the state.
func (s State) MarshalText() ([]byte, error) {
	if s < Joining || s > Removed {
		return nil, fmt.Errorf("state %d: want %d to %d", uint8(s), Joining, Removed)
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(b []byte) error {
	i := slices.Index(stateNames[:], string(b))
	if i < int(Joining) {
		return fmt.Errorf("state %q: want one of %s", b, strings.Join(stateNames[Joining:], ", "))
	}
	*s = State(i)
	return nil
}

// follows lists the states that a member may go to, Removed aside.
var follows = [...][]State{Joining: {Up, Leaving, Down}, Up: {Leaving, Down}, Leaving: {Up, Down}, Down: {Up, Joining, Leaving}, Removed: nil}

// Addresses are where a member is reached, as host:port. RESP and Peer are always there; Cluster and HTTP are ""
// where that face is switched off.
type Addresses struct {
	RESP    string `json:"resp"`
	Cluster string `json:"cluster,omitempty"`
	Peer    string `json:"peer"`
	HTTP    string `json:"http,omitempty"`
}

func (a Addresses) validate() error {
	for _, f := range []struct {
		name, value string
		must        bool
	}{{"resp", a.RESP, true}, {"cluster", a.Cluster, false}, {"peer", a.Peer, true}, {"http", a.HTTP, false}} {
		if f.value == "" && !f.must {
			continue
		}
		host, port, ok := cutPort(f.value)
		if !ok || host == "" || port == "" || len(f.value) > MaxAddress || !printable(f.value) {
			return fmt.Errorf("%s address %.300q: want host:port of at most %d bytes", f.name, f.value, MaxAddress)
		}
	}
	return nil
}

// cutPort cuts an address at its last colon.
func cutPort(addr string) (host, port string, ok bool) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return "", "", false
	}
	return addr[:i], addr[i+1:], true
}

// Joiner is what a node says of itself: when it asks to be admitted, and, as far as it may change, at each start.
type Joiner struct {
	ID        ident.NodeID      `json:"id"`
	Key       ed25519.PublicKey `json:"key"`
	Addresses Addresses         `json:"addresses"`
	Zone      string            `json:"zone,omitempty"`
	Weight    float64           `json:"weight"`
	// Tokens are the indices of its places on the ring (placement.Choose).
	Tokens []uint32 `json:"tokens"`
	// Boot counts the starts of the process, from 1 up; it is on the node's disk.
	Boot uint64 `json:"boot"`
	// Format is the newest format that the node knows; it knows all before it, too.
	Format uint32 `json:"format"`
}

// validate says what is wrong with a joiner in itself.
func (j *Joiner) validate() error {
	if len(j.Key) != ed25519.PublicKeySize {
		return fmt.Errorf("public key of %d bytes: want %d", len(j.Key), ed25519.PublicKeySize)
	}
	if id := ident.NodeOf(j.Key); id != j.ID {
		return fmt.Errorf("node id %s: its key is that of %s", j.ID, id)
	}
	if err := j.Addresses.validate(); err != nil {
		return err
	}
	if len(j.Zone) > MaxZone || !printable(j.Zone) {
		return fmt.Errorf("zone %.100q: want at most %d bytes of printable text", j.Zone, MaxZone)
	}
	if !(j.Weight > 0) || math.IsInf(j.Weight, 0) {
		return fmt.Errorf("weight %v: want a number above 0", j.Weight)
	}
	if err := placement.ValidIndices(j.Tokens); err != nil {
		return err
	}
	if j.Boot < 1 {
		return fmt.Errorf("boot %d: want 1 or more", j.Boot)
	}
	if j.Format < 1 {
		return fmt.Errorf("format %d: want 1 or more", j.Format)
	}
	return nil
}

// Member is a node of the cluster. Its slices are shared between copies and never change.
type Member struct {
	Joiner
	State State `json:"state"`
	// Since is when the state began, in milliseconds of the system tablet's time.
	Since int64 `json:"since"`
	// Admitted is the revision at which the node became a member; 0 where that was before it was noted.
	Admitted uint64 `json:"admitted,omitempty"`
	// Place is the key of the node whose place on the ring this one has taken; empty: it has its own.
	Place ed25519.PublicKey `json:"place,omitempty"`
}

// place returns the key of which the member's tokens are hashes.
func (m *Member) place() ed25519.PublicKey {
	if len(m.Place) > 0 {
		return m.Place
	}
	return m.Key
}

// RingTokens returns the member's tokens, computed from the key of its place and the indices.
func (m *Member) RingTokens() []ring.Token {
	tokens := placement.Tokens(m.place(), m.Tokens)
	for i := range tokens {
		tokens[i].Node = m.ID
	}
	return tokens
}

// Gone is what is remembered of a removed member: enough to refuse it.
type Gone struct {
	ID    ident.NodeID `json:"id"`
	Since int64        `json:"since"`
}

func (m *Member) equal(o *Member) bool {
	return m.ID == o.ID && bytes.Equal(m.Key, o.Key) && m.Addresses == o.Addresses && m.Zone == o.Zone &&
		m.Weight == o.Weight && slices.Equal(m.Tokens, o.Tokens) && m.Boot == o.Boot && m.Format == o.Format &&
		m.State == o.State && m.Since == o.Since && m.Admitted == o.Admitted && bytes.Equal(m.Place, o.Place)
}

// printable reports whether s can be shown on a terminal and written as JSON unharmed. The replacement character is
// what JSON makes of broken text, so it is refused like the broken text itself.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) })
}
