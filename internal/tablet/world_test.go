package tablet

import (
	"container/heap"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/slot"
)

// The world that the tests of this package share: a few nodes, each with a disk whose power can be cut, that hold
// replicas of one tablet; a network that loses, delays, repeats and reorders what is sent; and time that passes only
// when nothing else happens. All chances are drawn from one seed.

var verbose = flag.Bool("world", false, "print what happens in the worlds of the tests")

const (
	theTablet  = 0
	allTablets = 1024
	worldStart = 1_700_000_000_000 // wall clock at the beginning, milliseconds since 1970
)

// tag is a hash tag whose slot lies in theTablet.
var tag = func() string {
	for i := 0; ; i++ {
		if s := fmt.Sprintf("{%d}", i); slot.Tablet(slot.Of([]byte(s)), allTablets) == theTablet {
			return s
		}
	}
}()

// key returns a key of theTablet.
func key(name string) string { return tag + name }

type event struct {
	at  time.Duration
	seq uint64
	fn  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

type world struct {
	testing.TB
	seed   uint64
	rng    *rand.Rand
	now    time.Duration
	queue  events
	seq    uint64
	nodes  []*node
	timing Timing

	// The network. loss and twice are chances, slowest the longest delay of a message.
	loss, twice float64
	slowest     time.Duration
	cut         map[[2]int]bool          // from, to
	mute        bool                     // that a node is cut off is not noticed
	latest      map[[2]int]time.Duration // when the last of what is under way arrives

	// What the tablet is meant to look like. The leader plans towards targets while there are any.
	targets []int
	// budget is how many learners a leader may add at a time.
	budget int

	// The bounds that make a test short.
	chunk    int
	move     int
	truncate uint64

	// promise, where a test sets it, sees each message that had to wait for the disk, as it leaves.
	promise func(n *node, m *message)
	// hold, where a test sets it, says for how long a message stays on its way, beside what the network does.
	hold func(from, to int, m *message) time.Duration
	// tolerant lets a test say itself what it thinks of two leaders, of which one has a lease.
	tolerant bool

	transfers uint64
	// What must hold at all times.
	leaders map[uint64]int    // the leader of each term
	heads   map[uint64]uint64 // a checksum of the head after each entry
	times   map[uint64]int64  // the tablet time after each entry
	// Counters of what happened, so that a test can say that what it is about did happen.
	installed, moved, destroyed, snapshots, lost, sent int
}

// shift makes other worlds of the same tests, to find those that pass by the luck of a seed.
var shift = flag.Uint64("shift", 0, "added to the seed of every world, times 2^32")

// newWorld returns a world whose n nodes are up and hold nothing.
func newWorld(t testing.TB, seed uint64, n int) *world {
	seed += *shift << 32
	w := &world{
		budget: 2,
		TB:     t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), slowest: 2 * time.Millisecond,
		cut: map[[2]int]bool{}, latest: map[[2]int]time.Duration{}, leaders: map[uint64]int{}, heads: map[uint64]uint64{}, times: map[uint64]int64{},
		chunk: 4 << 10, truncate: truncateThreshold, move: moveBytes,
	}
	for i := range n {
		w.nodes = append(w.nodes, newNode(w, i))
	}
	for _, n := range w.nodes {
		n.start()
	}
	return w
}

// born returns a world of n nodes whose tablet was born on the first.
func born(t testing.TB, seed uint64, n int) *world {
	w := newWorld(t, seed, n)
	w.nodes[0].birth()
	return w
}

// grown returns a world of n nodes of which the first replicas hold the tablet, and the first of them leads.
func grown(t testing.TB, seed uint64, n, replicas int) *world {
	t.Helper()
	w := born(t, seed, n)
	for i := range replicas {
		w.targets = append(w.targets, i)
	}
	w.until("the tablet has its replicas", func() bool { return w.settled() })
	return w
}

func (w *world) logf(format string, args ...any) {
	if *verbose {
		w.Logf("%12v  %s", w.now, fmt.Sprintf(format, args...))
	}
}

func (w *world) fatalf(format string, args ...any) {
	w.Helper()
	for _, n := range w.nodes {
		w.Logf("%s", n)
	}
	w.Fatalf("seed %d at %v: %s", w.seed, w.now, fmt.Sprintf(format, args...))
}

// after calls fn when d has passed.
func (w *world) after(d time.Duration, fn func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now + d, w.seq, fn})
}

// step lets the next thing happen.
func (w *world) step() {
	e := heap.Pop(&w.queue).(event)
	w.now = e.at
	e.fn()
	if old, other := w.usurped(); old != nil && !w.tolerant {
		w.fatalf("node %d has a lease of term %d until %v on its clock, which shows %v; node %d leads in term %d",
			old.at, old.group.Term(), old.group.LeaseEnd(old.mono()), old.mono(), other.at, other.group.Term())
	}
}

// pass lets d pass.
func (w *world) pass(d time.Duration) {
	end := w.now + d
	for w.queue[0].at <= end {
		w.step()
	}
	w.now = end
}

// until lets time pass until something holds; it has a minute.
func (w *world) until(what string, holds func() bool) {
	w.Helper()
	end := w.now + time.Minute
	for !holds() {
		if w.now > end {
			w.fatalf("a minute later it still does not hold that %s", what)
		}
		w.step()
	}
}

