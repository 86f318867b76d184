package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// Bounds of transfers.
const (
	maxOutgoing   = 64        // snapshots that this node sends at a time
	maxIncoming   = 128       // snapshots that it receives at a time
	chunkSize     = 256 << 10 // bytes
	chunkWindow   = 4         // chunks on their way to one receiver
	windowBytes   = 1 << 20   // bytes of them, unless a single one is larger
	transferWait  = 10 * time.Second
	resumeWithin  = 30 * time.Second // after a break
	stepsPerTurn  = 64               // chunks taken into one turn
	maxChunkQueue = chunkWindow
	// maxQueued bounds the bytes of chunks that wait to be written, of all transfers; one chunk is always taken.
	maxQueued = 64 << 20
)

// moves holds the snapshots on their way from and to this node.
type moves struct {
	next  uint64
	out   map[uint64]*outgoing
	in    map[inKey]*incoming
	ready []*incoming // those with something to write
	// wanting are the tablets led here of which a replica wants a snapshot that has to wait for another one to end, each
	// once.
	wanting []*place
	// queued is how many bytes wait in the queues of in, and of those that were dropped since and are still in ready.
	queued int
	// sent and received are paces of chunks that have been stored, here and elsewhere.
	sent, received pace
}

func (m *moves) init() {
	m.out, m.in = map[uint64]*outgoing{}, map[inKey]*incoming{}
}

func (m *moves) waiting() bool {
	return len(m.ready) > 0 || len(m.wanting) > 0 && len(m.out) < maxOutgoing
}

type inKey struct {
	from     ident.NodeID
	transfer uint64
}

func (k inKey) compare(o inKey) int {
	return cmp.Or(k.from.Compare(o.from), cmp.Compare(k.transfer, o.transfer))
}

// outgoing is a snapshot that this node sends.
type outgoing struct {
	id      uint64
	place   *place
	group   *tablet.Group
	to      ident.NodeID
	boot    uint64
	replica uint64
	source  *tablet.Source
	sent    uint64        // chunks
	stored  uint64        // as the receiver says
	ends    []chunkEnd    // of each chunk after stored
	flying  int           // bytes of them
	resume  tablet.Cursor // where the last stored one ends
	last    bool          // the last chunk has been sent
	broken  bool          // the connection ended; the receiver may come back
	mends   bool          // it is for a damaged replica, which any other may send to
	at      time.Duration
}

// chunkEnd is where a chunk ends, and how large it is.
type chunkEnd struct {
	at   tablet.Cursor
	size int
}

// incoming is a snapshot that this node receives.
type incoming struct {
	key        inKey
	place      *place
	sink       *tablet.Sink
	stored     uint64
	missed     uint64 // the number of a lost chunk that was asked for again
	turnedAway bool   // a chunk found no room; it is asked for again
	queue      [][]byte
	queued     bool // it is in moves.ready
	installing bool // the group is out of service until the snapshot is in its place
	log        kv.Group
	at         time.Duration
}

// startTransfers begins to send snapshots to the replicas of a group that its log no longer reaches.
func (c *Core) startTransfers(p *place) {
	if !p.group.Lags() {
		return
	}
	if m := &c.moves; len(m.out) >= maxOutgoing {
		if !p.wanting {
			p.wanting = true
			m.wanting = append(m.wanting, p)
		}
		return
	}
	for _, r := range p.group.Lagging() {
		if c.live(r.Node) && !c.sending(p, r.ID) {
			c.sendTo(p, r, false)
		}
	}
}

// sendTo begins to send a snapshot to a replica.
func (c *Core) sendTo(p *place, r tablet.Replica, mends bool) {
	src, err := p.group.Snapshot()
	if err != nil {
		c.fail(err)
		return
	}
	c.moves.next++
	o := &outgoing{
		id: c.moves.next<<16 | c.cfg.Boot&0xffff, place: p, group: p.group, to: r.Node, boot: c.peer(r.Node).boot,
		replica: r.ID, source: src, at: c.now.Mono, mends: mends,
	}
	c.moves.out[o.id] = o
	c.offer(o)
	c.pump(o)
}

