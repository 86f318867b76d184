package core

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/wire"
)

// phase is how far a node is on its way into a cluster, and out of it.
type phase uint8

const (
	phaseAlone    phase = iota // in no cluster: asks the nodes that it can reach for their registry
	phaseAdmitted              // wants to be in the registry, with its present boot and addresses
	phaseRing                  // its tokens join the ring
	phaseUp                    // the registry says up, or is about to
	phaseLeaving               // hands over what it holds
	phaseGone                  // left, or was removed
)

const callEvery = 300 * time.Millisecond

// Joiner is what this node says of itself when it asks to be admitted, but for its tokens.
func (cfg *Config) Joiner() registry.Joiner {
	return registry.Joiner{
		ID: ident.NodeOf(cfg.Key), Key: cfg.Key, Addresses: cfg.Addresses, Zone: cfg.Zone, Weight: cfg.Weight,
		Boot: cfg.Boot, Format: Format,
	}
}

// resume begins the life of a node that is a member already. told says that it has just been told so by another one.
func (c *Core) resume(told bool) error {
	c.member.started = c.now.Mono
	self, ok := c.registry.Member(c.self)
	if !ok {
		c.member.phase = phaseAdmitted // it had learned of the cluster, and was stopped before it was admitted
		return nil
	}
	c.isNamed()
	c.member.phase = phaseAdmitted
	return c.enterRing(&self, told)
}

// enterRing makes the ring of a member, and lets it go into that of the others, or make it anew with them. goesOn says that
// there may well be one: that there was a moment ago, or that others go on and the registry was told by one of them, who may
// have an old one.
func (c *Core) enterRing(self *registry.Member, goesOn bool) error {
	if err := c.makeRing(self); err != nil {
		return err
	}
	if goesOn {
		c.ring.Abstain(c.now.Mono)
	}
	if len(c.registry.Members()) == 1 && !goesOn {
		if err := c.ring.Create(c.now.Mono); err != nil {
			return fmt.Errorf("make the ring: %w", err)
		}
	} else if err := c.revive(); err != nil {
		return fmt.Errorf("join the ring again: %w", err)
	}
	c.takeRing()
	return nil
}

// tickRevive tells the ring, while it waits for others to make it anew, that the members have changed: it must not wait
// for one that has left.
func (c *Core) tickRevive() {
	if c.ring == nil || c.member.revived == c.registry.Revision() || !c.ring.Reviving() {
		return
	}
	if err := c.revive(); err != nil {
		c.fail(fmt.Errorf("join the ring again: %w", err))
		return
	}
	c.takeRing()
}

// revive lets this node's tokens into the ring that they were in, or makes it anew with the other members. One that was
// called down before this node stopped is not waited for; but it may have been called down wrongly, or be back by now.
func (c *Core) revive() error {
	c.member.revived = c.registry.Revision()
	var members, doubtful []ident.NodeID
	for _, m := range c.registry.Members() {
		if m.State == registry.Down && m.ID != c.self {
			doubtful = append(doubtful, m.ID)
		} else {
			members = append(members, m.ID)
		}
	}
	c.sayWhoIsAway()
	return c.ring.Revive(c.now.Mono, members, doubtful)
}

func (c *Core) makeRing(self *registry.Member) error {
	var tokens []ring.ID
	for _, t := range self.RingTokens() {
		tokens = append(tokens, t.ID)
	}
	cfg := c.cfg.Ring
	cfg.DistinctNodes = max(cfg.DistinctNodes, c.registry.Settings().Replicas) // or a list would not show all targets
	r, err := ring.New(cfg, c.self, tokens, c.rand.Uint64())
	if err != nil {
		return fmt.Errorf("make the ring: %w", err)
	}
	c.ring, c.member.acquainted = r, nil
	c.sayWhoIsAway()
	return nil
}

// sayWhoIsAway tells the ring which members are not connected, so that it asks the others first. Of who comes and goes it is
// told as it happens.
func (c *Core) sayWhoIsAway() {
	for _, id := range c.memberIDs() {
		if !c.live(id) {
			c.ring.NodeDown(c.now.Mono, id)
		}
	}
}

