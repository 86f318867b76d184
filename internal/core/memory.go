package core

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
)

// A node that lost a part of its memory must not vote with what is left. Each counts its synced writes, tells the
// others how many are on disk, and keeps durably what the others told: one that comes back with an earlier boot or
// fewer writes is a restored copy, and is refused.

var sequenceKey = []byte("nsequence") // the number of synced writes (8 bytes)

const knownPrefix = "np" // "np" node (16): boot, sequence (8 bytes each): what the node told last

// memory is how far the disks are known to be written.
type memory struct {
	sequence uint64 // of the newest synced Write of this node
	durable  uint64 // of those that are known to be on disk
	known    map[ident.NodeID]claim
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
		m.durable = m.sequence
	}
	lower := []byte(knownPrefix)
	upper := []byte{lower[0], lower[1] + 1}
	err = r.Scan(lower, upper, func(k, v []byte) bool {
		if len(k) == 2+ident.Size && len(v) == 16 {
			m.known[ident.NodeID(k[2:])] = claim{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("read what others told: %w", err)
	}
	return nil
}

// next counts a synced Write and puts the count into it.
func (m *memory) next(w *kv.Write) {
	m.sequence++
	w.State = append(w.State, kv.Op{Kind: kv.Set, Key: sequenceKey, Value: binary.BigEndian.AppendUint64(nil, m.sequence)})
}

// told remembers what a node says of itself.
func (c *Core) told(id ident.NodeID, boot, sequence uint64) {
	old := c.memory.known[id]
	if boot < old.boot || sequence <= old.sequence && boot == old.boot {
		return
	}
	now := claim{boot, max(sequence, old.sequence)}
	c.memory.known[id] = now
	v := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, now.boot), now.sequence)
	c.turn.extra.State = append(c.turn.extra.State, kv.Op{
		Kind: kv.Set, Key: append([]byte(knownPrefix), id[:]...), Value: v,
	})
}

// Sequence returns how many synced writes of this node are on disk, over all its boots.
func (c *Core) Sequence() uint64 { return c.memory.durable }

// Admits says whether a node may connect that claims this cluster, boot and sequence: not one of another cluster, not
// one that was removed, and not one that knows less than it once did.
func (c *Core) Admits(id ident.NodeID, cluster ident.ClusterID, boot, sequence uint64) error {
	own := c.Cluster()
	if !own.IsZero() && !cluster.IsZero() && own != cluster {
		return fmt.Errorf("it belongs to cluster %s, this node to cluster %s: rings of two clusters never merge", cluster, own)
	}
	if c.registry != nil {
		if _, gone := c.registry.Removed(id); gone {
			return fmt.Errorf("node %s was removed from cluster %s for good: to come back it must start with an empty data directory, as a new node", id, own)
		}
	}
	old := c.memory.known[id]
	switch {
	case boot < old.boot:
		return fmt.Errorf("node %s has come back with boot %d after boot %d was seen: its data directory has gone back in time (a restored or cloned copy); start it with an empty one, as a new node", id, boot, old.boot)
	case sequence < old.sequence:
		return fmt.Errorf("node %s has come back with %d writes on disk after it had told of %d: its data directory has gone back in time (a restored or cloned copy); start it with an empty one, as a new node", id, sequence, old.sequence)
	}
	return nil
}
