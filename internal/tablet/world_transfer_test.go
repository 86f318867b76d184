package tablet

import (
	"maps"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/kv"
)

// outgoing and incoming are the two ends of a snapshot on its way: one chunk after the other.
type outgoing struct {
	id      uint64
	group   *Group
	to      int
	replica uint64
	source  *Source
	chunk   []byte // the one that is under way
	seq     uint64
	from    Cursor // where it began
	last    bool
	at      time.Duration // when it was sent last
	began   time.Duration
}

type incoming struct {
	from, transfer uint64
	sink           *Sink
	stored         uint64
	next           []byte
	installing     bool
	log            kv.Group
}

func (n *node) startTransfers() {
	for _, r := range n.group.Lagging() {
		if !n.live(r.Node) || n.sending(r.ID) {
			continue
		}
		src, err := n.group.Snapshot()
		n.must(err)
		n.w.transfers++
		n.w.snapshots++
		o := &outgoing{id: n.w.transfers, group: n.group, replica: r.ID, source: src, began: n.w.now}
		for _, other := range n.w.nodes {
			if other.id == r.Node {
				o.to = other.at
			}
		}
		n.w.logf("node %d sends a snapshot at %d to node %d", n.at, src.Position.Index, o.to)
		n.out[o.id] = o
		n.nextChunk(o)
	}
}

func (n *node) sending(replica uint64) bool {
	for _, o := range n.out {
		if o.group == n.group && o.replica == replica {
			return true
		}
	}
	return false
}

func (n *node) nextChunk(o *outgoing) {
	var err error
	o.from = o.source.Cursor()
	o.chunk, o.last, err = o.source.Next(n.w.chunk)
	n.must(err)
	o.seq++
	n.sendChunk(o)
}

func (n *node) sendChunk(o *outgoing) {
	// A chunk that is sent again is read again, from where the one before it ended.
	o.source.Seek(o.from)
	var err error
	o.chunk, o.last, err = o.source.Next(n.w.chunk)
	n.must(err)
	o.at = n.w.now
	id, replica, head, seq, chunk := o.id, o.replica, o.source.Head, o.seq, o.chunk
	n.w.send(n.at, o.to, func() { n.w.nodes[o.to].chunkIn(n.at, id, replica, head, seq, chunk) })
}

func (n *node) tickOut() {
	for _, id := range slices.Sorted(maps.Keys(n.out)) {
		o := n.out[id]
		if o.group != n.group || !o.group.Leading() || n.w.now > o.began+20*time.Second {
			n.endOut(o)
			continue
		}
		if n.w.now > o.at+200*time.Millisecond {
			n.sendChunk(o)
		}
	}
}

func (n *node) endOut(o *outgoing) {
	delete(n.out, o.id)
	n.must(o.source.Close())
	for _, other := range n.out {
		if other.group == o.group {
			return
		}
	}
	o.group.Release()
}

// The states of a transfer as the receiver sees it.
const (
	receiving = iota
	installed
	declined
)

func (n *node) verdict(from int, transfer, seq uint64, state int) {
	n.w.send(n.at, from, func() { n.w.nodes[from].verdictIn(transfer, seq, state) })
}

func (n *node) verdictIn(transfer, seq uint64, state int) {
	o, ok := n.out[transfer]
	switch {
	case !ok:
	case state == receiving:
		if seq == o.seq && !o.last {
			n.nextChunk(o)
		}
	case state == installed:
		if n.group == o.group {
			n.must(n.group.Acknowledge(o.replica, o.source.Position.Index))
		}
		n.endOut(o)
	default:
		n.endOut(o)
	}
}

func (n *node) chunkIn(from int, transfer, replica uint64, head []byte, seq uint64, chunk []byte) {
	in := n.in
	if in == nil || in.transfer != transfer {
		if in != nil && in.installing {
			return
		}
		if seq != 1 || n.group == nil || n.group.Replica() != replica {
			n.verdict(from, transfer, seq, declined)
			return
		}
		sink, err := NewSink(theTablet, n.id, n.group.cfg.Machine, n.store, head)
		n.must(err)
		if n.group.Holds(sink.Position()) {
			n.verdict(from, transfer, seq, installed)
			return
		}
		if !n.group.Wants(sink.Position()) {
			n.verdict(from, transfer, seq, declined)
			return
		}
		sink.step = n.w.move
		n.group.KeepFor(sink.Position())
		in = &incoming{from: uint64(from), transfer: transfer, sink: sink}
		n.in = in
	}
	switch {
	case in.installing:
	case seq == in.stored:
		n.verdict(from, transfer, seq, receiving)
	case seq == in.stored+1:
		in.next = chunk
	}
}

// stepIncoming puts what has been received into the next turn's Write.
func (n *node) stepIncoming() {
	in := n.in
	if in == nil {
		return
	}
	if in.installing {
		n.stepInstall(in)
		return
	}
	if in.next == nil {
		return
	}
	chunk := in.next
	in.next = nil
	if n.group == nil || !n.group.Wants(in.sink.Position()) {
		state := declined
		if n.group != nil && n.group.Holds(in.sink.Position()) {
			state = installed
		}
		n.in = nil
		n.after = append(n.after, func() { n.verdict(int(in.from), in.transfer, in.stored, state) })
		return
	}
	log := n.group.Log()
	w, whole, err := in.sink.Receive(chunk, n.group)
	n.must(err)
	in.stored++
	n.addExtra(w)
	if !in.sink.Complete() {
		n.after = append(n.after, func() { n.verdict(int(in.from), in.transfer, in.stored, receiving) })
		return
	}
	in.installing, in.log = true, log
	n.group.Abandon()
	n.group = nil
	n.after = append(n.after, func() {})
	if whole {
		n.after = append(n.after, func() { n.installed(in, w) })
	}
}

func (n *node) stepInstall(in *incoming) {
	w, last, err := in.sink.Move(in.log)
	n.must(err)
	n.addExtra(w)
	n.w.moved++
	if last {
		n.after = append(n.after, func() { n.installed(in, w) })
	}
}

func (n *node) addExtra(w *kv.Write) {
	n.extra.Log, n.extra.State = append(n.extra.Log, w.Log...), append(n.extra.State, w.State...)
}

func (n *node) installed(in *incoming, w *kv.Write) {
	stored, err := Logged(w, in.log)
	n.must(err)
	g, err := Open(n.config(), stored, n.mono())
	n.must(err)
	n.in = nil
	n.adopt(g)
	n.w.installed++
	n.w.logf("node %d installed a snapshot at %d", n.at, in.sink.Position().Index)
	n.verdict(int(in.from), in.transfer, in.stored, installed)
}
