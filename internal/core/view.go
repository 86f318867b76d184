package core

import (
	"bytes"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

const (
	// stretchAge is how old what a lookup has shown of the ring may be before another one is made.
	stretchAge = 5 * time.Second
	// maxStretches bounds what is kept of lookups: 17 tokens each, mostly.
	maxStretches = 256
	// cells is into how many parts the circle is cut, of each of which one lookup is under way at most: where tablets are
	// many, one shows where a hundred of them belong.
	cells = 64
)

// view is what the ring shows, and has shown of late where no token of this node stands.
type view struct {
	stretches []stretch // the newest last
	lookups   map[uint64]ring.ID
	looking   [cells]bool
	glance    glance
	scratch   []ring.Token
}

// stretch is what a lookup of a point said: its owner, and the tokens behind that.
type stretch struct {
	point  ring.ID
	tokens []ring.Token
	at     time.Duration
}

// glance is what the ring showed when it was looked at last, and the targets that follow: most tablets lie between the same
// tokens as the one before. It is forgotten when other members count.
type glance struct {
	walk  []ring.Token
	shown []ident.NodeID
	known bool
	// No token of the walk, nor one that the ring may have given up, lies between the point that was looked at and first.
	point, first ring.ID
}

// serves reports whether the targets are those of a point as well, from which the ring shows walk.
func (g *glance) serves(point ring.ID, walk []ring.Token) bool {
	between := point == g.point || g.point != g.first && ring.Within(g.point, point, g.first)
	return g.known && between && slices.Equal(g.walk, walk)
}

func cellOf(point ring.ID) int { return int(point[0]) * cells >> 8 }

// from returns the tokens from a point on, nil where the stretch does not show enough of them for n targets. What was asked
// for it shows in any case.
func (s *stretch) from(point ring.ID, n int) []ring.Token {
	if point == s.point {
		return s.tokens
	}
	if !ring.Within(s.point, point, s.tokens[len(s.tokens)-1].ID) {
		return nil
	}
	before := s.point
	for i, t := range s.tokens {
		if before != t.ID && ring.Within(before, point, t.ID) {
			if i > 0 && !holdNodes(s.tokens[i:], n) {
				return nil
			}
			return s.tokens[i:]
		}
		before = t.ID
	}
	return nil
}

// holdNodes reports whether tokens are those of n nodes or more.
func holdNodes(tokens []ring.Token, n int) bool {
	var seen [placement.MaxReplicas]ident.NodeID
	found := seen[:0]
	for i := range tokens {
		if len(found) >= min(n, len(seen)) {
			return true
		}
		if !slices.Contains(found, tokens[i].Node) {
			found = append(found, tokens[i].Node)
		}
	}
	return len(found) >= min(n, len(seen))
}

// shows reports whether the ring, at a tablet's point, wants the targets that the registry has for it.
func (c *Core) shows(p *place, wished []ident.NodeID) bool {
	point, n := c.point(p.tablet), len(wished)
	walk := c.walk(point, n)
	if walk == nil {
		return false
	}
	g := &c.balance.view.glance
	if !g.serves(point, walk) {
		g.known, g.walk, g.point = true, append(g.walk[:0], walk...), point
		g.shown, g.first = c.shown(point, walk, n)
	}
	shown := g.shown
	if len(shown) < n { // what it shows here is too short, or too many of it do not count
		return !slices.ContainsFunc(shown, func(id ident.NodeID) bool { return !slices.Contains(wished, id) })
	}
	return slices.Equal(shown, wished)
}

// shown returns the first n targets that a walk from a point on shows, with the tokens put in that the ring may have given
// up, and where the first token of all stands.
func (c *Core) shown(point ring.ID, walk []ring.Token, n int) (targets []ident.NodeID, first ring.ID) {
	tokens := c.balance.view.scratch[:0]
	for _, t := range walk {
		if m, ok := c.registry.Member(t.Node); ok && c.counts(&m) {
			tokens = append(tokens, t)
		}
	}
	tokens = append(tokens, c.balance.silent...)
	c.balance.view.scratch = tokens
	sortFrom(tokens, point)
	tokens = slices.CompactFunc(tokens, func(a, b ring.Token) bool { return a.ID == b.ID })
	if first = point; len(tokens) > 0 {
		first = tokens[0].ID
	}
	return placement.FirstOf(tokens, n, c.registry.Zone), first
}

// sortFrom sorts tokens clockwise from a point.
func sortFrom(tokens []ring.Token, from ring.ID) {
	before := func(id ring.ID) bool { return bytes.Compare(id[:], from[:]) < 0 }
	slices.SortFunc(tokens, func(a, b ring.Token) int {
		if x, y := before(a.ID), before(b.ID); x != y {
			if x {
				return 1
			}
			return -1
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
}

// walk returns the tokens from a point on, as the ring shows them: at once where a token of this node owns the point, else
// from a lookup that was made lately, of it or of one before it. It must show n targets.
func (c *Core) walk(point ring.ID, n int) []ring.Token {
	if own := c.ring.Walk(point); own != nil {
		return own
	}
	v := &c.balance.view
	for i := len(v.stretches) - 1; i >= 0; i-- {
		s := &v.stretches[i]
		if tokens := s.from(point, n); tokens != nil {
			if c.now.Mono > s.at+stretchAge {
				c.lookFrom(point)
			}
			return tokens
		}
	}
	c.lookFrom(point)
	return nil
}

// lookFrom asks the ring what it shows from a point on, unless something near it is being asked.
func (c *Core) lookFrom(point ring.ID) {
	v, cell := &c.balance.view, cellOf(point)
	if v.looking[cell] {
		return
	}
	if v.lookups == nil {
		v.lookups = map[uint64]ring.ID{}
	}
	v.looking[cell] = true
	v.lookups[c.ring.Lookup(c.now.Mono, point, ring.Recursive, 0)] = point
	c.takeRing()
}

// walked takes the ring's answer.
func (c *Core) walked(res *ring.Result) bool {
	v := &c.balance.view
	point, ok := v.lookups[res.Ticket]
	if !ok {
		return false
	}
	delete(v.lookups, res.Ticket)
	v.looking[cellOf(point)] = false
	if res.Err == nil {
		if len(v.stretches) == maxStretches {
			v.stretches = slices.Delete(v.stretches, 0, 1)
		}
		v.stretches = append(v.stretches, stretch{point, append([]ring.Token{res.Owner}, res.Successors...), c.now.Mono})
	}
	return true
}
