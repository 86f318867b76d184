package tablet

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/request"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Config is what a replica is made from. All fields but Timing are required.
type Config struct {
	Tablet  uint32
	Node    ident.NodeID
	Store   kv.Store
	Machine Machine
	// Random draws election jitter and the seeds of entries.
	Random *rand.Rand
	// MaxValue is what a value may grow to while this replica leads, in bytes.
	MaxValue int
	Timing   Timing
}

// Timing holds the periods of a group. The zero value of a field means its default.
type Timing struct {
	// Heartbeat is the time between a leader's heartbeats: they carry the commit index to followers and find lost
	// messages. A node's death is noticed by its connections, not by them. Default 500ms.
	Heartbeat time.Duration
	// Lease is how long a replica does not vote against a leader after hearing from it, and after its own start.
	// Default 250ms.
	Lease time.Duration
	// Silence is how long a follower goes without a word from a leader whose node is connected before it takes
	// it for gone. Default 2.5s; several heartbeats.
	Silence time.Duration
	// Stagger is the time between the campaigns of the first, second, ... replica in line. Default 50ms.
	Stagger time.Duration
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&t.Heartbeat, 500*time.Millisecond)
	set(&t.Lease, 250*time.Millisecond)
	set(&t.Silence, 2500*time.Millisecond)
	set(&t.Stagger, 50*time.Millisecond)
	return t
}

// Bounds of one group.
const (
	maxWaiting        = 16384    // writes and reads that wait for an answer, each
	maxUncommitted    = 96 << 20 // bytes of proposals that are not committed; beyond it they are refused
	maxAppend         = 1 << 20  // bytes of entries in one append, unless a single entry is larger
	maxInflight       = 256      // appends under way to one follower
	maxInflightBytes  = 64 << 20
	maxApplyPerTurn   = 8 << 20
	truncateThreshold = 128     // applied entries
	truncateBytes     = 1 << 20 // or their bytes
	lagBytes          = 4 * truncateBytes
)

// Group is one replica of a tablet: Raft, the log, and the machine behind it. It is a value: it holds no
// goroutine and no clock; one goroutine uses it.
type Group struct {
	cfg     Config
	replica uint64
	head    *head
	log     *raftLog
	raft    *raft.RawNode
	sole    sole
	tx      Tx
	moment  Moment // of the entry that is being applied
	headKey []byte

	// What raft said last.
	term    uint64
	leader  uint64 // replica id, 0 when unknown
	leading bool
	forgot  bool // the leader was forgotten since raft was last asked

	strangers map[uint64]ident.NodeID
	waiting   map[waitKey]Waiter
	reads     reads
	elect     election
	lease     lease
	rest      rest
	clock     clock

	truncateAt uint64 // truncateThreshold, which tests lower
	applyBytes int    // bytes of entries since the log was last truncated
	headBytes  int    // how long the head was when it was last written
	wanted     bool   // raft asked for a snapshot for somebody
	hold       uint64 // the log is kept from this index on for a transfer; 0 for no wish
	holdBytes  uint64 // bytes, when that began
	bytes      uint64 // of all entries that were applied since this replica was opened
	rounds     []catchUp
	removed    bool   // this replica is no longer in the descriptor
	proposed   uint64 // entries proposed since the last turn

	proposedEpoch uint64 // the epoch of the change of replicas that was proposed last, and when
	proposedAt    time.Duration
	ending        kv.Position // where the next step out of a transition was proposed last
	asked         uint64      // the replica that this leader asked to lead last

	hurt   hurt
	wounds uint64

	ready    raft.Ready
	applying []*pb.Entry // of ready, those that are still to be applied
	inTurn   bool
}

type waitKey struct {
	node   ident.NodeID
	boot   uint64
	number uint64
}

func (k waitKey) compare(o waitKey) int {
	return cmp.Or(k.node.Compare(o.node), cmp.Compare(k.boot, o.boot), cmp.Compare(k.number, o.number))
}

