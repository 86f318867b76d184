package tablet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/request"
)

// A disk gives back other bytes than it was given: rarely, but it does. What has a checksum is noticed, and is never
// served, sent or reckoned with. A replica that has met such a thing is hurt:
//
//   - It should not lead, and hands leadership over when another voter is able to take it.
//   - It is mended as a whole: another replica sends a snapshot of a position that this one has reached, which is put in
//     the place of its state. Its log beyond that position stays, for it has acknowledged what is in there, and what it had
//     applied of that it applies again.
//   - Where an entry of the log cannot be applied without the damaged record it is stuck besides: it applies nothing more,
//     for whatever it made of the entry the others would make something else of it. It goes on to keep the log, to vote,
//     and to follow who the replicas are: none of these asks for the state.
//
// The only replica of a tablet has nobody to ask and nobody to agree with. It answers an error to commands that have to
// read the damaged record, changes nothing for them, and goes on; a command that replaces the record without reading it,
// or its expiry, ends the matter.
//
// An entry of the log that is damaged after it was applied is needed only by followers that are far behind: the log is
// cut there, and they get a snapshot. A replica whose head, or whose log beyond the applied position, is damaged cannot
// be opened: package core keeps it out of service until a snapshot has come that makes up for both.

// hurt is what a replica knows of damage to what it stores.
type hurt struct {
	err   error // nil: none
	stuck bool
	until time.Duration // the only voter looks again then whether the damage is still there
	from  uint64        // the log is kept from here on: the snapshot that is on its way stands here; 0 while none is
}

// secondLook is when the only voter of a tablet, which nobody can mend, tries again whether others can be added.
const secondLook = 30 * time.Second

// planHurt is the plan of a leader that is hurt: what it stores cannot be sent to anybody. The only voter gives up the
// learners, so that it can go on by itself.
func (g *Group) planHurt(now time.Duration) (step Step, why string, ok bool) {
	d := &g.head.descriptor
	if len(d.Voters()) > 1 || g.hurt.stuck {
		return Stuck, "stored data is damaged: this replica has to be mended first", true
	}
	for _, r := range d.Replicas {
		if r.Role == Learner && !g.caughtUp(r.ID) {
			step, why = g.change(func(next *Descriptor) { next.drop(r.ID) }, "stored data is damaged: learner "+r.Node.Short()+" cannot be served")
			return step, why, true
		}
	}
	switch {
	case !g.Alone():
		return 0, "", false // the learner has it all, and may vote
	case g.hurt.until == 0:
		g.hurt.until = now + secondLook
	case now >= g.hurt.until:
		g.hurt = hurt{}
		return 0, "", false
	}
	return Stuck, "stored data is damaged, and no other replica is there to mend it from", true
}

// Damaged reports whether an error says that stored bytes are not what was written.
func Damaged(err error) bool {
	return errors.Is(err, kv.ErrCorrupt) || errors.Is(err, record.ErrChecksum) || errors.Is(err, errHead)
}

// Hurt returns what damage this replica has met, nil where it has met none.
func (g *Group) Hurt() error { return g.hurt.err }

// Stuck reports whether the damage keeps it from applying its log.
func (g *Group) Stuck() bool { return g.hurt.stuck }

// Alone reports whether this is the only replica of the tablet, but for former ones: these get nothing any more, and cannot
// mend it.
func (g *Group) Alone() bool {
	n := 0
	for i := range g.head.descriptor.Replicas {
		if g.head.descriptor.Replicas[i].Role != Former {
			n++
		}
	}
	return n == 1
}

// aloneFor reports whether this is the only replica of the tablet, and will be when what is proposed now is applied.
func (g *Group) aloneFor() bool { return g.Alone() && g.proposedEpoch <= g.head.descriptor.Epoch }

// unhelped reports whether this is the only voter, but not the only replica, or is about to be. Should it meet damage in an
// entry then, it must not refuse the command, for the others might not, and none of them has to be able to mend it: the tablet
// would stand still for ever. So its writes are looked at before they are proposed.
func (g *Group) unhelped() bool {
	d := &g.head.descriptor
	goes := func(r Replica) bool { return r.Role == Outgoing } // it can help yet
	return d.CountVoters() == 1 && !g.aloneFor() && !slices.ContainsFunc(d.Replicas, goes)
}

