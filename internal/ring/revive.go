package ring

import (
	"bytes"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// revival is the state of the vote by which nodes that all stand outside agree on who makes the ring anew.
type revival struct {
	on       bool
	members  []ident.NodeID // who may vote, this node included
	doubtful int            // how many are in doubt, and may not
	hold     time.Duration  // until then those who are in doubt have time to say that there is a ring
	votes    []vote         // granted to this node
	// began is when this node began to look for a ring, and searched is set once it has asked in
	// vain those whom it knows and is connected to, and one of the others: it cannot wait for who may be gone.
	began    time.Duration
	searched bool
	// The node that this one has promised to leave the making to, and until when.
	promised ident.NodeID
	until    time.Duration
	// The smallest other node that asked lately, and until when that counts.
	rival      ident.NodeID
	rivalUntil time.Duration
}

// vote is a promise by a node, good until a moment that is certainly no later than the voter's own.
type vote struct {
	from  ident.NodeID
	until time.Duration
}

// Revive is Join for a node that was in the ring in an earlier life: members are all nodes that may be. Should
// all of them have lost the ring, as after a power cut, then the one with the smallest identifier among those
// that are back makes it anew, once a majority of the members has promised it not to make one: a promise binds
// for three intervals of stabilization. Nobody promises who has not looked for the ring first: two that start at the same
// time would make one beside that of the others, where the one that asks remembers fewer members than there are. It returns
// ErrMember as Join does, and ErrTokens as Create does.
//
// doubtful are members that this node believes to be dead. They have no vote, or the living could not make a ring
// without them; but what a node remembers of its earlier life is old, so they are asked like the others. While they
// have not had the time of a promise to answer, a ring is made only by a majority of all, as where nobody is in doubt.
//
// Called again while it is Reviving, it takes other members: one that has left gives no vote.
//
// Departs from the papers, which have no such case. Clocks only bound how long a promise lasts; should they
// fail, two rings arise, which costs availability and no data.
func (r *Ring) Revive(now time.Duration, members, doubtful []ident.NodeID) error {
	if len(r.members) < r.cfg.Successors+1 {
		return ErrTokens
	}
	promised, until := r.revive.promised, r.revive.until // binds, whatever becomes of this node
	if err := r.Join(now, members); err != nil {
		return err
	}
	v := &r.revive
	v.on, v.promised, v.until = true, promised, until
	v.members = append(slices.Clone(r.contacts), r.self)
	v.votes = slices.DeleteFunc(v.votes, func(old vote) bool { return !slices.Contains(v.members, old.from) })
	if v.doubtful = len(doubtful); v.doubtful > 0 {
		r.setContacts(slices.Concat(members, doubtful))
		v.hold = now + r.promiseFor()
	}
	r.elect()
	r.settle()
	return nil
}

// Abstain says that there is a ring, or may be, although this node is in none: for the time of a promise it makes none, nor
// helps to make one. To be called before Revive, by who has just left one to come back in another place.
func (r *Ring) Abstain(now time.Duration) {
	r.revive.promised, r.revive.until = ident.NodeID{}, now+r.promiseFor()
}

// Reviving reports whether this node waits for others to make the ring anew with it, or to find them in one.
func (r *Ring) Reviving() bool { return r.revive.on && !r.inRing() }

// promiseFor is how long a promise binds.
func (r *Ring) promiseFor() time.Duration { return 3 * r.cfg.StabilizeEvery }

// grant answers a reviving node that asks whether it may make the ring.
func (r *Ring) grant(candidate ident.NodeID) bool {
	v := &r.revive
	if r.inRing() || !r.active() {
		return false // who has left, and does not want to be in one, knows nothing of whether there is a ring
	}
	if v.rivalUntil <= r.now || candidate.Compare(v.rival) <= 0 {
		v.rival, v.rivalUntil = candidate, r.now+r.promiseFor()
	}
	if v.on && bytes.Compare(r.self[:], candidate[:]) < 0 || candidate != v.rival {
		return false
	}
	if !v.searched && r.now < v.began+r.promiseFor() {
		return false // it may know of members, and find them in a ring, whom the candidate does not remember
	}
	return r.promise(candidate)
}

// promise gives this node's vote to a candidate, unless another one has it still.
func (r *Ring) promise(candidate ident.NodeID) bool {
	v := &r.revive
	if v.promised != candidate && v.until > r.now {
		return false
	}
	v.promised, v.until = candidate, r.now+r.promiseFor()
	return true
}

// onOutside hears that a node asked at the moment sent is in no ring, and whether it gave its vote. It reports
// whether this node has made the ring now.
func (r *Ring) onOutside(from ident.NodeID, granted bool, sent time.Duration) bool {
	v := &r.revive
	// Others may still name the tokens that this node had in its earlier life, so that a lookup leads back here.
	if !v.on || !granted || from == r.self || !slices.Contains(v.members, from) {
		return false
	}
	v.votes = slices.DeleteFunc(v.votes, func(old vote) bool { return old.from == from })
	v.votes = append(v.votes, vote{from: from, until: sent + r.promiseFor()})
	return r.elect()
}

// elect makes the ring if a majority has promised, and reports whether it did.
func (r *Ring) elect() bool {
	v := &r.revive
	if !v.on || r.inRing() || v.rivalUntil > r.now && v.rival.Compare(r.self) < 0 {
		return false
	}
	v.votes = slices.DeleteFunc(v.votes, func(old vote) bool { return old.until <= r.now })
	of := len(v.members)
	if r.now < v.hold {
		of += v.doubtful
	}
	if 2*(len(v.votes)+1) <= of || !r.promise(r.self) {
		return false
	}
	r.create()
	r.abandonLookups(ErrOutside)
	return true
}
