package tablet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quorddb/quord/internal/ident"
)

// Role is the part that a replica plays in its group.
type Role uint8

// The roles. In a joint configuration a replica may be on its way in or out; the numbers are on disk.
//
// A voter that is removed goes in two steps, for until those who stay know of the end of the transition they need its vote
// to find out who decides. It is outgoing, then former, and destroyed when it is named no more.
const (
	// Learner receives the log and has no vote.
	Learner Role = iota + 1
	// Voter counts.
	Voter
	// Incoming counts in the new half of a joint configuration only.
	Incoming
	// Outgoing counts in the old half of a joint configuration only, and is former after it.
	Outgoing
	// Former counts no more, and answers those who do not know yet. It is named until a majority of the voters has on disk
	// that it is former.
	Former
)

// String returns the name of the role.
func (r Role) String() string {
	switch r {
	case Learner:
		return "learner"
	case Voter:
		return "voter"
	case Incoming:
		return "incoming"
	case Outgoing:
		return "outgoing"
	case Former:
		return "former"
	}
	return "unknown"
}

// Counts reports whether a replica with this role has a vote that counts, in one half of a joint configuration at least.
func (r Role) Counts() bool { return r == Voter || r == Incoming || r == Outgoing }

// Stays reports whether it is there after the transition.
func (r Role) Stays() bool { return r != Outgoing && r != Former }

// Replica is one copy of a tablet. Its id is unique in the life of the tablet and never used again, so a replica
// that was removed cannot be mistaken for one that came later.
type Replica struct {
	ID   uint64
	Node ident.NodeID
	Role Role
}

// Descriptor says who the replicas of a tablet are. It is part of the tablet's replicated state: only an entry of
// the tablet's own log changes it, and each change raises the epoch.
type Descriptor struct {
	Epoch    uint64
	Replicas []Replica // ordered by ID
	NextID   uint64    // the id that the next new replica gets
	// Joint says that the group is in transition: decisions need a majority of both halves until the next epoch.
	Joint bool
}

// Find returns the replica on a node.
func (d *Descriptor) Find(node ident.NodeID) (Replica, bool) {
	for _, r := range d.Replicas {
		if r.Node == node {
			return r, true
		}
	}
	return Replica{}, false
}

// Replica returns the replica with an id.
func (d *Descriptor) Replica(id uint64) (Replica, bool) {
	for _, r := range d.Replicas {
		if r.ID == id {
			return r, true
		}
	}
	return Replica{}, false
}

// Nodes returns the nodes of the replicas in order of their ids.
func (d *Descriptor) Nodes() []ident.NodeID {
	nodes := make([]ident.NodeID, len(d.Replicas))
	for i, r := range d.Replicas {
		nodes[i] = r.Node
	}
	return nodes
}

// Voters returns the replicas that count in the configuration as it is, or in its new half when joint.
func (d *Descriptor) Voters() []Replica {
	var out []Replica
	for _, r := range d.Replicas {
		if r.Role == Voter || r.Role == Incoming {
			out = append(out, r)
		}
	}
	return out
}

// CountVoters returns how many Voters there are.
func (d *Descriptor) CountVoters() (n int) {
	for i := range d.Replicas {
		if role := d.Replicas[i].Role; role == Voter || role == Incoming {
			n++
		}
	}
	return n
}

// Majority reports whether the replicas for which ok holds are a majority, of both halves when joint.
func (d *Descriptor) Majority(ok func(Replica) bool) bool {
	var in, inOK, out, outOK int
	for _, r := range d.Replicas {
		good := ok(r)
		if r.Role == Voter || r.Role == Incoming {
			in++
			if good {
				inOK++
			}
		}
		if r.Role == Voter || r.Role == Outgoing {
			out++
			if good {
				outOK++
			}
		}
	}
	return inOK > in/2 && outOK > out/2
}

// Clone returns a deep copy.
func (d *Descriptor) Clone() Descriptor {
	c := *d
	c.Replicas = slices.Clone(d.Replicas)
	return c
}

// settle returns the descriptor after the transition: those on their way in are voters, those on their way out are former.
func (d *Descriptor) settle() Descriptor {
	c := d.Clone()
	c.Epoch, c.Joint = d.Epoch+1, false
	for i := range c.Replicas {
		switch r := &c.Replicas[i]; r.Role {
		case Outgoing:
			r.Role = Former
		case Incoming:
			r.Role = Voter
		}
	}
	return c
}

// dismiss returns the descriptor without the former replicas.
func (d *Descriptor) dismiss() Descriptor {
	c := d.Clone()
	c.Epoch = d.Epoch + 1
	c.Replicas = slices.DeleteFunc(c.Replicas, func(r Replica) bool { return r.Role == Former })
	return c
}

// Parting reports whether there are former replicas, which are about to be dismissed.
func (d *Descriptor) Parting() bool {
	return slices.ContainsFunc(d.Replicas, func(r Replica) bool { return r.Role == Former })
}

// Changing reports whether the voters are being changed: a transition is under way, or has yet to be concluded.
func (d *Descriptor) Changing() bool { return d.Joint || d.Parting() }

// String returns the descriptor as people read it: "epoch 3: 1@aabbccdd voter, 2@... learner".
func (d *Descriptor) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d:", d.Epoch)
	for i, r := range d.Replicas {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %d@%s %s", r.ID, r.Node.Short(), r.Role)
	}
	return b.String()
}

const maxReplicas = 32

var errDescriptor = errors.New("tablet: damaged descriptor")

// Append appends the encoded descriptor: epoch and next id (uvarint), joint (1 byte, 0 or 1), number of replicas
// (uvarint), then for each id (uvarint), node (16 bytes), role (1 byte).
func (d *Descriptor) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, d.Epoch)
	dst = binary.AppendUvarint(dst, d.NextID)
	dst = append(dst, b2u(d.Joint))
	dst = binary.AppendUvarint(dst, uint64(len(d.Replicas)))
	for _, r := range d.Replicas {
		dst = binary.AppendUvarint(dst, r.ID)
		dst = append(dst, r.Node[:]...)
		dst = append(dst, byte(r.Role))
	}
	return dst
}

// DecodeDescriptor reads what Append wrote and returns what follows it.
func DecodeDescriptor(b []byte) (Descriptor, []byte, error) {
	r := reader{b: b}
	d := Descriptor{Epoch: r.uvarint(), NextID: r.uvarint()}
	joint, n := r.byte(), r.uvarint()
	if joint > 1 || n > maxReplicas {
		return Descriptor{}, nil, errDescriptor
	}
	d.Joint = joint == 1
	last := uint64(0)
	for range n {
		var rep Replica
		rep.ID = r.uvarint()
		copy(rep.Node[:], r.bytes(ident.Size))
		rep.Role = Role(r.byte())
		if rep.Role < Learner || rep.Role > Former || rep.ID <= last || rep.ID >= d.NextID {
			return Descriptor{}, nil, errDescriptor
		}
		last = rep.ID
		d.Replicas = append(d.Replicas, rep)
	}
	if r.failed {
		return Descriptor{}, nil, errDescriptor
	}
	return d, r.b, nil
}

func b2u(b bool) byte {
	if b {
		return 1
	}
	return 0
}
