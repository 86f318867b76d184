package tablet

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/request"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// epochSize is how long the epoch of a dismissal is, in bytes.
const epochSize = 8

// endTransition takes the next step out of a transition: its end, and then, where replicas were removed, their dismissal.
//
// The library is not left to end transitions by itself, for it would let a leader that is to go do so, which then cannot see
// to the rest. Such a leader hands over to one who stays, with its next heartbeat (Tick).
//
// The end may be known to its leader alone for a while. Those who stay would need the votes of the replicas that it removes,
// should this leader die then; so these keep what they have, and the right to vote in the old configuration, until an entry
// is decided that none of those who stay can hold without knowing of the end (applyDismissal).
func (g *Group) endTransition(now time.Duration) {
	d := &g.head.descriptor
	if !d.Changing() || g.goes() || !g.Serving() || g.ending.Term == g.term && g.ending.Index > g.head.applied.Index {
		return // nothing to end, or the step is among the entries that are to be applied
	}
	at := g.lastIndex() + 1
	if d.Joint {
		if err := g.raft.ProposeConfChange(&pb.ConfChangeV2{}); err != nil {
			return // the next heartbeat tries again
		}
		g.proposed++
	} else {
		epoch := binary.BigEndian.AppendUint64(nil, d.Epoch)
		if g.propose(&entry{kind: entryDismiss, time: g.clock.now(now), commands: []request.Command{{epoch}}}) != Taken {
			return
		}
	}
	g.ending = kv.Position{Index: at, Term: g.term}
	g.rest.stirred = true
}

// goes reports whether this replica is on its way out.
func (g *Group) goes() bool {
	r, ok := g.head.descriptor.Replica(g.replica)
	return ok && r.Role == Outgoing
}

// applyMembership takes over a new descriptor. It is carried by the change itself; the end of a transition (endTransition)
// needs none.
func (g *Group) applyMembership(raw *pb.Entry) error {
	var cc pb.ConfChangeV2
	if err := proto.Unmarshal(raw.GetData(), &cc); err != nil {
		return fmt.Errorf("tablet %d: membership change at entry %d: %w", g.cfg.Tablet, raw.GetIndex(), err)
	}
	d := &g.head.descriptor
	next := d.settle()
	if len(cc.GetContext()) > 0 {
		var err error
		if next, _, err = DecodeDescriptor(cc.GetContext()); err != nil {
			return fmt.Errorf("tablet %d: membership change at entry %d: %w", g.cfg.Tablet, raw.GetIndex(), err)
		}
		if next.Epoch != d.Epoch+1 || d.Joint {
			return nil // proposed against a descriptor that is no longer; every replica sees the same and skips it
		}
	} else if !d.Joint {
		return nil
	}
	g.raft.ApplyConfChange(&cc)
	g.become(next)
	return nil
}

// applyDismissal drops the former replicas. A leader proposes that when it has applied the end of the transition, and who
// has an entry on disk has there too what its leader knew to be decided: so a majority of the voters knows.
func (g *Group) applyDismissal(e *entry) error {
	if len(e.commands) != 1 || len(e.commands[0]) != 1 || len(e.commands[0][0]) != epochSize {
		return fmt.Errorf("tablet %d: a dismissal names no epoch: %w", g.cfg.Tablet, errEntry)
	}
	if d := &g.head.descriptor; binary.BigEndian.Uint64(e.commands[0][0]) == d.Epoch && d.Parting() {
		g.become(d.dismiss())
	}
	return nil
}

func (g *Group) become(next Descriptor) {
	g.head.descriptor = next
	g.lease.keep(&next)
	if _, ok := next.Replica(g.replica); !ok {
		g.removed = true
	}
}

// follow takes over, at a replica that is stuck, what the entries that it does not apply say of who the replicas are. That
// depends on nothing that can be damaged. The library takes these entries for applied: a replica that did not follow would
// campaign in a configuration that its log has left behind, and be elected by those who were removed since, or wait for them
// for ever. It is for as long as the process lives; a restart comes to the same again.
func (g *Group) follow() error {
	var space commandSpace
	for _, raw := range g.applying {
		switch data := raw.GetData(); {
		case raw.GetType() == pb.EntryConfChangeV2:
			if err := g.applyMembership(raw); err != nil {
				return err
			}
		case dismisses(data):
			e, err := decodeEntry(data, &space)
			if err == nil {
				err = g.applyDismissal(&e)
			}
			if err != nil {
				return fmt.Errorf("tablet %d: entry %d: %w", g.cfg.Tablet, raw.GetIndex(), err)
			}
		}
	}
	g.applying = nil
	return nil
}
