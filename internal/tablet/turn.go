package tablet

import (
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Outbox takes the raft messages of a turn. A late one promises something that must be on disk first.
type Outbox interface {
	Raft(to ident.NodeID, tablet uint32, late bool, encoded []byte)
}

// Turn is what the groups of a node do together in one turn of its worker:
//
//	for each group with work: Ready   collects messages and log entries
//	send the early messages; write Turn.Write, with a sync if Turn.Sync, which may take its time
//	while Apply: write Turn.State     the changes of applied entries, without a sync
//	Applied                           answers writes and reads over the new state, now that it is visible
//	wait for the disk
//	Persisted                         and then the late messages are sent
//
// So the disk writes new entries while older ones are evaluated and answered. What Turn.State holds follows from entries
// that are on the disks of a majority, or stand in Turn.Write, which the disk has before it; so it may be lost, and is
// made anew.
//
// A group may have work again afterwards; the worker takes another turn.
type Turn struct {
	Now    time.Duration
	Out    Outbox
	Write  kv.Write
	Sync   bool
	State  kv.Write
	Groups []*Group
	// Expired counts the keys that groups led here removed because their time had passed.
	Expired int
	// Bytes is about how large Write is, with the entries that are to be applied.
	Bytes int

	applied int // of Groups
	scratch []byte
	space   commandSpace // of the entry that is being applied
	entries []kv.Entry   // of Write
	done    []finished
}

// maxSpareEntries is how many places for entries are kept for the next turn.
const maxSpareEntries = 16384

// maxStateBytes is how large State may be before it is written, and Apply called again.
const maxStateBytes = 64 << 20

// finished is a write whose waiter is told when the state is visible.
type finished struct {
	waiter  Waiter
	verdict verdict
	replies [][]byte
}

// Reset empties the turn for the next one.
func (t *Turn) Reset(now time.Duration) {
	clear(t.Groups)
	clear(t.done)
	clear(t.entries)
	if cap(t.entries) > maxSpareEntries {
		t.entries = nil
	}
	t.space.clear()
	*t = Turn{
		Now: now, Out: t.Out, Groups: t.Groups[:0], scratch: t.scratch, space: t.space, entries: t.entries[:0], done: t.done[:0],
		Write: kv.Write{Log: t.Write.Log[:0]}, State: kv.Write{Log: t.State.Log[:0], State: t.State.State[:0]},
	}
}

// Ready adds to the turn what the group has to do. An error means that this replica cannot go on: its log or its
// state cannot be read.
func (g *Group) Ready(t *Turn) error {
	if g.sole.wanted {
		if err := g.rejoin(t.Now); err != nil {
			return err
		}
	}
	if g.asks() {
		g.lease.renewed = false
		if context := g.reads.ask(); g.sole.on {
			g.sole.readIndex(context, g.head.applied.Index)
		} else {
			g.raft.ReadIndex(context)
		}
	}
	g.askForWord(t)
	if !g.hasReady() {
		return nil
	}
	rd := g.takeReady()
	g.ready, g.applying, g.inTurn, g.proposed = rd, rd.CommittedEntries, true, 0
	t.Groups = append(t.Groups, g)
	g.observe(t.Now, &rd)
	g.lastBeat()
	g.send(t, rd.Messages)
	g.persist(t, &rd)
	for _, rs := range rd.ReadStates {
		g.reads.confirm(rs.RequestCtx, rs.Index)
	}
	for _, e := range rd.CommittedEntries {
		t.Bytes += len(e.GetData()) + entryOverhead
	}
	if g.log.damaged {
		g.cut(t)
	}
	return nil
}

// Apply evaluates committed entries: their changes and the new heads become State. It reports whether there is any, which
// must be written before the next call. An error is one as of Ready.
func (t *Turn) Apply() (bool, error) {
	t.State.Log, t.State.State = t.State.Log[:0], t.State.State[:0]
	for size := 0; t.applied < len(t.Groups) && size <= maxStateBytes; {
		g := t.Groups[t.applied]
		if g.hurt.stuck {
			if err := g.follow(); err != nil {
				return false, err
			}
		}
		if len(g.applying) == 0 {
			g.applying = nil
			t.applied++
			continue
		}
		n, err := g.apply(t)
		if err != nil {
			return false, err
		}
		size += n
	}
	return !t.State.Empty(), nil
}

func (g *Group) takeReady() raft.Ready {
	if !g.sole.on {
		return g.raft.Ready()
	}
	rd := g.sole.ready()
	if n := len(rd.CommittedEntries); n > 0 {
		g.log.hard.Commit = rd.CommittedEntries[n-1].GetIndex()
	}
	return rd
}

func (g *Group) send(t *Turn, messages []*pb.Message) {
	for _, m := range messages {
		if !travels(m.GetType()) {
			continue
		}
		to, ok := g.node(m.GetTo())
		if !ok {
			continue
		}
		if m.GetType() == pb.MsgApp && len(m.GetEntries()) == 0 && g.idleAppend(m) {
			continue
		}
		t.scratch = appendMessage(t.scratch[:0], m, g.stamped(t.Now, m))
		t.Out.Raft(to, g.cfg.Tablet, waits(m.GetType()), t.scratch)
	}
}

// node returns the node of a replica: as the descriptor has it, or as its messages said.
func (g *Group) node(replica uint64) (ident.NodeID, bool) {
	if r, ok := g.head.descriptor.Replica(replica); ok {
		return r.Node, true
	}
	n, ok := g.strangers[replica]
	return n, ok
}

// idleAppend reports whether an append without entries only carries a commit index, which the next entry or
// heartbeat carries as well. Learners and groups in transition get it at once: what comes next waits for it.
func (g *Group) idleAppend(m *pb.Message) bool {
	if g.head.descriptor.Joint {
		return false
	}
	if r, ok := g.head.descriptor.Replica(m.GetTo()); !ok || r.Role != Voter {
		return false
	}
	idle := false
	g.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr progress) {
		if id == m.GetTo() {
			idle = m.GetIndex() <= pr.Match
		}
	})
	return idle
}

