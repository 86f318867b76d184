package placement

import (
	"fmt"
	"slices"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// Map holds the targets of all tablets on one ring: what the reconcile loop compares with the descriptors, and what
// the display of the ring counts. It takes 32 bits for each target and never changes.
type Map struct {
	tablets int
	width   int // targets of each tablet
	circle  *circle
	targets []int32 // width of each tablet, numbers of nodes
	load    []Load  // of each node
}

// Load is a node's part of the tablets.
type Load struct {
	Tokens int // on the ring
	First  int // tablets whose first target it is
	Holds  int // tablets of whose targets it is one
}

// NewMap computes the targets of all tablets on the ring that the tokens make, given in any order. It refuses an
// impossible shape, too large a ring, and one identifier held twice; a ring without tokens has no targets.
func NewMap(tokens []ring.Token, tablets, replicas int, zone ZoneOf) (*Map, error) {
	if err := checkShape(tablets, replicas); err != nil {
		return nil, err
	}
	sorted, err := sortedCopy(tokens)
	if err != nil {
		return nil, err
	}
	c := intern(sorted, zone)
	if len(c.nodes) > MaxNodes {
		return nil, fmt.Errorf("%d nodes on the ring: want at most %d", len(c.nodes), MaxNodes)
	}
	m := &Map{
		tablets: tablets, width: min(replicas, len(c.nodes)), circle: c, load: make([]Load, len(c.nodes)),
	}
	m.targets = make([]int32, tablets*m.width)
	for i, t := range sorted {
		m.load[c.at[i]].Tokens++
		// The tablets that this token owns, whose targets are the same.
		count := points(sorted[(i+len(sorted)-1)%len(sorted)].ID, t.ID, tablets)
		if count > 0 {
			m.fill(cell(t.ID, tablets)-count+1, count, c.walk(i, replicas))
		}
	}
	return m, nil
}

// fill gives count tablets from first on, which may be negative, the same targets.
func (m *Map) fill(first, count int, p picked) {
	for t := first; t < first+count; t++ {
		at := (t + m.tablets) % m.tablets * m.width
		copy(m.targets[at:at+m.width], p.nodes[:p.n])
	}
	for k, node := range p.nodes[:p.n] {
		m.load[node].Holds += count
		if k == 0 {
			m.load[node].First += count
		}
	}
}

// Tablets returns how many tablets there are.
func (m *Map) Tablets() int { return m.tablets }

// Len returns how many nodes are on the ring.
func (m *Map) Len() int { return len(m.circle.nodes) }

// Nodes returns the nodes in the order of their first tokens on the ring.
func (m *Map) Nodes() []ident.NodeID { return slices.Clone(m.circle.nodes) }

// Targets returns the targets of a tablet, the one that should lead first.
func (m *Map) Targets(tablet uint32) []ident.NodeID {
	return m.AppendTargets(make([]ident.NodeID, 0, m.width), tablet)
}

// AppendTargets is Targets for who asks often: it appends to into and allocates nothing where that has room. A
// tablet that does not exist has no targets.
func (m *Map) AppendTargets(into []ident.NodeID, tablet uint32) []ident.NodeID {
	if int(tablet) >= m.tablets {
		return into
	}
	at := int(tablet) * m.width
	for _, n := range m.targets[at : at+m.width] {
		into = append(into, m.circle.nodes[n])
	}
	return into
}

// Load returns what part of the tablets a node has; nothing when it is not on the ring.
func (m *Map) Load(node ident.NodeID) Load {
	if i := slices.Index(m.circle.nodes, node); i >= 0 {
		return m.load[i]
	}
	return Load{}
}

// Share returns the part of the tablets whose first target the node is. The shares of all nodes sum to 1.
func (m *Map) Share(node ident.NodeID) float64 {
	return float64(m.Load(node).First) / float64(m.tablets)
}

// sortedCopy returns the tokens in ring order and refuses one identifier held twice.
func sortedCopy(tokens []ring.Token) ([]ring.Token, error) {
	if len(tokens) > MaxRing {
		return nil, fmt.Errorf("%d tokens on the ring: want at most %d", len(tokens), MaxRing)
	}
	sorted := slices.Clone(tokens)
	Sort(sorted)
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.ID == b.ID {
			return nil, fmt.Errorf("token %s is held by %s and by %s", a.ID.Short(), a.Node, b.Node)
		}
	}
	return sorted, nil
}