// Waiter is told how a write or read ended, exactly once, from within Applied or a call that refused it.
type Waiter interface {
	// Done passes one reply per command.
	Done(replies [][]byte)
	// Lost says that leadership ended before the outcome was known here: a write may or may not be applied.
	Lost()
	// Spent says that the write lies below the origin's mark: no answer to it is left.
	Spent()
}

// Refusal says why a request was certainly not taken.
type Refusal uint8

// The refusals.
const (
	// Taken is no refusal: the waiter will be told.
	Taken Refusal = iota
	// NotLeader: another replica leads, or none.
	NotLeader
	// Busy: a transfer of leadership, or too much that is not committed yet.
	Busy
)

// ErrRemoved is wrapped by Open's error about a replica that has applied its own removal.
var ErrRemoved = errors.New("the replica was removed")

var errNotHere = errors.New("tablet: no replica of it is stored here")

// Stored returns the descriptor of the replica that the store holds, if it holds one with state.
func Stored(store kv.Reader, tablet uint32) (Descriptor, bool, error) {
	b, err := store.Get(headKey(tablet))
	if errors.Is(err, kv.ErrNotFound) {
		return Descriptor{}, false, nil
	}
	if err != nil {
		return Descriptor{}, false, fmt.Errorf("tablet %d: read head: %w", tablet, err)
	}
	h, err := decodeHead(b)
	if err != nil {
		return Descriptor{}, false, fmt.Errorf("tablet %d: %w", tablet, err)
	}
	return h.descriptor, true, nil
}

// Open loads the replica of a tablet that the store holds. now is the monotonic time.
func Open(cfg Config, stored kv.Group, now time.Duration) (*Group, error) {
	b, err := cfg.Store.Get(headKey(cfg.Tablet))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, fmt.Errorf("tablet %d: %w", cfg.Tablet, errNotHere)
	}
	if err != nil {
		return nil, fmt.Errorf("tablet %d: read head: %w", cfg.Tablet, err)
	}
	h, err := decodeHead(b)
	if err != nil {
		return nil, fmt.Errorf("tablet %d: %w", cfg.Tablet, err)
	}
	self, ok := h.descriptor.Find(cfg.Node)
	if !ok {
		return nil, fmt.Errorf("tablet %d: %w: node %s is not in its descriptor (%s)", cfg.Tablet, ErrRemoved, cfg.Node.Short(), &h.descriptor)
	}
	return open(cfg, stored, h, self.ID, now)
}

// Create makes an empty replica that a leader has added to its group and now sends messages to. It has no state
// until a snapshot arrives.
func Create(cfg Config, replica uint64, now time.Duration) (*Group, error) {
	return open(cfg, kv.Group{ID: cfg.Tablet}, &head{}, replica, now)
}

func open(cfg Config, stored kv.Group, h *head, replica uint64, now time.Duration) (*Group, error) {
	cfg.Timing = cfg.Timing.withDefaults()
	g := &Group{
		cfg: cfg, replica: replica, head: h, tx: Tx{store: cfg.Store}, headKey: headKey(cfg.Tablet),
		waiting: map[waitKey]Waiter{}, truncateAt: truncateThreshold,
	}
	if stored.Last < h.applied.Index {
		return nil, fmt.Errorf("tablet %d: the log ends at %d, before the applied entry %d: the data directory has lost writes",
			cfg.Tablet, stored.Last, h.applied.Index)
	}
	// A commit index that only advanced is not written, so the stored one may lag.
	stored.Hard.Commit = min(max(stored.Hard.Commit, h.applied.Index), stored.Last)
	g.log = &raftLog{
		group: cfg.Tablet, store: cfg.Store, hard: stored.Hard, start: stored.Start, last: stored.Last, known: h.applied,
		conf: func() *pb.ConfState { return confState(&g.head.descriptor) },
	}
	if err := g.log.loadTail(h.applied.Index); err != nil {
		return nil, fmt.Errorf("tablet %d: %w", cfg.Tablet, err)
	}
	var err error
	if g.raft, err = g.library(); err != nil {
		return nil, err
	}
	g.term = stored.Hard.Term
	g.clock.start(h.time, now)
	g.elect.start(now)
	return g, nil
}

