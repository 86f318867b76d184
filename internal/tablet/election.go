package tablet

import (
	"maps"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// election decides when this replica campaigns and when it may not vote. The library's own election timer is
// never started: its jitter cannot be seeded, and it counts ticks where a lease counts time.
type election struct {
	started    time.Duration
	lastHeard  time.Duration // from the leader of the current term or a later one
	everHeard  bool
	campaignAt time.Duration // 0: no campaign is due
	campaigns  int           // of this replica since it last knew a leader
	beatAt     time.Duration // a leader's next heartbeat
	// yields is until when this replica leaves a campaign to one before it in line, yieldTo.
	yields  time.Duration
	yieldTo uint64
}

func (e *election) start(now time.Duration) { e.started = now }

func (e *election) heard(now time.Duration) {
	e.lastHeard, e.everHeard, e.campaignAt, e.campaigns = now, true, 0, 0
}

// maxDoublings bounds the time that a candidate waits for an answer: that many times twice a lease.
const maxDoublings = 4

// patience is how long this replica waits for an election to end before it campaigns, again. It doubles with each
// campaign, for answers may take longer than a lease where a machine has much to do or a network is slow, and who begins
// again before they come never gets any; part of it is chance, so that two candidates do not stay in step.
func (e *election) patience(g *Group) time.Duration {
	t := &g.cfg.Timing
	doublings := min(max(e.campaigns-1, 0), maxDoublings)
	d := t.Lease << doublings
	if doublings == 0 {
		return d + g.jitter(t.Stagger)
	}
	return d + g.jitter(d)
}

// yield leaves the campaign to a replica that asks for a pre-vote, if it stands before this one in line and can win: two
// that campaign at a time both become candidates, and neither gets the other's vote.
func (e *election) yield(g *Group, now time.Duration, m *pb.Message) {
	last, err := g.log.Term(g.log.last)
	if err != nil || m.GetLogTerm() < last || m.GetLogTerm() == last && m.GetIndex() < g.log.last {
		return
	}
	for _, r := range g.head.descriptor.Voters() {
		switch r.ID {
		case g.replica:
			return
		case m.GetFrom():
			e.yields, e.yieldTo = now+e.patience(g), r.ID
			if e.campaignAt != 0 {
				e.campaignAt = max(e.campaignAt, e.yields)
			}
			return
		}
	}
}

// forbids reports whether a request for a vote must be ignored: the leader that this replica heard from may count
// on it for a lease, and so may one that it heard from before it was restarted. A transfer of leadership is the
// leader's own wish.
//
// Beyond what a lease asks for, nobody helps to depose a leader that lives, for a candidate may merely have lost its own
// connection: a leader gives no vote, nor a pre-vote who is connected to one and waits for no heartbeat yet.
func (e *election) forbids(g *Group, now time.Duration, m *pb.Message) bool {
	if string(m.GetContext()) == campaignTransfer {
		return false
	}
	if g.leading {
		return true
	}
	lease := g.cfg.Timing.Lease
	if m.GetType() == pb.MsgPreVote && g.leader != 0 && g.leader != m.GetFrom() &&
		(g.rest.resting || now < max(e.lastHeard, g.rest.wokeAt)+g.cfg.Timing.Heartbeat+lease) {
		return true
	}
	return e.everHeard && now < e.lastHeard+lease || now < e.started+lease
}

// campaignTransfer is how the library marks the campaign of a replica that the leader told to take over.
const campaignTransfer = "CampaignTransfer"

// Tick does what time demands of the group: a leader's heartbeat, a follower's campaign. rank is this replica's
// place in line for leadership among the replicas whose nodes are alive, which live tells; next is when Tick is wanted again.
func (g *Group) Tick(now time.Duration, rank int, live func(ident.NodeID) bool) (next time.Duration) {
	e, t := &g.elect, &g.cfg.Timing
	if g.leading {
		if g.rest.resting {
			return Never
		}
		if now >= e.beatAt {
			g.rest.parting, g.rest.stirred = g.mayRest(live), false
			g.raft.Tick()
			if !g.raft.HasReady() {
				g.lastBeat() // there is nobody to tell
			}
			if g.endTransition(now); g.goes() && g.Serving() {
				g.HandOver(live)
			}
			e.beatAt = now + t.Heartbeat
		}
		return e.beatAt
	}
	if !g.votes() {
		// It cannot help to elect another, but it must not trust in one that may have removed it either.
		if g.leader != 0 && !g.rest.resting && now >= max(e.lastHeard, g.rest.wokeAt, e.started)+t.Silence {
			g.forgetLeader()
		}
		return now + t.Silence
	}
	if e.campaignAt == 0 {
		alone := len(g.head.descriptor.Voters()) == 1
		switch {
		case alone && !g.head.descriptor.Joint:
			e.campaignAt = now
		case g.leader == 0:
			e.schedule(g, now, rank)
		case g.rest.resting:
			return Never
		case now >= max(e.lastHeard, g.rest.wokeAt)+t.Silence:
			g.forgetLeader()
			e.schedule(g, now, rank)
		default:
			return max(e.lastHeard, g.rest.wokeAt) + t.Silence
		}
	}
	if now < e.campaignAt {
		return e.campaignAt
	}
	e.campaignAt = 0
	if err := g.raft.Campaign(); err == nil {
		// The next attempt, if nobody wins: later for those further down the line.
		e.campaigns++
		e.campaignAt = now + e.patience(g) + time.Duration(rank)*t.Stagger
	}
	return max(e.campaignAt, now+t.Stagger)
}

// schedule sets the time of the next campaign: no earlier than the leases that others may hold have ended.
func (e *election) schedule(g *Group, now time.Duration, rank int) {
	at := max(now, e.started+g.cfg.Timing.Lease)
	if e.everHeard {
		at = max(at, e.lastHeard+g.cfg.Timing.Lease)
	}
	e.campaignAt = at + time.Duration(rank)*g.cfg.Timing.Stagger + g.jitter(g.cfg.Timing.Stagger/2)
}

func (g *Group) jitter(d time.Duration) time.Duration {
	return time.Duration(g.cfg.Random.Int64N(int64(d)))
}

// NodeLost says that the connection to a node has ended, or that it came back as another process: if it led this
// group, or was about to, a campaign is due. It reports whether that is so.
func (g *Group) NodeLost(now time.Duration, node ident.NodeID, rank int) bool {
	if e := &g.elect; now < e.yields && e.campaignAt != 0 {
		if n, ok := g.node(e.yieldTo); ok && n == node {
			e.yields = 0
			e.schedule(g, now, rank)
			return true
		}
	}
	// What the library knows of its leader may be newer than what the last turn saw.
	if l, ok := g.node(g.raft.BasicStatus().Lead); !ok || l != node || g.leading {
		return false
	}
	g.rest = rest{}
	g.forgetLeader()
	if g.votes() {
		g.elect.schedule(g, now, rank)
	}
	return true
}

// NodeBack says that there is a connection to a node again, where there was none: a leader looks how things are there, and
// an election that could not be won may be won now; who rests asks whether all is as it was, for it may have been removed by
// the other one. It reports whether that concerns this group.
func (g *Group) NodeBack(now time.Duration, node ident.NodeID, rank int) bool {
	if _, ok := g.head.descriptor.Find(node); !ok {
		return false
	}
	switch e := &g.elect; {
	case g.leading || g.rest.resting:
		g.Wake(now)
	case e.campaigns > 0:
		due := e.campaignAt
		e.campaigns = 0
		e.schedule(g, now, rank)
		e.campaignAt = min(e.campaignAt, due)
	default:
		return false
	}
	return true
}

func (g *Group) forgetLeader() {
	if err := g.raft.ForgetLeader(); err == nil {
		g.leader, g.forgot = 0, true
	}
}

// votes reports whether this replica may campaign. One on its way out must: it may be the only one that holds the end of the
// log. It hands over then.
func (g *Group) votes() bool {
	r, ok := g.head.descriptor.Replica(g.replica)
	return ok && r.Role.Counts()
}

// observe takes over what raft says about leadership after a step.
func (g *Group) observe(now time.Duration, rd *raft.Ready) {
	if hs := rd.HardState; hs != nil && hs.GetTerm() > g.term {
		if g.leading {
			g.Abandon() // even where it leads again: what it had proposed may be lost
		}
		g.lease.begin()
		g.term = hs.GetTerm()
		if hs.GetVote() != 0 && g.elect.campaignAt != 0 {
			g.elect.campaignAt = max(g.elect.campaignAt, now+g.elect.patience(g)) // time to win for whom it voted for, itself or another
		}
	}
	soft := rd.SoftState
	if soft == nil && g.forgot {
		// The library was made to forget its leader and has heard from it again since: it sees no change.
		soft = &raft.SoftState{Lead: g.raft.BasicStatus().Lead, RaftState: raft.StateFollower}
	}
	g.forgot = false
	if soft == nil {
		return
	}
	g.leader, g.rest = soft.Lead, rest{}
	leading := soft.RaftState == raft.StateLeader
	switch {
	case leading && !g.leading:
		g.asked = 0
		g.clock.start(g.head.time, now)
		g.elect.campaignAt, g.elect.campaigns = 0, 0
		g.elect.beatAt = now + g.cfg.Timing.Heartbeat
	case !leading && g.leading:
		g.leading, g.rounds = false, nil
		g.Abandon()
		g.elect.heard(now) // whoever deposed this leader is about to be heard
	}
	g.leading = leading
}

// Abandon tells all who wait that this replica no longer leads.
func (g *Group) Abandon() {
	for _, k := range slices.SortedFunc(maps.Keys(g.waiting), waitKey.compare) { // the same order in every run
		w := g.waiting[k]
		delete(g.waiting, k)
		w.Lost()
	}
	g.reads.abandon()
}

// TransferTo hands leadership to a replica, which campaigns at once when it holds the whole log.
func (g *Group) TransferTo(replica uint64) {
	g.revoke()
	g.rest.stirred, g.rest.resting = true, false
	g.raft.TransferLeader(replica)
}