// damage returns what damage the entry of a write would meet.
func (g *Group) damage(o Origin, commands []request.Command) error {
	if g.head.windows.apart(o) {
		k := resultKey(g.cfg.Tablet, largeKey{o.Node, o.Boot, o.Number})
		b, err := g.cfg.Store.Get(k)
		if err == nil {
			_, err = Unseal(k, b)
		}
		if Damaged(err) {
			return err
		}
	}
	return g.cfg.Machine.Damage(g.cfg.Store, commands)
}

// Wound says that damage was met in what this replica stores.
func (g *Group) Wound(err error) {
	g.wounds++
	if g.hurt.err == nil && !g.Alone() {
		g.hurt.err = err
	}
}

// Wounds counts how often damage was met.
func (g *Group) Wounds() uint64 { return g.wounds }

// stop takes back what the turn's committed entries did, because one of them needs what is damaged, and applies no more
// until the replica is mended. done is how many waiters had been answered before.
func (g *Group) stop(t *Turn, done int, cause error) error {
	g.wounds++
	g.hurt.err, g.hurt.stuck = cmp.Or(g.hurt.err, cause), true // also where it is the only one by now: former ones may help
	b, err := g.cfg.Store.Get(headKey(g.cfg.Tablet))
	if err != nil {
		return fmt.Errorf("tablet %d: read head: %w, after %w", g.cfg.Tablet, err, cause)
	}
	before, err := decodeHead(b)
	if err != nil {
		return fmt.Errorf("tablet %d: %w, after %w", g.cfg.Tablet, err, cause)
	}
	before.descriptor = g.head.descriptor // see follow
	g.head = before
	for _, f := range t.done[done:] {
		f.waiter.Lost()
	}
	clear(t.done[done:])
	t.done = t.done[:done]
	g.Abandon()
	return nil
}

// KeepFor keeps the log of a hurt replica from the place of the snapshot that is on its way to it; with the zero Position none is.
// Meanwhile it goes on to apply what comes. If it had to stand where the snapshot does when that has arrived, a large tablet
// that is written to all the time would never be mended.
func (g *Group) KeepFor(p kv.Position) {
	if g.hurt.err != nil {
		g.hurt.from = p.Index
	}
}

// readable says whether entries of the log can be read.
func (g *Group) readable(from, upto uint64) error {
	for from <= upto {
		entries, err := g.cfg.Store.Entries(g.cfg.Tablet, from, upto+1, 4<<20)
		if err != nil {
			return err
		}
		from += uint64(len(entries))
	}
	return nil
}

// Log returns what this replica holds of its log.
func (g *Group) Log() kv.Group {
	return kv.Group{ID: g.cfg.Tablet, Hard: g.log.hard, Start: g.log.start, Last: g.log.last}
}

// Mendable reports whether this replica may send a snapshot to one that is hurt and has applied its log up to index.
func (g *Group) Mendable(index uint64) bool {
	return g.Initialized() && g.hurt.err == nil && g.head.applied.Index >= index
}

// Scrub reads about size bytes of what this replica stores, from a place on, and says where to go on; done at its end.
// Damage that it meets is an error for Wound.
func (g *Group) Scrub(from Cursor, size int) (next Cursor, done bool, err error) {
	ranges := stateRanges(g.cfg.Tablet, g.cfg.Machine)
	if from.at >= len(ranges) {
		return Cursor{}, true, nil
	}
	lower, upper := ranges[from.at][0], ranges[from.at][1]
	if from.after != nil {
		lower = append(from.after, 0)
	}
	read, full := 0, false
	next.at = from.at
	var damaged error
	err = g.cfg.Store.Scan(lower, upper, func(k, v []byte) bool {
		if damaged = checkPair(k, v); damaged != nil {
			return false
		}
		if read += len(k) + len(v); read >= size {
			next.after, full = bytes.Clone(k), true
		}
		return !full
	})
	if err = errors.Join(err, damaged); err != nil {
		return Cursor{}, true, fmt.Errorf("tablet %d: %w", g.cfg.Tablet, err)
	}
	if !full {
		next = Cursor{at: from.at + 1}
	}
	return next, next.at >= len(ranges), nil
}

// Lost is a replica that cannot be opened because of damage to its head, its state or its log.
type Lost struct {
	store kv.Store
	log   kv.Group
	// damaged says that there are entries that cannot be read, and were or may have been acknowledged.
	damaged bool
}

// errLog is wrapped by Open's error about a log that is damaged where it is still needed.
var errLog = errors.New("the log is damaged")

