package tablet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/store/memstore"
	"github.com/quorddb/quord/internal/tabletime"
)

// node is one node of the world: what package core does with the groups of a node, for one tablet.
type node struct {
	w     *world
	at    int
	id    ident.NodeID
	boot  uint64
	up    bool
	dead  bool // it does not start again
	store *memstore.Store
	group *Group
	wall  time.Duration // how far its wall clock is ahead
	clock monoClock

	paused bool     // the process is stopped; what comes waits
	silent bool     // the others have noticed
	stuck  []func() // what the disk has done meanwhile

	inbox []func()
	busy  bool // a turn waits for the disk
	// chunks are the sizes of what turns applied, a Write each.
	chunks []int
	turn   Turn
	early  []parcel
	late   []parcel
	extra  kv.Write // of transfers and removals
	after  []func() // once the turn is on disk

	tickAt   time.Duration
	planAt   time.Duration
	lonely   time.Duration // since when no leader is known
	led      bool
	checked  uint64 // the last entry after which its head was compared
	retired  uint64 // the last replica that was destroyed here, which the store may not know yet
	replicas []ident.NodeID
	in       *incoming
	out      map[uint64]*outgoing
	step     Step
}

type parcel struct {
	to      ident.NodeID
	encoded []byte
}

func newNode(w *world, at int) *node {
	return &node{w: w, at: at, id: nodeID(at), store: memstore.New()}
}

func (n *node) String() string {
	if !n.up {
		return fmt.Sprintf("node %d: down", n.at)
	}
	if n.group == nil {
		return fmt.Sprintf("node %d: no replica", n.at)
	}
	g := n.group
	return fmt.Sprintf("node %d: replica %d term %d leader %d leading %t applied %d last %d start %d commit %d waiting %d step %s; %s",
		n.at, g.Replica(), g.Term(), g.leader, g.Leading(), g.Applied(), g.log.last, g.log.start.Index, g.log.hard.Commit,
		g.Waiting(), n.step, g.Descriptor())
}

func (n *node) must(err error) {
	if err != nil {
		n.w.fatalf("node %d: %v", n.at, err)
	}
}

func (n *node) config() Config {
	return Config{
		Tablet: theTablet, Node: n.id, Store: n.store, Machine: NewData(theTablet, allTablets),
		Random: rand.New(rand.NewPCG(n.w.rng.Uint64(), 1)), MaxValue: 64 << 20, Timing: n.w.timing,
	}
}

// start starts the process, over what the disk holds.
func (n *node) start() {
	n.w.logf("node %d starts", n.at)
	n.boot++
	n.up, n.busy, n.inbox, n.extra, n.after, n.early, n.late = true, false, nil, kv.Write{}, nil, nil, nil
	n.paused, n.silent, n.stuck = false, false, nil
	n.group, n.in, n.out, n.led, n.lonely, n.replicas = nil, nil, map[uint64]*outgoing{}, false, n.mono(), nil
	n.turn = Turn{Out: (*nodeOutbox)(n)}
	n.must(n.store.Groups(func(stored kv.Group) error { return n.open(stored) }))
	n.tickAt, n.retired, n.checked = n.mono(), 0, 0
	n.beat(n.boot)
}

func (n *node) open(stored kv.Group) error {
	cfg := n.config()
	sink, err := Staged(theTablet, n.id, cfg.Machine, n.store)
	if err != nil {
		return err
	}
	for sink != nil {
		sink.step = n.w.move
		w, last, err := sink.Move(stored)
		if err != nil {
			return err
		}
		n.write(w)
		n.w.moved++
		if last {
			if stored, err = Logged(w, stored); err != nil {
				return err
			}
			sink = nil
		}
	}
	if _, ok, err := Stored(n.store, theTablet); err != nil {
		return err
	} else if !ok {
		n.write(&kv.Write{Log: []kv.LogOp{{Group: theTablet, Destroy: true}}})
		return nil
	}
	g, err := Open(cfg, stored, n.mono())
	if errors.Is(err, ErrRemoved) { // it crashed between learning of it and acting upon it
		d, _, err := Stored(n.store, theTablet)
		if err == nil {
			n.write(Erase(theTablet, cfg.Machine, d.NextID-1))
		}
		return err
	}
	n.adopt(g)
	return err
}

