package placement

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// Shape says what tokens are to be balanced for.
type Shape struct {
	Tablets  int
	Replicas int
	Zone     ZoneOf // may be nil
}

// Choose picks n token indices for the node with the given key, so that the load on the ring as known, the taken
// tokens, becomes even: each node's part of the tablets, of first targets and of replicas, in proportion to its
// tokens. Each token is the best of Candidates: the one that takes from those who have too much, and cuts the
// largest arc where that makes no difference. Tokens of the node itself among the taken ones do not count.
//
// A node calls it once in its life and the indices are recorded where it is admitted, so it does not matter that
// a ring known badly gives a worse choice, or another processor's arithmetic another one.
func Choose(pub ed25519.PublicKey, n int, taken []ring.Token, shape Shape) ([]uint32, error) {
	if len(pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("public key of %d bytes: want %d", len(pub), ed25519.PublicKeySize)
	}
	if n < 1 || n > MaxTokens {
		return nil, fmt.Errorf("%d tokens: want 1 to %d", n, MaxTokens)
	}
	if err := checkShape(shape.Tablets, shape.Replicas); err != nil {
		return nil, err
	}
	self := ident.NodeOf(pub)
	others := slices.DeleteFunc(slices.Clone(taken), func(t ring.Token) bool { return t.Node == self })
	sorted, err := sortedCopy(others)
	if err != nil {
		return nil, err
	}
	if len(sorted)+n > MaxRing {
		return nil, fmt.Errorf("%d tokens on the ring and %d more: want at most %d", len(sorted), n, MaxRing)
	}
	c := newChooser(sorted, self, n, shape)
	indices := make([]uint32, n)
	for k := range indices {
		if indices[k], err = c.pick(pub, k); err != nil {
			return nil, err
		}
	}
	return indices, nil
}

// chooser is the ring as it grows by the tokens of one node, and what each node on it carries.
type chooser struct {
	shape  Shape
	circle *circle
	tokens []ring.Token // in ring order, as in circle
	self   int32
	want   int // tokens that self shall have

	first, held         []float64 // tablets of each node: as first target, as one of the targets
	idealFirst, idealAt []float64 // what each should have when all tokens stand

	// What a candidate would change; touched names the nodes of which it holds anything.
	deltaFirst, deltaHeld []float64
	touched               []int32
}

// maxBehind bounds how many arcs before a candidate are looked at for the change of their targets. With balanced
// tokens it takes about as many as there are replicas; a few heavy nodes among light ones may take more, and the
// ones left out only make the choice a little worse.
const maxBehind = 16

// evenness weighs the size of the arc that is cut against the change in load. It was measured (TestBalance).
const evenness = 0.3

func newChooser(sorted []ring.Token, self ident.NodeID, want int, shape Shape) *chooser {
	// Room for the tokens to come; the zones of all nodes in one numbering.
	c := &chooser{shape: shape, tokens: slices.Grow(sorted, want), want: want}
	c.circle = intern(append(slices.Clip(sorted), ring.Token{Node: self}), shape.Zone)
	c.circle.at = slices.Grow(c.circle.at[:len(sorted)], want)
	c.self = int32(len(c.circle.nodes) - 1)

	nodes := len(c.circle.nodes)
	c.first, c.held = make([]float64, nodes), make([]float64, nodes)
	c.deltaFirst, c.deltaHeld = make([]float64, nodes), make([]float64, nodes)
	c.touched = make([]int32, 0, nodes)
	counts := make([]float64, nodes)
	counts[c.self] = float64(want)
	for i := range sorted {
		counts[c.circle.at[i]]++
		x := float64(points(c.before(i), c.tokens[i].ID, shape.Tablets))
		p := c.circle.walk(i, shape.Replicas)
		for _, node := range p.nodes[:p.n] {
			c.held[node] += x
		}
		c.first[p.nodes[0]] += x
	}
	c.idealFirst = ideal(counts, shape.Tablets, 1)
	c.idealAt = ideal(counts, shape.Tablets, shape.Replicas)
	return c
}

// ideal returns what each node should carry of all tablets with that many replicas, in proportion to its tokens; but
// no node holds two replicas of a tablet, so what is beyond that goes to the others.
func ideal(counts []float64, tablets, replicas int) []float64 {
	out := make([]float64, len(counts))
	full := make([]bool, len(counts))
	left, total := float64(min(replicas, len(counts))*tablets), 0.0
	for _, n := range counts {
		total += n
	}
	for again := true; again; {
		again = false
		for i, n := range counts {
			if full[i] {
				continue
			}
			out[i] = left * n / total
			if out[i] >= float64(tablets) {
				out[i], full[i], again = float64(tablets), true, true
				left, total = left-float64(tablets), total-n
			}
		}
	}
	return out
}

// pick adds the token at place k and returns its index.
func (c *chooser) pick(pub ed25519.PublicKey, k int) (uint32, error) {
	best, found := uint32(0), false
	var bestID ring.ID
	lowest := math.Inf(1)
	for index := uint32(k) * Candidates; index < uint32(k+1)*Candidates; index++ {
		id := TokenOf(pub, index)
		if i := owner(c.tokens, id); len(c.tokens) > 0 && c.tokens[i].ID == id {
			continue
		}
		c.weigh(id)
		if cost := c.cost(id, k); cost < lowest || !found {
			best, bestID, lowest, found = index, id, cost, true
		}
		c.forget()
	}
	if !found {
		return 0, fmt.Errorf("all %d candidates for token %d are taken", Candidates, k)
	}
	c.weigh(bestID)
	c.adopt(bestID)
	c.forget()
	return best, nil
}