func (c *Core) sending(p *place, replica uint64) bool {
	for _, o := range c.moves.out {
		if o.place == p && o.replica == replica {
			return true
		}
	}
	return false
}

func (c *Core) offer(o *outgoing) {
	c.out.Add(o.to, false, &wire.Offer{Transfer: o.id, Tablet: o.place.tablet, Replica: o.replica, Head: o.source.Head})
}

// pump sends as many chunks as the window allows.
func (c *Core) pump(o *outgoing) {
	for !o.last && (o.sent == o.stored || o.sent-o.stored < chunkWindow && o.flying < windowBytes) {
		chunk, last, err := o.source.Next(chunkSize)
		if tablet.Damaged(err) {
			o.group.Wound(err)
			if o.place.group == o.group {
				c.noteHurt(o.place)
			}
			c.endTransfer(o)
			return
		}
		if err != nil {
			c.fail(err)
			return
		}
		o.sent++
		o.last = last
		o.ends = append(o.ends, chunkEnd{o.source.Cursor(), len(chunk)})
		o.flying += len(chunk)
		c.out.Add(o.to, false, &wire.Chunk{Transfer: o.id, Seq: o.sent, Data: chunk})
	}
}

// verdict hears from a receiver.
func (c *Core) verdict(from ident.NodeID, m *wire.Verdict) {
	o, ok := c.moves.out[m.Transfer]
	if !ok || o.to != from {
		return
	}
	o.at = c.now.Mono
	switch m.State {
	case wire.Receiving, wire.Missing:
		if m.Seq < o.stored || m.Seq > o.sent {
			if o.broken {
				c.endTransfer(o) // the receiver has forgotten what it had: raft asks for a new one
			}
			return
		}
		again := o.broken || m.State == wire.Missing
		if n := m.Seq - o.stored; n > 0 {
			o.resume, o.stored = o.ends[n-1].at, m.Seq
			for _, e := range o.ends[:n] {
				o.flying -= e.size
				c.moves.sent.add(c.now.Mono, e.size)
			}
			o.ends = o.ends[n:]
		}
		if again {
			o.broken = false
			o.source.Seek(o.resume)
			o.sent, o.ends, o.flying, o.last = o.stored, nil, 0, false
		}
		c.pump(o)
	case wire.Installed:
		c.moves.sent.add(c.now.Mono, o.flying)
		if o.place.group == o.group {
			if err := o.group.Acknowledge(o.replica, o.source.Position.Index); err != nil {
				c.tell(Warn, "a snapshot could not be acknowledged", "tablet", o.place.tablet, "error", err)
			}
			c.touch(o.place)
		}
		c.endTransfer(o)
	default:
		c.endTransfer(o)
	}
}

func (c *Core) endTransfer(o *outgoing) {
	delete(c.moves.out, o.id)
	if err := o.source.Close(); err != nil {
		c.tell(Warn, "close a snapshot", "tablet", o.place.tablet, "error", err)
	}
	for _, other := range c.moves.out {
		if other.group == o.group {
			return
		}
	}
	o.group.Release()
}

// dropTransfers notices that the connection to a node has ended.
func (c *Core) dropTransfers(node ident.NodeID) {
	for _, o := range c.moves.out {
		if o.to == node {
			o.broken, o.at = true, c.now.Mono
		}
	}
	for _, in := range c.moves.in {
		if in.key.from == node {
			in.at = c.now.Mono
		}
	}
}