func (n *node) adopt(g *Group) {
	if g != nil {
		g.truncateAt = n.w.truncate
	}
	n.group, n.led, n.tickAt = g, false, n.mono()
}

func (n *node) write(w *kv.Write) {
	p, err := n.store.Apply(w, true)
	n.must(err)
	n.must(p.Wait())
}

func (n *node) birth() {
	n.write(Birth(theTablet, n.id, worldStart))
	n.must(n.store.Groups(n.open))
}

// crash ends the process without warning and loses some of what was not synced. The others notice soon.
func (n *node) crash() { n.crashKeeping(func(unsynced int) int { return n.w.rng.IntN(unsynced + 1) }) }

func (n *node) crashKeeping(keep func(unsynced int) int) {
	if !n.up {
		return
	}
	n.w.logf("node %d crashes", n.at)
	n.up, n.group = false, nil
	n.store = n.store.Crash(keep)
	for _, other := range n.w.nodes {
		// The end of a connection is noticed after all that came over it.
		end := max(n.w.now+n.w.delay(), n.w.latest[[2]int{n.at, other.at}])
		n.w.after(end-n.w.now, func() { other.miss(n.at) })
	}
}

// miss says that the connection to another node has ended.
func (n *node) miss(other int) {
	n.do(func() {
		if n.group != nil && n.group.NodeLost(n.mono(), nodeID(other), n.rank()) {
			n.tickAt = n.mono()
		}
	})
}

// restart starts a process that has crashed.
func (n *node) restart() {
	if !n.up && !n.dead {
		n.start()
		for _, o := range n.w.nodes {
			o.met(n.at)
		}
	}
}

// met says that there is a connection to another node again.
func (n *node) met(other int) {
	n.do(func() {
		if n.group != nil && n.group.NodeBack(n.mono(), nodeID(other), n.rank()) {
			n.tickAt = n.mono()
		}
	})
}

func (n *node) live(id ident.NodeID) bool {
	for _, o := range n.w.nodes {
		if o.id == id {
			return o == n || n.w.connected(n.at, o.at)
		}
	}
	return false
}

func (n *node) rank() int {
	rank := 0
	for _, r := range n.group.Descriptor().Voters() {
		if r.Node == n.id {
			return rank
		}
		if n.live(r.Node) {
			rank++
		}
	}
	return rank
}

// beat ticks every ten milliseconds.
func (n *node) beat(boot uint64) {
	n.w.after(10*time.Millisecond, func() {
		if n.up && n.boot == boot {
			if !n.paused {
				n.do(n.tick)
			}
			n.beat(boot)
		}
	})
}

func (n *node) tick() {
	n.tickOut()
	g := n.group
	if g == nil {
		return
	}
	now := n.mono()
	if now >= n.tickAt {
		n.tickAt = g.Tick(now, n.rank(), n.live)
		if g.Leading() {
			n.observe()
			_, err := g.Sweep(now)
			n.must(err)
			n.tickAt = min(n.tickAt, g.SweepAt(now))
		}
	}
	if _, known := g.Leader(); known || g.Leading() {
		n.lonely = now
	} else if now > n.lonely+time.Second {
		n.lonely = now
		n.wonder()
	}
	if n.w.targets != nil && g.Leading() && now >= n.planAt {
		n.planAt = now + 50*time.Millisecond
		var targets []ident.NodeID
		for _, t := range n.w.targets {
			targets = append(targets, nodeID(t))
		}
		before := n.step
		var why string
		if n.step, why = g.Plan(now, targets, n.live, n.live, n.w.budget); n.step != before {
			n.w.logf("node %d plans: %s %s", n.at, n.step, why)
		}
	}
}

