package ring

import (
	"errors"
	"fmt"
	"time"
)

// Errors with which a lookup ends.
var (
	// ErrOutside is returned when this node is in no ring, or has left it.
	ErrOutside = errors.New("this node is in no ring")
	// ErrDeadline is returned when no answer came in time.
	ErrDeadline = errors.New("the lookup got no answer in time")
	// ErrNoOwner is returned when until the deadline no token said that it owns the identifier: the ring is changing there.
	ErrNoOwner = errors.New("no token owned the identifier in time: the ring is changing there")
	// ErrHopLimit is returned when the lookup took more hops than the limit.
	ErrHopLimit = errors.New("the lookup took too many hops")
	// ErrTooManyLookups is returned when as many lookups are in flight as the configuration allows.
	ErrTooManyLookups = errors.New("too many lookups in flight")
)

// Errors of the calls that change whether a node is in the ring.
var (
	// ErrTokens is returned when the tokens cannot be those of a node: none, too many, twice the same, outside
	// the space, or, to create a ring, fewer than its r+1 principals.
	ErrTokens = errors.New("these tokens cannot be used")
	// ErrMember is returned when a node that is in a ring is told to create or join one, or one that is joining to create one.
	ErrMember = errors.New("this node already is in a ring, or joining one")
	// ErrState is returned when a state cannot be put in place: other tokens, or pointers that break the order.
	ErrState = errors.New("this state does not fit the ring")
)

// Mode says how a lookup travels.
type Mode uint8

const (
	// Iterative lookups are driven by the node that asks: it sees each hop and goes around dead ones.
	Iterative Mode = iota
	// Recursive lookups are passed on from node to node, and the owner answers the one that asked: about half
	// the latency, but only the first hop can be gone around.
	Recursive
)

// String returns the name of the mode as the command line has it.
func (m Mode) String() string {
	if m == Recursive {
		return "recursive"
	}
	return "iterative"
}

// Hop is one node that a lookup asked. RTT is zero where it did not answer. A recursive lookup shows only the
// owner, with the time that the whole took.
type Hop struct {
	Token    Token // the token that led there; of a node asked as a contact only the node
	RTT      time.Duration
	TimedOut bool
}

// Result is how a lookup ended. With Err nil, Owner said that it owns Target, and Successors are the tokens
// that follow it.
type Result struct {
	Ticket     uint64
	Target     ID
	Mode       Mode
	Owner      Token
	Successors []Token
	Hops       int // nodes that answered, the owner included, this node not
	Timeouts   int // nodes that did not answer
	Path       []Hop
	Took       time.Duration
	Err        error
}

// EventKind names what has happened.
type EventKind uint8

// What the shell may want to log. The alarms say that the ring is, or was, beyond what its proof assumes.
const (
	Created           EventKind = iota + 1 // Token is one of the first of a new ring
	Joined                                 // Token joined behind its predecessor Peer
	JoinFailed                             // Token could not join and will try again; Err says why
	SuccessorChanged                       // Peer is Token's successor now
	SuccessorLost                          // Peer, Token's successor, is dead
	PredecessorChange                      // Peer is Token's predecessor now
	Left                                   // Token left
	NodeDead                               // Peer.Node did not answer and counts as dead for a while
	OtherRing                              // Peer stands where Token should, in another ring: the two are being merged
	AlarmIsolated                          // every successor of Token is dead; it turns to whom else its node knows
	AlarmOneMachine                        // Token's successors are all on this node though the ring has others
	AlarmDisorder                          // Peer sent a successor list out of ring order; it was not used
)

// Event is something that has happened to a token of this node.
type Event struct {
	Kind  EventKind
	Token Token
	Peer  Token
	Err   error
}

// Alarm reports whether the event says that an assumption of the ring's proof was broken.
func (e Event) Alarm() bool { return e.Kind >= AlarmIsolated }

// String returns the event for people.
func (e Event) String() string {
	if e.Err != nil {
		return fmt.Sprintf("%v: token %v: %v", e.Kind, e.Token, e.Err)
	}
	return fmt.Sprintf("%v: token %v, peer %v", e.Kind, e.Token, e.Peer)
}

// String returns the name of the event in words.
func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return fmt.Sprintf("event %d", uint8(k))
}

var eventNames = [...]string{
	Created: "ring created", Joined: "joined", JoinFailed: "join failed", SuccessorChanged: "successor changed",
	SuccessorLost: "successor lost", PredecessorChange: "predecessor changed", Left: "left", NodeDead: "node dead",
	OtherRing: "another ring found", AlarmIsolated: "alarm: no live successor", AlarmOneMachine: "alarm: all successors on one machine",
	AlarmDisorder: "alarm: successor list out of order",
}
