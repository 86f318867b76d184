package core

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/tablet"
)

// place is what a node knows of one tablet.
type place struct {
	tablet  uint32
	group   *tablet.Group // nil where this node holds no replica of it
	dirty   bool          // the group is in Core.dirty
	tickAt  time.Duration
	alarm   int  // where it stands among the alarms, from 1 on; 0 for nowhere
	resting bool // the group rested when it was ticked last
	led     bool // what the group said about leadership when it was last looked at
	open    bool // the gate of reads is, or was until its time was over

	// Hints about who leads and who holds it; the epoch is that of the descriptor they came from.
	leader   ident.NodeID
	replicas []ident.NodeID
	epoch    uint64       // of leader
	named    uint64       // of replicas
	via      ident.NodeID // passed a request on to the leader, when that was out of reach; zero: nobody has
	looking  bool         // a lookup is under way
	// news is when this node's own replica last learned of another leader: what had been put off before is tried again.
	news time.Duration
	saw  ident.NodeID // the leader that it knew when it was last looked at; zero for none

	numbers numbers
	wish    wish
	afoot   bool // it is in balance.afoot
	due     bool // it is in balance.due or balance.waiting
	wanting bool // it is in moves.wanting
	sink    *incoming
	retired uint64                         // the last replica that was destroyed here, which the store may not know yet
	lost    *tablet.Lost                   // the stored replica, while damage does not let it be opened
	ailing  map[ident.NodeID]time.Duration // the nodes that have said that their replica is damaged, and until when that holds
	mended  time.Duration                  // when a damaged replica was last mended
	wounds  uint64                         // as the group had counted when it was last looked at
	quietAt time.Duration                  // when this node last wondered whether its replica is still wanted
	wonders int                            // how often it has, since it knew a leader
}

func (c *Core) newPlace(t uint32) *place { return &place{tablet: t} }

// machine returns a new machine for a tablet.
func (c *Core) machine(t uint32) tablet.Machine {
	if t == System {
		return &registryMachine{core: c}
	}
	return tablet.NewData(t, len(c.places))
}

func (c *Core) groupConfig(t uint32) tablet.Config {
	return tablet.Config{
		Tablet: t, Node: c.self, Store: c.store, Machine: c.machine(t), Random: c.rand, MaxValue: c.cfg.MaxValue, Timing: c.cfg.Tablet,
	}
}

// openGroup opens a stored replica. A log without a head is what is left of a replica that never received its
// state; it never voted, and is forgotten.
func (c *Core) openGroup(p *place, stored kv.Group) error {
	cfg := c.groupConfig(p.tablet)
	sink, err := tablet.Staged(p.tablet, c.self, cfg.Machine, c.store)
	if err != nil {
		return err
	}
	if sink != nil {
		if stored, err = c.finishMove(sink, stored); err != nil {
			return err
		}
	}
	if _, ok, err := tablet.Stored(c.store, p.tablet); err != nil {
		return err
	} else if !ok {
		return c.write(&kv.Write{Log: []kv.LogOp{{Group: p.tablet, Destroy: true}}})
	}
	g, err := tablet.Open(cfg, stored, c.now.Mono)
	if errors.Is(err, tablet.ErrRemoved) { // the node ended between learning of it and acting upon it
		d, _, err := tablet.Stored(c.store, p.tablet)
		if err != nil {
			return err
		}
		c.tell(Debug, "replica removed", "tablet", p.tablet)
		return c.write(tablet.Erase(p.tablet, cfg.Machine, d.NextID-1))
	}
	if err != nil {
		return err
	}
	if err := cfg.Machine.Installed(c.store); err != nil {
		return err
	}
	c.adopt(p, g)
	return nil
}

// finishMove moves a staged snapshot into its place at the start of the node, and returns the log that it leaves.
func (c *Core) finishMove(sink *tablet.Sink, stored kv.Group) (kv.Group, error) {
	for {
		w, last, err := sink.Move(stored)
		if err != nil {
			return stored, err
		}
		if err := c.write(w); err != nil {
			return stored, err
		}
		if last {
			return tablet.Logged(w, stored)
		}
	}
}

// write writes outside of a turn, while the node starts.
func (c *Core) write(w *kv.Write) error {
	pending, err := c.store.Apply(w, true)
	if err != nil {
		return err
	}
	return pending.Wait()
}

// adopt takes a replica into service.
func (c *Core) adopt(p *place, g *tablet.Group) {
	p.group, p.led, p.resting, p.wounds = g, false, false, 0
	c.alarms.set(p, c.now.Mono)
	c.member.pulseSoon(c.now.Mono)
	c.touch(p)
}

// touch says that the group may have work.
func (c *Core) touch(p *place) {
	if p.group == nil {
		return
	}
	c.rouse(p)
	if !p.dirty {
		p.dirty = true
		c.dirty = append(c.dirty, p)
	}
}

// drop takes a replica out of service.
func (c *Core) drop(p *place) {
	if p.group == nil {
		return
	}
	p.group.Abandon()
	p.group, p.led = nil, false
	c.alarms.set(p, tablet.Never)
	c.endLife(p)
	c.member.pulseSoon(c.now.Mono)
}

