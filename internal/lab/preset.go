package lab

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

// Preset says whose ring is measured.
type Preset int

// The presets; the package comment says what they stand for.
const (
	Paper Preset = iota
	Quord
)

// String returns the preset as the command line has it.
func (p Preset) String() string {
	if p == Quord {
		return "quord"
	}
	return "paper"
}

// QuordTokens, QuordTablets and QuordReplicas are production's defaults.
const (
	QuordTokens   = 64
	QuordTablets  = 1024
	QuordReplicas = 3
)

// MaxSize bounds the tokens of a world, and so its memory: about 5 GB of a constructed ring.
const MaxSize = 1 << 21

// config returns the ring's configuration of a preset with successor lists of r.
func (p Preset) config(r int) ring.Config {
	if p == Quord {
		cfg := ring.LAN()
		cfg.Successors, cfg.MaxSuccessors = r, min(4*r, ring.MaxList)
		return cfg
	}
	return ring.Config{
		Bits: ring.MaxBits, Successors: r, MaxSuccessors: r, DistinctNodes: 1, Proximity: 1,
		StabilizeEvery: time.Hour, Nudge: time.Hour, MergeEvery: time.Hour, DeadFor: time.Millisecond,
		QueryTimeout: 500 * time.Millisecond, Attempts: 3, SuspectTimeout: 500 * time.Millisecond, Settle: time.Minute,
		Backoff: 100 * time.Millisecond, HopTimeout: 500 * time.Millisecond, LookupTimeout: time.Minute,
		HopLimit: 255, MaxLookups: 1 << 16,
	}
}

// standing is how many Chord nodes stand on the ring, and whose tokens they are: in the Paper preset each token is
// a Chord node by itself, as the papers' virtual nodes are.
func (p Preset) standing(nodes, tokens int) (rings, each int) {
	if p == Paper {
		return nodes * tokens, 1
	}
	return nodes, tokens
}

// places draws the tokens of all nodes: at random, or, in the Quord preset, chosen for balance one node after the
// other, as nodes choose them that join.
func (p Preset) places(nodes, tokens int, rng *rand.Rand) ([][]ring.ID, error) {
	rings, each := p.standing(nodes, tokens)
	at := make([][]ring.ID, rings)
	if p == Paper {
		flat := make([]ring.ID, rings*each)
		for i := range flat {
			flat[i] = randomID(rng)
		}
		for n := range at {
			at[n] = flat[n*each : (n+1)*each : (n+1)*each]
		}
		return at, nil
	}
	var taken []ring.Token
	shape := placement.Shape{Tablets: tabletsFor(nodes), Replicas: QuordReplicas}
	for n := range at {
		pub := publicKey(rng)
		indices, err := placement.Choose(pub, each, taken, shape)
		if err != nil {
			return nil, fmt.Errorf("tokens of node %d: %w", n, err)
		}
		for _, t := range placement.Tokens(pub, indices) {
			at[n] = append(at[n], t.ID)
			taken = append(taken, ring.Token{ID: t.ID, Node: nodeID(n)})
		}
	}
	return at, nil
}

// tabletsFor returns a number of tablets that gives each node about 64, at least the default.
func tabletsFor(nodes int) int {
	t := QuordTablets
	for t < 64*nodes && t < 16384 {
		t *= 2
	}
	return t
}

// publicKey draws what looks like a public key: only its hash matters here.
func publicKey(rng *rand.Rand) ed25519.PublicKey {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], rng.Uint64())
	sum := sha256.Sum256(b[:])
	return sum[:]
}

// in says of a value that lies outside its range what is allowed.
func in(name string, value, low, high int) error {
	if value < low || value > high {
		return fmt.Errorf("--%s %d: want %d to %d", name, value, low, high)
	}
	return nil
}

// all returns the first error.
func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