// tickJoin takes the next step into the cluster.
func (c *Core) tickJoin() {
	m := &c.member
	switch m.phase {
	case phaseAlone:
		if c.registry == nil && len(m.seeds) > 0 && c.now.Mono >= m.asked+callEvery {
			m.asked = c.now.Mono
			c.out.Add(m.seeds[c.rand.IntN(len(m.seeds))], false, wire.Ask{})
		}
	case phaseAdmitted:
		c.tickRevive()
		c.admit()
	case phaseRing:
		c.tickRevive()
		if c.ringJoined() {
			c.setUp()
		}
	case phaseLeaving:
		c.tickLeave()
	}
}

// call asks for a change of the registry, one at a time, and not too often.
func (c *Core) call(cmd registry.Command, done func(error)) {
	m := &c.member
	if m.calling || c.now.Mono < m.callAt {
		return
	}
	m.calling = true
	c.Change(cmd, func(err error) {
		m.calling, m.callAt = false, c.now.Mono+callEvery
		done(err)
	})
}

// admit makes the registry name this node with its present boot and addresses.
func (c *Core) admit() {
	if self, ok := c.registry.Member(c.self); ok {
		if self.Boot == c.cfg.Boot && self.Addresses == c.cfg.Addresses && self.Zone == c.cfg.Zone {
			c.admitted(&self)
			return
		}
		j := c.cfg.Joiner()
		update := registry.UpdateOf(j)
		c.call(registry.Command{Update: &update}, c.judge)
		return
	}
	if c.member.calling || c.now.Mono < c.member.callAt {
		return // choosing tokens is work
	}
	j := c.cfg.Joiner()
	tokens, chosenFor, err := c.registry.Choose(c.cfg.Key, c.cfg.Zone, c.cfg.Tokens, c.cfg.Weight)
	if err != nil {
		c.fail(fmt.Errorf("choose tokens: %w", err))
		return
	}
	j.Tokens = tokens
	c.call(registry.Command{Admit: &registry.Admit{Joiner: j, Ring: chosenFor}}, c.judge)
}

// judge hears how the registry took this node. What cannot pass with time ends the node.
func (c *Core) judge(err error) {
	var refusal *registry.Error
	switch {
	case err == nil, errors.Is(err, registry.ErrStale):
		c.askChanged()
	case errors.As(err, &refusal):
		c.fail(fmt.Errorf("the cluster does not take this node: %w", err))
	default:
		c.tell(Info, "waiting to be admitted to the cluster", "because", err.Error())
	}
}

func (c *Core) admitted(self *registry.Member) {
	if c.ring == nil {
		if err := c.makeRing(self); err != nil {
			c.fail(err)
			return
		}
		var contacts []ident.NodeID
		for _, id := range c.memberIDs() {
			if id != c.self {
				contacts = append(contacts, id)
			}
		}
		if err := c.ring.Join(c.now.Mono, contacts); err != nil {
			c.fail(fmt.Errorf("join the ring: %w", err))
			return
		}
		c.takeRing()
		c.tell(Info, "admitted to the cluster", "cluster", c.Cluster(), "tokens", len(self.Tokens))
	}
	c.member.phase = phaseRing
	if c.memory.leaves {
		c.member.leave(c)
	}
}

// ringJoined reports whether all tokens of this node stand in the ring.
func (c *Core) ringJoined() bool {
	for _, t := range c.ring.State().Tokens {
		if t.Phase != ring.Member {
			return false
		}
	}
	return true
}

func (c *Core) setUp() {
	self, ok := c.registry.Member(c.self)
	if !ok {
		return
	}
	if self.State == registry.Up {
		c.member.phase = phaseUp
		c.tell(Info, "up: the ring has absorbed this node", "members", len(c.registry.Members()))
		return
	}
	c.call(registry.Command{SetState: &registry.SetState{ID: c.self, State: registry.Up, Boot: c.cfg.Boot}}, func(err error) {
		if err != nil {
			c.tell(Info, "waiting to be up in the registry", "because", err.Error())
		}
		c.askChanged()
	})
}

