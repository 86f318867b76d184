package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// Kind says what a message is. The numbers are on the wire: append only.
type Kind uint8

// The kinds of messages.
const (
	KindRaft Kind = iota + 1
	KindRequest
	KindResponse
	KindRing
	KindPulse
	KindAsk
	KindRegistry
	KindWho
	KindWhere
	KindOffer
	KindChunk
	KindVerdict
	KindMend
)

// Message is something a node says to another.
type Message interface {
	kind() Kind
	append(dst []byte) []byte
}

// Request asks the leader of a tablet to carry out commands.
type Request struct {
	ID     uint64
	Tablet uint32
	Write  bool
	// PassOn asks a node that does not lead to pass the request on to the one that does, for the asker cannot reach it.
	PassOn bool
	// For is the node whose request it is where another one passes it on, and else zero.
	For ident.NodeID
	// Boot, Number and Low name a write; see tablet.Origin.
	Boot, Number, Low uint64
	Commands          []byte
}

// The flags of a Request.
const (
	flagWrite = 1 << iota
	flagPassOn
	flagFor
)

// Status is how a node answered a request.
type Status uint8

// The statuses. The numbers are on the wire: append only.
const (
	// Done: here are the replies.
	Done Status = iota + 1
	// NotLeader: certainly not taken; Leader and Epoch say where to ask, if they are known.
	NotLeader
	// Busy: certainly not taken; ask again.
	Busy
	// NoMajority: certainly not taken; the leader sees no majority of the tablet's replicas.
	NoMajority
	// Lost: taken, but leadership ended before the outcome was known.
	Lost
	// Spent: the write lies below the origin's mark; no answer to it is left.
	Spent
	// Rejected: certainly not taken, and asking again will not help; the text says why.
	Rejected
	// Full: certainly not taken; there is no room on the disks that would have to keep the write.
	Full
)

// Response answers a Request. Leader is whom the node that answers takes for the leader; with Done it is zero where
// that is the node itself.
type Response struct {
	ID      uint64
	Status  Status
	Leader  ident.NodeID
	Epoch   uint64
	Replies []byte
	Text    string
}

// Ring carries a message of the ring.
type Ring struct{ Message *ring.Message }

// Pulse is what a node tells all others about itself, once a second.
type Pulse struct {
	Wall     int64
	Revision uint64
	// Sequence counts the synced writes of the node's disk, over all its boots: a node that comes back with less has
	// lost its memory.
	Sequence uint64
	// Leads and Holds count tablets; Lacking those it leads that have not all their voters, Moving those whose
	// replicas are being changed, Pending those that have not been compared with the ring since it changed. Keys
	// counts the keys of the tablets it leads.
	Leads, Holds, Lacking, Moving, Pending, Keys uint64
	// Closing says that the node is about to stop and should not be asked to lead.
	Closing bool
	// Low says that the node's disk is almost full, so that it should not lead either; Tight that it takes no entries of
	// logs any more.
	Low, Tight bool
	// Hurt counts the tablets of which this node holds a damaged replica.
	Hurt uint64
	// Misses are the members that the node is not connected to.
	Misses []ident.NodeID
}

// Ask asks for the registry.
type Ask struct{}

// Registry carries the registry.
type Registry struct{ Encoded []byte }

// Who asks who holds a tablet.
type Who struct{ Tablet uint32 }

// Where says who holds a tablet. An empty descriptor means that the node does not know.
type Where struct {
	Tablet     uint32
	Leader     ident.NodeID
	Applied    uint64 // the index of the log as of which the descriptor holds
	Descriptor []byte
}

// Offer begins a transfer of a snapshot.
type Offer struct {
	Transfer uint64
	Tablet   uint32
	Replica  uint64
	Head     []byte
}

// Chunk is a piece of a snapshot. It must not be larger than a frame.
type Chunk struct {
	Transfer uint64
	Seq      uint64
	Data     []byte
}

// VerdictState is what a receiver says of a transfer.
type VerdictState uint8

// The states of a transfer, as the receiver sees it.
const (
	// Receiving: all chunks up to Seq are stored, go on.
	Receiving VerdictState = iota + 1
	// Installed: the snapshot is in its place.
	Installed
	// Declined: it is not wanted, now or at all.
	Declined
	// Missing: the chunk after Seq did not come, though later ones did; go on from there.
	Missing
)