func (g *Group) persist(t *Turn, rd *raft.Ready) {
	op := kv.LogOp{Group: g.cfg.Tablet}
	write := false
	if hs := rd.HardState; hs != nil && !raft.IsEmptyHardState(hs) {
		hard := kv.HardState{Term: hs.GetTerm(), Vote: hs.GetVote(), Commit: hs.GetCommit()}
		// A hard state whose commit index alone advanced need not be written: a restart finds out anew.
		if hard.Term != g.log.hard.Term || hard.Vote != g.log.hard.Vote {
			op.Hard, write, t.Sync = &hard, true, true
		}
		g.log.hard = hard
	}
	if len(rd.Entries) > 0 {
		from := len(t.entries)
		for _, e := range rd.Entries {
			t.Bytes += len(e.GetData()) + entryOverhead
			t.entries = append(t.entries, kv.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Type: uint8(e.GetType()), Data: e.GetData()})
		}
		op.Append = t.entries[from:len(t.entries):len(t.entries)]
		g.log.append(rd.Entries)
		write, t.Sync = true, true
		// But no entry may be on disk without what its leader knew to be committed, or a restart might campaign
		// under a membership that later entries have left behind, and those whom it asks are gone (entryDismiss). Where the state on disk says so, or nobody else could
		// have decided, that will do; in a change of replicas it is kept even so, should the head be damaged.
		if !g.sole.on && (g.log.hard.Commit > g.head.applied.Index || g.head.descriptor.Changing()) {
			hard := g.log.hard
			op.Hard = &hard
		}
	}
	if write {
		t.Write.Log = append(t.Write.Log, op)
	}
}

