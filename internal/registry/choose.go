package registry

import (
	"crypto/ed25519"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
)

// Choose picks the token indices of a node that wants to join, for the ring that the members make, and returns with
// them the Ring that Admit has to name. A node of weight 1 gets perWeight tokens. Members that are leaving do not
// count, for their part is about to be taken over. Before Init it chooses for the first node of a cluster.
func (r *Registry) Choose(key ed25519.PublicKey, zone string, perWeight int, weight float64) (tokens []uint32, ring uint64, err error) {
	n, err := placement.Count(perWeight, weight)
	if err != nil {
		return nil, 0, err
	}
	s := r.settings
	if r.cluster.IsZero() {
		s = DefaultSettings()
	}
	self := ident.NodeOf(key)
	shape := placement.Shape{Tablets: s.Tablets, Replicas: s.Replicas, Zone: func(id ident.NodeID) string {
		if id == self {
			return zone
		}
		return r.Zone(id)
	}}
	taken := r.Tokens(func(m *Member) bool { return m.State != Leaving })
	tokens, err = placement.Choose(key, n, taken, shape)
	return tokens, r.ring, err
}
