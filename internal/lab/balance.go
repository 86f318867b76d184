package lab

import (
	"fmt"
	"math/rand/v2"

	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

// Balance measures how evenly tablets lie on nodes: Dynamo (SOSP 2007), figure 8. Paper: tokens at random places and
// partitions of equal size, Dynamo's strategy 2. Quord: tokens chosen for balance, one node after the other, and
// partitions of equal size.
//
// Counted are tablets as first target and copies of tablets (3 of each), relative to what a node of its weight should
// have. Efficiency is Dynamo's: the mean load over that of the fullest node, in copies, in the mean of all rings;
// max over mean is the worst of all nodes of all rings, of first targets or copies, whichever is worse.
type Balance struct {
	Preset  Preset
	Nodes   int
	Tokens  int // of a node of weight 1
	Tablets int
	Weights []float64 // of the nodes in turn; none: 1
	Seed    uint64
}

// BalanceResult is what Balance prints as JSON.
type BalanceResult struct {
	MaxOverMean float64 `json:"max_over_mean"`
	Efficiency  float64 `json:"efficiency"`
}

// BalanceRing is what one ring gave: of the fullest node, what it has over what it should have.
type BalanceRing struct {
	First, Copies float64
}

// Validate says which choice makes no sense.
func (b Balance) Validate() error {
	sum, most := 0.0, 0.0
	for i := range b.Nodes {
		sum += b.weight(i)
		most = max(most, b.weight(i))
	}
	for _, w := range b.Weights {
		if !(w > 0) {
			return fmt.Errorf("--weights %v: want numbers above 0", w)
		}
	}
	if err := in("nodes", b.Nodes, 1, MaxBalanced); err != nil {
		return err
	}
	if len(b.Weights) > b.Nodes {
		return fmt.Errorf("--weights: %d of them for %d nodes", len(b.Weights), b.Nodes)
	}
	if b.Nodes >= QuordReplicas && most/sum*QuordReplicas > 1 {
		return fmt.Errorf("--weights: the heaviest of %d nodes would have to hold more than one copy of a tablet", b.Nodes)
	}
	for i := range b.Nodes {
		if _, err := b.count(i); err != nil {
			return err
		}
	}
	_, err := placement.NewMap(nil, b.Tablets, QuordReplicas, nil)
	return err
}

func (b Balance) weight(i int) float64 {
	if len(b.Weights) == 0 {
		return 1
	}
	return b.Weights[i%len(b.Weights)]
}

// count returns how many tokens the i-th node has.
func (b Balance) count(i int) (int, error) {
	if b.Preset == Quord {
		return placement.Count(b.Tokens, b.weight(i))
	}
	n := int(float64(b.Tokens)*b.weight(i) + 0.5)
	return max(n, 1), in("tokens", n, 1, placement.MaxTokens)
}

// join returns the tokens of the next node.
func (b Balance) join(taken []ring.Token, i int, rng *rand.Rand) ([]ring.Token, error) {
	n, err := b.count(i)
	if err != nil {
		return nil, err
	}
	tokens := make([]ring.Token, n)
	if b.Preset == Paper {
		for k := range tokens {
			tokens[k] = ring.Token{ID: randomID(rng), Node: nodeID(i)}
		}
		return tokens, nil
	}
	pub := publicKey(rng)
	indices, err := placement.Choose(pub, n, taken, placement.Shape{Tablets: b.Tablets, Replicas: QuordReplicas})
	if err != nil {
		return nil, err
	}
	for k, t := range placement.Tokens(pub, indices) {
		tokens[k] = ring.Token{ID: t.ID, Node: nodeID(i)}
	}
	return tokens, nil
}

// Run measures one ring.
func (b Balance) Run(n int) (BalanceRing, error) {
	rng := random(b.Seed, n)
	var tokens []ring.Token
	for i := range b.Nodes {
		more, err := b.join(tokens, i, rng)
		if err != nil {
			return BalanceRing{}, err
		}
		tokens = append(tokens, more...)
	}
	m, err := placement.NewMap(tokens, b.Tablets, QuordReplicas, nil)
	if err != nil {
		return BalanceRing{}, err
	}
	var out BalanceRing
	for i := range b.Nodes {
		load := m.Load(nodeID(i))
		part := float64(load.Tokens) / float64(len(tokens)) * float64(b.Tablets)
		out.First = max(out.First, float64(load.First)/part)
		out.Copies = max(out.Copies, float64(load.Holds)/part/float64(min(QuordReplicas, b.Nodes)))
	}
	return out, nil
}

// Result sums rings up.
func (b Balance) Result(rings []BalanceRing) BalanceResult {
	var res BalanceResult
	for _, r := range rings {
		res.MaxOverMean = max(res.MaxOverMean, r.First, r.Copies)
		res.Efficiency += 1 / r.Copies / float64(len(rings))
	}
	return BalanceResult{round(res.MaxOverMean, 4), round(res.Efficiency, 4)}
}

// Metadata returns how many entries a node must know: all tokens, and with partitions of equal size their targets.
func (b Balance) Metadata() (n int) {
	for i := range b.Nodes {
		k, err := b.count(i)
		if err != nil {
			return 0
		}
		n += k
	}
	return n
}
