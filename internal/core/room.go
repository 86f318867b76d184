package core

import (
	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// A disk that is full ends the node: what a log could not take is lost. So two marks stand before that.
//
// Below Config.Floor the disk is low: the node leads nothing that others can lead, refuses the writes that may need
// room where it has to lead all the same, and takes no new snapshots. It still reads, forwards, and follows, for what
// others have agreed on it can take for a while.
//
// Below a quarter of the floor it is tight: it takes no entries of logs any more, as if those messages were lost, and
// gives up the snapshots on their way to it. Leaders count on it no longer. What frees room is always taken.
//
// It is well again when there is a quarter more room than each mark asks for.

// room is how the node's disk stands.
type room struct {
	free       uint64
	low, tight bool
	// refused counts the writes that were refused for want of room, here, dropped the messages.
	refused, dropped uint64
}

// tightShare is the part of the floor below which the disk is tight.
const tightShare = 4

// Room says how many bytes are free on the node's disk. It is wanted whenever that is measured.
func (c *Core) Room(free uint64) {
	r := &c.room
	r.free = free
	low, tight := under(r.low, free, c.cfg.Floor), under(r.tight, free, c.cfg.Floor/tightShare)
	if low == r.low && tight == r.tight {
		return
	}
	switch {
	case tight && !r.tight:
		c.tell(Warn, "the disk is nearly full: nothing but what frees room is written until there is more",
			"free_bytes", free, "floor_bytes", c.cfg.Floor)
	case low && !r.low:
		c.tell(Warn, "the disk is almost full: others are asked to lead, and writes are refused where none can",
			"free_bytes", free, "floor_bytes", c.cfg.Floor)
	case !low:
		c.tell(Info, "the disk has room again", "free_bytes", free, "floor_bytes", c.cfg.Floor)
	}
	r.low, r.tight = low, tight
	if tight {
		c.abandonSinks()
	}
	if c.registry != nil {
		c.pulseOut()
		c.yield()
	}
}

// under reports whether free is below a mark; once it was, there has to be a quarter more.
func under(was bool, free, mark uint64) bool {
	if was {
		mark += mark / 4
	}
	return free < mark
}

// yield asks others to lead what this node should not, for want of room.
func (c *Core) yield() {
	if !c.room.low || c.closing {
		return
	}
	for _, p := range append(c.places[:len(c.places):len(c.places)], c.system) {
		if p.group != nil && p.group.Leading() && p.group.HandOver(c.able) {
			c.touch(p)
		}
	}
}

// roomFor says how a write to a tablet that this node leads is to be refused for want of room; taken where it is not.
func (c *Core) roomFor(p *place, commands []request.Command) wire.Status {
	if p.tablet == System || !needsRoom(commands) {
		return taken
	}
	roomy := func(r tablet.Replica) bool {
		if r.Node == c.self {
			return !c.room.tight
		}
		return c.live(r.Node) && !c.peers[r.Node].pulse.Tight
	}
	if !c.room.low && p.group.Descriptor().Majority(roomy) {
		return taken
	}
	if c.room.low {
		for _, r := range p.group.Descriptor().Voters() {
			if r.Node != c.self && c.able(r.Node) {
				return wire.Busy // it is about to lead, or may soon
			}
		}
	}
	c.room.refused++
	return wire.Full
}

// needsRoom reports whether one of the commands may make the data grow.
func needsRoom(commands []request.Command) bool {
	for _, cmd := range commands {
		if spec := command.Find(cmd[0]); spec == nil || spec.Flags&command.DenyOOM != 0 {
			return true
		}
	}
	return false
}

// tooTight reports whether a raft message is to be dropped because there is no room for what it brings.
func (c *Core) tooTight(p *place, body []byte) bool {
	if !c.room.tight || p.tablet == System || !tablet.Grows(body) {
		return false
	}
	c.room.dropped++
	return true
}

// abandonSinks gives up the snapshots on their way to this node that are not complete, and frees what they took.
func (c *Core) abandonSinks() {
	for _, p := range append(c.places[:len(c.places):len(c.places)], c.system) {
		if in := p.sink; in != nil && !in.installing {
			c.endIncoming(in, wire.Declined)
			c.clearStage(p)
		}
	}
}

const fullText = "the disk is almost full; nothing was applied. Make room or add a node; deleting keys works"
