package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/slot"
)

// Config says what kind of world it is. The zero value of a field means its default.
type Config struct {
	// Seed starts everything that is left to chance.
	Seed uint64
	// Tablets and Replicas are those of the cluster: a power of two, default 16; and 1 to 7, default 3.
	Tablets, Replicas int
	// ReplaceAfter is the cluster's grace before a silent node's share is copied elsewhere. Default 20s.
	ReplaceAfter time.Duration
	// Tokens is how many positions a node takes on the ring. Default placement.MinTokens.
	Tokens int
	// Zones is over how many zones the machines are spread, one after the other. Default 0: none has a zone.
	Zones int
	// Bandwidth is how many bytes a second each way between two machines carries. Default 0: any number, in no time.
	Bandwidth int64
	// Quiet leaves the chronicle out: for long runs that are told again on failure.
	Quiet bool
}

func (c Config) withDefaults() Config {
	set(&c.Tablets, 16)
	set(&c.Replicas, 3)
	set(&c.ReplaceAfter, 20*time.Second)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// epoch is what an exact wall clock shows when a world begins, in milliseconds since 1970.
const epoch = int64(1_700_000_000_000)

// World is a number of machines and what lies between them.
type World struct {
	cfg      Config
	now      time.Duration
	agenda   agenda
	steps    uint64
	chance   *rand.Rand // of the network, the disks, and the processes' own seeds
	machines []*Machine
	byID     map[ident.NodeID]*Machine // the machine that holds a node's directory
	flips    []flipped                 // that were not mended yet, when somebody looked
	network  network
	watch    watch
	ring     ringWatch
	trace    *xxh3.Hasher
	scratch  []byte

	chronicle  chronicle
	violations []Violation
}

// Violation is something that must not be.
type Violation struct {
	At   time.Duration
	Text string
	// Key is the one whose history shows it; "" where it is about something else.
	Key string
	// about is the group that it is about, -1 where it is about something else.
	about int
}

func (v Violation) String() string { return fmt.Sprintf("%v: %s", v.At, v.Text) }

// New returns a world without machines.
func New(cfg Config) *World {
	cfg = cfg.withDefaults()
	w := &World{cfg: cfg, byID: map[ident.NodeID]*Machine{}, trace: xxh3.New()}
	w.chance = w.generator("network")
	w.network.init(w)
	w.watch.init(w)
	w.ring.init(w)
	return w
}

// generator returns one whose numbers depend on the seed and on what they are for, so that drawing more of one kind
// leaves the others as they are.
func (w *World) generator(purpose string) *rand.Rand {
	return rand.New(rand.NewPCG(w.cfg.Seed, xxh3.HashString(purpose)))
}

func (w *World) settings() registry.Settings {
	return registry.Settings{
		Replicas: w.cfg.Replicas, Tablets: w.cfg.Tablets, ReplaceAfter: w.cfg.ReplaceAfter, Format: format,
	}
}

// Now returns how long the world has existed.
func (w *World) Now() time.Duration { return w.now }

// Steps returns how many events have happened.
func (w *World) Steps() uint64 { return w.steps }

// Trace returns the hash of all that has happened: each frame as it arrived, each fault, each request's end.
func (w *World) Trace() uint64 { return w.trace.Sum64() }

// note makes something part of the trace.
func (w *World) note(kind byte, a, b int, data []byte) {
	s := append(w.scratch[:0], kind)
	s = binary.AppendUvarint(s, uint64(w.now))
	s = binary.AppendUvarint(s, uint64(a))
	s = binary.AppendUvarint(s, uint64(b))
	s = binary.AppendUvarint(s, uint64(len(data)))
	w.scratch = s
	_, _ = w.trace.Write(s)    // it never fails
	_, _ = w.trace.Write(data) // nor does this
}

// after lets something happen in a while.
func (w *World) after(d time.Duration, fn func()) { w.agenda.add(w.now+d, fn) }

// Run lets time pass. It ends early at a violation: what follows one means nothing.
func (w *World) Run(d time.Duration) {
	end := w.now + d
	for len(w.violations) == 0 {
		p, ok := w.agenda.next(end)
		if !ok {
			w.now = end
			return
		}
		w.step(p)
	}
}

// Until lets time pass until cond holds, and reports whether it did within the limit.
func (w *World) Until(limit time.Duration, cond func() bool) bool {
	end := w.now + limit
	for len(w.violations) == 0 {
		if cond() {
			return true
		}
		p, ok := w.agenda.next(end)
		if !ok {
			w.now = end
			return cond()
		}
		w.step(p)
	}
	return false
}

func (w *World) step(p planned) {
	w.now = max(w.now, p.at)
	w.steps++
	p.fn()
}

// violate notes what must not be.
func (w *World) violate(format string, args ...any) { w.violateKey("", format, args...) }

func (w *World) violateKey(key, format string, args ...any) {
	about := -1
	if key != "" {
		about = int(slot.Tablet(slot.Of([]byte(key)), w.cfg.Tablets))
	}
	w.accuse(Violation{Text: fmt.Sprintf(format, args...), Key: key, about: about})
}

// violateOf is violate about a group.
func (w *World) violateOf(group int, format string, args ...any) {
	w.accuse(Violation{Text: fmt.Sprintf(format, args...), about: group})
}

func (w *World) accuse(v Violation) {
	v.At = w.now
	w.violations = append(w.violations, v)
	w.tellOf(v.about, "VIOLATION: %s", v.Text)
}

// Violations returns what must not be and was.
func (w *World) Violations() []Violation { return w.violations }

// between draws a span.
func between(r *rand.Rand, lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(r.Int64N(int64(hi-lo)))
}
