package lab

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// Stretch measures how much longer a lookup takes than one round trip to the node that it finds: ToN 2003, table IV.
// Nodes are points in a cube; a message takes the time of the distance. A finger is the nearest of the first
// Proximity successors of its place; whoever names them has them in its successor list, so lists are as long.
//
// Paper: the latency ends when the one that asks learns who the owner is, from the owner's predecessor, iteratively or
// by a recursive lookup whose last node answers directly. Quord: it ends when the owner has said so itself, which is
// what a client waits for. Keys of the node that asks are left out.
type Stretch struct {
	Preset    Preset
	Nodes     int
	Mode      ring.Mode
	Proximity int // s; 1 is plain Chord
	Lookups   int // of each ring
	// Live lets a ring that begins with plain fingers measure round trips and choose by itself, instead of being
	// constructed with the fingers that it would choose.
	Live bool
	Seed uint64
}

// Percentiles are what table IV prints.
type Percentiles struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

// StretchResult is what Stretch prints as JSON.
type StretchResult struct {
	Stretch Percentiles `json:"stretch"`
}

// maxLive bounds rings that run until their fingers are chosen.
const maxLive = 2048

// Validate says which choice makes no sense.
func (s Stretch) Validate() error {
	if s.Live && s.Nodes > maxLive {
		return fmt.Errorf("--live with --nodes %d: want at most %d", s.Nodes, maxLive)
	}
	if s.Live && s.Preset == Quord {
		return fmt.Errorf("--live: wants --preset paper, where the fingers that a ring should choose are known")
	}
	if s.Proximity >= s.Nodes {
		return fmt.Errorf("--proximity %d: a ring of %d nodes has fewer candidates", s.Proximity, s.Nodes)
	}
	return all(
		in("nodes", s.Nodes, 8, MaxSize), in("proximity", s.Proximity, 1, ring.MaxList), in("lookups", s.Lookups, 1, 1<<24),
		worldSize(s.Preset, s.Nodes, s.tokens(), 1),
	)
}

func (s Stretch) tokens() int {
	if s.Preset == Quord {
		return QuordTokens
	}
	return 1
}

// space is where nodes lie: a cube that a message crosses, from side to side, in 100 ms.
type space [][3]float64

const side = float64(100 * time.Millisecond)

func newSpace(n int, rng *rand.Rand) space {
	s := make(space, n)
	for i := range s {
		s[i] = [3]float64{rng.Float64(), rng.Float64(), rng.Float64()}
	}
	return s
}

// delay returns how long a message takes one way.
func (s space) delay(a, b int) time.Duration {
	dx, dy, dz := s[a][0]-s[b][0], s[a][1]-s[b][1], s[a][2]-s[b][2]
	return 1 + time.Duration(side*math.Sqrt(dx*dx+dy*dy+dz*dz))
}

func (s space) rtt(a, b ident.NodeID) time.Duration { return 2 * s.delay(number(a), number(b)) }

// config returns the ring's configuration.
func (s Stretch) config() ring.Config {
	r := s.Proximity
	if s.Preset == Quord {
		r = 16
	}
	cfg := s.Preset.config(r)
	cfg.Proximity = s.Proximity
	if s.Live {
		cfg.StabilizeEvery = time.Second
	}
	return cfg
}

// Run measures one ring.
func (s Stretch) Run(n int) ([]float64, error) {
	rng := random(s.Seed, n)
	at, err := s.Preset.places(s.Nodes, s.tokens(), rng)
	if err != nil {
		return nil, err
	}
	where := newSpace(s.Nodes, rng)
	w := &world{delay: where.delay}
	near := where.rtt
	if s.Live {
		near = nil
	}
	cfg := s.config()
	w.ticking = s.Live
	c, err := w.settle(cfg, at, rng, near)
	if err != nil {
		return nil, err
	}
	if s.Live {
		// A node fixes one finger a second; twice around, and a little more.
		for w.step(time.Duration(4*log2(s.Nodes)+8) * time.Second) {
		}
	}
	// When the asker knew who the owner is: when it, or the node that answers it, asks the owner.
	var known time.Duration
	asker := 0
	w.spied = func(from, _ int, m *ring.Message) {
		switch {
		case !m.Claim:
		case m.Kind == ring.Find && from == asker:
			known = w.now
		case m.Kind == ring.Forward && m.Origin == nodeID(asker):
			known = w.now
			if from != asker {
				known += where.delay(from, asker)
			}
		}
	}
	out := make([]float64, 0, s.Lookups)
	for len(out) < s.Lookups {
		asker = rng.IntN(s.Nodes)
		target := randomID(rng)
		owner := c.owner(target)
		if owner.Node == nodeID(asker) {
			continue
		}
		began := w.now
		known = began
		res, err := w.lookup(asker, target, s.Mode)
		if err != nil {
			return nil, err
		}
		if res.Err != nil || res.Owner != owner {
			return nil, fmt.Errorf("the lookup of %v ended at %v (%w), the owner is %v", target.Short(), res.Owner, res.Err, owner)
		}
		took := res.Took
		if s.Preset == Paper {
			took = known - began
		}
		out = append(out, float64(took)/float64(where.rtt(nodeID(asker), owner.Node)))
	}
	return out, nil
}

// Result sums rings up.
func (s Stretch) Result(rings [][]float64) StretchResult {
	var every []float64
	for _, r := range rings {
		every = append(every, r...)
	}
	return StretchResult{Percentiles{
		round(percentile(every, 10), 3), round(percentile(every, 50), 3), round(percentile(every, 90), 3),
	}}
}

// StretchPoint is one row of ToN 2003, table IV, the 3-d space: medians, 10th and 90th percentiles, 2^16 nodes.
type StretchPoint struct {
	Proximity            int
	Iterative, Recursive Percentiles
}

// PublishedStretchNodes is the size of table IV.
const PublishedStretchNodes = 1 << 16

// PublishedStretch is table IV.
var PublishedStretch = []StretchPoint{
	{1, Percentiles{4.4, 7.8, 19.8}, Percentiles{2.5, 4.5, 11.5}},
	{2, Percentiles{3.8, 7.2, 18.0}, Percentiles{2.0, 3.5, 8.7}},
	{4, Percentiles{3.1, 6.1, 15.3}, Percentiles{1.6, 2.7, 6.4}},
	{8, Percentiles{2.4, 4.7, 11.8}, Percentiles{1.4, 2.1, 4.7}},
	{16, Percentiles{1.9, 3.4, 8.4}, Percentiles{1.2, 1.7, 3.5}},
}

// Published returns table IV's entry for this experiment, and whether it has one.
func (s Stretch) Published() (Percentiles, bool) {
	for _, pub := range PublishedStretch {
		if s.Preset != Paper || s.Nodes != PublishedStretchNodes || s.Proximity != pub.Proximity {
			continue
		}
		if s.Mode == ring.Recursive {
			return pub.Recursive, true
		}
		return pub.Iterative, true
	}
	return Percentiles{}, false
}

// Counted says in a line what is timed.
func (s Stretch) Counted() string {
	if s.Preset == Quord {
		return "until the owner has answered"
	}
	return "until the asker knows the owner, from the owner's predecessor"
}
