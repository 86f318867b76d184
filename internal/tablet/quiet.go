package tablet

import (
	"math"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

type progress = tracker.Progress

// Never is when a group at rest wants its next tick.
const Never = time.Duration(math.MaxInt64)

// rest makes an idle group quiet: it neither ticks nor sends.
//
// A leader to whose group nothing has happened for a heartbeat, and whose replicas on connected nodes hold all there is,
// says with its next heartbeat that there will be no more, and rests. A follower that holds all that this heartbeat
// knows of rests as well: it does not expect to hear more. From then on connections stand in for heartbeats: whoever
// loses the one to the leader's node elects another (NodeLost), and who gets one back is told how things are (Wake).
//
// Any request and any message ends the rest. A follower that is woken by others than its leader asks the leader for a
// word, and does what it would have done about silence if none comes. So what is lost on the way costs time and nothing
// else.
type rest struct {
	resting bool
	stirred bool          // on a leader: something has happened since its last heartbeat
	parting bool          // on a leader: the heartbeats that are about to leave are the last
	asks    bool          // on a follower: the leader is to be asked for a word
	wokeAt  time.Duration // on a follower: silence counts from here, or from when it heard the leader
}

// Resting reports whether the group neither ticks nor sends.
func (g *Group) Resting() bool { return g.rest.resting }

// stir notes that the group is in use.
func (g *Group) stir(now time.Duration) {
	if g.rest.stirred = true; g.rest.resting && g.leading {
		g.elect.beatAt = now + g.cfg.Timing.Heartbeat // what it does now says as much as a heartbeat
	}
	g.rest.resting = false
}

// Wake ends the rest of a group from outside: its replicas may not be in step any more. A leader sends its heartbeat, a
// follower asks for one.
func (g *Group) Wake(now time.Duration) {
	g.rest.stirred = true
	if !g.rest.resting {
		return
	}
	g.rest.resting = false
	if g.leading {
		g.elect.beatAt = now
	} else {
		g.rest.wokeAt, g.rest.asks = now, true
	}
}

// mayRest reports whether a leader that is about to send a heartbeat may rest after it.
func (g *Group) mayRest(live func(ident.NodeID) bool) bool {
	applied := g.head.applied.Index
	if g.rest.stirred || !g.Serving() || g.head.descriptor.Changing() || applied != g.log.last || g.proposed > 0 ||
		len(g.waiting) > 0 || g.reads.len() > 0 || g.wanted || g.hold > 0 || g.raft.BasicStatus().LeadTransferee != 0 {
		return false
	}
	even := true
	g.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr progress) {
		if r, ok := g.head.descriptor.Replica(id); id != g.replica && ok && live(r.Node) && pr.Match != applied {
			even = false
		}
	})
	return even
}

// lastBeat lets a leader rest whose last heartbeats are about to leave, unless something has happened since.
func (g *Group) lastBeat() {
	if g.rest.parting {
		g.rest.parting, g.rest.resting = false, g.leading && !g.rest.stirred
	}
}

// stepRest lets a message that raft has taken begin or end the rest.
func (g *Group) stepRest(now time.Duration, m *message) {
	switch {
	case m.kind == pb.MsgHeartbeat && m.beside.rest:
		g.rest.resting = m.from == g.leader && m.term == g.term && m.commit == g.log.last
	case m.kind == pb.MsgHeartbeatResp && !m.beside.rest && !g.raft.HasReady():
		// The answer to the last heartbeat, from a replica that lacks nothing.
	case m.from == g.leader:
		g.rest.resting = false
	default:
		g.Wake(now)
	}
}

// askForWord sends the leader of a follower that was woken what makes it say that it is there.
func (g *Group) askForWord(t *Turn) {
	if !g.rest.asks {
		return
	}
	g.rest.asks = false
	to, ok := g.node(g.leader)
	if !ok || g.leading || g.leader == 0 {
		return
	}
	m := newMessage()
	m.kind, m.from, m.to, m.term = pb.MsgHeartbeatResp, g.replica, g.leader, g.term
	t.scratch = appendMessage(t.scratch[:0], &m.Message, beside{rest: true})
	t.Out.Raft(to, g.cfg.Tablet, false, t.scratch)
}
