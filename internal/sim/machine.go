package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/store/memstore"
)

// format is the newest format of entries and records, as a new cluster's settings name it.
const format = core.Format

// Machine is a computer with clocks and a disk; they outlive the processes that run on it.
type Machine struct {
	w      *World
	index  int
	dir    directory
	zone   string // "" where there are none
	moves  int    // how often it was moved to other addresses
	addrs  registry.Addresses
	clocks clocks
	// seeds are the machines that a process here asks for its cluster while it is no member.
	seeds []*Machine
	proc  *Process // nil while none runs

	// diskLatency is how long a sync takes at most.
	diskLatency time.Duration
	// spent says that no process is to run here again with this directory: its node has left or was removed.
	spent bool
	// leaves says that its node was told to leave: it may learn that it has left only when it is started again.
	leaves   bool
	ended    error  // why the last process ended by itself
	refused  string // what the last node that did not admit this one said
	cutIn    int    // syncs until power goes in the midst of one; 0: never
	identity uint64 // counts the directories that were made here
	received uint64 // bytes of frames
}

// usualLatency is how long a sync of a healthy disk takes at most.
const usualLatency = 3 * time.Millisecond

// directory is a data directory: the node's key, the count of its starts, and what it stores.
type directory struct {
	key    ed25519.PublicKey
	id     ident.NodeID
	starts uint64
	disk   *memstore.Store
}