// library returns the library's node over the log and the head as they are.
func (g *Group) library() (*raft.RawNode, error) {
	node, err := raft.NewRawNode(&raft.Config{
		ID: g.replica, ElectionTick: 4, HeartbeatTick: 1, Storage: snapshotWish{g.log, &g.wanted}, Applied: g.head.applied.Index,
		MaxSizePerMsg: maxAppend, MaxCommittedSizePerReady: maxApplyPerTurn, MaxUncommittedEntriesSize: maxUncommitted,
		MaxInflightMsgs: maxInflight, MaxInflightBytes: maxInflightBytes, PreVote: true,
		ReadOnlyOption: raft.ReadOnlySafe, DisableProposalForwarding: true, StepDownOnRemoval: true, Logger: silent{},
	})
	if err != nil {
		return nil, fmt.Errorf("tablet %d: start raft: %w", g.cfg.Tablet, err)
	}
	return node, nil
}

// snapshotWish notes that raft has a follower that the log no longer reaches.
type snapshotWish struct {
	*raftLog
	wanted *bool
}

func (s snapshotWish) Snapshot() (*pb.Snapshot, error) {
	*s.wanted = true
	return s.raftLog.Snapshot()
}

// Tablet returns the number of the tablet.
func (g *Group) Tablet() uint32 { return g.cfg.Tablet }

// Replica returns the id of this replica.
func (g *Group) Replica() uint64 { return g.replica }

// Descriptor returns who the replicas are as far as this replica has applied. It must not be modified.
func (g *Group) Descriptor() *Descriptor { return &g.head.descriptor }

// Initialized reports whether the replica has state: it was there at the birth, or a snapshot has arrived.
func (g *Group) Initialized() bool { return g.head.descriptor.Epoch > 0 }

// Leading reports whether this replica leads.
func (g *Group) Leading() bool { return g.leading }

// Serving reports whether this replica leads and has applied an entry of its own term, without which it may not
// know yet what is committed.
func (g *Group) Serving() bool { return g.leading && g.head.applied.Term == g.term }

// Sole reports whether this replica serves and is the only voter, so that no other can lead without it.
func (g *Group) Sole() bool {
	d := &g.head.descriptor
	if !g.Serving() || d.Joint {
		return false
	}
	voters := 0
	for _, r := range d.Replicas {
		if r.Role == Voter {
			voters++
		}
	}
	return voters == 1
}

// Leader returns the node that leads, as far as this replica knows.
func (g *Group) Leader() (ident.NodeID, bool) {
	r, ok := g.head.descriptor.Replica(g.leader)
	return r.Node, ok && g.leader != 0
}

// Term returns the current term.
func (g *Group) Term() uint64 { return g.term }

// Applied returns the index of the last applied entry.
func (g *Group) Applied() uint64 { return g.head.applied.Index }

// Keys returns how many keys the tablet holds.
func (g *Group) Keys() int64 { return g.head.keys }

// Removed reports whether the group has removed this replica; it is to be destroyed.
func (g *Group) Removed() bool { return g.removed }

// Waiting returns how many writes and reads wait for an answer.
func (g *Group) Waiting() int { return len(g.waiting) + g.reads.len() }

// Write proposes a run of commands of an origin. When it is Taken, w is told the outcome; otherwise nothing was proposed.
// The commands are copied.
func (g *Group) Write(now time.Duration, o Origin, commands []request.Command, w Waiter) Refusal {
	if !g.leading {
		return NotLeader
	}
	if len(g.waiting) >= maxWaiting || g.hurt.stuck {
		return Busy
	}
	key := waitKey{o.Node, o.Boot, o.Number}
	if _, ok := g.waiting[key]; ok {
		// Asked for again, and proposed in this term already: the first entry's outcome is for the last who asked.
		// Who asked before is the same request and has given up on that attempt.
		g.waiting[key] = w
		return Taken
	}
	if g.unhelped() {
		if err := g.damage(o, commands); err != nil {
			g.Wound(err)
			return Busy // until the others are gone, or can help
		}
	}
	e := entry{
		kind: entryCommands, origin: o, time: g.clock.now(now), seed: g.cfg.Random.Uint64(), maxValue: uint64(g.cfg.MaxValue),
		commands: commands,
	}
	if r := g.propose(&e); r != Taken {
		return r
	}
	g.stir(now)
	g.waiting[key] = w
	return Taken
}

