package core

import (
	"fmt"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/slot"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// taken is the status of a request that the group has taken: the waiter will be told.
const taken wire.Status = 0

// serve hands a request to the group that this node leads.
func (c *Core) serve(p *place, write bool, o tablet.Origin, commands []request.Command, w tablet.Waiter) wire.Status {
	g := p.group
	if g == nil || !g.Leading() {
		return wire.NotLeader
	}
	if !g.Descriptor().Majority(func(r tablet.Replica) bool { return c.live(r.Node) }) {
		return wire.NoMajority
	}
	if write && (c.room.low || c.tightPeers) {
		if s := c.roomFor(p, commands); s != taken {
			return s
		}
	}
	if g.Resting() || !p.led {
		c.observeClocks(p) // nobody has asked for the tablet's time for long, or since this replica leads
	}
	var refusal tablet.Refusal
	if write {
		refusal = g.Write(c.now.Mono, o, commands, w)
	} else {
		refusal = g.Read(c.now.Mono, commands, w)
	}
	switch refusal {
	case tablet.Taken:
		c.touch(p)
		return taken
	case tablet.NotLeader:
		return wire.NotLeader
	default:
		return wire.Busy
	}
}

// caller is who waits for a request that another node sent.
type caller struct {
	core  *Core
	node  ident.NodeID
	id    uint64
	write bool
	place *place
}

// Done implements tablet.Waiter.
func (w *caller) Done(replies [][]byte) {
	m := wire.Response{ID: w.id, Status: wire.Done, Replies: tablet.AppendReplies(nil, replies)}
	if g := w.place.group; g != nil {
		m.Epoch = g.Descriptor().Epoch
	}
	switch {
	case len(m.Replies) > maxReplies && w.write:
		m = wire.Response{ID: w.id, Status: wire.Spent} // it was done, so it must not seem refused
	case len(m.Replies) > maxReplies:
		m = wire.Response{ID: w.id, Status: wire.Rejected, Text: fmt.Sprintf(
			"the reply takes %d bytes, and one node sends another %d at most: ask for fewer keys at a time", len(m.Replies), maxReplies)}
	}
	w.core.out.Add(w.node, false, &m)
}

// maxReplies bounds the replies to one request: they must fit into a frame.
const maxReplies = 60 << 20

// Lost implements tablet.Waiter.
func (w *caller) Lost() { w.core.out.Add(w.node, false, &wire.Response{ID: w.id, Status: wire.Lost}) }

// Spent implements tablet.Waiter.
func (w *caller) Spent() { w.core.out.Add(w.node, false, &wire.Response{ID: w.id, Status: wire.Spent}) }

// request takes a request of another node.
func (c *Core) request(from ident.NodeID, m *wire.Request) {
	answer := wire.Response{ID: m.ID, Status: wire.NotLeader}
	p := c.place(m.Tablet)
	if p == nil {
		c.out.Add(from, false, &answer)
		return
	}
	asker, relayed := from, !m.For.IsZero()
	if relayed && c.isMember(from) {
		asker = m.For
	}
	if p.group == nil || !p.group.Leading() {
		if c.passOn(p, from, m) {
			return
		}
		answer.Leader, answer.Epoch = p.whereabouts()
		if answer.Leader == asker {
			answer.Leader = ident.NodeID{} // it asks because it does not lead
		}
		c.out.Add(from, false, &answer)
		return
	}
	if m.Tablet != System && !c.isMember(asker) {
		// A member passes on what one asks that this node does not know yet: asked again, it will.
		answer.Status = wire.Busy
		c.out.Add(from, false, &answer)
		return
	}
	commands, err := tablet.DecodeCommands(m.Commands)
	if err == nil {
		err = c.checkCommands(m.Tablet, m.Write, commands)
	}
	if err == nil && !c.isMember(asker) {
		err = onlyAdmits(asker, commands)
	}
	if err != nil {
		answer.Status, answer.Text = wire.Rejected, err.Error()
		c.out.Add(from, false, &answer)
		return
	}
	o := tablet.Origin{Node: asker, Boot: m.Boot, Number: m.Number, Low: m.Low}
	w := &caller{core: c, node: from, id: m.ID, write: m.Write, place: p}
	if s := c.serve(p, m.Write, o, commands, w); s != taken {
		answer.Status = s
		c.out.Add(from, false, &answer)
	}
}

// onlyAdmits says whether commands that change the registry ask for no more than a node that is no member yet may ask
// for: to be admitted itself.
func onlyAdmits(node ident.NodeID, commands []request.Command) error {
	for _, cmd := range commands {
		change, err := registry.DecodeCommand(cmd[1])
		if err != nil {
			return err
		}
		if change.Admit == nil || change.Admit.Joiner.ID != node {
			return fmt.Errorf("node %s is no member of this cluster: it may only ask to be admitted", node)
		}
	}
	return nil
}

// checkCommands says whether the commands of another node may go into the log of a tablet: what is in a log is
// evaluated by every replica, so nothing gets there that they could not evaluate, or that belongs elsewhere.
func (c *Core) checkCommands(t uint32, write bool, commands []request.Command) error {
	for _, cmd := range commands {
		if t == System {
			if string(cmd[0]) != systemCommand || len(cmd) != 2 {
				return fmt.Errorf("the system group takes %s and one argument, not '%.32s' and %d", systemCommand, cmd[0], len(cmd)-1)
			}
			continue
		}
		spec := command.Find(cmd[0])
		if spec == nil || spec.Eval == nil {
			return fmt.Errorf("the leader does not know the command '%.64s'", cmd[0])
		}
		if !spec.CheckArity(len(cmd)) {
			return fmt.Errorf("wrong number of arguments for '%.64s'", cmd[0])
		}
		if spec.IsWrite() != write {
			return fmt.Errorf("'%.64s' came among commands of the other kind", cmd[0])
		}
		for _, key := range spec.Keys(cmd) {
			if slot.Tablet(slot.Of(key), len(c.places)) != t {
				return fmt.Errorf("a key of '%.64s' does not belong to tablet %d", cmd[0], t)
			}
		}
	}
	return nil
}
