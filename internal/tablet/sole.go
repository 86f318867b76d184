package tablet

import (
	"errors"
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// sole is how a replica that has nobody to agree with keeps its log: a lone voter without learners, that has led its
// term from the start, decides an entry by having it on disk. The library would come to the same, with two rounds and
// dozens of objects for each entry. The entries are those that it would make, in its term: what is on disk does not tell
// who made them.
//
// Whatever asks for agreement (a change of the replicas, a message of another replica) ends that: the library is made
// anew from the log and leads the same term again (rejoin). While it stands aside, what it knows of the log is old.
type sole struct {
	on bool
	// barred is until when the library is kept, because somebody has asked for it; wanted says that it is asked for as
	// soon as the turn is over.
	barred time.Duration
	wanted bool

	fresh   []*pb.Entry // proposed
	writing []*pb.Entry // handed out by the turn under way
	durable []*pb.Entry // on disk, to be applied
	bytes   int         // of all these
	read    []raft.ReadState
}

// soleAgain is how long after it was needed the library is kept.
const soleAgain = 10 * time.Second

var errMidTurn = errors.New("tablet: the log is being written")

// standAlone puts the library aside if there is no use for it, and it has nothing left to say.
func (g *Group) standAlone(now time.Duration) {
	if g.sole.on || now < g.sole.barred || !g.Alone() || g.head.descriptor.Parting() || !g.Sole() || g.hurt.stuck || g.raft.HasReady() ||
		g.head.applied.Index != g.log.last || g.proposed > 0 {
		return
	}
	g.sole = sole{on: true, fresh: g.sole.fresh[:0], durable: g.sole.durable[:0]}
}

// rejoin lets the library go on from what was decided without it. It begins in the term before, elects itself, for
// there is no other voter, and so leads the term that this replica has led all the time; the disk knows of its vote.
func (g *Group) rejoin(now time.Duration) error {
	s := &g.sole
	s.barred = now + soleAgain
	if !s.on {
		return nil
	}
	if s.wanted = g.inTurn; s.wanted {
		return errMidTurn
	}
	g.log.known = g.head.applied
	hard := g.log.hard
	g.log.hard = kv.HardState{Term: hard.Term - 1, Commit: hard.Commit}
	node, err := g.library()
	g.log.hard = hard
	if err == nil {
		err = node.Campaign()
	}
	for range soleRounds {
		if err != nil || node.BasicStatus().RaftState == raft.StateLeader {
			break
		}
		node.Advance(node.Ready())
	}
	if st := node.BasicStatus(); err != nil || st.RaftState != raft.StateLeader || st.GetTerm() != hard.Term {
		return fmt.Errorf("tablet %d: the only voter does not lead: %w", g.cfg.Tablet, err)
	}
	fresh := s.fresh
	g.raft, g.sole = node, sole{barred: s.barred}
	for _, e := range fresh {
		if err := g.raft.Propose(e.GetData()); err != nil {
			return fmt.Errorf("tablet %d: %w", g.cfg.Tablet, err)
		}
	}
	return nil
}

// soleRounds is how many rounds an election by oneself takes: a vote before the vote, the vote, and the end.
const soleRounds = 4

func (s *sole) propose(index, term uint64, data []byte) error {
	if s.bytes > 0 && s.bytes+len(data) > maxUncommitted {
		return raft.ErrProposalDropped
	}
	s.bytes += len(data)
	s.fresh = append(s.fresh, newEntry(index, term, pb.EntryNormal, data))
	return nil
}

// readIndex answers at once: what anybody was told of has been applied.
func (s *sole) readIndex(context []byte, applied uint64) {
	s.read = append(s.read, raft.ReadState{Index: applied, RequestCtx: context})
}

func (s *sole) hasReady() bool { return s.wanted || len(s.fresh)+len(s.durable)+len(s.read) > 0 }

// ready hands out what was proposed, to be written, and what has been written, to be applied.
func (s *sole) ready() raft.Ready {
	s.writing, s.fresh = s.fresh, s.writing[:0]
	rd := raft.Ready{Entries: s.writing, CommittedEntries: s.durable, ReadStates: s.read}
	s.read = nil
	return rd
}

// advance says that what ready handed out is written and applied.
func (s *sole) advance() {
	for _, e := range s.durable {
		s.bytes -= len(e.GetData())
	}
	clear(s.durable)
	s.durable, s.writing = s.writing, s.durable[:0]
}
