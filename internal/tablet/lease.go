package tablet

import (
	"math"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// lease is what a leader knows about the time for which nobody else can lead, and what a follower owes it.
//
// Each request of a leader (append, heartbeat) carries the leader's own monotonic time at which it left; each answer
// carries the latest such time that the replica has heard of in the present term. Whoever answers has promised not to
// vote for another before Timing.Lease is over (election.forbids), counted on its own clock from when the request
// reached it, which is after it left. So a leader that knows what a majority answered can tell until when no other can
// be elected, and may answer reads from its own store until then. Nobody's clock is compared with another's; only the
// rates at which they run must agree, to one part in driftShare.
type lease struct {
	answers []answer // on the leader, of this term
	revoked bool     // on the leader: a transfer of leadership was begun in this term
	renewed bool     // on the leader: a majority is to be asked, though no read waits
	asked   time.Duration

	heardTerm uint64        // on a follower: the term of the leader's latest request
	heardSent time.Duration // and when that request left, on the leader's clock
}

// answer says when the request left, on this leader's clock, that a replica has answered.
type answer struct {
	replica uint64
	sent    time.Duration
}

// driftShare bounds how far the monotonic clocks of two machines may drift apart: while one of them counts a lease, the
// other counts at most one part in so many less or more. Quartz and NTP stay below one in a thousand.
const driftShare = 20

// leaseLasts is how long a lease is good for, from the sending of the request that a majority has answered: less than the
// time for which those who answered do not vote, by what the clocks may drift apart.
func (t *Timing) leaseLasts() time.Duration { return t.Lease - t.Lease/driftShare }

// renewBefore is how long before its end a lease is renewed by the reads that need it, so that none of them has to wait.
func (t *Timing) renewBefore() time.Duration { return t.Lease / 3 }

// stamped returns what travels beside a message of this replica: when a request leaves; what an answer answers.
func (g *Group) stamped(now time.Duration, m *pb.Message) beside {
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat:
		return beside{sent: now, rest: g.rest.resting && m.GetType() == pb.MsgHeartbeat}
	case pb.MsgAppResp, pb.MsgHeartbeatResp:
		// A replica that has gone on to a later term since has promised nothing to the leader of this one.
		if g.lease.heardTerm == g.term && m.GetTerm() == g.term {
			return beside{sent: g.lease.heardSent}
		}
	}
	return beside{}
}

// heard notes the request of a leader whose promise this replica has just renewed.
func (l *lease) heard(term uint64, sent time.Duration) {
	if term > l.heardTerm {
		l.heardTerm, l.heardSent = term, sent
	} else if term == l.heardTerm {
		l.heardSent = max(l.heardSent, sent) // an older one may arrive late
	}
}

// answered takes what a replica has answered in this term. It counts from when the request left: when the answer
// arrived says nothing about when the promise began.
func (l *lease) answered(replica uint64, sent, now time.Duration) {
	if sent == 0 || sent > now {
		return // no request of this term, or one that this leader has not sent
	}
	for i := range l.answers {
		if a := &l.answers[i]; a.replica == replica {
			a.sent = max(a.sent, sent)
			return
		}
	}
	if len(l.answers) < maxReplicas {
		l.answers = append(l.answers, answer{replica, sent})
	}
}

// keep forgets what replicas have answered that are there no more, so that there is room for the others.
func (l *lease) keep(d *Descriptor) {
	l.answers = slices.DeleteFunc(l.answers, func(a answer) bool {
		_, there := d.Replica(a.replica)
		return !there
	})
}

// begin empties what was known of an earlier term.
func (l *lease) begin() { l.answers, l.revoked, l.renewed, l.asked = l.answers[:0], false, false, 0 }

// LeaseEnd returns until when nobody else can lead, as this replica knows at the moment now; 0 when it may not read by
// itself. The lease is judged by the configuration that is applied now, so it shrinks when that changes. It holds at a
// moment before its end, and nothing that is read then is stale; what is read later, without looking again, may be.
func (g *Group) LeaseEnd(now time.Duration) time.Duration {
	if !g.Serving() || g.lease.revoked || g.hurt.stuck {
		return 0
	}
	confirmed := g.confirmed(now, Incoming)
	if g.head.descriptor.Joint {
		confirmed = min(confirmed, g.confirmed(now, Outgoing))
	}
	if confirmed == 0 {
		return 0
	}
	return confirmed + g.cfg.Timing.leaseLasts()
}

// confirmed returns the latest moment such that a majority has answered what left then or later: of the voters that are
// and come, or of those that are and go.
func (g *Group) confirmed(now time.Duration, half Role) time.Duration {
	var sent [maxReplicas]time.Duration
	n := 0
	for i := range g.head.descriptor.Replicas {
		r := &g.head.descriptor.Replicas[i]
		if r.Role != Voter && r.Role != half {
			continue // what a learner has promised keeps nobody from being elected
		}
		switch {
		case r.ID == g.replica:
			sent[n] = now // a leader votes for nobody
		default:
			sent[n] = g.lease.of(r.ID)
		}
		n++
	}
	if n == 0 {
		return 0
	}
	slices.Sort(sent[:n])
	return sent[(n-1)/2]
}

func (l *lease) of(replica uint64) time.Duration {
	for i := range l.answers {
		if l.answers[i].replica == replica {
			return l.answers[i].sent
		}
	}
	return 0
}

// leased reports whether this replica may answer a read by itself now. A lease that is about to end is renewed on the
// way: whoever reads pays for it, and a tablet that nobody reads has none.
func (g *Group) leased(now time.Duration) bool {
	end := g.LeaseEnd(now)
	if now >= end {
		return false
	}
	if t := &g.cfg.Timing; end-now < t.renewBefore() && now >= g.lease.asked+t.renewBefore() {
		g.lease.renewed, g.lease.asked = true, now
		g.stir(now)
	}
	return true
}

// revoke ends the lease for the rest of the term. A replica that is told to take over campaigns at once, and gets votes
// in spite of any lease; it may do so at any time, also when the transfer has been given up since.
func (g *Group) revoke() { g.lease.revoked = true }

// OpenUntil returns until when reads may be answered by whoever looks at the clock first, without a word to the group: not
// so long that the lease would not be renewed in time by those that come later. A lone voter's reads may always be.
func (g *Group) OpenUntil(now time.Duration) time.Duration {
	if g.Sole() {
		return math.MaxInt64
	}
	end := g.LeaseEnd(now)
	return max(0, end-g.cfg.Timing.renewBefore())
}
