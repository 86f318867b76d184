// Package memnet is the in-memory twin of package peer, for tests of several nodes in one process.
//
// A Net holds Endpoints, each a peer.Network. Everything that happens on it (a frame, a connection made, a connection
// lost) is an event in one queue, in the order in which it was caused, and happens when a test says so: Step lets the
// oldest one happen, Drain all of them, Run keeps going for tests with goroutines. Two runs that do the same things
// see the same things. Frames of one connection arrive in order; those on their way when it breaks are lost.
//
// There is no time in here. What a Transport does when a timer fires a test does by name: Retry connects what is
// wanted and not connected, as a backoff that has run out; Cut and Partition break connections at once, as silence
// does in the end. It refuses what a Transport refuses: another protocol, whom Check does not want, too much in a
// queue, frames that are too long.
//
// Concurrency: all methods may be called from any goroutine. Events happen one at a time on the goroutine of whoever
// lets them; callbacks may use the Network, except Close, Crash, DialSeed and whatever lets events happen.
package memnet

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/peer"
)

// Options are the bounds of a Net. The zero value of a field means its default.
type Options struct {
	// MaxFrame is the length of the longest payload. Default 64 MiB.
	MaxFrame int
	// MaxQueue bounds what is on its way from one node to another, in bytes of payload. Default 64 MiB.
	MaxQueue int
	// Now is the clock that LastHeard answers with. Default time.Now.
	Now func() time.Time
}

// Net is a network. Make one with New.
type Net struct {
	opts Options
	// wake has room for one signal: there may be an event.
	wake chan struct{}

	// stepping is held while an event happens; it is taken before mu.
	stepping sync.Mutex

	mu sync.Mutex
	// All below is guarded by mu.
	events []event
	ends   []*Endpoint // in the order of Join, without those that have ended
	cut    map[pair]bool
	drop   func(from, to ident.NodeID, payload []byte) bool
}

// event is something that happens. It is called with Net.stepping held and mu not.
type event func()

// pair names two nodes, the smaller first.
type pair [2]ident.NodeID

func pairOf(a, b ident.NodeID) pair {
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return pair{a, b}
}

// New makes a network without nodes.
func New(opts Options) *Net {
	if opts.MaxFrame == 0 {
		opts.MaxFrame = 64 << 20
	}
	if opts.MaxQueue == 0 {
		opts.MaxQueue = 64 << 20
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Net{opts: opts, wake: make(chan struct{}, 1), cut: map[pair]bool{}}
}

// Step lets the oldest event happen, and reports whether there was one.
func (n *Net) Step() bool {
	n.stepping.Lock()
	defer n.stepping.Unlock()
	n.mu.Lock()
	if len(n.events) == 0 {
		n.mu.Unlock()
		return false
	}
	happen := n.events[0]
	n.events[0] = nil
	n.events = n.events[1:]
	n.mu.Unlock()
	happen()
	return true
}

// Drain lets events happen until there is none, but at most limit, and reports whether there is none left.
func (n *Net) Drain(limit int) (quiet bool) {
	for range limit {
		if !n.Step() {
			return true
		}
	}
	return n.Pending() == 0
}

// Run lets events happen until ctx ends.
func (n *Net) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if n.Step() {
			continue
		}
		select {
		case <-n.wake:
		case <-ctx.Done():
		}
	}
}

// Pending returns the number of events that have not happened yet.
func (n *Net) Pending() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.events)
}

// Retry tries to connect what SetPeer wants and is not connected.
func (n *Net) Retry() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.retry()
}

// Cut keeps two nodes apart until Mend or Heal; a connection between them breaks.
func (n *Net) Cut(a, b ident.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.separate(a, b)
}

// Mend undoes Cut, and lets the two connect again if they want to.
func (n *Net) Mend(a, b ident.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cut, pairOf(a, b))
	n.retry()
}

// Partition keeps the nodes of different groups apart, until Heal. Nodes in no group stay with everybody.
func (n *Net) Partition(groups ...[]ident.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, left := range groups {
		for _, right := range groups[i+1:] {
			for _, a := range left {
				for _, b := range right {
					n.separate(a, b)
				}
			}
		}
	}
}

// Heal undoes every Cut and Partition, and lets nodes connect again.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	n.retry()
}

// Break breaks the connection of two nodes once, as a reset does, and lets them connect again if they want to.
func (n *Net) Break(a, b ident.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.part(a, b, peer.ErrHungUp)
	n.retry()
}

// Drop loses the frames for which fn is true while the connection stays up; nil loses none. fn is called when a frame
// would arrive, and must not use the network.
func (n *Net) Drop(fn func(from, to ident.NodeID, payload []byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = fn
}

// The methods below are called with mu held.

// later appends an event.
func (n *Net) later(happen event) {
	n.events = append(n.events, happen)
	select {
	case n.wake <- struct{}{}:
	default: // Run has been told
	}
}

func (n *Net) separate(a, b ident.NodeID) {
	if a != b {
		n.cut[pairOf(a, b)] = true
		n.part(a, b, peer.ErrSilent)
	}
}

// part breaks the connection of two nodes, if there is one.
func (n *Net) part(a, b ident.NodeID, cause error) {
	for _, e := range n.ends {
		if e.id == a && e.wires[b] != nil {
			n.sever(e.wires[b], [2]error{cause, cause})
		}
	}
}

// sever breaks a connection: both ends can no longer send at once, and hear of it when its turn comes.
func (n *Net) sever(w *wire, causes [2]error) {
	w.down = true
	for i, cause := range causes {
		e, other := w.ends[i], w.ends[1-i]
		delete(e.wires, other.id)
		e.parted = append(e.parted, parting{other.id, cause})
		n.later(e.hearParting)
	}
}

// retry lets every wanted connection that is not there be tried, in an order that depends on nothing but the nodes.
func (n *Net) retry() {
	for _, e := range n.ends {
		for _, id := range slices.SortedFunc(maps.Keys(e.wanted), ident.NodeID.Compare) {
			if e.wires[id] == nil {
				n.later(func() { e.reach(id) })
			}
		}
	}
}

// at returns who listens at an address.
func (n *Net) at(addr string) *Endpoint {
	for _, e := range n.ends {
		if e.cfg.Addr == addr {
			return e
		}
	}
	return nil
}