// Verdict answers an Offer or a Chunk.
type Verdict struct {
	Transfer uint64
	Seq      uint64
	State    VerdictState
}

// Mend asks for a snapshot to mend a damaged replica with, at Index or beyond.
type Mend struct {
	Tablet uint32
	Index  uint64
}

func (*Request) kind() Kind  { return KindRequest }
func (*Response) kind() Kind { return KindResponse }
func (Ring) kind() Kind      { return KindRing }
func (*Pulse) kind() Kind    { return KindPulse }
func (Ask) kind() Kind       { return KindAsk }
func (*Registry) kind() Kind { return KindRegistry }
func (*Who) kind() Kind      { return KindWho }
func (*Where) kind() Kind    { return KindWhere }
func (*Offer) kind() Kind    { return KindOffer }
func (*Chunk) kind() Kind    { return KindChunk }
func (*Verdict) kind() Kind  { return KindVerdict }
func (*Mend) kind() Kind     { return KindMend }

func (m *Request) append(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	b = binary.AppendUvarint(b, uint64(m.Tablet))
	var flags byte
	if m.Write {
		flags |= flagWrite
	}
	if m.PassOn {
		flags |= flagPassOn
	}
	if !m.For.IsZero() {
		flags |= flagFor
	}
	b = append(b, flags)
	if flags&flagFor != 0 {
		b = append(b, m.For[:]...)
	}
	b = binary.AppendUvarint(b, m.Boot)
	b = binary.AppendUvarint(b, m.Number)
	b = binary.AppendUvarint(b, m.Low)
	return append(b, m.Commands...)
}

func (m *Response) append(b []byte) []byte {
	b = binary.AppendUvarint(b, m.ID)
	b = append(b, byte(m.Status))
	b = append(b, m.Leader[:]...)
	b = binary.AppendUvarint(b, m.Epoch)
	if m.Status == Done {
		return append(b, m.Replies...)
	}
	return append(b, m.Text...)
}

func (m Ring) append(b []byte) []byte { return m.Message.Append(b) }

func (m *Pulse) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(m.Wall))
	for _, v := range [...]uint64{m.Revision, m.Sequence, m.Leads, m.Holds, m.Lacking, m.Moving, m.Pending, m.Keys} {
		b = binary.AppendUvarint(b, v)
	}
	var flags byte
	for i, set := range [...]bool{m.Closing, m.Low, m.Tight} {
		if set {
			flags |= 1 << i
		}
	}
	b = binary.AppendUvarint(append(b, flags), m.Hurt)
	b = binary.AppendUvarint(b, uint64(len(m.Misses)))
	for _, id := range m.Misses {
		b = append(b, id[:]...)
	}
	return b
}

func (Ask) append(b []byte) []byte { return b }

func (m *Registry) append(b []byte) []byte { return append(b, m.Encoded...) }

func (m *Who) append(b []byte) []byte { return binary.AppendUvarint(b, uint64(m.Tablet)) }

func (m *Where) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(m.Tablet))
	b = append(b, m.Leader[:]...)
	b = binary.AppendUvarint(b, m.Applied)
	return append(b, m.Descriptor...)
}

func (m *Offer) append(b []byte) []byte {
	b = binary.AppendUvarint(b, m.Transfer)
	b = binary.AppendUvarint(b, uint64(m.Tablet))
	b = binary.AppendUvarint(b, m.Replica)
	return append(b, m.Head...)
}

func (m *Chunk) append(b []byte) []byte {
	b = binary.AppendUvarint(b, m.Transfer)
	b = binary.AppendUvarint(b, m.Seq)
	return append(b, m.Data...)
}

func (m *Verdict) append(b []byte) []byte {
	b = binary.AppendUvarint(b, m.Transfer)
	b = binary.AppendUvarint(b, m.Seq)
	return append(b, byte(m.State))
}

func (m *Mend) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(m.Tablet)), m.Index)
}

// ErrDamaged is wrapped by errors about frames that are not a sequence of messages.
var ErrDamaged = errors.New("wire: damaged message")

// Raft is a raft message as it was received. Body aliases the frame.
type Raft struct {
	Tablet uint32
	Body   []byte
}

