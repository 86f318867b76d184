package ring

import (
	"fmt"

	"github.com/quorddb/quord/internal/ident"
)

// Kind names what a message says. The numbers are part of the format and only ever grow.
type Kind uint8

// The messages between tokens come first, then those of lookups, which go from node to node.
const (
	Query   Kind = 1  // token From asks token To for its predecessor and successor list
	State   Kind = 2  // the answer
	Busy    Kind = 3  // token From lives, but has no state to show: it is itself between a query and its result
	Gone    Kind = 4  // the node lives, but token From is no member of the ring
	Ping    Kind = 5  // token From asks whether token To is a member; answered at once, busy or not
	Pong    Kind = 6  // it is
	Notify  Kind = 7  // token From says to token To: I believe I am your predecessor
	Leave   Kind = 8  // token From says to a neighbour: I am no member any more; these are my successors
	Find    Kind = 9  // iterative lookup: which tokens do you know closest to Target?
	Route   Kind = 10 // the answer
	Forward Kind = 11 // recursive lookup: pass it on
	Found   Kind = 12 // its end, sent to the node that asked
	Nudge   Kind = 13 // token From says to its predecessor To: my successor list or predecessor has changed, stabilize soon
)

// Verdict is what the answer to a lookup's message means.
type Verdict uint8

// Numbers are part of the format and only ever grow.
const (
	Closer   Verdict = 1 // List: tokens that precede the target, in ring order, the closest one last
	Final    Verdict = 2 // List: a successor list in which the target has its place
	Owner    Verdict = 3 // From owns the target; List: its successors
	Before   Verdict = 4 // From is the target's predecessor, and so the one to join; List: its successors
	Refused  Verdict = 5 // the token asked does not own the target; Pred: its predecessor, if that one may
	Outside  Verdict = 6 // the node asked is in no ring; Claim: and lets the asker make one
	TooFar   Verdict = 7 // the hop limit was reached
	lastKind         = Nudge
	lastVerd         = TooFar
)

// Message is what one ring says to another, or to itself. Which fields count depends on the kind; the format
// is in the package comment. Pred and List may share memory with the ring that sent them and must not be
// changed; the ring never changes them either.
type Message struct {
	Kind    Kind
	Verdict Verdict // Route, Found
	Claim   bool    // Find, Forward: token To is believed to own Target; see also Revive
	Ceded   bool    // State: To may own (Floor, To], nothing if Floor is To; Leave: To inherits (Floor, From]
	Joining bool    // Query, Find: the asker is no member yet; a Find then looks for the predecessor
	Hops    uint8   // Forward, Found: messages between nodes so far
	Limit   uint8   // Forward: the most hops
	Seq     uint64  // ties an answer to its question
	Epoch   uint64  // Query, State, Notify, Leave: drawn when token From joined; tells its lives apart
	To      ID
	From    ID
	Target  ID
	Floor   ID
	Origin  ident.NodeID // Forward: the node that asked
	Pred    Token        // State: From's predecessor; Route: with Refused, whom to ask instead, if any
	List    []Token
}

// Envelope is a message on its way to a node.
type Envelope struct {
	To  ident.NodeID
	Msg Message
}

// String returns the message for people.
func (m Message) String() string {
	switch m.Kind {
	case Find, Forward, Route, Found:
		return fmt.Sprintf("%v #%d target %s from %s to %s claim %t verdict %d hops %d %v",
			m.Kind, m.Seq, m.Target.Short(), m.From.Short(), m.To.Short(), m.Claim, m.Verdict, m.Hops, m.List)
	default:
		return fmt.Sprintf("%v #%d from %s to %s pred %v %v", m.Kind, m.Seq, m.From.Short(), m.To.Short(), m.Pred, m.List)
	}
}

// String returns the name of the kind.
func (k Kind) String() string {
	if k >= 1 && k <= lastKind {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

var kindNames = [lastKind + 1]string{
	Query: "query", State: "state", Busy: "busy", Gone: "gone", Ping: "ping", Pong: "pong", Notify: "notify",
	Leave: "leave", Find: "find", Route: "route", Forward: "forward", Found: "found",
	Nudge: "nudge",
}
