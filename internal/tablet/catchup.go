package tablet

import (
	"slices"

	"go.etcd.io/raft/v3"
)

// catchUp is a replica that has installed a snapshot and takes from the log what was written meanwhile, in rounds: one is
// over when the replica has all that had been applied when it began, and the next is about what was written during it. The
// log of a round is kept while less is written than the round is about. So it is bounded by twice what it was at the end of
// the transfer; and who needs longer than that is slower than the writes, and would never catch up.
type catchUp struct {
	replica uint64
	from    uint64 // the log is kept from here on
	end     uint64 // the round is about what lies between
	size    uint64 // the bytes of that, and of all entries that had been applied when it began
	began   uint64
}

// catchUp begins the first round of a replica that has installed a snapshot at index.
func (g *Group) catchUp(replica, index uint64) {
	if g.hold == 0 || g.hold > index {
		return // nothing was kept for it
	}
	g.endRounds(replica)
	g.rounds = append(g.rounds, catchUp{replica, index, g.head.applied.Index, g.bytes - g.holdBytes, g.bytes})
}

func (g *Group) endRounds(replica uint64) {
	g.rounds = slices.DeleteFunc(g.rounds, func(c catchUp) bool { return c.replica == replica })
}

// kept moves the rounds on, and returns from where the log is to be kept for them, to at the latest.
func (g *Group) kept(to uint64) uint64 {
	g.rounds = slices.DeleteFunc(g.rounds, func(c catchUp) bool {
		_, there := g.head.descriptor.Replica(c.replica)
		return !there
	})
	over := func(c *catchUp, match uint64) bool {
		written := g.bytes - c.began
		if match < c.end {
			if written > max(c.size, lagBytes) || match < g.log.start.Index {
				return true
			}
			to = min(to, c.from)
			return false
		}
		if g.head.applied.Index-c.end < g.lagEntries() && written < lagBytes {
			to = min(to, match) // from here on it is a follower like any other
			return true
		}
		c.from, c.end, c.size, c.began = c.end, g.head.applied.Index, written, g.bytes
		to = min(to, c.from)
		return false
	}
	g.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr progress) {
		if i := slices.IndexFunc(g.rounds, func(c catchUp) bool { return c.replica == id }); i >= 0 && over(&g.rounds[i], pr.Match) {
			g.endRounds(id)
		}
	})
	return to
}