// apply evaluates committed entries, as many as one Write takes; their changes and the new head become part of the turn's
// State. It returns how many bytes of it.
func (g *Group) apply(t *Turn) (size int, err error) {
	done := len(t.done)
	for len(g.applying) > 0 && g.tx.bytes <= maxStateBytes {
		e := g.applying[0]
		g.applying = g.applying[1:]
		g.head.applied = kv.Position{Index: e.GetIndex(), Term: e.GetTerm()}
		g.applyBytes += len(e.GetData()) + entryOverhead
		g.bytes += uint64(len(e.GetData()) + entryOverhead)
		switch e.GetType() {
		case pb.EntryNormal:
			if len(e.GetData()) > 0 {
				if err := g.applyNormal(t, e); Damaged(err) {
					g.tx.fail(err)
				} else if err != nil {
					return 0, err
				}
			}
		case pb.EntryConfChangeV2:
			if err := g.applyMembership(e); err != nil {
				return 0, err
			}
		default:
			return 0, fmt.Errorf("tablet %d: entry %d has the unknown type %s", g.cfg.Tablet, e.GetIndex(), e.GetType())
		}
	}
	g.clock.Start(g.head.time, t.Now) // a new leader too goes on from the last entry, and what has elapsed since
	encoded := g.head.append(make([]byte, 0, g.headBytes+headSlack))
	g.headBytes = len(encoded)
	g.tx.Set(g.headKey, encoded)
	before := len(t.State.State)
	ops, err := g.tx.take(t.State.State)
	if Damaged(err) {
		return 0, g.stop(t, done, err)
	}
	if err != nil {
		return 0, fmt.Errorf("tablet %d: apply up to entry %d: %w", g.cfg.Tablet, g.head.applied.Index, err)
	}
	t.State.State = ops
	for _, op := range ops[before:] {
		size += len(op.Key) + len(op.Value)
	}
	if g.sole.on {
		g.log.forget(g.head.applied.Index, 0) // there is nobody to send them to
	} else {
		g.log.forget(g.head.applied.Index, tailEntries)
	}
	g.truncate(t)
	return size, nil
}

func (g *Group) applyNormal(t *Turn, raw *pb.Entry) error {
	e, err := decodeEntry(raw.GetData(), &t.space)
	if err != nil {
		return fmt.Errorf("tablet %d: entry %d: %w", g.cfg.Tablet, raw.GetIndex(), err)
	}
	h := g.head
	h.time = max(h.time, e.time)
	m := &g.moment
	*m = Moment{
		Tx: &g.tx, Index: raw.GetIndex(), Time: h.time, Seed: e.seed, MaxValue: int(e.maxValue), Keys: &h.keys, Soonest: &g.clock.soonest,
		Alone: g.Alone() && g.tx.err == nil, // what an entry before it has met stays, and with it nothing of this one comes to pass
	}
	if e.kind == entryDismiss {
		return g.applyDismissal(&e)
	}
	if e.kind == entryExpire {
		if len(e.commands) == 1 {
			n := g.cfg.Machine.Expire(m, e.commands[0])
			g.wounds += m.Wounds
			if g.leading {
				t.Expired += n
			}
		}
		return nil
	}
	v, first, dropped := h.windows.admit(e.origin, raw.GetIndex())
	var replies [][]byte
	switch v {
	case fresh:
		replies = g.cfg.Machine.Apply(m, e.commands)
		g.wounds += m.Wounds
		encoded := encodeReplies(replies)
		apart, over := h.windows.store(e.origin, encoded)
		dropped = append(dropped, over...)
		if apart {
			k := resultKey(g.cfg.Tablet, largeKey{e.origin.Node, e.origin.Boot, e.origin.Number})
			g.tx.Set(k, Seal(k, encoded))
		}
	case repeated:
		encoded, mark := first.replies, g.tx.mark()
		if encoded == nil {
			k := resultKey(g.cfg.Tablet, largeKey{e.origin.Node, e.origin.Boot, e.origin.Number})
			encoded, err = Unseal(k, g.tx.Get(k))
		}
		if m.Alone && Damaged(err) && (g.tx.err == nil || Damaged(g.tx.err)) { // nobody else knows it either
			g.tx.back(mark)
			g.wounds++
			v = refused
			break
		}
		if err != nil {
			return fmt.Errorf("tablet %d: entry %d repeats a write: %w", g.cfg.Tablet, raw.GetIndex(), err)
		}
		if replies, err = DecodeReplies(encoded); err != nil {
			return fmt.Errorf("tablet %d: entry %d repeats a write whose result is damaged: %w", g.cfg.Tablet, raw.GetIndex(), err)
		}
	}
	for _, k := range dropped {
		g.tx.Delete(resultKey(g.cfg.Tablet, k))
	}
	key := waitKey{e.origin.Node, e.origin.Boot, e.origin.Number}
	if w, ok := g.waiting[key]; ok {
		delete(g.waiting, key)
		t.done = append(t.done, finished{w, v, replies})
	}
	return nil
}

