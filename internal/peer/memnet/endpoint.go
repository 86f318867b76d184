package memnet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/peer"
)

// ErrUnreachable is wrapped by what DialSeed returns when nobody listens at the address or a cut lies in between.
var ErrUnreachable = errors.New("address cannot be reached")

// Config is what an Endpoint needs; the fields are those of peer.Config.
type Config struct {
	// Key is the public key of the node; its id follows from it. Required.
	Key ed25519.PublicKey
	// Addr is where others reach the node. Required, and its own.
	Addr    string
	Hello   func() peer.Hello
	Check   func(hello peer.Hello, remote ident.NodeID) error
	Handler peer.Handler
}

// Endpoint is one node's end of a Net.
type Endpoint struct {
	net *Net
	cfg Config
	id  ident.NodeID

	// All below is guarded by Net.mu.
	ended   bool
	wanted  map[ident.NodeID]string
	wires   map[ident.NodeID]*wire
	parted  []parting // what the handler has not heard of yet
	metrics map[ident.NodeID]*peer.PeerMetrics
	totals  peer.Metrics
}

var _ peer.Network = (*Endpoint)(nil)

// wire is one connection. It is guarded by Net.mu.
type wire struct {
	ends   [2]*Endpoint
	peers  [2]peer.Peer // what each end knows of the other
	queued [2]int       // bytes on their way from each end
	down   bool
}

// from returns the place of e in the wire.
func (w *wire) from(e *Endpoint) int {
	if w.ends[0] == e {
		return 0
	}
	return 1
}

// parting is a connection that an endpoint has lost.
type parting struct {
	id    ident.NodeID
	cause error
}

