package core

import (
	"container/heap"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/slot"
	"github.com/quorddb/quord/internal/store/memstore"
	"github.com/quorddb/quord/internal/tablet"
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
	seeds    []*node
	core     *Core // nil while no process runs
	calls    map[*call]bool
	parting  map[*node]bool
	crashIn  int   // turns with a synced write until the power is cut in the middle of one; 0: never
	ended    error // why the last process ended by itself
	refusals []string
	told     []Event
	// waiting, when not nil, is called while the worker waits for the disk.
	waiting func()
}

// conn is a connection between two nodes.
type conn struct {
	open bool
	last [2]time.Duration // when the last frame arrives, in each direction
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

func newWorld(t testing.TB, seed uint64) *world {
	return &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Hour, trace: fnv.New64a(),
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
		Key: n.key, Boot: n.boot, Addresses: n.addrs, Weight: 1, Tokens: placement.MinTokens, Store: n.store,
		Seed: n.w.rng.Uint64(), MaxValue: 1 << 20, RequestTimeout: 5 * time.Second, Ring: ring.Local(),
		Settle: 500 * time.Millisecond, Floor: testFloor,
	}
	cfg.Ring.Successors, cfg.Ring.MaxSuccessors = 8, 32
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
	pending, err := n.store.Apply(&t.Write, t.Sync)
	if err != nil {
		n.w.t.Fatalf("node %d: %v", n.index, err)
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

func pair(a, b *node) [2]int { return [2]int{min(a.index, b.index), max(a.index, b.index)} }

func (w *world) conn(a, b *node) *conn {
	if k := w.conns[pair(a, b)]; k != nil && k.open {
		return k
	}
	return nil
}

// connect makes the connections that n wants: to the members that it knows, at their addresses as it knows them, and
// to its seeds while it is no member.
func (w *world) connect(n *node) {
	c := n.core
	if c == nil {
		return
	}
	for _, o := range w.nodes {
		if o == n || n.core != c || o.core == nil || w.conns[pair(n, o)] != nil || w.cut[pair(n, o)] {
			continue
		}
		wanted := c.Ready() != nil && slices.Contains(n.seeds, o)
		if reg := c.Registry(); reg != nil {
			m, ok := reg.Member(o.id)
			wanted = wanted || ok && m.Addresses.Peer == o.addrs.Peer
		}
		if wanted {
			w.shake(n, o)
		}
	}
	if reg := c.Registry(); reg != nil { // those that are no members any more are hung up on
		for _, o := range w.nodes {
			if _, gone := reg.Removed(o.id); gone && w.conn(n, o) != nil && !n.parting[o] {
				n.parting[o] = true
				w.after(partAfter, func() { w.hangUp(n, o, hangUp) })
			}
		}
	}
}

// shake is the handshake of two nodes.
func (w *world) shake(a, b *node) {
	x, y := a.core, b.core
	for _, side := range [][2]*node{{a, b}, {b, a}} {
		me, other := side[0], side[1]
		if err := me.core.Admits(other.id, other.core.Cluster(), other.boot, other.core.Begun()); err != nil {
			other.refusals = append(other.refusals, err.Error())
			return
		}
	}
	w.conns[pair(a, b)] = &conn{open: true}
	up := func(me, other *node, c *Core) {
		if me.core == nil || other.core != c {
			return
		}
		boot, seq, in := other.boot, c.Begun(), !c.Cluster().IsZero()
		me.event(func() { me.core.PeerUp(other.id, boot, seq, other.time().Wall, in) })
	}
	up(a, b, y)
	up(b, a, x)
}

// hangUp breaks a connection; both sides notice after a while, and only then can there be another one.
func (w *world) hangUp(a, b *node, after time.Duration) {
	k := w.conns[pair(a, b)]
	if k == nil || !k.open {
		return
	}
	k.open = false
	x, y := a.core, b.core
	w.after(after, func() {
		if a.core == x && x != nil {
			a.event(func() { x.PeerDown(b.id) })
		}
		if b.core == y && y != nil {
			b.event(func() { y.PeerDown(a.id) })
		}
		delete(w.conns, pair(a, b))
	})
}

// split cuts the nodes given off from all others.
func (w *world) split(apart ...*node) {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a.index < b.index && slices.Contains(apart, a) != slices.Contains(apart, b) {
				w.sever(a, b)
			}
		}
	}
}

