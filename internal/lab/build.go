package lab

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// random returns the source of randomness of one ring of an experiment.
func random(seed uint64, ringNumber int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(ringNumber)))
}

// randomID returns a point of the full space.
func randomID(rng *rand.Rand) (id ring.ID) {
	for i := 0; i < len(id); i += 8 {
		binary.BigEndian.PutUint64(id[i:], rng.Uint64())
	}
	return id
}

// circle is what a global observer knows: all tokens in ring order, twice around, so that any run of up to a
// successor list's length is a part of it.
type circle struct {
	tokens []ring.Token // once around
	twice  []ring.Token
}

func newCircle(tokens []ring.Token) *circle {
	slices.SortFunc(tokens, func(a, b ring.Token) int { return a.ID.Compare(b.ID) })
	n := len(tokens)
	twice := make([]ring.Token, 0, n+ring.MaxList)
	twice = append(twice, tokens...)
	for k := range ring.MaxList {
		twice = append(twice, tokens[k%n])
	}
	return &circle{twice[:n:n], twice}
}

// at returns the place of the first token at or behind id.
func (c *circle) at(id ring.ID) int {
	lo, hi := 0, len(c.tokens)
	for lo < hi {
		if mid := (lo + hi) / 2; c.tokens[mid].ID.Compare(id) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo % len(c.tokens)
}

// owner returns the token that owns id, by definition.
func (c *circle) owner(id ring.ID) ring.Token { return c.tokens[c.at(id)] }

// list returns the successor list that the token at place i has in a converged ring: see Ring.setList.
func (c *circle) list(i int, cfg *ring.Config) []ring.Token {
	n := len(c.tokens)
	self := c.tokens[i].Node
	distinct := make([]ident.NodeID, 0, cfg.DistinctNodes)
	k := 0
	for ; k < min(n-1, cfg.MaxSuccessors); k++ {
		if k >= cfg.Successors && len(distinct) >= cfg.DistinctNodes {
			break
		}
		if node := c.twice[i+1+k].Node; node != self && len(distinct) < cfg.DistinctNodes && !slices.Contains(distinct, node) {
			distinct = append(distinct, node)
		}
	}
	return c.twice[i+1 : i+1+k : i+1+k]
}

// state returns the state of the token at place i in a converged ring. near, if given, measures round trips: with
// it fingers are chosen among the first cfg.Proximity successors of their place, as the ring does it.
func (c *circle) state(i int, cfg *ring.Config, near func(a, b ident.NodeID) time.Duration) ring.TokenState {
	space := ring.Space{Bits: cfg.Bits}
	n := len(c.tokens)
	self := c.tokens[i]
	s := ring.TokenState{
		ID: self.ID, Phase: ring.Member, Confirmed: true,
		Predecessor: c.tokens[(i+n-1)%n], Successors: c.list(i, cfg),
	}
	if n == 1 {
		return s
	}
	s.Fingers = make([]ring.Token, 0, 24)
	for e := cfg.Bits - 1; e >= 0; e-- {
		point := space.AddPower(self.ID, e)
		if ring.Within(self.ID, point, s.Successors[0].ID) {
			break
		}
		f := c.at(point)
		if f == i {
			s.Fingers = append(s.Fingers, ring.Token{}) // there is no other token that far
			continue
		}
		finger := c.tokens[f]
		if near != nil {
			candidates := c.twice[f+1 : f+min(cfg.Proximity, n)]
			finger = ring.NearestFinger(space, self.ID, e, finger, candidates, func(node ident.NodeID) time.Duration {
				return near(self.Node, node)
			})
		}
		s.Fingers = append(s.Fingers, finger)
	}
	return s
}

// settle puts a converged ring of the given nodes into the world: at[n] are the tokens of node n.
func (w *world) settle(cfg ring.Config, at [][]ring.ID, rng *rand.Rand, near func(a, b ident.NodeID) time.Duration) (*circle, error) {
	var all []ring.Token
	for n, ids := range at {
		for _, id := range ids {
			all = append(all, ring.Token{ID: id, Node: nodeID(n)})
		}
	}
	c := newCircle(all)
	for n, ids := range at {
		slices.SortFunc(ids, ring.ID.Compare)
		s := ring.Snapshot{Node: nodeID(n), Tokens: make([]ring.TokenState, len(ids))}
		for i, id := range ids {
			s.Tokens[i] = c.state(c.at(id), &cfg, near)
		}
		for {
			if w.tune != nil {
				w.tune(&cfg)
			}
			r, err := ring.New(cfg, nodeID(n), ids, rng.Uint64())
			if err != nil {
				return nil, fmt.Errorf("node %d: %w", n, err)
			}
			if err := r.Restore(w.now, s); err != nil {
				return nil, fmt.Errorf("node %d: %w", n, err)
			}
			if r.Next()-w.now >= w.still { // a ring draws when its rounds begin
				w.put(n, r)
				break
			}
		}
	}
	return c, nil
}
