package tablet

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// caughtUp is how many entries a learner may lack and still be promoted.
const caughtUp = 64

// changePatience is how long a proposed change is awaited before it is proposed anew.
const changePatience = 2 * time.Second

// Step of a plan: what the leader does next so that the replicas come to be the targets.
type Step uint8

// The steps.
const (
	// Settled: the replicas are the targets, and the first live one of them leads.
	Settled Step = iota
	// Underway: a step that was taken before has not ended.
	Underway
	// Adding: learners were proposed.
	Adding
	// Catching: learners receive the log or a snapshot.
	Catching
	// Changing: voters change, in one joint change.
	Changing
	// Handing: leadership goes to another replica.
	Handing
	// Waiting: replicas would be added if the budget of transfers were not used up.
	Waiting
	// Stuck: the targets cannot be reached as things are; the reason is given.
	Stuck
)

// String returns the step as people read it.
func (s Step) String() string {
	return [...]string{"settled", "underway", "adding learners", "catching up", "changing voters", "handing over", "waiting", "stuck"}[s]
}

// Copies reports whether new replicas are being filled, which is what a budget of transfers is for. A tablet that waits for
// its turn must not count: where all that the budget allows waited for more of it, nobody would ever get any.
func (s Step) Copies() bool { return s == Adding || s == Catching }

// Moves reports whether the next step can be taken as soon as the present one has ended.
func (s Step) Moves() bool { return s != Settled && s != Waiting && s != Stuck }

// Plan takes the next step towards the targets, if this replica leads and no step is under way. live tells which
// nodes are connected, able which of them may lead; add is how many learners the node's budget of transfers allows to be added now.
//
// The rules: a new replica is a learner until it has caught up. One joint change moves at most as many replicas as
// were added. A group does not rest at two voters where three targets live: from one replica, two learners catch
// up and become voters together. The leader does not remove itself: it hands over first. Nothing is changed while a
// majority is out of reach, of those that are or of those that would be: what is proposed then is decided later, when
// it may be wrong.
func (g *Group) Plan(now time.Duration, targets []ident.NodeID, live, able func(ident.NodeID) bool, add int) (Step, string) {
	d := &g.head.descriptor
	if !g.Serving() || len(targets) == 0 {
		return Underway, "no leader with an entry of its own term"
	}
	if d.Joint {
		return Underway, "a joint configuration is being left"
	}
	if d.Parting() {
		return Underway, "who was removed is about to be dismissed"
	}
	if g.proposedEpoch > d.Epoch && now < g.proposedAt+changePatience {
		return Underway, "a change of the replicas is proposed"
	}
	g.proposedEpoch, g.proposedAt = 0, now // what was proposed has been applied, or is lost and awaited no longer
	if !d.Majority(func(r Replica) bool { return live(r.Node) }) {
		return Stuck, "a majority of the replicas is out of reach"
	}
	if g.hurt.err != nil {
		if step, why, ok := g.planHurt(now); ok {
			return step, why
		}
	}
	wanted := func(n ident.NodeID) bool { return slices.Contains(targets, n) }
	var voters, ready, behind, surplus []Replica
	for _, r := range d.Replicas {
		switch {
		case r.Role == Learner && !wanted(r.Node):
			return g.change(func(next *Descriptor) { next.drop(r.ID) }, "drop learner "+r.Node.Short())
		case r.Role == Learner && g.caughtUp(r.ID):
			ready = append(ready, r)
		case r.Role == Learner:
			behind = append(behind, r)
		default:
			voters = append(voters, r)
			if !wanted(r.Node) {
				surplus = append(surplus, r)
			}
		}
	}
	// Those that are to go first stand first: the dead, and this replica last.
	slices.SortStableFunc(surplus, func(a, b Replica) int {
		place := func(r Replica) int { return int(b2u(live(r.Node)) + b2u(r.ID == g.replica)) }
		return place(a) - place(b)
	})
	var missing []ident.NodeID
	for _, n := range targets {
		if _, ok := d.Find(n); !ok && live(n) {
			missing = append(missing, n)
		}
	}
	if n := min(len(missing), max(add, 0), max(1, len(targets)-len(voters)-len(ready)-len(behind))); n > 0 {
		return g.add(missing[:n])
	}
	if step, why, ok := g.promote(voters, ready, behind, surplus, missing, len(targets), live, able); ok {
		return step, why
	}
	if copying(behind, live) {
		return Catching, fmt.Sprintf("%d learners catch up", len(behind))
	}
	if len(behind) > 0 {
		return Stuck, "the learners' nodes do not answer"
	}
	if len(missing) > 0 {
		return Waiting, "the budget of transfers is used up"
	}
	return g.lead(targets, able)
}