// state notices what the registry says of this node.
func (m *membership) state(c *Core, s registry.State) {
	switch {
	case m.phase == phaseUp && s == registry.Down:
		m.phase = phaseRing // others took it for gone; it says that it is not
	case s == registry.Leaving:
		m.leave(c)
	}
}

// leave begins to hand over, at once or when the node is admitted.
func (m *membership) leave(c *Core) {
	c.toLeave(true)
	if m.phase == phaseUp || m.phase == phaseRing {
		m.phase = phaseLeaving
		c.tell(Info, "leaving: what this node holds is handed over")
	}
}

// Ready says nil when the node is a member that serves, or else what it waits for.
func (c *Core) Ready() error {
	switch {
	case c.fatal != nil:
		return c.fatal
	case c.member.phase == phaseAlone:
		return errors.New("no member of the cluster has answered yet")
	case c.member.phase == phaseAdmitted:
		return errors.New("waiting to be admitted to the cluster")
	case c.member.phase == phaseRing:
		return errors.New("waiting for the ring to absorb this node")
	case c.member.phase == phaseGone:
		return errors.New("this node has left the cluster")
	}
	for _, p := range c.places {
		if p.sink != nil || p.group != nil && !p.group.Initialized() {
			return errors.New("catching up with the tablets that this node is to hold")
		}
	}
	return nil
}

// registryIn takes a registry that another node sent.
func (c *Core) registryIn(b []byte) {
	if c.spread.wasRead(b) {
		return
	}
	reg, err := registry.Decode(b)
	if err != nil {
		c.tell(Warn, "another node sent a damaged registry", "error", err)
		return
	}
	c.spread.read = bytes.Clone(b)
	if c.registry != nil && reg.Cluster() != c.registry.Cluster() {
		c.tell(Warn, "another node sent the registry of another cluster", "cluster", reg.Cluster())
		return
	}
	first := c.registry == nil
	if _, named := reg.Member(c.self); first && c.member.forgot && !named {
		if _, gone := reg.Removed(c.self); !gone {
			c.tell(Warn, "another node sent a registry that does not name this node: it is that of another cluster, or an old one", "cluster", reg.Cluster())
			return
		}
	}
	if first {
		if c.wasRemoved(reg) {
			c.fail(removedFrom(reg.Cluster()))
			return
		}
	}
	c.adoptRegistry(reg)
	if first && c.registry != nil {
		c.unfold(reg.Settings().Tablets)
		c.member.phase, c.member.started = phaseAdmitted, c.now.Mono
		if c.member.forgot {
			c.recall()
		}
		c.tell(Info, "found the cluster", "cluster", reg.Cluster(), "members", len(reg.Members()),
			"replicas", reg.Settings().Replicas, "tablets", reg.Settings().Tablets, "replace_after", reg.Settings().ReplaceAfter.String())
	}
}

// recall lets a node go on that was told who it is: as if it had just started with the registry that it has been sent. That
// names it, so it is that of its own cluster, of which a node is a member once only; it may be an old one, as its own may. What
// others go by to tell a directory that has gone back in time is not in there, and was shown to whoever sent it.
func (c *Core) recall() {
	c.member.forgot = false
	err := c.openGroups()
	if err == nil {
		err = c.resume(true)
	}
	if err != nil {
		c.fail(err)
	}
}

// Leave makes the node hand over all that it holds and leave the cluster. done is told when it has, or that it cannot.
func (c *Core) Leave(done func(error)) {
	if c.registry == nil {
		done(errors.New("this node is in no cluster"))
		return
	}
	m := &c.member
	if m.wishing || m.left != nil {
		done(errors.New("this node is leaving already"))
		return
	}
	others := slices.DeleteFunc(slices.Clone(c.registry.Members()), func(o registry.Member) bool {
		return o.ID == c.self || o.State != registry.Up
	})
	switch {
	case len(others) == 0:
		done(errors.New("no other node is up that could take over what this one holds: add one first, or stop this node"))
		return
	case !slices.ContainsFunc(others, func(o registry.Member) bool { return c.live(o.ID) }):
		done(errors.New("no other node that is up is connected to this one, which may have just started: try again in a moment, or stop this node"))
		return
	}
	m.wishing = true
	c.Change(registry.Command{SetState: &registry.SetState{ID: c.self, State: registry.Leaving, Boot: c.cfg.Boot}}, func(err error) {
		m.wishing = false
		switch {
		case m.phase == phaseGone:
			done(nil)
		case err != nil && !c.memory.leaves:
			done(err)
		default:
			m.left, m.stays = done, false // what was decided about an earlier wish does not count
			m.leave(c)                    // not when the registry says so here: called down since, this node may never see that it did
			c.askChanged()
		}
	})
}