// Join adds a node. The same key may join again after the last one with it has ended, at any address.
func (n *Net) Join(cfg Config) (*Endpoint, error) {
	if len(cfg.Key) != ed25519.PublicKeySize || cfg.Addr == "" || cfg.Hello == nil || cfg.Handler == nil {
		return nil, errors.New("join memnet: Key, Addr, Hello and Handler are required")
	}
	if cfg.Check == nil {
		cfg.Check = func(peer.Hello, ident.NodeID) error { return nil }
	}
	e := &Endpoint{
		net: n, cfg: cfg, id: ident.NodeOf(cfg.Key), wanted: map[ident.NodeID]string{},
		wires: map[ident.NodeID]*wire{}, metrics: map[ident.NodeID]*peer.PeerMetrics{},
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, other := range n.ends {
		if other.id == e.id || other.cfg.Addr == cfg.Addr {
			return nil, fmt.Errorf("join memnet: node %s is already at %s", other.id, other.cfg.Addr)
		}
	}
	n.ends = append(n.ends, e)
	n.retry()
	return e, nil
}

// ID returns the node's identifier.
func (e *Endpoint) ID() ident.NodeID { return e.id }

// Send queues a copy of payload; see peer.Network.
func (e *Endpoint) Send(to ident.NodeID, payload []byte) error {
	if len(payload) > e.net.opts.MaxFrame {
		return peer.ErrTooLarge
	}
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	w := e.wires[to]
	switch {
	case e.ended:
		return peer.ErrClosed
	case to == e.id:
		return peer.ErrSelf
	case w == nil:
		return peer.ErrNoConnection
	}
	from := w.from(e)
	if w.queued[from]+len(payload) > n.opts.MaxQueue {
		e.metrics[to].QueueFull++
		return peer.ErrQueueFull
	}
	w.queued[from] += len(payload)
	m := e.metrics[to]
	m.FramesOut++
	m.BytesOut += uint64(len(payload))
	payload = bytes.Clone(payload)
	n.later(func() { w.arrive(from, payload) })
	return nil
}

// arrive is a frame at the end of its way.
func (w *wire) arrive(from int, payload []byte) {
	sender, receiver := w.ends[from], w.ends[1-from]
	n := sender.net
	n.mu.Lock()
	w.queued[from] -= len(payload)
	lost := w.down || n.drop != nil && n.drop(sender.id, receiver.id, payload)
	if !lost {
		m := receiver.metrics[sender.id]
		m.FramesIn++
		m.BytesIn += uint64(len(payload))
	}
	n.mu.Unlock()
	if !lost {
		receiver.cfg.Handler.Receive(sender.id, payload)
	}
}

// SetPeer keeps a connection to a node; see peer.Network.
func (e *Endpoint) SetPeer(id ident.NodeID, addr string) {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.ended || id == e.id || e.wanted[id] == addr {
		return
	}
	e.wanted[id] = addr
	if e.wires[id] == nil {
		n.later(func() { e.reach(id) })
	}
}

// DropPeer stops keeping a connection and closes the one there is; see peer.Network.
func (e *Endpoint) DropPeer(id ident.NodeID) {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(e.wanted, id)
	if w := e.wires[id]; w != nil {
		n.sever(w, w.causes(e, peer.ErrDropped))
	}
}

// causes returns what the two ends hear when e ends the wire.
func (w *wire) causes(e *Endpoint, own error) (causes [2]error) {
	causes = [2]error{peer.ErrHungUp, peer.ErrHungUp}
	causes[w.from(e)] = own
	return causes
}

// DialSeed connects to an address; see peer.Network. It lets events happen until its turn has come.
func (e *Endpoint) DialSeed(ctx context.Context, addr string) (peer.Peer, error) {
	var (
		p    peer.Peer
		err  error
		done = make(chan struct{})
	)
	n := e.net
	n.mu.Lock()
	n.later(func() {
		defer close(done)
		if err = ctx.Err(); err == nil {
			p, err = e.connect(addr, ident.NodeID{})
		}
	})
	n.mu.Unlock()
	for {
		select {
		case <-done:
			if err != nil {
				return peer.Peer{}, fmt.Errorf("dial %s: %w", addr, err)
			}
			return p, nil
		default:
			n.Step()
		}
	}
}

// reach is one attempt to make a connection that SetPeer wants.
func (e *Endpoint) reach(id ident.NodeID) {
	e.net.mu.Lock()
	addr, wanted := e.wanted[id]
	needed := wanted && !e.ended && e.wires[id] == nil
	e.net.mu.Unlock()
	if needed {
		// An attempt that comes to nothing is tried again by Retry; a refusal has been reported.
		_, _ = e.connect(addr, id)
	}
}

// connect shakes hands with whoever is at an address.
func (e *Endpoint) connect(addr string, want ident.NodeID) (peer.Peer, error) {
	n := e.net
	n.mu.Lock()
	other := n.at(addr)
	ended := e.ended
	reachable := other != nil && !n.cut[pairOf(e.id, other.id)]
	e.totals.Dials++
	if !reachable {
		e.totals.DialsFailed++
	}
	var existing *wire
	if reachable {
		existing = e.wires[other.id]
	}
	n.mu.Unlock()
	switch {
	case ended:
		return peer.Peer{}, peer.ErrClosed
	case !reachable:
		return peer.Peer{}, ErrUnreachable
	case other == e:
		return peer.Peer{}, peer.ErrSelf
	case existing != nil:
		return existing.peers[existing.from(e)], nil
	}
	w := &wire{ends: [2]*Endpoint{e, other}}
	mine, theirs := e.cfg.Hello(), other.cfg.Hello()
	w.peers[0] = peer.Peer{ID: other.id, Key: other.cfg.Key, Hello: theirs, Remote: other.cfg.Addr, Dialled: true}
	w.peers[1] = peer.Peer{ID: e.id, Key: e.cfg.Key, Hello: mine, Remote: e.cfg.Addr}
	errs := [2]error{e.judge(&w.peers[0], mine, want), other.judge(&w.peers[1], theirs, ident.NodeID{})}
	if errs[0] != nil || errs[1] != nil {
		refusals := [2]error{refusal(other.id, errs[0], errs[1]), refusal(e.id, errs[1], errs[0])}
		w.refuse(refusals)
		return peer.Peer{}, refusals[0]
	}
	w.plug()
	return w.peers[0], nil
}

// judge says why e does not want the peer, or nil.
func (e *Endpoint) judge(p *peer.Peer, mine peer.Hello, want ident.NodeID) error {
	if !want.IsZero() && p.ID != want {
		return fmt.Errorf("this address was to be that of node %s, and is that of node %s", want, p.ID)
	}
	var err error
	if p.Protocol, err = peer.CommonProtocol(mine, p.Hello); err != nil {
		return err
	}
	return e.cfg.Check(p.Hello, p.ID)
}

// refusal is what one side makes of two judgements on each other, of which at least one is against.
func refusal(id ident.NodeID, own, others error) error {
	if own != nil {
		return &peer.RefusedError{ID: id, Reason: own.Error(), Cause: own}
	}
	return &peer.RefusedError{ID: id, ByPeer: true, Reason: others.Error()}
}

func (w *wire) refuse(refusals [2]error) {
	for i, e := range w.ends {
		e.net.mu.Lock()
		e.totals.Refused++
		e.net.mu.Unlock()
		e.cfg.Handler.Refused(w.peers[i].Remote, w.peers[i].ID, refusals[i])
	}
}

// plug puts the wire in use and tells both ends.
func (w *wire) plug() {
	n := w.ends[0].net
	n.mu.Lock()
	for i, e := range w.ends {
		id := w.peers[i].ID
		e.wires[id] = w
		if e.metrics[id] == nil {
			e.metrics[id] = &peer.PeerMetrics{ID: id}
		}
		e.metrics[id].Connects++
	}
	n.mu.Unlock()
	for i, e := range w.ends {
		e.cfg.Handler.Connected(w.peers[i])
	}
}

// hearParting tells the handler of the connection that was lost first.
func (e *Endpoint) hearParting() {
	e.net.mu.Lock()
	if len(e.parted) == 0 {
		e.net.mu.Unlock()
		return // the endpoint has ended since
	}
	p := e.parted[0]
	e.parted = e.parted[1:]
	e.net.mu.Unlock()
	e.cfg.Handler.Disconnected(p.id, p.cause)
}

// Peers returns the nodes that are connected; see peer.Network.
func (e *Endpoint) Peers() []peer.Peer {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	var peers []peer.Peer
	for _, w := range e.wires {
		peers = append(peers, w.peers[w.from(e)])
	}
	slices.SortFunc(peers, func(a, b peer.Peer) int { return a.ID.Compare(b.ID) })
	return peers
}

// LastHeard answers with the present for a node that is connected, as keepalive would have it.
func (e *Endpoint) LastHeard(id ident.NodeID) (time.Time, bool) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.wires[id] == nil {
		return time.Time{}, false
	}
	return e.net.opts.Now(), true
}

