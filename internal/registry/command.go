package registry

import (
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Command changes the registry. Exactly one field is set.
type Command struct {
	Init     *Init     `json:"init,omitempty"`
	Admit    *Admit    `json:"admit,omitempty"`
	Update   *Update   `json:"update,omitempty"`
	SetState *SetState `json:"set_state,omitempty"`
	Remove   *Remove   `json:"remove,omitempty"`
	Replace  *Replace  `json:"replace,omitempty"`
	Change   *Change   `json:"change,omitempty"`
}

// Init makes the cluster: once, ever. The first member is up at once.
type Init struct {
	Cluster  ident.ClusterID `json:"cluster"`
	Settings Settings        `json:"settings"`
	First    Joiner          `json:"first"`
}

// Admit makes a node a member, which is joining from then on. For a member that is admitted again, because the
// answer was lost, it does what Update does, and its tokens stay those that are recorded.
type Admit struct {
	Joiner Joiner `json:"joiner"`
	// Ring is the Registry.Ring for which the tokens were chosen. Another one is refused as Stale, so that nodes that
	// join at the same moment do not all cut the same arcs; 0 asks for no such check.
	Ring uint64 `json:"ring,omitempty"`
}

// Update records what may change when a member starts again: its boot, where it is reached, its zone and what it
// knows. Its state stays.
type Update struct {
	ID        ident.NodeID      `json:"id"`
	Key       ed25519.PublicKey `json:"key"`
	Addresses Addresses         `json:"addresses"`
	Zone      string            `json:"zone,omitempty"`
	Boot      uint64            `json:"boot"`
	Format    uint32            `json:"format"`
}

// UpdateOf returns the Update that says of a member what a joiner says of itself.
func UpdateOf(j Joiner) Update {
	return Update{ID: j.ID, Key: j.Key, Addresses: j.Addresses, Zone: j.Zone, Boot: j.Boot, Format: j.Format}
}

// SetState moves a member to another state. Boot, where it is not 0, is the boot of which the state was observed: the
// command is refused as OldBoot when the member has started again since.
type SetState struct {
	ID    ident.NodeID `json:"id"`
	State State        `json:"state"`
	Boot  uint64       `json:"boot,omitempty"`
}

// Remove takes a member out for good. One that is up is removed only by Force. To remove it again changes nothing.
type Remove struct {
	ID    ident.NodeID `json:"id"`
	Force bool         `json:"force,omitempty"`
}

// Replace removes a member that is down, and gives its place on the ring to another one, which gives up its own: what the
// dead one held goes to that one alone. It must be up, and have been admitted after the dead one: it is a new node, so
// that little has to move from the place that it gives up.
type Replace struct {
	Dead ident.NodeID `json:"dead"`
	By   ident.NodeID `json:"by"`
}

// Change sets the settings that it names.
type Change struct {
	Replicas     *int           `json:"replicas,omitempty"`
	Tablets      *int           `json:"tablets,omitempty"` // refused as Fixed where it differs
	ReplaceAfter *time.Duration `json:"replace_after,omitempty"`
	Format       *uint32        `json:"format,omitempty"`
}

var errOneOf = errors.New("want exactly one of init, admit, update, set_state, remove, replace, change")

// check says whether exactly one field is set.
func (c *Command) check() error {
	n := 0
	for _, set := range []bool{c.Init != nil, c.Admit != nil, c.Update != nil, c.SetState != nil, c.Remove != nil, c.Replace != nil, c.Change != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return errOneOf
	}
	return nil
}