// written returns how many synced writes of the node the disk says there were.
func (d *directory) written() uint64 {
	b, err := d.disk.Get([]byte("nsequence"))
	if err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// clocks are those of a machine: what they show depends on the world's time.
type clocks struct {
	since time.Duration // when the rates were set
	mono  time.Duration // what the monotonic clock showed then
	rate  float64       // how much it drifts: 0 is exact, 0.001 gains a millisecond each second
	wall  int64         // the wall clock then, in milliseconds since 1970
	drift float64       // of the wall clock
}

func (c *clocks) at(now time.Duration) core.Now {
	elapsed := now - c.since
	return core.Now{
		Mono: c.mono + elapsed + time.Duration(c.rate*float64(elapsed)),
		Wall: c.wall + elapsed.Milliseconds() + int64(c.drift*float64(elapsed.Milliseconds())),
	}
}

// set changes the rates from now on.
func (c *clocks) set(now time.Duration, rate, drift float64) {
	n := c.at(now)
	*c = clocks{since: now, mono: n.Mono, wall: n.Wall, rate: rate, drift: drift}
}

// Add returns a new machine with an empty directory, on which nothing runs yet.
func (w *World) Add() *Machine {
	m := &Machine{w: w, index: len(w.machines), diskLatency: usualLatency}
	m.clocks = clocks{mono: time.Hour * time.Duration(1+w.chance.IntN(1000)), wall: epoch + int64(w.chance.IntN(41)-20)}
	m.clocks.since = w.now
	m.clocks.wall += w.now.Milliseconds()
	m.addrs = addresses(0, m.index)
	if w.cfg.Zones > 0 {
		m.zone = zoneName(m.index % w.cfg.Zones)
	}
	m.wipe()
	w.machines = append(w.machines, m)
	return m
}

// addresses are those of a machine that was moved so often.
func addresses(moves, index int) registry.Addresses {
	host := fmt.Sprintf("10.0.%d.%d", moves, index+1)
	return registry.Addresses{RESP: host + ":6379", Peer: host + ":16379"}
}

func zoneName(i int) string { return "z" + itoa(i) }

// wipe gives the machine an empty directory: what runs there next is another node.
func (m *Machine) wipe() {
	m.identity++
	var label [32]byte
	binary.BigEndian.PutUint64(label[:], m.w.cfg.Seed)
	binary.BigEndian.PutUint64(label[8:], uint64(m.index))
	binary.BigEndian.PutUint64(label[16:], m.identity)
	seed := sha256.Sum256(label[:])
	key := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	m.dir = directory{key: key, id: ident.NodeOf(key), disk: memstore.New()}
	m.spent, m.leaves, m.refused = false, false, ""
	m.w.byID[m.dir.id] = m
}

// copyOf returns a copy of the directory as a backup of the disk would have it: what was durable.
func (m *Machine) copyOf() directory {
	d := m.dir
	d.disk = m.dir.disk.Durable()
	return d
}

// Found makes a cluster of one machine's node, and starts it.
func (w *World) Found() *Machine {
	m := w.Add()
	m.dir.starts = 1
	cfg := m.config(1 << core.BootBits)
	first := cfg.Joiner()
	var none registry.Registry
	var err error
	if first.Tokens, _, err = none.Choose(cfg.Key, cfg.Zone, cfg.Tokens, 1); err != nil {
		panic("sim: a first node cannot choose its tokens: " + err.Error())
	}
	var cluster ident.ClusterID
	binary.BigEndian.PutUint64(cluster[:], w.cfg.Seed+1)
	write, err := core.Found(cluster, w.settings(), first, m.now().Wall)
	if err == nil {
		var p kv.Pending
		if p, err = m.dir.disk.Apply(write, true); err == nil {
			err = p.Wait()
		}
	}
	if err != nil {
		panic("sim: no cluster can be made: " + err.Error())
	}
	m.Start()
	return m
}

func (m *Machine) config(boot uint64) core.Config {
	cfg := core.Config{
		Key: m.dir.key, Boot: boot, Addresses: m.addrs, Zone: m.zone, Weight: 1, Tokens: m.w.cfg.Tokens, Store: m.dir.disk,
		Seed: m.w.chance.Uint64(), MaxValue: MaxValue, RequestTimeout: requestTimeout, Ring: ring.Local(),
		Settle: 500 * time.Millisecond,
	}
	if cfg.Tokens == 0 {
		cfg.Tokens = placement.MinTokens
	}
	cfg.Ring.Successors, cfg.Ring.MaxSuccessors = ringSuccessors, 4*ringSuccessors
	return cfg
}

// ringSuccessors is r: as in small rings, whose tokens are few.
const ringSuccessors = 8

// MaxValue is how long a value may be, in bytes.
const MaxValue = 1 << 20

// requestTimeout is how long a node holds a request that it cannot serve.
const requestTimeout = 5 * time.Second

func (m *Machine) now() core.Now { return m.clocks.at(m.w.now) }

// Name is what the chronicle calls the machine.
func (m *Machine) Name() string { return fmt.Sprintf("n%d", m.index) }

// Node returns the identity of the node in the machine's directory.
func (m *Machine) Node() ident.NodeID { return m.dir.id }

// Running reports whether a process runs here.
func (m *Machine) Running() bool { return m.proc != nil }

// Start runs a process on the machine.
func (m *Machine) Start() {
	w := m.w
	if m.proc != nil {
		panic("sim: a process runs already on " + m.Name())
	}
	m.dir.starts++
	boot := m.dir.starts<<core.BootBits | w.chance.Uint64N(1<<core.BootBits)
	m.ended = nil
	w.note('S', m.index, int(boot), nil)
	c, err := core.New(m.config(boot), m.now())
	if err != nil {
		m.cannotStart(err)
		return
	}
	if w.network.remembers(m) {
		w.ring.disturbed() // they will take the new process for dead
	}
	w.tell("%s starts (boot %d, node %s)", m.Name(), m.dir.starts, m.dir.id.Short())
	p := &Process{m: m, w: w, core: c, boot: boot}
	m.proc = p
	w.watch.began(p)
	p.begin()
}

// hasLeft reports whether the node was told to leave, and others know that it has.
func (m *Machine) hasLeft() bool {
	return m.leaves && slices.ContainsFunc(m.w.running(), func(o *Machine) bool {
		reg := o.proc.core.Registry()
		if o == m || reg == nil {
			return false
		}
		_, gone := reg.Removed(m.dir.id)
		return gone
	})
}

func (m *Machine) cannotStart(err error) {
	m.ended = err
	if m.spent || m.hasLeft() {
		m.spent = true
		m.w.tell("%s does not start: %v", m.Name(), err)
		return
	}
	m.w.violate("%s does not start: %v", m.Name(), err)
}

// Kill ends the process at once; its machine lives on, so what it wrote is on its way to the disk, and the others hear
// that its connections are closed.
func (m *Machine) Kill() {
	m.w.tell("%s is killed", m.Name())
	m.stop(func(unsynced int) (whole, logs int) { return unsynced, 0 }, true)
}

// Cut takes the machine's power: of what was not synced a part is lost, and of what is left the end may be torn. The
// others hear nothing any more.
func (m *Machine) Cut() {
	r := m.w.chance
	kept, lost, torn := 0, 0, 0
	m.stop(func(unsynced int) (whole, logs int) {
		whole = r.IntN(unsynced + 1)
		logs = r.IntN(unsynced - whole + 1)
		kept, torn, lost = whole, logs, unsynced-whole
		return whole, logs
	}, false)
	m.w.tell("%s loses power (%s kept, %d lost, of %d of them the log kept)", m.Name(), plural(kept, "unsynced write"), lost, torn)
}

// stop ends the process without its doing anything about it.
func (m *Machine) stop(survives func(unsynced int) (whole, logs int), heard bool) {
	p := m.proc
	if p == nil {
		return
	}
	m.proc = nil
	m.w.note('K', m.index, 0, nil)
	m.dir.disk = m.dir.disk.Tear(survives)
	p.end()
	m.w.network.gone(m, heard)
}

// ends ends a process by itself: it was told to stop (err is nil), it has left, or it cannot go on.
func (m *Machine) ends(err error) {
	p := m.proc
	m.ended, m.proc = err, nil
	m.w.note('E', m.index, 0, nil)
	if err == nil {
		m.w.tell("%s stops", m.Name())
	} else {
		m.w.tell("%s ends: %v", m.Name(), err)
	}
	if errors.Is(err, core.ErrLeft) {
		m.spent = true
	}
	p.close()
	if err := m.dir.disk.Close(); err != nil {
		m.w.tell("%s: its store says: %v", m.Name(), err)
	}
	m.dir.disk = m.dir.disk.Crash(nil)
	p.end()
	m.w.network.gone(m, true)
}