// tickTransfers ends what has gone silent, and resumes what was broken off.
func (c *Core) tickTransfers() {
	for _, id := range slices.Sorted(maps.Keys(c.moves.out)) {
		o := c.moves.out[id]
		patience := transferWait
		if o.broken {
			patience = resumeWithin
		}
		gone := o.place.group != o.group || !o.group.Leading() && !o.mends
		if o.broken && c.live(o.to) {
			if c.peer(o.to).boot != o.boot {
				gone = true
			} else if c.now.Mono > o.at+time.Second {
				o.at = c.now.Mono
				c.offer(o)
			}
		}
		if gone || c.now.Mono > o.at+patience {
			c.endTransfer(o)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.moves.in), inKey.compare) {
		in := c.moves.in[k]
		if in.turnedAway && c.moves.queued < maxQueued/2 {
			in.turnedAway = false
			c.out.Add(k.from, false, &wire.Verdict{Transfer: k.transfer, Seq: in.stored + uint64(len(in.queue)), State: wire.Missing})
		}
		if !in.installing && len(in.queue) == 0 && c.now.Mono > in.at+resumeWithin {
			delete(c.moves.in, k)
			if in.place.sink == in {
				in.place.sink = nil
				c.clearStage(in.place)
			}
		}
	}
}

// startWaiting begins to send the snapshots that had to wait, as far as there is room for them now.
func (c *Core) startWaiting() {
	m := &c.moves
	n := 0
	for ; n < len(m.wanting) && len(m.out) < maxOutgoing; n++ {
		p := m.wanting[n]
		p.wanting = false
		if p.led && p.group != nil {
			c.startTransfers(p)
		}
	}
	m.wanting = slices.Delete(m.wanting, 0, n)
}

// offered takes the head of a snapshot that a leader wants to send.
func (c *Core) offered(from ident.NodeID, m *wire.Offer) {
	key := inKey{from, m.Transfer}
	p := c.place(m.Tablet)
	if in, ok := c.moves.in[key]; ok { // after a break
		c.out.Add(from, false, &wire.Verdict{Transfer: m.Transfer, Seq: in.stored + uint64(len(in.queue)), State: wire.Receiving})
		return
	}
	decline := func() {
		c.out.Add(from, false, &wire.Verdict{Transfer: m.Transfer, State: wire.Declined})
	}
	if p == nil || p.lost == nil && (p.group == nil || p.group.Replica() != m.Replica) || len(c.moves.in) >= maxIncoming || c.room.low {
		decline()
		return
	}
	sink, err := tablet.NewSink(m.Tablet, c.self, c.machine(m.Tablet), c.store, m.Head)
	if err != nil {
		c.tell(Warn, "a snapshot was declined", "from", from, "error", err)
		decline()
		return
	}
	if p.group != nil && p.group.Holds(sink.Position()) {
		// It was installed before, and the answer got lost: only this one tells the leader where to go on.
		c.out.Add(from, true, &wire.Verdict{Transfer: m.Transfer, State: wire.Installed})
		return
	}
	if !c.wants(p, sink.Position()) || p.sink != nil && p.sink.installing {
		decline()
		return
	}
	c.dropSink(p)
	in := &incoming{key: key, place: p, sink: sink, at: c.now.Mono}
	p.sink, c.moves.in[key] = in, in
	if p.group != nil {
		p.group.KeepFor(sink.Position())
	}
}

// chunk takes a piece of a snapshot.
func (c *Core) chunk(from ident.NodeID, m *wire.Chunk) {
	in, ok := c.moves.in[inKey{from, m.Transfer}]
	if !ok || in.installing || in.place.sink != in {
		return
	}
	in.at = c.now.Mono
	have := in.stored + uint64(len(in.queue))
	if m.Seq > have+1 && in.missed != have+1 { // one before it was lost, in a queue that was full
		in.missed = have + 1
		c.out.Add(from, false, &wire.Verdict{Transfer: m.Transfer, Seq: have, State: wire.Missing})
	}
	if m.Seq != have+1 || len(in.queue) >= maxChunkQueue {
		return
	}
	if c.moves.queued > 0 && c.moves.queued+len(m.Data) > maxQueued {
		in.turnedAway = true
		return
	}
	c.moves.queued += len(m.Data)
	in.queue = append(in.queue, m.Data)
	c.moves.enqueue(in)
}