func (w *world) sever(a, b *node) {
	w.cut[pair(a, b)] = true
	w.hangUp(a, b, silence)
}

// heal ends all cuts.
func (w *world) heal() { clear(w.cut) }

func (n *node) send(to ident.NodeID, frame []byte) {
	w := n.w
	i := slices.IndexFunc(w.nodes, func(o *node) bool { return o.id == to })
	if i < 0 {
		return
	}
	o := w.nodes[i]
	k := w.conn(n, o)
	if k == nil || w.loss > 0 && w.rng.Float64() < w.loss {
		return
	}
	fmt.Fprintf(w.trace, "%d>%d@%d:", n.index, o.index, w.now)
	w.trace.Write(frame)
	way := 0
	if n.index > o.index {
		way = 1
	}
	at := max(w.now+time.Duration(200+w.rng.IntN(800))*time.Microsecond, k.last[way])
	k.last[way] = at
	own := slices.Clone(frame)
	w.after(at-w.now, func() {
		if !k.open || o.core == nil {
			return
		}
		o.event(func() {
			if err := o.core.Receive(n.id, own); err != nil {
				w.t.Errorf("node %d cannot read a frame of node %d: %v", o.index, n.index, err)
			}
		})
	})
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

// describe says where every node stands, for failures.
func (w *world) describe() string {
	out := ""
	for _, n := range w.nodes {
		if n.core == nil {
			out += fmt.Sprintf("node %d (%s) does not run; ended: %v\n", n.index, n.id.Short(), n.ended)
			continue
		}
		c := n.core
		f := c.Figures()
		state := "no member"
		if c.registry != nil {
			if m, ok := c.registry.Member(n.id); ok {
				state = m.State.String()
			}
		}
		out += fmt.Sprintf("node %d (%s): phase %d, %s, ready: %v, leads %d holds %d lacks %d moves %d, members %d, refused %q\n",
			n.index, n.id.Short(), c.member.phase, state, c.Ready(), f.Leads, f.Holds, f.Lacking, f.Moving, f.Members, tail(n.refusals))
		if c.ring != nil {
			seen := map[ident.NodeID]bool{}
			members := 0
			for _, tok := range c.ring.State().Tokens {
				if tok.Phase == ring.Member {
					members++
				}
				for _, s := range tok.Successors {
					seen[s.Node] = true
				}
			}
			out += fmt.Sprintf("  in the ring: %d tokens, which see %d nodes\n", members, len(seen))
		}
		for _, p := range append(slices.Clone(c.places), c.system) {
			if p.group != nil && p.led {
				out += fmt.Sprintf("  leads %d: %s; %s %s; wants %v\n", int32(p.tablet), p.group.Descriptor(), p.wish.step, p.wish.why, shorts(p.wish.targets))
			}
		}
		for _, e := range n.told[max(0, len(n.told)-6):] {
			if e.Level >= Info {
				out += fmt.Sprintf("  said: %s %v\n", e.Text, e.Attrs)
			}
		}
	}
	return out
}

func tail(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

func shorts(ids []ident.NodeID) (out []string) {
	for _, id := range ids {
		out = append(out, id.Short())
	}
	return out
}

// running returns the nodes on which a process runs.
func (w *world) running() []*node {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.core == nil })
}

// leader returns the node that leads a tablet with an entry of its own term, in the highest term.
func (w *world) leader(t uint32) *node {
	var found *node
	var term uint64
	for _, n := range w.running() {
		if p := n.core.place(t); p != nil && p.group != nil && p.group.Serving() && p.group.Term() > term {
			found, term = n, p.group.Term()
		}
	}
	return found
}

// settled waits until the running nodes are up and each tablet lies where the ring of the running nodes wants it, led
// by its first target.
func (w *world) settled(limit time.Duration) {
	w.t.Helper()
	why := ""
	end := w.now + limit
	for at := w.now; ; at += 50 * time.Millisecond {
		w.run(at - w.now)
		if why = w.unsettled(); why == "" {
			return
		}
		if w.now > end {
			w.t.Fatalf("after %v still not settled: %s\n%s", limit, why, w.describe())
		}
	}
}

