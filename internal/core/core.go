package core

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// Now is a moment on both clocks of a node.
type Now struct {
	Mono time.Duration // since some moment before the start; counts while the machine is suspended
	Wall int64         // milliseconds since 1970
}

// Config is what a node is made from.
type Config struct {
	Key       ed25519.PublicKey
	Boot      uint64
	Addresses registry.Addresses
	Zone      string
	Weight    float64
	Tokens    int // for a weight of 1
	Store     kv.Store
	Seed      uint64
	// MaxValue bounds what a value may grow to, in bytes.
	MaxValue int
	// RequestTimeout is how long a request that cannot be served yet is held.
	RequestTimeout time.Duration
	Ring           ring.Config
	Tablet         tablet.Timing
	// Seeded says that there are addresses at which others can be asked: a node whose registry is damaged then waits for one
	// of them to tell it. Otherwise it does not start.
	Seeded bool
	// Floor is how many bytes should stay free on the disk (see Room); 0 is no floor.
	Floor uint64
	// Settle is how long the ring's wish for a tablet must stand before replicas move. Default 2s.
	Settle time.Duration
}

// Format is the newest format of entries and records that this build writes.
const Format = 1

// System is the number of the system group among the tablets.
const System = uint32(1<<32 - 1)

// Core is one node.
type Core struct {
	cfg   Config
	self  ident.NodeID
	store kv.Store
	rand  *rand.Rand
	now   Now
	phase time.Duration // of what the node does again and again

	registry *registry.Registry // the newest that is known; its own group may know a newer one
	places   []*place           // by tablet; empty until the cluster is known
	system   *place
	dirty    []*place // those whose group has work
	alarms   alarms   // those whose group wants a tick

	peers   map[ident.NodeID]*peer
	ring    *ring.Ring
	member  membership
	router  router
	relays  relays
	balance balance
	moves   moves
	memory  memory
	spread  spread
	room    room
	mends   mends
	scrub   scrub
	// tightPeers says that the disk of another node was tight at some time; what it says now, its pulse tells.
	tightPeers bool
	gates      atomic.Pointer[gates]
	traces     map[uint64]*trace

	out    *wire.Outbox
	turn   Turn
	groups tablet.Turn
	events []Event
	fatal  error

	closing   bool   // the node is about to stop: it leads nothing any more
	expired   uint64 // keys removed because their time had passed, in tablets led here
	turnBytes int    // maxTurnBytes, which tests lower
}

// Event is something for the log. Attrs are key and value in turn.
type Event struct {
	Level Level
	Text  string
	Attrs []any
}

// Level says how much an event matters; the values are those of log/slog.
type Level int

// The levels.
const (
	Debug Level = -4
	Info  Level = 0
	Warn  Level = 4
	Error Level = 8
)

var (
	errStopped = errors.New("the node has stopped serving")
	errNoRing  = errors.New("this node is not in the ring yet")
)

// New loads a node from its store. A store without a cluster makes a node that waits to join one.
func New(cfg Config, now Now) (*Core, error) {
	if cfg.Settle == 0 {
		cfg.Settle = 2 * time.Second
	}
	c := &Core{
		cfg: cfg, self: ident.NodeOf(cfg.Key), store: cfg.Store, now: now, phase: time.Duration(cfg.Seed % uint64(time.Second)),
		rand:  rand.New(rand.NewPCG(cfg.Seed, 0x636f7265)),
		peers: map[ident.NodeID]*peer{}, out: wire.NewOutbox(), traces: map[uint64]*trace{},
		turnBytes: maxTurnBytes,
	}
	c.groups.Out = c.out
	c.router.init(cfg.Boot)
	c.moves.init()
	c.system = c.newPlace(System)
	if err := c.memory.load(cfg.Store); err != nil {
		return nil, err
	}
	owned, err := c.ownsStore()
	if err != nil {
		return nil, err
	}
	reg, err := loadRegistry(cfg.Store)
	if owned && cfg.Seeded && c.memory.admitted && tablet.Damaged(err) {
		c.tell(Warn, "the stored registry is damaged: others are asked for it", "error", err)
		c.member.forgot = true
		return c, nil
	}
	if cfg.Seeded && tablet.Damaged(err) {
		return nil, fmt.Errorf("%w; nor can others be asked, for its store does not say that this node ever was a member: replace it by a new node", err)
	}
	if err != nil {
		return nil, err
	}
	if reg != nil && c.wasRemoved(reg) { // before any replica is looked at: none would name this node
		return nil, removedFrom(reg.Cluster())
	}
	if !owned {
		if err := c.write(c.ownership()); err != nil {
			return nil, err
		}
	}
	c.registry = reg
	if reg == nil {
		return c, nil
	}
	c.unfold(reg.Settings().Tablets)
	c.noteDown()
	if err := c.openGroups(); err != nil {
		return nil, err
	}
	return c, c.resume(false)
}

// unfold makes the places once it is known how many tablets there are.
func (c *Core) unfold(tablets int) {
	if len(c.places) > 0 {
		return
	}
	c.places = make([]*place, tablets)
	for t := range c.places {
		c.places[t] = c.newPlace(uint32(t))
	}
	c.gates.Store(newGates(tablets))
}

// openGroups opens the replicas that the store holds, and finishes what a crash cut.
func (c *Core) openGroups() error {
	var stored []kv.Group
	if err := c.store.Groups(func(g kv.Group) error { stored = append(stored, g); return nil }); err != nil {
		return fmt.Errorf("list the stored groups: %w", err)
	}
	for _, g := range stored {
		p := c.place(g.ID)
		if p == nil {
			return fmt.Errorf("the store holds a log of tablet %d, but the cluster has %d: %w", g.ID, len(c.places), kv.ErrCorrupt)
		}
		if err := c.openGroup(p, g); tablet.Damaged(err) {
			c.lose(p, err, g)
		} else if err != nil {
			return err
		}
	}
	return c.clearStages()
}

// At sets the time of what happens next.
func (c *Core) At(now Now) { c.now = now }

// Self returns the node's identifier.
func (c *Core) Self() ident.NodeID { return c.self }

// Cluster returns the identifier of the cluster; zero while the node is in none.
func (c *Core) Cluster() ident.ClusterID {
	if c.registry == nil {
		return ident.ClusterID{}
	}
	return c.registry.Cluster()
}

// Registry returns the newest registry that the node knows, nil while it is in no cluster. It never changes; a
// newer one takes its place.
func (c *Core) Registry() *registry.Registry { return c.registry }

// Events returns what has happened since the last call.
func (c *Core) Events() []Event {
	e := c.events
	c.events = nil
	return e
}

// Err says why the node cannot go on, nil while it can.
func (c *Core) Err() error { return c.fatal }

// maxEvents bounds the events that wait for the log; more of them are dropped.
const maxEvents = 4096

func (c *Core) tell(level Level, text string, attrs ...any) {
	if len(c.events) < maxEvents {
		c.events = append(c.events, Event{level, text, attrs})
	}
}

func (c *Core) fail(err error) {
	if c.fatal == nil {
		c.fatal = err
		c.gates.Store(nil) // what is in the store may not be on the disk
		c.tell(Error, "the node stops serving", "error", err)
	}
}

// place returns what is known of a tablet, nil where there is no such tablet.
func (c *Core) place(t uint32) *place {
	if t == System {
		return c.system
	}
	if int64(t) < int64(len(c.places)) {
		return c.places[t]
	}
	return nil
}

// Tablets returns how many tablets the cluster has, 0 while the node is in none.
func (c *Core) Tablets() int { return len(c.places) }