// promote makes voters of learners that have caught up and drops as many replicas that are not wanted any more.
func (g *Group) promote(
	voters, ready, behind, surplus []Replica, missing []ident.NodeID, want int, live, able func(ident.NodeID) bool,
) (Step, string, bool) {
	self := func(r Replica) bool { return r.ID == g.replica }
	var out []Replica
	switch {
	case len(ready) == 0 && len(behind) == 0 && len(missing) == 0:
		// Every target that lives is a voter: the rest goes, all at once, as far as it does not stand in for a target
		// that is dead.
		out = surplus[:min(len(surplus), max(0, len(voters)-want))]
	case len(ready) > 0:
		after := len(voters) + len(ready)
		for _, r := range surplus {
			if len(out) < len(ready) && !self(r) && after-len(out) > want {
				out = append(out, r)
			}
		}
		if after-len(out) == 2 && want > 2 {
			switch {
			case copying(behind, live):
				return Catching, "two voters would survive nothing: the next learner is awaited", true
			case len(missing) > 0:
				return Waiting, "two voters would survive nothing, and the budget of transfers is used up", true
			}
		}
	}
	if slices.ContainsFunc(out, self) {
		return g.handOver(voters, surplus, able)
	}
	if len(ready) == 0 && len(out) == 0 {
		return 0, "", false
	}
	transition := func(next *Descriptor) {
		for i := range next.Replicas {
			r := &next.Replicas[i]
			if slices.ContainsFunc(ready, func(x Replica) bool { return x.ID == r.ID }) {
				r.Role = Incoming
			}
			if slices.ContainsFunc(out, func(x Replica) bool { return x.ID == r.ID }) {
				r.Role = Outgoing
			}
		}
		next.Joint = true
	}
	// A transition cannot be taken back: without a majority of those who stay it would never end.
	next := g.head.descriptor.Clone()
	if transition(&next); !next.Majority(func(r Replica) bool { return live(r.Node) }) {
		return Stuck, "too few of the replicas that would stay can be reached", true
	}
	step, why := g.change(transition, fmt.Sprintf("%d in, %d out", len(ready), len(out)))
	return step, why, true
}

// copying reports whether some of the replicas can be filled now.
func copying(behind []Replica, live func(ident.NodeID) bool) bool {
	return slices.ContainsFunc(behind, func(r Replica) bool { return live(r.Node) })
}

// handOver gives leadership to a voter that stays, because this replica is to go.
func (g *Group) handOver(voters, surplus []Replica, able func(ident.NodeID) bool) (Step, string, bool) {
	stays := slices.DeleteFunc(slices.Clone(voters), func(r Replica) bool {
		return slices.ContainsFunc(surplus, func(x Replica) bool { return x.ID == r.ID })
	})
	if r, ok := g.askToLead(stays, able); ok {
		return Handing, "to " + r.Node.Short() + ", as this replica is to go", true
	}
	return Stuck, "this replica is to go and no other voter can lead", true
}

// askToLead asks one of some voters to lead, one that is able and has caught up, and returns which. While it may yet succeed
// that stays the one; if it has not, the next one is asked.
func (g *Group) askToLead(voters []Replica, able func(ident.NodeID) bool) (Replica, bool) {
	fit := slices.DeleteFunc(slices.Clone(voters), func(r Replica) bool {
		return r.ID == g.replica || !able(r.Node) || !g.caughtUp(r.ID)
	})
	if len(fit) == 0 {
		return Replica{}, false
	}
	under := g.raft.BasicStatus().LeadTransferee
	if i := slices.IndexFunc(fit, func(r Replica) bool { return r.ID == under }); i >= 0 {
		return fit[i], true
	}
	i := slices.IndexFunc(fit, func(r Replica) bool { return r.ID == g.asked })
	next := fit[(i+1)%len(fit)]
	g.asked = next.ID
	g.TransferTo(next.ID)
	return next, true
}

// lead hands leadership to the first target that is able when another leads.
func (g *Group) lead(targets []ident.NodeID, able func(ident.NodeID) bool) (Step, string) {
	for _, n := range targets {
		if n == g.cfg.Node {
			return Settled, ""
		}
		r, ok := g.head.descriptor.Find(n)
		if !ok || !able(n) || r.Role != Voter {
			continue
		}
		if !g.caughtUp(r.ID) {
			return Catching, "the first target is behind"
		}
		g.TransferTo(r.ID)
		return Handing, "to " + n.Short() + ", the first live target"
	}
	return Settled, ""
}

