package core

import (
	"fmt"
	"slices"

	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
)

// RemovalOf returns the member that a person names to be removed, and the command that does it, or says why it cannot
// be. One that is connected is not dead: it can leave by itself. With replace this node takes the place of the dead one.
func (c *Core) RemovalOf(prefix string, replace bool) (registry.Member, registry.Command, error) {
	var cmd registry.Command
	if c.registry == nil {
		return registry.Member{}, cmd, errNoRing
	}
	m, err := c.registry.Find(prefix)
	if err != nil {
		return m, cmd, err
	}
	if m.ID == c.self || c.live(m.ID) {
		return m, cmd, fmt.Errorf("node %s answers: it is not dead; `quord leave --addr %s` lets it hand over what it holds", m.ID, m.Addresses.RESP)
	}
	if m.State != registry.Down {
		return m, cmd, fmt.Errorf("node %s is silent, but not yet called down (%s): try again in a few seconds", m.ID, m.State)
	}
	cmd.Remove = &registry.Remove{ID: m.ID}
	if replace {
		cmd = registry.Command{Replace: &registry.Replace{Dead: m.ID, By: c.self}}
	}
	if err := c.registry.Clone().Apply(cmd, c.now.Wall).Err(); err != nil {
		if replace {
			err = fmt.Errorf("%w (start a new node with `quord serve --join ...`, then `quord replace %s --addr` and its address)", err, m.ID.Short())
		}
		return m, cmd, err
	}
	return m, cmd, nil
}

// tickSeat notices that the registry has given this node another place on the ring, and takes it.
func (c *Core) tickSeat() {
	m := &c.member
	if c.ring == nil || m.seat == c.registry.Ring() || m.phase < phaseRing || m.phase > phaseLeaving {
		return
	}
	m.seat = c.registry.Ring()
	self, ok := c.registry.Member(c.self)
	if !ok || c.seated(&self) {
		return
	}
	c.tell(Info, "takes the place of a dead node on the ring", "tokens", len(self.Tokens))
	goesOn := slices.ContainsFunc(c.ring.Known(), c.live)
	c.ring.Leave(c.now.Mono)
	c.takeRing()
	if err := c.enterRing(&self, goesOn); err != nil {
		c.fail(err)
		return
	}
	if m.phase == phaseUp {
		m.phase = phaseRing
	}
	c.balance.changed(c.now.Mono)
}

// seated reports whether the tokens of this node in the ring are those that the registry says.
func (c *Core) seated(self *registry.Member) bool {
	var want, have []ring.ID
	for _, t := range self.RingTokens() {
		want = append(want, t.ID)
	}
	for _, t := range c.ring.State().Tokens {
		have = append(have, t.ID)
	}
	slices.SortFunc(want, ring.ID.Compare)
	return slices.Equal(want, have)
}
