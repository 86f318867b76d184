package core

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/tablet"
)

// A node that lost a part of its memory must not vote with what is left. Each counts its synced writes. When it connects
// it says with how many its present boot began, and from then on how many are on disk; the others keep that, durably.
// One that comes back with an earlier boot, or begins a boot with fewer writes than it had told of, is a restored or
// cloned copy, and is refused. A copy counts its starts as the original does, so a boot has random bits below the count.

var sequenceKey = []byte("nsequence") // the number of synced writes (8 bytes)

// ownerKey is where a store names the node whose it is, sealed. A key with a bit turned over is another node's key, to which
// each replica here would look like one that was removed.
var ownerKey = []byte("nowner")

// ownsStore reports whether the store says that it is this node's. One that says that it is another's is an error.
func (c *Core) ownsStore() (bool, error) {
	b, err := c.store.Get(ownerKey)
	if err == nil {
		b, err = tablet.Unseal(ownerKey, b)
	}
	switch {
	case errors.Is(err, kv.ErrNotFound), tablet.Damaged(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read whose store it is: %w", err)
	case len(b) != ident.Size:
		return false, fmt.Errorf("whose store it is: %w", kv.ErrCorrupt)
	case ident.NodeID(b) != c.self:
		return false, fmt.Errorf("this is the store of node %s, but the key is that of node %s: it is damaged, or from another directory. Put the right key back; nothing was changed", ident.NodeID(b), c.self)
	}
	return true, nil
}

// ownership returns the Write that makes the store this node's.
func (c *Core) ownership() *kv.Write {
	return &kv.Write{State: []kv.Op{{Kind: kv.Set, Key: ownerKey, Value: tablet.Seal(ownerKey, bytes.Clone(c.self[:]))}}}
}

var admittedKey = []byte("nadmitted") // there once the registry has named this node

var leavesKey = []byte("nleaves") // there from when this node is to leave, until it has given that up

const knownPrefix = "np" // "np" node (16): boot, sequence (8 bytes each): what the node told last

// memory is how far the disks are known to be written.
type memory struct {
	begun    uint64 // how many synced Writes there were when this boot began
	sequence uint64 // of the newest synced Write of this node
	durable  uint64 // of those that are known to be on disk
	known    map[ident.NodeID]claim
	admitted bool // the registry has named this node at some time
	leaves   bool // this node is to leave: the registry has said so at some time, whatever it says now
}

type claim struct{ boot, sequence uint64 }

func (m *memory) load(r kv.Reader) error {
	m.known = map[ident.NodeID]claim{}
	b, err := r.Get(sequenceKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
	case err != nil:
		return fmt.Errorf("read the count of writes: %w", err)
	case len(b) != 8:
		return fmt.Errorf("the count of writes: %w", kv.ErrCorrupt)
	default:
		m.sequence = binary.BigEndian.Uint64(b)
		m.begun, m.durable = m.sequence, m.sequence
	}
	if _, err := r.Get(admittedKey); err == nil {
		m.admitted = true
	} else if !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("read whether the node was admitted: %w", err)
	}
	if _, err := r.Get(leavesKey); err == nil {
		m.leaves = true
	} else if !errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("read whether the node is to leave: %w", err)
	}
	lower := []byte(knownPrefix)
	upper := []byte{lower[0], lower[1] + 1}
	var damaged error
	err = r.Scan(lower, upper, func(k, v []byte) bool {
		if len(k) != 2+ident.Size || len(v) != 16 {
			damaged = kv.ErrCorrupt
			return false
		}
		m.known[ident.NodeID(k[2:])] = claim{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}
		return true
	})
	if err = errors.Join(err, damaged); err != nil {
		return fmt.Errorf("read what others told: %w", err)
	}
	return nil
}

// next counts a synced Write and puts the count into it.
func (m *memory) next(w *kv.Write) {
	m.sequence++
	w.State = append(w.State, kv.Op{Kind: kv.Set, Key: sequenceKey, Value: binary.BigEndian.AppendUint64(nil, m.sequence)})
}

// isNamed remembers that the registry names this node. One that does not any more has removed it: the registry itself
// forgets in time whom it has removed, and what such a node holds must not come back.
func (c *Core) isNamed() {
	if !c.memory.admitted {
		c.memory.admitted = true
		c.turn.extra.State = append(c.turn.extra.State, kv.Op{Kind: kv.Set, Key: admittedKey, Value: []byte{1}})
	}
}

// toLeave remembers that this node is to leave, or that it has given that up. A registry that calls it down says neither.
func (c *Core) toLeave(leaves bool) {
	if c.memory.leaves == leaves {
		return
	}
	c.memory.leaves = leaves
	op := kv.Op{Kind: kv.Set, Key: leavesKey, Value: []byte{1}}
	if !leaves {
		op = kv.Op{Kind: kv.Delete, Key: leavesKey}
	}
	c.turn.extra.State = append(c.turn.extra.State, op)
	c.turn.sync = true
}

// wasRemoved reports whether a registry says, or shows by its silence, that this node was removed.
func (c *Core) wasRemoved(reg *registry.Registry) bool {
	if _, ok := reg.Member(c.self); ok {
		return false
	}
	_, gone := reg.Removed(c.self)
	return gone || c.memory.admitted
}

// begins remembers how a boot of another node began.
func (c *Core) begins(id ident.NodeID, boot, begun uint64) {
	old := c.memory.known[id]
	if boot > old.boot {
		c.remember(id, claim{boot, max(begun, old.sequence)})
	}
}

// told remembers how many writes of another node are on disk.
func (c *Core) told(id ident.NodeID, sequence uint64) {
	if k := c.memory.known[id]; sequence > k.sequence {
		k.sequence = sequence
		c.remember(id, k)
	}
}

func (c *Core) remember(id ident.NodeID, k claim) {
	c.memory.known[id] = k
	v := binary.BigEndian.AppendUint64(nil, k.boot)
	v = binary.BigEndian.AppendUint64(v, k.sequence)
	c.turn.extra.State = append(c.turn.extra.State, kv.Op{Kind: kv.Set, Key: append([]byte(knownPrefix), id[:]...), Value: v})
}

// Begun returns with how many synced writes this boot of the node began.
func (c *Core) Begun() uint64 { return c.memory.begun }

// BootBits is how many bits of a boot are drawn at random; above them stands how often the node has started.
const BootBits = 20

// Admits says whether a node may connect that claims this cluster, boot, and writes at the beginning of the boot: not one of another cluster, and
// not one that knows less than it once did. One that was removed may, to be told so: it cannot end before it knows.
func (c *Core) Admits(id ident.NodeID, cluster ident.ClusterID, boot, begun uint64) error {
	own := c.Cluster()
	if !own.IsZero() && !cluster.IsZero() && own != cluster {
		return fmt.Errorf("it belongs to cluster %s, this node to cluster %s: rings of two clusters never merge", cluster, own)
	}
	old := c.memory.known[id]
	switch {
	case boot < old.boot:
		return fmt.Errorf("node %s shows its start number %d after another process with number %d was seen: its data directory has gone back in time (a restored or cloned copy); start it with an empty one, as a new node", id, boot>>BootBits, old.boot>>BootBits)
	case boot > old.boot && begun < old.sequence:
		return fmt.Errorf("node %s has come back with %d writes on disk after it had told of %d: its data directory has gone back in time (a restored or cloned copy); start it with an empty one, as a new node", id, begun, old.sequence)
	}
	return nil
}
