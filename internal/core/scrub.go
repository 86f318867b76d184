package core

import (
	"errors"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/tablet"
)

// Damage that nobody meets stays, and a second replica may come to have it too. So each node reads, slowly and for ever,
// all that it stores: scrubBytes every scrubEvery, which is 28 GB a day.

const (
	scrubEvery = 250 * time.Millisecond
	scrubBytes = 80 << 10
	// mendAgain is how soon a replica is mended again because the scrub met an unreadable part of the disk once more.
	mendAgain = 10 * time.Minute
)

// scrub is where a node is with that.
type scrub struct {
	at     time.Duration
	tablet int // the next one; that of the system group comes after the last
	cursor tablet.Cursor
	rounds uint64
}

func (c *Core) tickScrub() {
	s := &c.scrub
	if c.now.Mono < s.at {
		return
	}
	s.at = c.beat(scrubEvery)
	// Tablets that this node does not hold, or that are to be mended, are passed over.
	for range len(c.places) + 1 {
		p := c.system
		if s.tablet < len(c.places) {
			p = c.places[s.tablet]
		}
		if p.group == nil || !p.group.Initialized() || p.group.Hurt() != nil {
			c.scrubNext()
			continue
		}
		next, done, err := p.group.Scrub(s.cursor, scrubBytes)
		s.cursor = next
		switch {
		case errors.Is(err, kv.ErrCorrupt) && p.mended > 0 && c.now.Mono < p.mended+mendAgain:
			// What is damaged is a block of a table, which nothing uses any more but which is still there to be walked over.
		case tablet.Damaged(err):
			p.group.Wound(err)
			c.noteHurt(p)
		case err != nil:
			c.fail(err)
			return
		}
		if done {
			c.scrubNext()
		}
		return
	}
}

func (c *Core) scrubNext() {
	s := &c.scrub
	s.cursor = tablet.Cursor{}
	if s.tablet++; s.tablet > len(c.places) {
		s.tablet = 0
		s.rounds++
		c.scrubRegistry()
	}
}

// scrubRegistry looks at the registry that is stored for the next start: a node that is no voter of the system group has no
// other copy, but for the one in its memory, which is written anew.
func (c *Core) scrubRegistry() {
	b, err := c.store.Get(cachedKey)
	if err == nil {
		_, err = tablet.Unseal(cachedKey, b)
	}
	switch {
	case tablet.Damaged(err):
		c.mends.found++
		c.tell(Warn, "the stored registry is damaged, and is written anew", "error", err)
		c.turn.extra.State = append(c.turn.extra.State, kv.Op{Kind: kv.Set, Key: cachedKey, Value: tablet.Seal(cachedKey, c.encodedRegistry())})
	case err != nil && !errors.Is(err, kv.ErrNotFound):
		c.fail(err)
	}
}