// lagEntries is how many entries, or lagBytes of them, are kept for a follower that lags.
func (g *Group) lagEntries() uint64 { return 4 * g.truncateAt }

// truncate cuts the log when enough of it has been applied. What a follower still lacks is kept within four times the bound, what
// a transfer under way needs is kept whatever it costs, and after it what the receiver lacks while it catches up (catchUp).
func (g *Group) truncate(t *Turn) {
	applied := g.head.applied
	if applied.Index-g.log.start.Index < g.truncateAt && g.applyBytes < truncateBytes {
		return
	}
	to := applied
	if g.leading && !g.sole.on {
		lowest := applied.Index
		g.raft.WithProgress(func(_ uint64, _ raft.ProgressType, pr progress) { lowest = min(lowest, pr.Match) })
		if applied.Index-lowest < g.lagEntries() && g.applyBytes < lagBytes {
			to.Index = lowest
		}
		if len(g.rounds) > 0 {
			to.Index = g.kept(to.Index)
		}
	}
	if g.hold > 0 {
		to.Index = min(to.Index, g.hold)
	}
	if g.hurt.from > 0 {
		to.Index = min(to.Index, g.hurt.from)
	}
	if !g.sole.on {
		// The library hears only at the end of the turn that this turn's entries are applied. A message that comes before
		// may make it look at them.
		to.Index = min(to.Index, g.raft.BasicStatus().Applied)
	}
	if to.Index <= g.log.start.Index {
		return
	}
	term, err := g.log.Term(to.Index)
	if err != nil {
		return // it stays until it can be read; the next turn tries again
	}
	to.Term = term
	t.State.Log = append(t.State.Log, kv.LogOp{Group: g.cfg.Tablet, Truncate: &to})
	g.log.truncate(to)
	g.applyBytes = 0
}

// Applied answers what the turn's Write made visible.
func (t *Turn) Applied() {
	for i := range t.done {
		f := &t.done[i]
		if f.verdict == refused {
			f.waiter.Spent()
		} else {
			f.waiter.Done(f.replies)
		}
	}
	for _, g := range t.Groups {
		g.answerReads(t.Now)
	}
}

func (g *Group) answerReads(now time.Duration) {
	for _, b := range g.reads.due(g.head.applied.Index) {
		for _, rd := range b.reads {
			g.answer(now, rd)
		}
	}
}

// answer evaluates a read over the state as it is. What has expired is answered when the log says that it is gone.
func (g *Group) answer(now time.Duration, rd read) {
	r := Reading{State: g.cfg.Store, Time: g.clock.now(now), Keys: g.head.keys}
	replies, expired := g.cfg.Machine.Read(&r, rd.commands, nil)
	if r.Damage != nil {
		if g.Wound(r.Damage); !g.Alone() {
			rd.waiter.Lost() // it is asked for again, of whoever leads then
			return
		}
	}
	if len(expired) == 0 {
		rd.waiter.Done(replies)
		return
	}
	if g.Expire(now, expired) != Taken {
		rd.waiter.Lost()
		return
	}
	last := g.lastIndex()
	g.reads.next++
	g.reads.asked = append(g.reads.asked, readBatch{id: g.reads.next, confirmed: true, index: last, reads: []read{rd}})
	g.reads.count++
}

// lastIndex returns the index of the last entry, those included that raft has not handed out yet. It may be too low
// by an entry that raft proposed itself; a read that then finds its key still there waits once more.
func (g *Group) lastIndex() uint64 { return g.log.last + g.proposed }

// Persisted says that the turn's Write is on disk.
func (t *Turn) Persisted() {
	for _, g := range t.Groups {
		if g.inTurn {
			rd := g.ready
			g.ready, g.inTurn = raft.Ready{}, false
			if g.sole.on {
				g.sole.advance()
				continue
			}
			g.raft.Advance(rd)
			g.endTransition(t.Now)
			g.standAlone(t.Now)
		}
	}
}
