package core

import (
	"container/heap"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/store/memstore"
)

// world runs whole nodes against each other: a Core each over a disk in memory, on one virtual clock, with
// connections that carry frames in order, are late, break, and lose what was under way. The same seed gives the same
// run.
type world struct {
	t     testing.TB
	rng   *rand.Rand
	now   time.Duration
	steps uint64
	ended int // calls, so far
	queue agenda
	nodes []*node
	conns map[[2]int]*conn
	cut   map[[2]int]bool // pairs between which nothing passes
	loss  float64         // of frames on a connection that is up: queues that were full
	trace hash.Hash64     // of all frames, to compare two runs
	// newDisk makes the disk of a machine.
	newDisk func() disk
}

// disk is a store whose power can be cut.
type disk interface {
	kv.Store
	// Crash returns what the next start finds: what was synced, and as much of the rest as keep says, where the disk
	// can be told.
	Crash(keep func(unsynced int) int) disk
}

type memDisk struct{ *memstore.Store }

func (d memDisk) Crash(keep func(unsynced int) int) disk { return memDisk{d.Store.Crash(keep)} }

// node is one machine: its disk and its key outlive the processes that run on it.
type node struct {
	w        *world
	index    int
	key      ed25519.PublicKey
	id       ident.NodeID
	store    disk
	boot     uint64
	addrs    registry.Addresses
	zone     string
	seeds    []*node
	core     *Core // nil while no process runs
	calls    map[*call]bool
	parting  map[*node]bool
	crashIn  int   // turns with a synced write until the power is cut in the middle of one; 0: never
	largest  int   // bytes of the largest Write of a turn
	ended    error // why the last process ended by itself
	refusals []string
	told     []Event
	// waiting, when not nil, is called while the worker waits for the disk.
	waiting func()
}

const (
	tickEvery    = 10 * time.Millisecond
	worldTablets = 16
	replaceAfter = 20 * time.Second
	// hangUp is how soon the others notice that a process is gone, silence how soon they notice a cut.
	hangUp  = 2 * time.Millisecond
	silence = time.Second
	// partAfter is how long the connection to a node that was removed is kept.
	partAfter = time.Second
	epoch     = int64(1_700_000_000_000)
)

// What a node's successor lists have.
const successors, maxSuccessors = 8, 32

// shift makes other worlds of the same tests, to find those that pass by the luck of a seed.
var shift = flag.Uint64("shift", 0, "added to the seed of every world, times 2^32")

func newWorld(t testing.TB, seed uint64) *world {
	return &world{
		t: t, rng: rand.New(rand.NewPCG(seed+*shift<<32, 1)), now: time.Hour, trace: fnv.New64a(),
		conns: map[[2]int]*conn{}, cut: map[[2]int]bool{}, newDisk: func() disk { return memDisk{memstore.New()} },
	}
}

// newRing returns a world of n nodes that have become one ring and have settled.
func newRing(t testing.TB, seed uint64, n int) *world {
	t.Helper()
	w := newWorld(t, seed)
	w.found()
	for range n - 1 {
		w.start(w.add(), w.nodes[0])
	}
	w.settled(time.Minute)
	return w
}

// add returns a new machine on which nothing runs yet.
func (w *world) add() *node {
	i := len(w.nodes)
	var label [16]byte
	binary.BigEndian.PutUint64(label[:], uint64(i)+1)
	binary.BigEndian.PutUint64(label[8:], w.rng.Uint64())
	seed := sha256.Sum256(label[:])
	key := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	n := &node{w: w, index: i, key: key, id: ident.NodeOf(key), store: w.newDisk(), calls: map[*call]bool{}, parting: map[*node]bool{}}
	n.move(0)
	w.nodes = append(w.nodes, n)
	return n
}

// move gives a machine other addresses.
func (n *node) move(offset int) {
	n.addrs = registry.Addresses{
		RESP: fmt.Sprintf("127.0.0.1:%d", 7000+n.index+offset), Peer: fmt.Sprintf("127.0.0.1:%d", 17000+n.index+offset),
	}
}

func (n *node) config() Config {
	cfg := Config{
		Key: n.key, Boot: n.boot, Addresses: n.addrs, Zone: n.zone, Weight: 1, Tokens: placement.MinTokens, Store: n.store,
		Seed: n.w.rng.Uint64(), MaxValue: 1 << 20, RequestTimeout: 5 * time.Second, Ring: ring.Local(),
		Settle: 500 * time.Millisecond, Floor: testFloor, Seeded: len(n.seeds) > 0,
	}
	cfg.Ring.Successors, cfg.Ring.MaxSuccessors = successors, maxSuccessors
	return cfg
}

func (w *world) settings() registry.Settings {
	return registry.Settings{Replicas: 3, Tablets: worldTablets, ReplaceAfter: replaceAfter, Format: Format}
}

// found makes a cluster of one node.
func (w *world) found() *node { return w.foundWith(w.settings(), 1) }

func (w *world) foundWith(settings registry.Settings, cluster byte) *node {
	w.t.Helper()
	n := w.add()
	n.boot = 1
	cfg := n.config()
	first := cfg.Joiner()
	var none registry.Registry
	var err error
	if first.Tokens, _, err = none.Choose(cfg.Key, "", cfg.Tokens, 1); err != nil {
		w.t.Fatal(err)
	}
	write, err := Found(ident.ClusterID{cluster}, settings, first, epoch)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(n, write)
	n.boot = 0
	w.start(n)
	return n
}

