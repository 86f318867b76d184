package registry

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// Registry holds the members of a cluster and its settings. The zero value is a registry of no cluster, which only
// Init changes.
type Registry struct {
	cluster  ident.ClusterID
	revision uint64
	ring     uint64
	settings Settings
	members  []Member // ascending by ID; entries are replaced, never changed in place
	removed  []Gone   // in the order of removal
}

// Cluster returns the identifier of the cluster; zero before Init.
func (r *Registry) Cluster() ident.ClusterID { return r.cluster }

// Revision counts the changes: it is 1 after Init.
func (r *Registry) Revision() uint64 { return r.revision }

// Ring is the revision at which tokens last came or went: what Admit.Ring names.
func (r *Registry) Ring() uint64 { return r.ring }

// Settings returns the settings in force; zero before Init.
func (r *Registry) Settings() Settings { return r.settings }

// Members returns all members but the removed ones, ascending by identifier.
func (r *Registry) Members() []Member { return slices.Clone(r.members) }

// Member returns a member that is not removed.
func (r *Registry) Member(id ident.NodeID) (Member, bool) {
	i, ok := r.find(id)
	if !ok {
		return Member{}, false
	}
	return r.members[i], true
}

// Removed returns when a node was removed, as far as it is remembered.
func (r *Registry) Removed(id ident.NodeID) (Gone, bool) {
	i := slices.IndexFunc(r.removed, func(g Gone) bool { return g.ID == id })
	if i < 0 {
		return Gone{}, false
	}
	return r.removed[i], true
}

// Zone returns the zone of a member; "" for a stranger. It is a placement.ZoneOf.
func (r *Registry) Zone(id ident.NodeID) string {
	m, _ := r.Member(id)
	return m.Zone
}

// Tokens returns the tokens of the members that keep names; of all where it is nil.
func (r *Registry) Tokens(keep func(*Member) bool) []ring.Token {
	var tokens []ring.Token
	for i := range r.members {
		if m := &r.members[i]; keep == nil || keep(m) {
			tokens = append(tokens, m.RingTokens()...)
		}
	}
	return tokens
}

// CommonFormat returns the newest format that every member knows; 0 before Init.
func (r *Registry) CommonFormat() uint32 {
	if len(r.members) == 0 {
		return 0
	}
	return slices.MinFunc(r.members, func(a, b Member) int { return cmp.Compare(a.Format, b.Format) }).Format
}

// Find returns the member that a person names by the first digits of its identifier. Where no member begins so, one
// that was removed is worth another answer: ErrRemoved.
func (r *Registry) Find(prefix string) (Member, error) {
	p := strings.ToLower(prefix)
	if p == "" || len(p) > 2*ident.Size || strings.Trim(p, "0123456789abcdef") != "" {
		return Member{}, refuse(ErrInvalid, "node %.64q: want the first digits of its id, 1 to %d hexadecimal digits", prefix, 2*ident.Size)
	}
	var found []Member
	for _, m := range r.members {
		if strings.HasPrefix(m.ID.String(), p) {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Member{}, refuse(ErrAmbiguous, "node %q: %d members begin so, %s and %s among them; give more digits", prefix, len(found), found[0].ID, found[1].ID)
	}
	for _, g := range r.removed {
		if strings.HasPrefix(g.ID.String(), p) {
			return Member{}, refuse(ErrRemoved, "node %s has been removed from the cluster", g.ID)
		}
	}
	return Member{}, refuse(ErrUnknown, "node %q: no member begins so", prefix)
}

// Clone returns a copy that does not change with r.
func (r *Registry) Clone() *Registry {
	c := *r
	c.members, c.removed = slices.Clone(r.members), slices.Clone(r.removed)
	return &c
}

// Equal reports whether both registries are the same in every field.
func (r *Registry) Equal(o *Registry) bool {
	return r.cluster == o.cluster && r.revision == o.revision && r.ring == o.ring && r.settings == o.settings &&
		slices.EqualFunc(r.members, o.members, func(a, b Member) bool { return a.equal(&b) }) && slices.Equal(r.removed, o.removed)
}

func (r *Registry) find(id ident.NodeID) (int, bool) {
	return sort.Find(len(r.members), func(i int) int { return id.Compare(r.members[i].ID) }) // a member is large: none is copied
}

// known returns the place of a member, or the refusal that names why there is none.
func (r *Registry) known(id ident.NodeID) (int, *Error) {
	if i, ok := r.find(id); ok {
		return i, nil
	}
	if _, ok := r.Removed(id); ok {
		return 0, r.refuseRemoved(id)
	}
	return 0, refuse(ErrUnknown, "node %s is not a member of cluster %s", id, r.cluster)
}

func (r *Registry) refuseRemoved(id ident.NodeID) *Error {
	return refuse(ErrRemoved, "node %s left or was removed from cluster %s for good; to come back it must start with an empty data directory, as a new node", id, r.cluster)
}

func sameKey(m *Member, key []byte) *Error {
	if !bytes.Equal(m.Key, key) {
		return refuse(ErrOtherKey, "node %s: another key is recorded for it than the one shown", m.ID)
	}
	return nil
}