func (g *Group) add(nodes []ident.NodeID) (Step, string) {
	step, why := g.change(func(next *Descriptor) {
		for _, n := range nodes {
			next.Replicas = append(next.Replicas, Replica{ID: next.NextID, Node: n, Role: Learner})
			next.NextID++
		}
		next.Joint = len(nodes) > 1
	}, fmt.Sprintf("%d learners", len(nodes)))
	if step == Changing {
		step = Adding
	}
	return step, why
}

// change proposes the descriptor that edit makes of the present one, and the library's change that goes with it.
func (g *Group) change(edit func(*Descriptor), what string) (Step, string) {
	d := &g.head.descriptor
	next := d.Clone()
	next.Epoch++
	edit(&next)
	var changes []*pb.ConfChangeSingle
	single := func(t pb.ConfChangeType, id uint64) {
		changes = append(changes, &pb.ConfChangeSingle{Type: &t, NodeId: &id})
	}
	for _, r := range next.Replicas {
		old, had := d.Replica(r.ID)
		switch {
		case !had && r.Role == Learner:
			single(pb.ConfChangeAddLearnerNode, r.ID)
		case r.Role == Incoming && old.Role == Learner:
			single(pb.ConfChangeAddNode, r.ID)
		case r.Role == Outgoing:
			single(pb.ConfChangeRemoveNode, r.ID)
		}
	}
	for _, r := range d.Replicas {
		if _, stays := next.Replica(r.ID); !stays {
			single(pb.ConfChangeRemoveNode, r.ID)
		}
	}
	transition := pb.ConfChangeTransitionAuto
	if next.Joint {
		transition = pb.ConfChangeTransitionJointExplicit
	}
	alone := g.sole.on
	err := g.rejoin(g.proposedAt)
	if err == nil && alone {
		return Underway, "the log's first entry with others is awaited" // a change is refused before it is applied
	}
	if err == nil {
		err = g.raft.ProposeConfChange(&pb.ConfChangeV2{Transition: &transition, Changes: changes, Context: next.Append(nil)})
	}
	if err != nil {
		return Underway, "the change was not taken: " + err.Error()
	}
	g.proposed++
	g.stir(g.proposedAt)
	g.proposedEpoch = next.Epoch
	return Changing, what
}

func (d *Descriptor) drop(id uint64) {
	d.Replicas = slices.DeleteFunc(d.Replicas, func(r Replica) bool { return r.ID == id })
}

// caughtUp reports whether a replica follows closely enough to be counted on.
func (g *Group) caughtUp(id uint64) bool {
	ok := false
	commit := g.log.hard.Commit
	g.raft.WithProgress(func(at uint64, _ raft.ProgressType, pr progress) {
		if at == id {
			ok = pr.State == tracker.StateReplicate && pr.Match+caughtUp >= commit
		}
	})
	return ok
}

// Lags reports whether some replica may need a snapshot, which Lagging names. One that is hurt has none to send.
func (g *Group) Lags() bool { return g.leading && g.wanted && g.hurt.err == nil && !g.hurt.stuck }

// Lagging returns the replicas that need a snapshot: the log no longer reaches what they have.
func (g *Group) Lagging() []Replica {
	if !g.Lags() {
		return nil
	}
	g.wanted = false
	var out []Replica
	g.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr progress) {
		if id != g.replica && pr.Next <= g.log.start.Index && pr.RecentActive {
			if r, ok := g.head.descriptor.Replica(id); ok {
				out = append(out, r)
			}
		}
	})
	return out
}

// Missing returns the voters that have not caught up, for the status of a leader.
func (g *Group) Missing(live func(ident.NodeID) bool) (n int) {
	for i := range g.head.descriptor.Replicas {
		r := &g.head.descriptor.Replicas[i]
		if r.Role != Voter && r.Role != Incoming {
			continue
		}
		if !live(r.Node) || r.ID != g.replica && !g.rest.resting && !g.caughtUp(r.ID) {
			n++
		}
	}
	return n
}

// HandOver asks an able voter that has caught up to lead. It reports whether there is one to ask, or one that may yet catch
// up.
func (g *Group) HandOver(able func(ident.NodeID) bool) bool {
	voters := g.head.descriptor.Voters()
	if _, ok := g.askToLead(voters, able); ok {
		return true
	}
	return slices.ContainsFunc(voters, func(r Replica) bool { return r.ID != g.replica && able(r.Node) })
}