// Metrics returns figures for observers; see peer.Network. RTT stays 0.
func (e *Endpoint) Metrics() peer.Metrics {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	m := e.totals
	for _, id := range slices.SortedFunc(maps.Keys(e.metrics), ident.NodeID.Compare) {
		p := *e.metrics[id]
		if w := e.wires[id]; w != nil {
			p.Connected, p.Remote = true, w.peers[w.from(e)].Remote
			p.QueueBytes = w.queued[w.from(e)]
			p.LastHeard = e.net.opts.Now()
		}
		m.Peers = append(m.Peers, p)
	}
	return m
}

// Close ends every connection; the handler has heard of them all when it returns.
func (e *Endpoint) Close() error {
	e.net.stepping.Lock()
	defer e.net.stepping.Unlock()
	for _, p := range e.end() {
		e.cfg.Handler.Disconnected(p.id, p.cause)
	}
	return nil
}

// Crash ends every connection as the death of the process does: the node's own handler hears nothing more.
func (e *Endpoint) Crash() {
	e.net.stepping.Lock()
	defer e.net.stepping.Unlock()
	e.end()
}

// end takes the endpoint off the network and returns what its handler has not heard yet.
func (e *Endpoint) end() []parting {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.ended {
		return nil
	}
	e.ended = true
	n.ends = slices.DeleteFunc(n.ends, func(other *Endpoint) bool { return other == e })
	for _, id := range slices.SortedFunc(maps.Keys(e.wires), ident.NodeID.Compare) {
		n.sever(e.wires[id], e.wires[id].causes(e, peer.ErrClosed))
	}
	unheard := e.parted
	e.parted = nil
	return unheard
}