// destroy removes a replica that its group has removed.
func (c *Core) destroy(p *place) {
	w := p.group.Destroy()
	c.tell(Debug, "replica removed", "tablet", p.tablet, "replica", p.group.Replica())
	p.retired = p.group.Replica()
	c.drop(p)
	c.dropSink(p)
	c.turn.add(w)
}

// dropSink ends a snapshot on its way to a replica that is no more.
func (c *Core) dropSink(p *place) {
	if p.sink != nil {
		delete(c.moves.in, p.sink.key)
		c.moves.clear(p.sink)
		p.sink = nil
		c.clearStage(p)
	}
}

// clearStage removes what was received of a snapshot that is given up.
func (c *Core) clearStage(p *place) {
	lower, upper := tablet.StageRange(p.tablet)
	c.turn.extra.State = append(c.turn.extra.State, kv.Op{Kind: kv.DeleteRange, Key: lower, Value: upper})
}

// clearStages removes what a crash left of snapshots that had not arrived; those that had are in their places.
func (c *Core) clearStages() error {
	lower, upper := tablet.StagesRange()
	left := false
	if err := c.store.Scan(lower, upper, func(_, _ []byte) bool { left = true; return false }); err != nil {
		return fmt.Errorf("look for snapshots that did not arrive: %w", err)
	}
	if left {
		c.turn.extra.State = append(c.turn.extra.State, kv.Op{Kind: kv.DeleteRange, Key: lower, Value: upper})
	}
	return nil
}

// learn takes over a hint about who leads and holds a tablet.
func (p *place) learn(leader ident.NodeID, epoch uint64, replicas []ident.NodeID) {
	if epoch < p.epoch {
		return
	}
	if epoch > p.named && replicas != nil {
		p.replicas, p.named = slices.Clone(replicas), epoch
	}
	p.epoch = epoch
	if !leader.IsZero() {
		p.leader = leader
	}
}

// forget drops the hints that lead to a node which does not answer.
func (p *place) forget(node ident.NodeID) {
	if p.leader == node {
		p.leader = ident.NodeID{}
	}
	if p.via == node {
		p.via = ident.NodeID{}
	}
}

// whereabouts returns the best that this node knows of who leads a tablet.
func (p *place) whereabouts() (leader ident.NodeID, epoch uint64) {
	if p.group != nil && p.group.Initialized() {
		if l, ok := p.group.Leader(); ok {
			return l, p.group.Descriptor().Epoch
		}
		if p.group.Descriptor().Epoch >= p.epoch {
			return ident.NodeID{}, p.group.Descriptor().Epoch
		}
	}
	return p.leader, p.epoch
}

// lookAt notices what has changed about a group since it was last looked at.
func (c *Core) lookAt(p *place) {
	g := p.group
	if g == nil {
		return
	}
	if g.Removed() {
		c.destroy(p)
		return
	}
	c.noteHurt(p)
	if led := g.Leading(); led != p.led {
		p.led = led
		if led {
			c.tell(Debug, "leads", "tablet", p.tablet, "term", g.Term())
			p.wish = wish{}
			c.meet(p)
			c.observeClocks(p)
			c.alarms.set(p, c.now.Mono)
		}
		c.member.pulseSoon(c.now.Mono)
	}
	if d := g.Descriptor(); p.led && d.Epoch > p.named {
		c.retire(p, d)
		c.member.pulseSoon(c.now.Mono)
	}
	l, ok := g.Leader()
	if ok {
		p.learn(l, g.Descriptor().Epoch, g.Descriptor().Nodes())
	}
	if l != p.saw {
		if p.saw = l; ok {
			p.news = c.now.Mono
		}
	}
	if p.led {
		c.startTransfers(p)
	}
	c.setGate(p)
}

// retire tells the nodes whose replicas the group has removed that they are: the log does not reach them any more.
func (c *Core) retire(p *place, d *tablet.Descriptor) {
	for _, n := range p.replicas {
		if _, stays := d.Find(n); !stays && n != c.self && c.live(n) {
			c.sayWhere(n, p)
		}
	}
}

// groupFor returns the replica that a raft message is for, made anew where a leader has added one on this node.
func (c *Core) groupFor(p *place, replica uint64) (*tablet.Group, error) {
	if p.group != nil {
		if p.group.Replica() == replica {
			return p.group, nil
		}
		if p.group.Replica() > replica || p.group.Initialized() && !p.group.Removed() {
			return nil, fmt.Errorf("tablet %d: a message for replica %d, but this node holds replica %d", p.tablet, replica, p.group.Replica())
		}
	}
	if p.lost != nil || p.sink != nil && p.sink.installing {
		return nil, nil //nolint:nilnil // it comes back when the snapshot is in its place
	}
	retired, err := tablet.Retired(c.store, p.tablet)
	if err != nil {
		return nil, err
	}
	if replica <= max(retired, p.retired) {
		return nil, fmt.Errorf("tablet %d: a message for replica %d, which was removed", p.tablet, replica)
	}
	g, err := tablet.Create(c.groupConfig(p.tablet), replica, c.now.Mono)
	if err != nil {
		return nil, err
	}
	c.dropSink(p)
	c.adopt(p, g)
	return g, nil
}