// observe draws the tablet's time towards the clocks of the nodes.
func (n *node) observe() {
	n.group.Observe(n.mono(), func(r Replica) (tabletime.Sample, bool) {
		for _, o := range n.w.nodes {
			if o.id == r.Node && n.live(o.id) {
				return tabletime.Sample{Wall: o.wallClock(), At: n.mono()}, true
			}
		}
		return tabletime.Sample{}, false
	})
}

func (n *node) wallClock() int64 { return worldStart + (n.w.now + n.wall).Milliseconds() }

// wonder asks around whether this node's replica is still one.
func (n *node) wonder() {
	for _, o := range n.w.nodes {
		if o == n {
			continue
		}
		n.w.send(n.at, o.at, func() {
			if o.group != nil && o.group.Initialized() {
				o.tell(n.at)
			}
		})
	}
}

// tell sends the descriptor to another node.
func (n *node) tell(to int) {
	encoded := n.group.Descriptor().Append(nil)
	n.w.send(n.at, to, func() { n.w.nodes[to].where(encoded) })
}

// where hears who holds the tablet.
func (n *node) where(encoded []byte) {
	d, rest, err := DecodeDescriptor(encoded)
	n.must(err)
	if len(rest) > 0 {
		n.w.fatalf("a descriptor has %d bytes too many", len(rest))
	}
	if g := n.group; g != nil {
		if _, named := d.Replica(g.Replica()); !named && g.Replica() < d.NextID && d.Epoch > g.Descriptor().Epoch {
			n.destroy()
		}
	}
}

func (n *node) destroy() {
	n.w.logf("node %d destroys replica %d", n.at, n.group.Replica())
	n.w.destroyed++
	w := n.group.Destroy()
	n.retired = n.group.Replica()
	n.group.Abandon()
	n.group, n.in = nil, nil
	n.extra.Log, n.extra.State = append(n.extra.Log, w.Log...), append(n.extra.State, w.State...)
}

// receive takes a raft message.
func (n *node) receive(from int, encoded []byte) {
	to, sender, err := Destination(encoded)
	n.must(err)
	if n.group != nil && n.group.Past(sender) {
		n.tell(from)
		return
	}
	g := n.groupFor(to)
	if g == nil {
		return
	}
	n.must(g.Step(n.mono(), nodeID(from), encoded))
}

func (n *node) groupFor(replica uint64) *Group {
	if g := n.group; g != nil {
		if g.Replica() == replica {
			return g
		}
		if g.Replica() > replica || g.Initialized() && !g.Removed() {
			return nil
		}
	}
	if n.in != nil && n.in.installing {
		return nil
	}
	retired, err := Retired(n.store, theTablet)
	n.must(err)
	if replica <= max(retired, n.retired) {
		return nil
	}
	g, err := Create(n.config(), replica, n.mono())
	n.must(err)
	n.adopt(g)
	return g
}

// do runs fn on the node's worker, and then takes the turns that follow.
func (n *node) do(fn func()) {
	if !n.up {
		return
	}
	n.inbox = append(n.inbox, fn)
	n.work()
}

// work takes a turn if there is something to do and none is under way.
func (n *node) work() {
	if n.busy || !n.up || n.paused {
		return
	}
	for i := 0; i < len(n.inbox); i++ {
		n.inbox[i]()
	}
	n.inbox = n.inbox[:0]
	if n.group != nil && n.tickAt == Never && !n.group.Resting() {
		n.tickAt = n.mono()
	}
	n.stepIncoming()
	if (n.group == nil || !n.group.HasWork()) && n.extra.Empty() && len(n.after) == 0 {
		n.lookAt()
		if n.extra.Empty() {
			return
		}
	}
	n.turn.Reset(n.mono())
	if n.group != nil {
		n.must(n.group.Ready(&n.turn))
	}
	write := kv.Write{Log: append(n.extra.Log, n.turn.Write.Log...), State: n.extra.State}
	sync := n.turn.Sync || len(n.extra.Log) > 0 || len(n.after) > 0
	n.extra = kv.Write{}
	n.flush(&n.early)
	pending, err := n.store.Apply(&write, sync)
	n.must(err)
	n.apply(&n.turn)
	n.w.check(n)
	n.turn.Applied()
	n.busy = true
	boot, disk := n.boot, 20*time.Microsecond
	if sync {
		disk += 100*time.Microsecond + time.Duration(n.w.rng.Int64N(int64(2*time.Millisecond)))
	}
	n.w.after(disk, func() {
		if n.boot != boot || !n.up {
			return
		}
		n.whenRunning(func() { n.persisted(pending) })
	})
}

