package core

import (
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
)

// Turn is what follows from what has happened: see the package comment for what is done with it and when.
type Turn struct {
	Write kv.Write
	// Sync says that Late must wait until Write is on disk.
	Sync bool

	extra kv.Write // of transfers and removals; comes before what the groups write
	size  int      // of extra, about
	sync  bool
	after []func() // once all is on disk
}

// add puts a Write of something other than a group's turn into the next turn.
func (t *Turn) add(w *kv.Write) {
	t.extra.Log = append(t.extra.Log, w.Log...)
	t.extra.State = append(t.extra.State, w.State...)
	for i := range w.State {
		t.size += len(w.State[i].Key) + len(w.State[i].Value)
	}
}

// HasWork reports whether a turn would do anything.
func (c *Core) HasWork() bool {
	return len(c.dirty) > 0 || !c.turn.extra.Empty() || len(c.turn.after) > 0 || c.moves.waiting() || c.out.Pending()
}

// maxDirty bounds how many groups take part in one turn, so that none waits long for the disk behind all others.
const maxDirty = 4096

// maxTurnBytes is how large the Write of a turn may be, of groups and of transfers each, before those that are left wait
// for the next one.
const maxTurnBytes = 64 << 20

// Turn collects what there is to do.
func (c *Core) Turn() *Turn {
	c.stepMoves()
	t := &c.turn
	c.groups.Reset(c.now.Mono)
	n := min(len(c.dirty), maxDirty)
	for i, p := range c.dirty[:n] {
		if c.groups.Bytes > c.turnBytes {
			n = i
			break
		}
		p.dirty = false
		if p.group == nil {
			continue
		}
		if err := p.group.Ready(&c.groups); err != nil {
			c.fail(err)
			return t
		}
		c.checkGate(p)
	}
	rest := copy(c.dirty, c.dirty[n:])
	clear(c.dirty[rest:])
	c.dirty = c.dirty[:rest]
	t.Write.Log = append(append(t.Write.Log[:0], t.extra.Log...), c.groups.Write.Log...)
	t.Write.State = append(t.Write.State[:0], t.extra.State...)
	t.Sync = t.sync || c.groups.Sync || len(t.extra.Log) > 0
	t.extra, t.size, t.sync = kv.Write{}, 0, false
	if t.Sync {
		c.memory.next(&t.Write)
	}
	return t
}

// Apply applies what is committed. It returns what that changes, which is to be written before the next call and need not
// be synced, or nil at the end, or when Err says that this node cannot go on.
func (c *Core) Apply() *kv.Write {
	more, err := c.groups.Apply()
	if err != nil {
		c.fail(err)
	}
	if err != nil || !more {
		return nil
	}
	return &c.groups.State
}

// Early calls send for each frame that need not wait for the disk. send must not keep the frame.
func (c *Core) Early(send func(to ident.NodeID, frame []byte)) { c.out.Early(send) }

// Applied says that what Apply returned is visible: what was decided is answered. The gates say so first, so that who
// reads after an answer reads no less.
func (c *Core) Applied() {
	c.expired += uint64(c.groups.Expired)
	for _, g := range c.groups.Groups {
		if p := c.place(g.Tablet()); p.group == g {
			c.setGate(p)
		}
	}
	c.groups.Applied()
}

// Persisted says that the turn's Write is on disk, and calls send for each frame that waited for that.
func (c *Core) Persisted(send func(to ident.NodeID, frame []byte)) {
	if c.turn.Sync {
		c.memory.durable = c.memory.sequence
	}
	c.groups.Persisted()
	for _, g := range c.groups.Groups {
		if p := c.place(g.Tablet()); p.group == g {
			c.lookAt(p)
			if g.HasWork() {
				c.touch(p)
			}
		}
	}
	after := c.turn.after
	c.turn.after = nil
	for _, fn := range after {
		fn()
	}
	c.out.Late(send)
}
