package registry

import (
	"slices"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

// Result is how a command ended.
type Result struct {
	// Revision is that of the registry afterwards.
	Revision uint64 `json:"revision"`
	// Refusal says why nothing was changed; nil where the registry now says what the command wanted.
	Refusal *Error `json:"refusal,omitempty"`
}

// Err returns the refusal as an error.
func (r Result) Err() error {
	if r.Refusal == nil {
		return nil
	}
	return r.Refusal
}

// Apply carries out a command at the given moment of the system tablet's time, in milliseconds. Every replica that
// applies the same commands at the same moments has the same registry.
func (r *Registry) Apply(c Command, at int64) Result {
	refusal := r.apply(c, max(at, 0))
	return Result{Revision: r.revision, Refusal: refusal}
}

func (r *Registry) apply(c Command, at int64) *Error {
	if err := c.check(); err != nil {
		return refuse(ErrInvalid, "command: %v", err)
	}
	if c.Init == nil && r.cluster.IsZero() {
		return refuse(ErrNotInitialised, "there is no cluster yet: it must be initialised first")
	}
	switch {
	case c.Init != nil:
		return r.init(c.Init, at)
	case c.Admit != nil:
		return r.admit(c.Admit, at)
	case c.Update != nil:
		return r.update(c.Update)
	case c.SetState != nil:
		return r.setState(c.SetState, at)
	case c.Remove != nil:
		return r.remove(c.Remove.ID, c.Remove.Force, at)
	case c.Replace != nil:
		return r.takePlace(c.Replace, at)
	default:
		return r.change(c.Change)
	}
}

func (r *Registry) init(c *Init, at int64) *Error {
	if !r.cluster.IsZero() {
		return refuse(ErrInitialised, "cluster %s exists already, a second one cannot be made of it", r.cluster)
	}
	if c.Cluster.IsZero() {
		return refuse(ErrInvalid, "cluster id: want one that is not zero")
	}
	if err := c.Settings.Validate(); err != nil {
		return refuse(ErrInvalid, "settings: %v", err)
	}
	if refusal := checkJoiner(&c.First, c.Settings); refusal != nil {
		return refusal
	}
	r.cluster, r.settings = c.Cluster, c.Settings
	r.insert(Member{Joiner: c.First, State: Up, Since: at})
	return nil
}

func (r *Registry) admit(c *Admit, at int64) *Error {
	j := &c.Joiner
	if i, ok := r.find(j.ID); ok {
		if refusal := sameKey(&r.members[i], j.Key); refusal != nil {
			return refusal
		}
		u := UpdateOf(*j)
		return r.update(&u)
	}
	if _, ok := r.Removed(j.ID); ok {
		return r.refuseRemoved(j.ID)
	}
	if refusal := checkJoiner(j, r.settings); refusal != nil {
		return refusal
	}
	if len(r.members) == MaxMembers {
		return refuse(ErrTooMany, "node %s: the cluster has %d members already, the most there can be", j.ID, MaxMembers)
	}
	tokens := len(j.Tokens)
	for i := range r.members {
		tokens += len(r.members[i].Tokens)
	}
	if tokens > MaxTokens {
		return refuse(ErrTooMany, "node %s: with its %d tokens the ring would have %d, want at most %d", j.ID, len(j.Tokens), tokens, MaxTokens)
	}
	if c.Ring != 0 && c.Ring != r.ring {
		return refuse(ErrStale, "node %s: its tokens were chosen for the ring of revision %d, the present one is of revision %d: choose again", j.ID, c.Ring, r.ring)
	}
	if t, taken := meet(r.Tokens(nil), placement.Tokens(j.Key, j.Tokens)); taken {
		return refuse(ErrTokenTaken, "node %s: its token %s is held by node %s: choose another", j.ID, t.ID.Short(), t.Node)
	}
	r.insert(Member{Joiner: *j, State: Joining, Since: at})
	return nil
}

func (r *Registry) update(c *Update) *Error {
	i, refusal := r.known(c.ID)
	if refusal != nil {
		return refusal
	}
	m := r.members[i]
	if refusal := sameKey(&m, c.Key); refusal != nil {
		return refusal
	}
	if refusal := checkBoot(&m, c.Boot); refusal != nil {
		return refusal
	}
	m.Addresses, m.Zone, m.Boot, m.Format = c.Addresses, c.Zone, c.Boot, c.Format
	if refusal := checkJoiner(&m.Joiner, r.settings); refusal != nil {
		return refusal
	}
	r.replace(i, m)
	return nil
}

func (r *Registry) setState(c *SetState, at int64) *Error {
	if c.State < Joining || c.State > Removed {
		return refuse(ErrInvalid, "state %d: want %d to %d", uint8(c.State), Joining, Removed)
	}
	if _, ok := r.Removed(c.ID); ok && c.State == Removed {
		return nil
	}
	i, refusal := r.known(c.ID)
	if refusal != nil {
		return refusal
	}
	m := r.members[i]
	if c.Boot != 0 {
		if refusal := checkBoot(&m, c.Boot); refusal != nil {
			return refusal
		}
	}
	if c.State == Removed {
		// So says the member itself, having handed over all that it held. Called down and back meanwhile it may hold
		// something again.
		if m.State != Leaving {
			return refuse(ErrTransition, "node %s is %s: it has to be leaving before it has left", c.ID, m.State)
		}
		return r.remove(c.ID, false, at)
	}
	if m.State == c.State {
		return nil
	}
	if !slices.Contains(follows[m.State], c.State) {
		return refuse(ErrTransition, "node %s is %s: it cannot become %s, only %v", c.ID, m.State, c.State, append(slices.Clone(follows[m.State]), Removed))
	}
	m.State, m.Since = c.State, at
	r.replace(i, m)
	return nil
}

func (r *Registry) remove(id ident.NodeID, force bool, at int64) *Error {
	if _, ok := r.Removed(id); ok {
		return nil
	}
	i, refusal := r.known(id)
	if refusal != nil {
		return refusal
	}
	if r.members[i].State == Up && !force {
		return refuse(ErrTransition, "node %s is up: let it leave, or stop it and remove it when it is down", id)
	}
	if len(r.members) == 1 {
		return refuse(ErrLast, "node %s is the last member of cluster %s, which cannot be without one", id, r.cluster)
	}
	r.take(i, at)
	return nil
}

// takePlace gives the place of a dead member to a new one.
func (r *Registry) takePlace(c *Replace, at int64) *Error {
	i, refusal := r.known(c.Dead)
	if refusal != nil {
		return refusal
	}
	k, refusal := r.known(c.By)
	if refusal != nil {
		return refusal
	}
	dead, by := r.members[i], r.members[k]
	switch {
	case dead.State != Down:
		return refuse(ErrTransition, "node %s is %s: only one that is down can be replaced", c.Dead, dead.State)
	case by.State != Up: // also where both are the same
		return refuse(ErrTransition, "node %s is %s: only one that is up can take the place of another", c.By, by.State)
	case by.Admitted < dead.Admitted:
		return refuse(ErrTransition, "node %s has been a member for longer than node %s, and has a place of its own: start a new node, and let that one take the place", c.By, c.Dead)
	}
	by.Place, by.Tokens, by.Weight = dead.place(), dead.Tokens, dead.Weight
	r.members[k] = by
	r.take(i, at)
	return nil
}

// take takes the member at i out for good.
func (r *Registry) take(i int, at int64) {
	id := r.members[i].ID
	r.members = slices.Delete(r.members, i, i+1)
	if len(r.removed) == MaxRemoved {
		r.removed = slices.Delete(r.removed, 0, 1)
	}
	r.removed = append(r.removed, Gone{ID: id, Since: at})
	r.revision++
	r.ring = r.revision
}

func (r *Registry) change(c *Change) *Error {
	s := r.settings
	set(&s.Replicas, c.Replicas)
	set(&s.Tablets, c.Tablets)
	set(&s.ReplaceAfter, c.ReplaceAfter)
	set(&s.Format, c.Format)
	if err := s.Validate(); err != nil {
		return refuse(ErrInvalid, "settings: %v", err)
	}
	if s.Tablets != r.settings.Tablets {
		return refuse(ErrFixed, "tablets %d: the cluster was made with %d, and that cannot be changed", s.Tablets, r.settings.Tablets)
	}
	if s.Format < r.settings.Format {
		return refuse(ErrFixed, "format %d: %d is in use already, and older ones do not come back", s.Format, r.settings.Format)
	}
	if common := r.CommonFormat(); s.Format > common {
		return refuse(ErrFormat, "format %d: not every member knows it yet, want at most %d", s.Format, common)
	}
	if s != r.settings {
		r.settings = s
		r.revision++
	}
	return nil
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// insert adds a member, whose tokens change the ring.
func (r *Registry) insert(m Member) {
	m.Key, m.Tokens = slices.Clone(m.Key), slices.Clone(m.Tokens) // the command's bytes may be the caller's
	r.revision++
	m.Admitted = r.revision
	i, _ := r.find(m.ID)
	r.members = slices.Insert(r.members, i, m)
	r.ring = r.revision
}

// replace puts m in the place of the member at i, if it differs.
func (r *Registry) replace(i int, m Member) {
	if !r.members[i].equal(&m) {
		r.members[i] = m
		r.revision++
	}
}

// checkJoiner refuses what is wrong with a node in itself, and a node that is too old for the cluster.
func checkJoiner(j *Joiner, s Settings) *Error {
	if id := ident.NodeOf(j.Key); id != j.ID {
		return refuse(ErrOtherKey, "node %s: the key that it shows is that of %s", j.ID, id)
	}
	if err := j.validate(); err != nil {
		return refuse(ErrInvalid, "node %s: %v", j.ID, err)
	}
	if j.Format < s.Format {
		return refuse(ErrFormat, "node %s knows formats up to %d, the cluster uses %d: start it with a newer version", j.ID, j.Format, s.Format)
	}
	return nil
}

func checkBoot(m *Member, boot uint64) *Error {
	if boot < m.Boot {
		return refuse(ErrOldBoot, "node %s shows boot %d, but it has been started for the %d. time since: a copy of its data directory, or one that was restored, cannot take its place", m.ID, boot, m.Boot)
	}
	return nil
}

// meet returns a token of taken that stands where one of wanted does.
func meet(taken, wanted []ring.Token) (ring.Token, bool) {
	at := make(map[ring.ID]bool, len(wanted))
	for _, t := range wanted {
		at[t.ID] = true
	}
	for _, t := range taken {
		if at[t.ID] {
			return t, true
		}
	}
	return ring.Token{}, false
}