// weigh finds out what a token of self at id would change.
func (c *chooser) weigh(id ring.ID) {
	if len(c.tokens) == 0 {
		c.move(picked{}, c.circle.solo(c.self), float64(c.shape.Tablets))
		return
	}
	n := c.shape.Replicas
	i, insert := owner(c.tokens, id), c.place(id)
	// The arc that the new token cuts off.
	x := points(c.before(i), id, c.shape.Tablets)
	c.move(c.circle.walk(i, n), c.circle.walkWith(insert, n, insert, c.self), float64(x))
	// The arcs before it, as far as their walks came to this place; the farther back, the shorter they reach.
	for back := 1; back < min(len(c.tokens), maxBehind+1); back++ {
		j := (insert - back + len(c.tokens)) % len(c.tokens)
		old := c.circle.walk(j, n)
		if old.seen <= back {
			break
		}
		x := points(c.before(j), c.tokens[j].ID, c.shape.Tablets)
		if x == 0 {
			continue
		}
		at := j
		if j >= insert {
			at++
		}
		c.move(old, c.circle.walkWith(at, n, insert, c.self), float64(x))
	}
}

// move notes that x tablets go from some targets to others.
func (c *chooser) move(from, to picked, x float64) {
	for _, node := range from.nodes[:from.n] {
		c.touch(node)
		c.deltaHeld[node] -= x
	}
	for _, node := range to.nodes[:to.n] {
		c.touch(node)
		c.deltaHeld[node] += x
	}
	if from.n > 0 {
		c.deltaFirst[from.nodes[0]] -= x
	}
	c.deltaFirst[to.nodes[0]] += x
}

func (c *chooser) touch(node int32) {
	if !slices.Contains(c.touched, node) {
		c.touched = append(c.touched, node)
	}
}

func (c *chooser) forget() {
	for _, node := range c.touched {
		c.deltaFirst[node], c.deltaHeld[node] = 0, 0
	}
	c.touched = c.touched[:0]
}

// cost says how far from even the load would be: the sum of the squares of what each node has too much or too
// little, relative to what it should have, as far as the candidate changes it. Self is measured by the part that it
// should have with k+1 of its tokens; so it takes little with each.
func (c *chooser) cost(id ring.ID, k int) float64 {
	part := float64(k+1) / float64(c.want)
	cost := 0.0
	for _, node := range c.touched {
		wantFirst, wantHeld := c.idealFirst[node], c.idealAt[node]
		if node == c.self {
			cost += square(c.first[node]+c.deltaFirst[node]-wantFirst*part) / wantFirst
			cost += square(c.held[node]+c.deltaHeld[node]-wantHeld*part) / wantHeld
			continue
		}
		cost += (square(c.first[node]+c.deltaFirst[node]-wantFirst) - square(c.first[node]-wantFirst)) / wantFirst
		cost += (square(c.held[node]+c.deltaHeld[node]-wantHeld) - square(c.held[node]-wantHeld)) / wantHeld
	}
	if !slices.Contains(c.touched, c.self) {
		cost += square(c.first[c.self]-c.idealFirst[c.self]*part) / c.idealFirst[c.self]
		cost += square(c.held[c.self]-c.idealAt[c.self]*part) / c.idealAt[c.self]
	}
	return cost - evenness*c.cut(id)
}

// cut says how much evener the arcs become: twice the product of the two parts that id leaves, in tablets, relative
// to the mean arc and to a node's part in the ring.
func (c *chooser) cut(id ring.ID) float64 {
	if len(c.tokens) == 0 {
		return 0
	}
	i := owner(c.tokens, id)
	a := fraction(c.before(i), id)
	b := fraction(id, c.tokens[i].ID)
	return 2 * a * b * float64(c.shape.Tablets) * float64(len(c.circle.nodes))
}

// adopt adds the token that was weighed last.
func (c *chooser) adopt(id ring.ID) {
	for _, node := range c.touched {
		c.first[node] += c.deltaFirst[node]
		c.held[node] += c.deltaHeld[node]
	}
	i := c.place(id)
	c.tokens = slices.Insert(c.tokens, i, ring.Token{ID: id, Node: c.circle.nodes[c.self]})
	c.circle.at = slices.Insert(c.circle.at, i, c.self)
}

// place returns where in the order of tokens id belongs.
func (c *chooser) place(id ring.ID) int {
	if n := len(c.tokens); n > 0 && id.Compare(c.tokens[n-1].ID) > 0 {
		return n
	}
	return owner(c.tokens, id)
}

// before returns the place of the token before the one at i.
func (c *chooser) before(i int) ring.ID {
	return c.tokens[(i+len(c.tokens)-1)%len(c.tokens)].ID
}

// solo is the outcome of a walk on a ring of one node.
func (r *circle) solo(node int32) picked {
	p := picked{n: 1}
	p.nodes[0] = node
	return p
}

// fraction returns the part of the ring from a clockwise to b; it is exact enough for a comparison.
func fraction(a, b ring.ID) float64 {
	d := binary.BigEndian.Uint64(b[:]) - binary.BigEndian.Uint64(a[:])
	return float64(d) / (1 << 64)
}

func square(x float64) float64 { return x * x }