// clear lets go of the chunks of a transfer that has ended.
func (m *moves) clear(in *incoming) {
	for _, data := range in.queue {
		m.queued -= len(data)
	}
	in.queue = nil
}

func (m *moves) enqueue(in *incoming) {
	if !in.queued {
		in.queued = true
		m.ready = append(m.ready, in)
	}
}

// stepMoves begins what had to wait, and puts what has been received into the next turn's Write.
func (c *Core) stepMoves() {
	c.startWaiting()
	ready := c.moves.ready
	c.moves.ready = nil
	defer func() { c.moves.ready = append(ready, c.moves.ready...) }() // what was not reached comes first
	for range stepsPerTurn {
		if len(ready) == 0 || c.turn.size > c.turnBytes {
			return
		}
		in := ready[0]
		ready = ready[1:]
		in.queued = false
		if in.place.sink != in { // another took its place, or the replica is gone
			delete(c.moves.in, in.key)
			c.moves.clear(in)
			continue
		}
		if in.installing {
			c.stepInstall(in)
			continue
		}
		c.stepReceive(in)
		if len(in.queue) > 0 {
			c.moves.enqueue(in)
		}
	}
}

func (c *Core) stepReceive(in *incoming) {
	p := in.place
	if !c.wants(p, in.sink.Position()) {
		state := wire.Declined
		if p.group != nil && p.group.Holds(in.sink.Position()) {
			state = wire.Installed // the log brought it first
		}
		c.endIncoming(in, state)
		return
	}
	data := in.queue[0]
	in.queue = in.queue[1:]
	c.moves.queued -= len(data)
	c.moves.received.add(c.now.Mono, len(data))
	w, whole, err := in.sink.Receive(data, p.holder())
	if err != nil {
		c.tell(Warn, "a snapshot was declined", "tablet", p.tablet, "error", err)
		c.endIncoming(in, wire.Declined)
		return
	}
	in.stored++
	c.turn.add(w)
	if !in.sink.Complete() {
		c.turn.after = append(c.turn.after, func() {
			c.out.Add(in.key.from, true, &wire.Verdict{Transfer: in.key.transfer, Seq: in.stored, State: wire.Receiving})
		})
		return
	}
	// From here on the replica is out of service: what it holds is about to be replaced.
	in.installing, in.log = true, p.holder().Log()
	c.drop(p)
	c.turn.sync = true
	if !whole {
		c.moves.enqueue(in)
		return
	}
	c.turn.after = append(c.turn.after, func() { c.installed(in, w) })
}

// stepInstall moves a part of a complete stage into its place.
func (c *Core) stepInstall(in *incoming) {
	w, last, err := in.sink.Move(in.log)
	if err != nil {
		c.fail(err)
		return
	}
	c.turn.add(w)
	if last {
		c.turn.sync = true
		c.turn.after = append(c.turn.after, func() { c.installed(in, w) })
		return
	}
	c.moves.enqueue(in)
}

// installed takes the replica into service again, with the state that has arrived.
func (c *Core) installed(in *incoming, w *kv.Write) {
	p := in.place
	c.endIncoming(in, wire.Installed)
	cfg := c.groupConfig(p.tablet)
	stored, err := tablet.Logged(w, in.log)
	var g *tablet.Group
	if err == nil {
		g, err = tablet.Open(cfg, stored, c.now.Mono)
	}
	if err == nil {
		err = cfg.Machine.Installed(c.store)
	}
	if tablet.Damaged(err) {
		c.lose(p, err, stored)
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	p.lost = nil
	c.adopt(p, g)
	c.mended(p)
	c.tell(Debug, "snapshot installed", "tablet", p.tablet, "index", stored.Last, "bytes", in.sink.Bytes)
}

func (c *Core) endIncoming(in *incoming, state wire.VerdictState) {
	delete(c.moves.in, in.key)
	c.moves.clear(in)
	if in.place.sink == in {
		in.place.sink = nil
	}
	c.out.Add(in.key.from, true, &wire.Verdict{Transfer: in.key.transfer, Seq: in.stored, State: state})
}