// Holds returns how many replicas this node holds, the system group's included, and those that are damaged or about to be
// replaced by a snapshot.
func (c *Core) Holds() int {
	n := 0
	for _, p := range append(c.places[:len(c.places):len(c.places)], c.system) {
		if p.group != nil || p.lost != nil || p.sink != nil && p.sink.installing {
			n++
		}
	}
	return n
}

// tickLeave waits until nothing is left here, then takes the node out of the ring and the registry.
func (c *Core) tickLeave() {
	self, ok := c.registry.Member(c.self)
	if ok && c.staysAfterAll(&self) {
		return
	}
	if ok && self.State != registry.Leaving {
		// It was called down meanwhile, and up again: its wish to leave got lost.
		c.call(registry.Command{SetState: &registry.SetState{ID: c.self, State: registry.Leaving, Boot: c.cfg.Boot}}, func(error) { c.askChanged() })
		return
	}
	if c.Holds() > 0 {
		return
	}
	c.ring.Leave(c.now.Mono)
	c.takeRing()
	// Should this be heard late, when the node was called down and holds something again, it must not take effect.
	c.call(registry.Command{SetState: &registry.SetState{ID: c.self, State: registry.Removed, Boot: c.cfg.Boot}}, func(err error) {
		if err != nil {
			c.tell(Info, "waiting to be taken out of the registry", "because", err.Error())
			return
		}
		c.removed(true)
	})
}

func removedFrom(cluster ident.ClusterID) error {
	return fmt.Errorf("this node was removed from cluster %s for good; start it with an empty data directory to join as a new node", cluster)
}

// staysAfterAll gives up leaving where nobody is left who could take anything over: all members leave at a time, or have been
// down for too long. The first of those that leave and hold something stays. It reports whether this node does.
func (c *Core) staysAfterAll(self *registry.Member) bool {
	m, members := &c.member, c.registry.Members()
	if !m.stays && c.Holds() > 0 {
		counts := func(o registry.Member) bool { return c.counts(&o) }
		first := slices.IndexFunc(members, func(o registry.Member) bool { return o.State == registry.Leaving })
		m.stays = first >= 0 && members[first].ID == c.self && !slices.ContainsFunc(members, counts)
	}
	switch {
	case !m.stays:
		return false
	case self.State == registry.Leaving:
		c.call(registry.Command{SetState: &registry.SetState{ID: c.self, State: registry.Up, Boot: c.cfg.Boot}}, func(error) { c.askChanged() })
		return true
	}
	m.stays, m.phase = false, phaseRing
	c.toLeave(false)
	c.tell(Info, "this node stays: nobody is left who could take over what it holds")
	if !slices.ContainsFunc(c.ring.State().Tokens, func(t ring.TokenState) bool { return t.Phase != ring.Outsider }) {
		if err := c.enterRing(self, len(members) > 1); err != nil { // it had held nothing at some time, and gone
			c.fail(err)
		}
	}
	if done := m.left; done != nil {
		m.left = nil
		done(errors.New("no other node is left that could take over what this one holds: it stays"))
	}
	return true
}

// ErrLeft is what a node ends with when it has left its cluster.
var ErrLeft = errors.New("this node has left the cluster")

// removed ends a node that is no member any more, and says whether it was leaving.
func (c *Core) removed(leaving bool) {
	if c.member.phase == phaseGone {
		return
	}
	c.member.phase = phaseGone
	if done := c.member.left; done != nil {
		c.member.left = nil
		done(nil)
	}
	if !leaving {
		c.fail(removedFrom(c.Cluster()))
		return
	}
	c.tell(Info, "this node is no member of the cluster any more")
	if c.fatal == nil {
		c.fatal = ErrLeft
	}
}