// send carries something to a node, if the network lets it; fn runs there.
func (w *world) send(from, to int, fn func()) {
	if w.cut[[2]int{from, to}] || w.rng.Float64() < w.loss {
		return
	}
	times := 1
	if w.rng.Float64() < w.twice {
		times = 2
	}
	boot := w.nodes[to].boot
	for range times {
		delay := w.delay()
		w.latest[[2]int{from, to}] = max(w.latest[[2]int{from, to}], w.now+delay)
		w.after(delay, func() {
			// A connection ends with the process at its end, and what was on it is gone.
			if n := w.nodes[to]; n.up && n.boot == boot && !w.cut[[2]int{from, to}] {
				n.do(fn)
			}
		})
	}
}

func (w *world) delay() time.Duration {
	d := 50*time.Microsecond + time.Duration(w.rng.Int64N(int64(w.slowest)))
	if w.twice > 0 && w.rng.IntN(20) == 0 {
		d *= 20
	}
	return d
}

// connected reports whether a node can talk to another, and hears from it.
func (w *world) connected(a, b int) bool {
	return w.nodes[a].up && w.nodes[b].up && !w.nodes[a].silent && !w.nodes[b].silent && (w.mute || !w.cut[[2]int{a, b}] && !w.cut[[2]int{b, a}])
}

// part cuts the network between two groups of nodes. Those that led the others are missed after a second.
func (w *world) part(these, those []int) {
	for _, a := range these {
		for _, b := range those {
			w.cutOff(a, b)
			w.cutOff(b, a)
		}
	}
}

// cutOff drops what a sends to b.
func (w *world) cutOff(a, b int) {
	if a == b {
		return
	}
	w.logf("cut %d -> %d", a, b)
	w.cut[[2]int{a, b}] = true
	w.after(time.Second, func() {
		if w.cut[[2]int{a, b}] {
			w.nodes[b].miss(a)
			w.nodes[a].miss(b)
		}
	})
}

// isolate cuts a node off from all others.
func (w *world) isolate(a int) {
	for b := range w.nodes {
		w.part([]int{a}, []int{b})
	}
}

func (w *world) heal() {
	w.logf("heal")
	cut := w.cut
	w.cut, w.loss, w.twice, w.slowest = map[[2]int]bool{}, 0, 0, 2*time.Millisecond
	for a := range w.nodes {
		for b := range w.nodes {
			if cut[[2]int{a, b}] || cut[[2]int{b, a}] {
				w.nodes[a].met(b)
			}
		}
	}
}

// truncateAt makes logs so short that snapshots are common.
func (w *world) truncateAt(entries uint64) {
	w.truncate = entries
	for _, n := range w.nodes {
		if n.group != nil {
			n.group.truncateAt = entries
		}
	}
}

// leader returns the node that serves with the highest term, nil where none does.
func (w *world) leader() *node {
	var found *node
	for _, n := range w.nodes {
		if n.up && n.group != nil && n.group.Serving() && (found == nil || n.group.Term() > found.group.Term()) {
			found = n
		}
	}
	return found
}

// settled reports whether the replicas are exactly the targets, all of them voters, and the first of them leads.
func (w *world) settled() bool {
	l := w.leader()
	if l == nil || l.at != w.targets[0] {
		return false
	}
	d := l.group.Descriptor()
	if d.Joint || len(d.Replicas) != len(w.targets) {
		return false
	}
	for _, i := range w.targets {
		if r, ok := d.Find(w.nodes[i].id); !ok || r.Role != Voter {
			return false
		}
	}
	return true
}

// even reports whether all replicas that are up, at least one, have applied the same entries.
func (w *world) even() bool {
	var at uint64
	for _, n := range w.nodes {
		if n.up && n.in != nil && n.in.installing {
			return false
		}
		if !n.up || n.group == nil {
			continue
		}
		if at == 0 {
			at = n.group.Applied()
		}
		if n.group.Applied() != at || n.busy {
			return false
		}
	}
	return at > 0
}

// mustAgree checks that the replicas that are up hold the same bytes.
func (w *world) mustAgree() {
	w.Helper()
	w.until("all replicas have applied the same entries", w.even)
	var first string
	var whose int
	for _, n := range w.nodes {
		if !n.up || n.group == nil {
			continue
		}
		dump := n.dump()
		if first == "" {
			first, whose = dump, n.at
		} else if dump != first {
			w.fatalf("nodes %d and %d hold different bytes:\n%s\n%s", whose, n.at, first, dump)
		}
	}
}

// check notes what a node holds after a turn and compares it with what others held at the same place.
func (w *world) check(n *node) {
	g := n.group
	if g == nil {
		return
	}
	if g.Leading() {
		if other, ok := w.leaders[g.Term()]; ok && other != n.at {
			w.fatalf("nodes %d and %d both led in term %d", other, n.at, g.Term())
		}
		w.leaders[g.Term()] = n.at
	}
	b, err := n.store.Get(headKey(theTablet))
	if err != nil || g.Applied() == n.checked {
		return
	}
	n.checked = g.Applied()
	h, err := decodeHead(b)
	if err != nil {
		w.fatalf("node %d: %v", n.at, err)
	}
	sum := crc64.Checksum(b, crc64.MakeTable(crc64.ECMA))
	if other, ok := w.heads[h.applied.Index]; ok && other != sum {
		w.fatalf("node %d: after entry %d its head is not what another's was", n.at, h.applied.Index)
	}
	w.heads[h.applied.Index], w.times[h.applied.Index] = sum, h.time
}

func nodeID(i int) ident.NodeID {
	var id ident.NodeID
	binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x0101010101010101)
	return id
}