func (w *world) write(n *node, write *kv.Write) {
	p, err := n.store.Apply(write, true)
	if err == nil {
		err = p.Wait()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// start runs a process on a machine, which asks seeds for its cluster.
func (w *world) start(n *node, seeds ...*node) {
	w.t.Helper()
	if n.core != nil {
		w.t.Fatalf("node %d runs already", n.index)
	}
	n.boot++
	n.seeds, n.ended = seeds, nil
	c, err := New(n.config(), n.time())
	if err != nil {
		w.t.Fatalf("node %d does not start: %v", n.index, err)
	}
	n.core = c
	var tick func()
	tick = func() {
		if n.core != c {
			return
		}
		n.event(c.Tick)
		w.connect(n)
		w.after(tickEvery, tick)
	}
	w.after(0, tick)
}

// kill ends a process at once: what was not synced is lost, but for as many writes as keep says.
func (w *world) kill(n *node, keep func(int) int) {
	n.store = n.store.Crash(keep)
	w.gone(n)
}

// gone is what others see of a process that has ended.
func (w *world) gone(n *node) {
	n.core, n.crashIn = nil, 0
	for c := range n.calls {
		c.gone = true // the client's connection breaks
	}
	clear(n.calls)
	for _, o := range w.nodes {
		if k := w.conn(n, o); k != nil {
			w.hangUp(n, o, hangUp)
		}
	}
}

func (n *node) time() Now {
	return Now{Mono: n.w.now, Wall: epoch + n.w.now.Milliseconds() + int64(n.index)*20}
}

// event lets something happen to a node, and the worker take the turns that follow.
func (n *node) event(fn func()) {
	c := n.core
	c.At(n.time())
	fn()
	for i := 0; c.HasWork() && n.core == c; i++ {
		if i == 1000 {
			n.w.t.Fatalf("node %d takes turns without end", n.index)
		}
		if !n.turn() {
			return
		}
	}
	n.hear(c.Err())
}

// turn is one turn of the worker; false when the process has ended in it.
func (n *node) turn() bool {
	c := n.core
	t := c.Turn()
	if err := c.Err(); err != nil && !errors.Is(err, ErrLeft) {
		n.hear(err)
		return false
	}
	c.Early(n.send)
	size := 0
	for _, op := range t.Write.State {
		size += len(op.Key) + len(op.Value)
	}
	n.largest = max(n.largest, size)
	pending, err := n.store.Apply(&t.Write, t.Sync)
	if err != nil {
		n.w.t.Fatalf("node %d: %v", n.index, err)
	}
	for changes := c.Apply(); changes != nil; changes = c.Apply() {
		if _, err := n.store.Apply(changes, false); err != nil {
			n.w.t.Fatalf("node %d: %v", n.index, err)
		}
	}
	if err := c.Err(); err != nil && !errors.Is(err, ErrLeft) {
		n.hear(err)
		return false
	}
	c.Applied()
	if n.waiting != nil {
		n.waiting()
	}
	if t.Sync && n.crashIn > 0 {
		if n.crashIn--; n.crashIn == 0 {
			n.w.kill(n, func(unsynced int) int { return n.w.rng.IntN(unsynced + 1) })
			return false
		}
	}
	if err := pending.Wait(); err != nil {
		n.w.t.Fatalf("node %d: %v", n.index, err)
	}
	c.Persisted(n.send)
	return true
}

// hear takes what the node tells, and ends the process when it cannot go on.
func (n *node) hear(err error) {
	if n.core == nil {
		return
	}
	events := n.core.Events()
	for _, e := range events {
		if e.Level >= Error && !errors.Is(err, ErrLeft) && err == nil {
			n.w.t.Errorf("node %d: %s %v", n.index, e.Text, e.Attrs)
		}
	}
	n.told = append(n.told, events...)
	if err == nil {
		return
	}
	n.ended = err
	n.core.Stop(&request.Failure{Code: request.TryAgain, Message: "stopping"})
	if err := n.store.Close(); err != nil {
		n.w.t.Fatal(err)
	}
	n.w.kill(n, nil)
}

// agenda is what is going to happen, in order.
type agenda []planned

type planned struct {
	at time.Duration
	n  uint64
	fn func()
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(planned)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

func (w *world) after(d time.Duration, fn func()) {
	w.steps++
	heap.Push(&w.queue, planned{w.now + d, w.steps, fn})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end {
		w.step()
	}
	w.now = end
}

func (w *world) step() {
	p := heap.Pop(&w.queue).(planned)
	w.now = max(w.now, p.at)
	p.fn()
}

// until lets time pass until cond holds, and fails after the limit.
func (w *world) until(limit time.Duration, what string, cond func() bool) {
	w.t.Helper()
	end := w.now + limit
	for !cond() {
		if len(w.queue) == 0 || w.queue[0].at > end {
			w.t.Fatalf("after %v still not: %s\n%s", limit, what, w.describe())
		}
		w.step()
	}
}