// Each takes a frame apart and calls fn with each message: a Raft or Ring by value, the others by pointer (Ask
// by value). Byte strings alias the frame. It ends at the first damaged message or error of fn.
func Each(frame []byte, fn func(m any) error) error {
	for len(frame) > 0 {
		kind := Kind(frame[0])
		n, used := binary.Uvarint(frame[1:])
		if used <= 0 || n > uint64(len(frame)-1-used) {
			return fmt.Errorf("%w: the length of kind %d", ErrDamaged, kind)
		}
		body := frame[1+used : 1+used+int(n)]
		frame = frame[1+used+int(n):]
		m, err := decode(kind, body)
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		if err := fn(m); err != nil {
			return err
		}
	}
	return nil
}

func decode(kind Kind, body []byte) (any, error) {
	r := reader{b: body}
	var m any
	switch kind {
	case KindRaft:
		m = Raft{Tablet: r.uint32(), Body: r.b}
	case KindRequest:
		q := &Request{ID: r.uvarint(), Tablet: r.uint32()}
		flags := r.byte()
		q.Write, q.PassOn = flags&flagWrite != 0, flags&flagPassOn != 0
		if flags&flagFor != 0 {
			q.For = r.node()
		}
		q.Boot, q.Number, q.Low, q.Commands = r.uvarint(), r.uvarint(), r.uvarint(), r.b
		m = q
	case KindResponse:
		p := &Response{ID: r.uvarint(), Status: Status(r.byte()), Leader: r.node(), Epoch: r.uvarint()}
		if p.Status == Done {
			p.Replies = r.b
		} else {
			p.Text = string(r.b)
		}
		m = p
	case KindRing:
		msg, err := ring.DecodeMessage(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		m = Ring{&msg}
	case KindPulse:
		p := &Pulse{
			Wall: int64(r.uint64()), Revision: r.uvarint(), Sequence: r.uvarint(), Leads: r.uvarint(), Holds: r.uvarint(),
			Lacking: r.uvarint(), Moving: r.uvarint(), Pending: r.uvarint(), Keys: r.uvarint(),
		}
		flags := r.byte()
		p.Closing, p.Low, p.Tight = flags&1 != 0, flags&2 != 0, flags&4 != 0
		p.Hurt = r.uvarint()
		p.Misses = r.nodes()
		m = p
	case KindAsk:
		m = Ask{}
	case KindRegistry:
		m = &Registry{Encoded: body}
	case KindWho:
		m = &Who{Tablet: r.uint32()}
	case KindWhere:
		m = &Where{Tablet: r.uint32(), Leader: r.node(), Applied: r.uvarint(), Descriptor: r.b}
	case KindOffer:
		m = &Offer{Transfer: r.uvarint(), Tablet: r.uint32(), Replica: r.uvarint(), Head: r.b}
	case KindChunk:
		m = &Chunk{Transfer: r.uvarint(), Seq: r.uvarint(), Data: r.b}
	case KindVerdict:
		m = &Verdict{Transfer: r.uvarint(), Seq: r.uvarint(), State: VerdictState(r.byte())}
	case KindMend:
		m = &Mend{Tablet: r.uint32(), Index: r.uvarint()}
	default:
		return nil, nil //nolint:nilnil // an unknown kind is skipped
	}
	if r.failed {
		return nil, fmt.Errorf("%w: kind %d", ErrDamaged, kind)
	}
	return m, nil
}

// reader takes numbers off the front of b; after the first failure everything is zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.failed = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint32() uint32 {
	v := r.uvarint()
	if v > 1<<32-1 {
		r.b, r.failed = nil, true
	}
	return uint32(v)
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.b, r.failed = nil, true
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte         { return r.take(1)[0] }
func (r *reader) uint64() uint64     { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) node() ident.NodeID { return ident.NodeID(r.take(ident.Size)) }

// nodes reads a list of nodes. Its length is checked against what is there before memory is taken.
func (r *reader) nodes() []ident.NodeID {
	n := r.uvarint()
	if n > uint64(len(r.b)/ident.Size) {
		r.b, r.failed = nil, true
		return nil
	}
	var ids []ident.NodeID
	for range n {
		ids = append(ids, r.node())
	}
	return ids
}