// apply lets the groups of a turn apply what is committed.
func (n *node) apply(t *Turn) {
	for {
		more, err := t.Apply()
		n.must(err)
		if !more {
			return
		}
		size := 0
		for _, op := range t.State.State {
			size += len(op.Key) + len(op.Value)
		}
		n.chunks = append(n.chunks, size)
		_, err = n.store.Apply(&t.State, false)
		n.must(err)
	}
}

// persisted ends a turn whose Write is on disk.
func (n *node) persisted(pending kv.Pending) {
	n.must(pending.Wait())
	n.busy = false
	n.turn.Persisted()
	n.lookAt()
	after := n.after
	n.after = nil
	for _, fn := range after {
		fn()
	}
	for _, p := range n.late {
		if n.w.promise != nil {
			m, err := decodeMessage(p.encoded)
			n.must(err)
			n.w.promise(n, m)
		}
	}
	n.flush(&n.late)
	n.work()
}

// lookAt notices what has changed about the group.
func (n *node) lookAt() {
	g := n.group
	if g == nil {
		return
	}
	if g.Removed() {
		n.destroy()
		return
	}
	if g.Leading() != n.led {
		n.led = g.Leading()
		n.w.logf("node %d leads: %t, term %d", n.at, n.led, g.Term())
		if n.led {
			n.observe()
			n.tickAt = n.mono()
		}
	}
	if nodes := g.Descriptor().Nodes(); !slices.Equal(nodes, n.replicas) {
		for _, id := range n.replicas {
			for _, o := range n.w.nodes {
				if o.id == id && o != n && n.led && n.live(id) && !slices.Contains(nodes, id) {
					n.tell(o.at)
				}
			}
		}
		n.replicas = nodes
		n.w.logf("node %d: %s", n.at, g.Descriptor())
	}
	n.startTransfers()
}

func (n *node) flush(parcels *[]parcel) {
	for _, p := range *parcels {
		for _, o := range n.w.nodes {
			if o.id != p.to {
				continue
			}
			n.w.sent++
			deliver := func() { n.w.send(n.at, o.at, func() { o.receive(n.at, p.encoded) }) }
			if n.w.hold != nil {
				m, err := decodeMessage(p.encoded)
				n.must(err)
				if d := n.w.hold(n.at, o.at, m); d > 0 {
					n.w.after(d, deliver)
					continue
				}
			}
			deliver()
		}
	}
	*parcels = nil
}

type nodeOutbox node

func (n *nodeOutbox) Raft(to ident.NodeID, _ uint32, late bool, encoded []byte) {
	p := parcel{to, slices.Clone(encoded)}
	if late {
		n.late = append(n.late, p)
	} else {
		n.early = append(n.early, p)
	}
}

// dump returns all that a snapshot of the replica would hold, its head included.
func (n *node) dump() string {
	var b strings.Builder
	head, err := n.store.Get(headKey(theTablet))
	n.must(err)
	fmt.Fprintf(&b, "head %x\n", head)
	for _, r := range stateRanges(theTablet, n.group.cfg.Machine) {
		n.must(n.store.Scan(r[0], r[1], func(k, v []byte) bool {
			fmt.Fprintf(&b, "%q %x\n", k, v)
			return true
		}))
	}
	return b.String()
}

// words makes a command.
func words(args ...string) request.Command {
	var c request.Command
	for _, a := range args {
		c = append(c, []byte(a))
	}
	return c
}