// Expire proposes that keys whose time has passed are removed. Nobody waits for it; what depends on it asks again.
func (g *Group) Expire(now time.Duration, keys [][]byte) Refusal {
	if !g.Serving() {
		return NotLeader
	}
	g.stir(now)
	return g.propose(&entry{kind: entryExpire, time: g.clock.now(now), commands: []request.Command{keys}})
}

func (g *Group) propose(e *entry) Refusal {
	data := appendEntry(make([]byte, 0, entryHead+roomFor(e.commands)), e)
	var err error
	if g.sole.on {
		err = g.sole.propose(g.lastIndex()+1, g.term, data)
	} else {
		err = g.raft.Propose(data)
	}
	if err == nil {
		g.proposed++
		return Taken
	}
	if !g.leading {
		return NotLeader
	}
	return Busy // raft.ErrProposalDropped: a transfer is under way, or too much is uncommitted
}

// Read asks for commands to be evaluated over a state that holds every write acknowledged before this call. Under a
// lease that is done at once, within the call; otherwise a majority is asked whether this replica still leads. now must
// be a moment after the read was asked for.
func (g *Group) Read(now time.Duration, commands []request.Command, w Waiter) Refusal {
	if !g.leading {
		return NotLeader
	}
	if g.leased(now) {
		g.answer(now, read{commands, w})
		return Taken
	}
	if g.reads.len() >= maxWaiting || g.hurt.stuck {
		return Busy
	}
	g.stir(now)
	g.reads.add(read{commands, w})
	return Taken
}

// TryRead evaluates commands at once if this replica may answer them by itself, and reports whether it did; Read
// otherwise does what there is to do. now must be a moment after the read was asked for.
func (g *Group) TryRead(now time.Duration, commands []request.Command) (replies [][]byte, ok bool) {
	if !g.leased(now) {
		return nil, false
	}
	r := Reading{State: g.cfg.Store, Time: g.clock.now(now), Keys: g.head.keys}
	replies, expired := g.cfg.Machine.Read(&r, commands, nil)
	return replies, len(expired) == 0 && r.Damage == nil
}

// Step takes a raft message that another node sent.
func (g *Group) Step(now time.Duration, from ident.NodeID, encoded []byte) error {
	m, err := decodeMessage(encoded)
	if err != nil {
		return err
	}
	if _, known := g.head.descriptor.Replica(m.GetFrom()); !known {
		g.note(m.GetFrom(), from)
	}
	if m.GetTo() != g.replica {
		return fmt.Errorf("tablet %d: a message for replica %d reached replica %d", g.cfg.Tablet, m.GetTo(), g.replica)
	}
	switch m.GetType() {
	case pb.MsgVote, pb.MsgPreVote:
		if !g.Initialized() {
			return nil // what has no state yet is not asked by anybody who knows the group; and it may be forgotten
		}
		if g.elect.forbids(g, now, &m.Message) {
			g.Wake(now) // whoever wants to lead has not heard of the leader
			return nil
		}
		if m.GetType() == pb.MsgPreVote {
			g.elect.yield(g, now, &m.Message)
		}
	case pb.MsgPreVoteResp:
		if now < g.elect.yields {
			return nil
		}
	case pb.MsgApp, pb.MsgHeartbeat:
		if m.GetTerm() >= g.term {
			g.elect.heard(now)
			g.lease.heard(m.GetTerm(), m.beside.sent)
		}
		if m.GetType() == pb.MsgHeartbeat && m.GetCommit() > g.log.last {
			// The library would end the process: what this replica once acknowledged is not here any more.
			return fmt.Errorf("tablet %d: replica %d is told of entry %d as its own, but its log ends at %d",
				g.cfg.Tablet, g.replica, m.GetCommit(), g.log.last)
		}
	case pb.MsgAppResp, pb.MsgHeartbeatResp:
		if g.leading && m.GetTerm() == g.term {
			g.lease.answered(m.GetFrom(), m.beside.sent, now)
		}
	}
	if err := g.rejoin(now); errors.Is(err, errMidTurn) {
		return nil // like a message that was lost
	} else if err != nil {
		return err
	}
	if err := g.raft.Step(&m.Message); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) && !errors.Is(err, raft.ErrProposalDropped) {
		return fmt.Errorf("tablet %d: %w", g.cfg.Tablet, err)
	}
	g.stepRest(now, m)
	return nil
}