// unsettled says what is not as it should be in the end, "" where all is.
func (w *world) unsettled() string {
	nodes := w.running()
	var tokens []ring.Token
	for _, n := range nodes {
		if err := n.core.Ready(); err != nil {
			return fmt.Sprintf("node %d: %v", n.index, err)
		}
		for _, o := range nodes {
			m, ok := n.core.registry.Member(o.id)
			if !ok || m.State != registry.Up {
				return fmt.Sprintf("node %d does not know node %d as up", n.index, o.index)
			}
			if o == n {
				tokens = append(tokens, m.RingTokens()...)
			}
		}
	}
	placement.Sort(tokens)
	replicas := nodes[0].core.registry.Settings().Replicas
	for t := range uint32(worldTablets) {
		want := placement.Targets(placement.Point(t, worldTablets), tokens, replicas, nil)
		l := w.leader(t)
		if l == nil || l.id != want[0] {
			return fmt.Sprintf("tablet %d is not led by its first target %s", t, want[0].Short())
		}
		d := l.core.places[t].group.Descriptor()
		if !sameVoters(d, want) {
			return fmt.Sprintf("tablet %d has %s, want %v", t, d, shorts(want))
		}
		for _, n := range nodes {
			if held := n.core.places[t].group != nil; held != slices.Contains(want, n.id) {
				return fmt.Sprintf("node %d holds tablet %d: %t", n.index, t, held)
			}
		}
	}
	size := len(nodes)
	switch {
	case size >= 5:
		size = 5
	case size == 4:
		size = 3
	}
	l := w.leader(System)
	if l == nil {
		return "the system group has no leader"
	}
	if d := l.core.system.group.Descriptor(); d.Joint || len(d.Voters()) != size || len(d.Replicas) != size {
		return fmt.Sprintf("the system group has %s, want %d voters", d, size)
	}
	return ""
}

func sameVoters(d *tablet.Descriptor, want []ident.NodeID) bool {
	if d.Joint || len(d.Replicas) != len(want) || len(d.Voters()) != len(want) {
		return false
	}
	for _, n := range want {
		if _, ok := d.Find(n); !ok {
			return false
		}
	}
	return true
}

// call is a request of a client, which must end exactly once, unless the node that took it is gone.
type call struct {
	n     *node
	req   request.Request
	ends  int
	nth   int // of all calls to end
	gone  bool
	begun time.Duration
	took  time.Duration
}

// Ended implements request.Owner.
func (c *call) Ended(*request.Request) {
	if c.ends++; c.ends > 1 {
		c.n.w.t.Errorf("a request ended %d times", c.ends)
	}
	c.n.w.ended++
	c.nth = c.n.w.ended
	c.took = c.n.w.now - c.begun
	delete(c.n.calls, c)
}

func (c *call) over() bool { return c.ends > 0 || c.gone }

// reply returns what the client sees.
func (c *call) reply() string {
	switch {
	case c.ends == 0:
		return "GONE"
	case c.req.Failure != nil:
		return "-" + c.req.Failure.Error()
	}
	return string(c.req.Replies[0])
}

// code returns the code of the failure, "" after a success.
func (c *call) code() request.Code {
	if c.ends > 0 && c.req.Failure != nil {
		return c.req.Failure.Code
	}
	return ""
}

// ask sends a command about one key to a node.
func (w *world) ask(n *node, args ...string) *call {
	w.t.Helper()
	if n.core == nil {
		w.t.Fatalf("node %d does not run", n.index)
	}
	cmd := make(request.Command, len(args))
	for i, a := range args {
		cmd[i] = []byte(a)
	}
	c := &call{n: n, begun: w.now}
	c.req = request.Request{
		Tablet: slot.Tablet(slot.Of(cmd[1]), worldTablets), Write: args[0] != "GET", Commands: []request.Command{cmd}, Owner: c,
	}
	n.calls[c] = true
	n.event(func() { n.core.Submit([]*request.Request{&c.req}) })
	return c
}

// must sends a command and returns the reply, which must be a success.
func (w *world) must(n *node, args ...string) string {
	w.t.Helper()
	c := w.ask(n, args...)
	w.until(6*time.Second, fmt.Sprintf("an answer to %q at node %d", args, n.index), c.over)
	if c.code() != "" || c.gone {
		w.t.Fatalf("%q at node %d: %s\n%s", args, n.index, c.reply(), w.describe())
	}
	return c.reply()
}

// key returns a key of a tablet.
func key(t uint32) string {
	for i := 0; ; i++ {
		if k := fmt.Sprintf("key%d", i); slot.Tablet(slot.Of([]byte(k)), worldTablets) == t {
			return k
		}
	}
}
