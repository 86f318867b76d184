package tablet

import (
	"encoding/binary"
	"slices"

	"github.com/quorddb/quord/internal/request"
)

// reads holds the reads of one group. All that a turn finds waiting asks raft for one read index; when a majority
// has confirmed the leader and the state has reached the index, they are evaluated.
type reads struct {
	fresh []read // no read index asked for yet
	asked []readBatch
	next  uint64 // the name of the next batch
	count int
}

type read struct {
	commands []request.Command
	waiter   Waiter
}

type readBatch struct {
	id        uint64
	confirmed bool
	index     uint64
	reads     []read
}

func (r *reads) len() int { return len(r.fresh) + r.count }

func (r *reads) unasked() bool { return len(r.fresh) > 0 }

func (r *reads) add(rd read) { r.fresh = append(r.fresh, rd) }

// ask makes a batch of what is waiting and returns its name as raft's context.
func (r *reads) ask() []byte {
	r.next++
	r.asked = append(r.asked, readBatch{id: r.next, reads: r.fresh})
	r.count += len(r.fresh)
	r.fresh = nil
	return binary.BigEndian.AppendUint64(nil, r.next)
}

// confirm takes raft's answer.
func (r *reads) confirm(context []byte, index uint64) {
	if len(context) != 8 {
		return
	}
	id := binary.BigEndian.Uint64(context)
	for i := range r.asked {
		if r.asked[i].id == id {
			r.asked[i].confirmed, r.asked[i].index = true, index
		}
	}
}

// due takes out the batches that may be evaluated when applied has been reached.
func (r *reads) due(applied uint64) []readBatch {
	if !slices.ContainsFunc(r.asked, func(b readBatch) bool { return b.confirmed && b.index <= applied }) {
		return nil
	}
	var out []readBatch
	r.asked = slices.DeleteFunc(r.asked, func(b readBatch) bool {
		if !b.confirmed || b.index > applied {
			return false
		}
		r.count -= len(b.reads)
		out = append(out, b)
		return true
	})
	return out
}

// abandon tells all who wait that this replica no longer leads.
func (r *reads) abandon() {
	for _, rd := range r.fresh {
		rd.waiter.Lost()
	}
	for _, b := range r.asked {
		for _, rd := range b.reads {
			rd.waiter.Lost()
		}
	}
	*r = reads{next: r.next}
}
