package wire

import (
	"encoding/binary"

	"github.com/quorddb/quord/internal/ident"
)

// FrameSize is the size beyond which an outbox begins another frame for the same node. A frame is larger only when
// a single message is.
const FrameSize = 4 << 20

// Outbox gathers the messages of one turn, per node: those that may be sent at once, and late ones, which promise
// what must be on disk first.
type Outbox struct {
	boxes map[ident.NodeID]*box
	order []*box // those with something in them
}

type box struct {
	to    ident.NodeID
	parts [2]part
	used  bool
}

type part struct {
	full [][]byte
	open []byte
}

// NewOutbox returns an empty outbox.
func NewOutbox() *Outbox { return &Outbox{boxes: map[ident.NodeID]*box{}} }

// Add appends a message to what goes to a node.
func (o *Outbox) Add(to ident.NodeID, late bool, m Message) {
	p := o.part(to, late)
	start := len(p.open)
	p.open = append(p.open, byte(m.kind()))
	// The body is written after a length of fixed width, which is filled in when it is known.
	p.open = append(p.open, 0, 0, 0, 0, 0)
	p.open = m.append(p.open)
	putLength(p.open[start+1:], len(p.open)-start-6)
}

// Raft appends an encoded raft message of a tablet.
func (o *Outbox) Raft(to ident.NodeID, tablet uint32, late bool, encoded []byte) {
	p := o.part(to, late)
	p.open = append(p.open, byte(KindRaft))
	p.open = binary.AppendUvarint(p.open, uint64(len(encoded)+uvarintLen(uint64(tablet))))
	p.open = binary.AppendUvarint(p.open, uint64(tablet))
	p.open = append(p.open, encoded...)
}

func (o *Outbox) part(to ident.NodeID, late bool) *part {
	b := o.boxes[to]
	if b == nil {
		b = &box{to: to}
		o.boxes[to] = b
	}
	if !b.used {
		b.used = true
		o.order = append(o.order, b)
	}
	p := &b.parts[0]
	if late {
		p = &b.parts[1]
	}
	if len(p.open) >= FrameSize {
		p.full = append(p.full, p.open)
		p.open = nil
	}
	return p
}

// Pending reports whether there is anything to send.
func (o *Outbox) Pending() bool { return len(o.order) > 0 }

// Early calls send with each frame that may go at once and empties them. send must not keep the frame.
func (o *Outbox) Early(send func(to ident.NodeID, frame []byte)) { o.flush(0, send) }

// Late calls send with each frame that had to wait for the disk and empties the outbox.
func (o *Outbox) Late(send func(to ident.NodeID, frame []byte)) {
	o.flush(1, send)
	for _, b := range o.order {
		b.used = len(b.parts[0].open) > 0 || len(b.parts[0].full) > 0
	}
	kept := o.order[:0]
	for _, b := range o.order {
		if b.used {
			kept = append(kept, b)
		}
	}
	clear(o.order[len(kept):])
	o.order = kept
}

// keepBuffer is the size up to which a buffer is kept for the next turn.
const keepBuffer = 1 << 20

func (o *Outbox) flush(which int, send func(to ident.NodeID, frame []byte)) {
	for _, b := range o.order {
		p := &b.parts[which]
		for _, f := range p.full {
			send(b.to, f)
		}
		p.full = nil
		if len(p.open) > 0 {
			send(b.to, p.open)
		}
		if cap(p.open) > keepBuffer {
			p.open = nil
		}
		p.open = p.open[:0]
	}
}

// Retain drops the buffers of the nodes that keep does not name, as far as nothing waits in them, and returns how many nodes
// have some.
func (o *Outbox) Retain(keep func(ident.NodeID) bool) int {
	for node, b := range o.boxes {
		if !b.used && !keep(node) {
			delete(o.boxes, node)
		}
	}
	return len(o.boxes)
}

// putLength writes n as a uvarint of exactly five bytes, which every reader of uvarint understands.
func putLength(b []byte, n int) {
	for i := range 4 {
		b[i] = byte(n>>(7*i)) | 0x80
	}
	b[4] = byte(n >> 28)
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}