// LoseTo describes a stored replica that Open, or the machine, refused because of damage.
func LoseTo(err error, store kv.Store, stored kv.Group) *Lost {
	return &Lost{store: store, log: stored, damaged: errors.Is(err, errLog)}
}

// Log implements Holder.
func (l *Lost) Log() kv.Group { return l.log }

// Makes reports whether a snapshot at p makes up for what was lost. Where entries are lost that this replica has
// acknowledged it must hold all of them that were committed: it stands behind the last one, or the leader of a later
// term has had it decided what became of them.
func (l *Lost) Makes(p kv.Position) bool {
	if p.Index < l.log.Start.Index {
		return false
	}
	return !l.damaged || p.Index >= l.log.Last || p.Term > l.log.Hard.Term // that is at least the term of its last entry
}

// Has implements Holder. The log is read here for the first time where the head was damaged: if the entry in question
// cannot be read either, those behind it have to be made up for.
func (l *Lost) Has(p kv.Position) (bool, error) {
	if p.Index <= l.log.Start.Index || p.Index > l.log.Last {
		return p == l.log.Start, nil
	}
	entries, err := l.store.Entries(l.log.ID, p.Index, p.Index+1, 0)
	if Damaged(err) {
		if l.damaged = true; l.Makes(p) {
			return false, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("tablet %d: look for the place of a snapshot in the log: %w", l.log.ID, err)
	}
	return entries[0].Term == p.Term, nil
}

// loadTail reads the entries that are to be applied yet into memory: they are needed soon, and whether they can be read
// decides whether the replica may be used.
func (l *raftLog) loadTail(applied uint64) error {
	for next := applied + 1; next <= l.last; {
		stored, err := l.store.Entries(l.group, next, l.last+1, 4<<20)
		if err != nil {
			return fmt.Errorf("%w beyond entry %d: %w", errLog, next-1, err)
		}
		for _, e := range stored {
			l.tail = append(l.tail, newEntry(e.Index, e.Term, entryType(e.Type), e.Data))
			l.bytes += len(e.Data)
		}
		next += uint64(len(stored))
	}
	return nil
}

// cut drops the log up to what was applied, because an entry in there is damaged.
func (g *Group) cut(t *Turn) {
	g.log.damaged = false
	to := g.head.applied
	if to.Index <= g.log.start.Index {
		return
	}
	g.wounds++
	t.Write.Log = append(t.Write.Log, kv.LogOp{Group: g.cfg.Tablet, Truncate: &to})
	g.log.truncate(to)
	g.applyBytes = 0
}

// Erase returns the Write that removes what is left of a replica that cannot be opened, and remembers that the ids up
// to replica are spent.
func Erase(tablet uint32, m Machine, replica uint64) *kv.Write {
	w := &kv.Write{Log: []kv.LogOp{{Group: tablet, Destroy: true}}}
	for _, r := range stateRanges(tablet, m) {
		w.State = append(w.State, kv.Op{Kind: kv.DeleteRange, Key: r[0], Value: r[1]})
	}
	lower, upper := stageRange(tablet)
	w.State = append(w.State,
		kv.Op{Kind: kv.Delete, Key: headKey(tablet)},
		kv.Op{Kind: kv.DeleteRange, Key: lower, Value: upper},
		kv.Op{Kind: kv.Set, Key: retiredKey(tablet), Value: binary.BigEndian.AppendUint64(nil, replica)})
	return w
}

// Seal appends a checksum over a stored key and its value to the value.
func Seal(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clip(value), sealOf(key, value))
}

// Unseal returns what was sealed, or an error that wraps kv.ErrCorrupt.
func Unseal(key, sealed []byte) ([]byte, error) {
	if n := len(sealed) - 4; n >= 0 && binary.BigEndian.Uint32(sealed[n:]) == sealOf(key, sealed[:n]) {
		return sealed[:n], nil
	}
	return nil, fmt.Errorf("the value of stored key %q: %w", key, kv.ErrCorrupt)
}

func sealOf(key, value []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, value)
}

// checkPair says whether a pair of a snapshot is what was written: a record, or what is sealed. An expiry is its key alone.
func checkPair(key, value []byte) error {
	var err error
	switch key[0] {
	case record.Prefix:
		_, err = record.Decode(key, value)
	case prefixExpiry:
	default:
		_, err = Unseal(key, value)
	}
	return err
}