// maxStrangers bounds how many replicas are remembered that a message came from but the descriptor does not name:
// newer than what this replica has applied.
const maxStrangers = 16

func (g *Group) note(replica uint64, node ident.NodeID) {
	if g.strangers == nil || len(g.strangers) >= maxStrangers {
		g.strangers = map[uint64]ident.NodeID{}
	}
	g.strangers[replica] = node
}

// Past reports whether a replica was removed from the group, as far as this one has applied.
func (g *Group) Past(replica uint64) bool {
	_, here := g.head.descriptor.Replica(replica)
	return g.Initialized() && !here && replica < g.head.descriptor.NextID
}

// Acknowledge tells the leader that a replica holds everything up to index: a snapshot arrived there.
func (g *Group) Acknowledge(replica, index uint64) error {
	if !g.leading || index > g.log.last {
		return nil
	}
	m := newMessage()
	m.kind, m.from, m.to, m.term, m.index = pb.MsgAppResp, replica, g.replica, g.term, index
	if err := g.raft.Step(&m.Message); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) {
		return fmt.Errorf("tablet %d: acknowledge a snapshot: %w", g.cfg.Tablet, err)
	}
	g.catchUp(replica, index)
	return nil
}

// HasWork reports whether a turn would do anything.
func (g *Group) HasWork() bool { return g.asks() || g.rest.asks || g.hasReady() }

func (g *Group) hasReady() bool {
	if g.sole.on {
		return g.sole.hasReady()
	}
	return g.raft.HasReady()
}

// asks reports whether a majority is to be asked whether this replica still leads.
func (g *Group) asks() bool { return (g.reads.unasked() || g.lease.renewed) && g.Serving() }

// confState derives raft's view of the membership from the descriptor.
func confState(d *Descriptor) *pb.ConfState {
	cs := &pb.ConfState{}
	for _, r := range d.Replicas {
		switch r.Role {
		case Learner:
			cs.Learners = append(cs.Learners, r.ID)
		case Voter:
			cs.Voters = append(cs.Voters, r.ID)
			if d.Joint {
				cs.VotersOutgoing = append(cs.VotersOutgoing, r.ID)
			}
		case Incoming:
			cs.Voters = append(cs.Voters, r.ID)
		case Outgoing:
			cs.VotersOutgoing = append(cs.VotersOutgoing, r.ID)
		}
	}
	return cs
}

// AppendReplies appends a list of replies: their number, then each with its length, as uvarint.
func AppendReplies(dst []byte, replies [][]byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(replies)))
	for _, r := range replies {
		dst = appendBlob(dst, r)
	}
	return dst
}

// encodeReplies is AppendReplies to memory of its own.
func encodeReplies(replies [][]byte) []byte {
	n := binary.MaxVarintLen32
	for _, r := range replies {
		n += binary.MaxVarintLen32 + len(r)
	}
	return AppendReplies(make([]byte, 0, n), replies)
}

// DecodeReplies reads what AppendReplies wrote. The replies alias b.
func DecodeReplies(b []byte) ([][]byte, error) {
	r := reader{b: b}
	n := r.count()
	replies := make([][]byte, 0, min(n, 1024))
	for range n {
		if replies = append(replies, r.blob()); r.failed {
			break
		}
	}
	if r.failed || len(r.b) != 0 {
		return nil, errors.New("tablet: damaged replies")
	}
	return replies, nil
}
