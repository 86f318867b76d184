package tablet

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/quorddb/quord/internal/ident"
)

// Bounds of the windows of one tablet.
const (
	// maxWindow is how many results of one origin are kept; an origin has no more writes than that under way.
	maxWindow = 1024
	// maxOrigins is how many origins are remembered; beyond it the one that wrote longest ago is forgotten.
	maxOrigins = 256
	// largeResult is the size from which a result is kept under a key of its own, out of the head record that is
	// rewritten with every turn.
	largeResult = 512
	// maxInline bounds what the results in the head take in all; beyond it all are kept under keys of their own.
	maxInline = 256 << 10
)

// windows remembers the results of writes, so that a write that is asked for again is answered and not done
// again. It is part of the replicated state: every replica holds the same.
type windows struct {
	origins []origin // ordered by node
	inline  int      // bytes of the results that are kept here
}

type origin struct {
	node    ident.NodeID
	boot    uint64
	low     uint64 // numbers below were answered, or given up, and are refused
	used    uint64 // log index of the last write, to find the one to forget
	results []result
}

type result struct {
	number uint64
	// replies is the encoded list of replies; nil when it is large and lies under a key of its own.
	replies []byte
}

// largeKey names a large result, which lies under a key of its own.
type largeKey struct {
	node   ident.NodeID
	boot   uint64
	number uint64
}

type verdict uint8

const (
	fresh    verdict = iota // not seen: apply it
	repeated                // seen: here is the first answer
	refused                 // below the mark, or of an earlier boot: no answer is left
)

// admit decides about a write and moves the origin's mark. dropped lists large results that are no longer needed.
func (w *windows) admit(o Origin, index uint64) (v verdict, first result, dropped []largeKey) {
	i, found := slices.BinarySearchFunc(w.origins, o.Node, func(a origin, n ident.NodeID) int { return a.node.Compare(n) })
	if !found {
		w.origins = slices.Insert(w.origins, i, origin{node: o.Node, boot: o.Boot, low: o.Low, used: index})
		return fresh, result{}, nil
	}
	at := &w.origins[i]
	if o.Boot < at.boot {
		return refused, result{}, nil
	}
	at.used = index
	if o.Boot > at.boot {
		dropped = w.dropBelow(at, math.MaxUint64)
		at.boot, at.low = o.Boot, o.Low
		return fresh, result{}, dropped
	}
	if o.Low > at.low {
		at.low = o.Low
		dropped = w.dropBelow(at, o.Low)
	}
	if o.Number < at.low {
		return refused, result{}, dropped
	}
	for _, r := range at.results {
		if r.number == o.Number {
			return repeated, r, dropped
		}
	}
	return fresh, result{}, dropped
}

// apart reports whether the result of a write lies under a key of its own.
func (w *windows) apart(o Origin) bool {
	for i := range w.origins {
		if at := &w.origins[i]; at.node == o.Node && at.boot == o.Boot {
			return slices.ContainsFunc(at.results, func(r result) bool { return r.number == o.Number && r.replies == nil })
		}
	}
	return false
}

func (w *windows) dropBelow(o *origin, low uint64) (large []largeKey) {
	o.results = slices.DeleteFunc(o.results, func(r result) bool {
		if r.number >= low {
			return false
		}
		w.inline -= len(r.replies)
		if r.replies == nil {
			large = append(large, largeKey{o.node, o.boot, r.number})
		}
		return true
	})
	return large
}

// store keeps the result of an admitted write, and forgets what is beyond the bounds. apart says that the caller has to
// keep it under a key of its own.
func (w *windows) store(o Origin, replies []byte) (apart bool, dropped []largeKey) {
	i, found := slices.BinarySearchFunc(w.origins, o.Node, func(a origin, n ident.NodeID) int { return a.node.Compare(n) })
	if !found {
		return false, nil
	}
	at := &w.origins[i]
	if apart = len(replies) > largeResult || w.inline+len(replies) > maxInline; apart {
		replies = nil
	}
	w.inline += len(replies)
	at.results = append(at.results, result{number: o.Number, replies: replies})
	if len(at.results) > maxWindow {
		lowest := slices.MinFunc(at.results, func(a, b result) int { return cmp.Compare(a.number, b.number) })
		at.low = lowest.number + 1
		dropped = w.dropBelow(at, at.low)
	}
	if len(w.origins) > maxOrigins {
		dropped = append(dropped, w.forget()...)
	}
	return apart, dropped
}

// forget drops the origin that wrote longest ago.
func (w *windows) forget() []largeKey {
	oldest := 0
	for i := range w.origins {
		if w.origins[i].used < w.origins[oldest].used {
			oldest = i
		}
	}
	dropped := w.dropBelow(&w.origins[oldest], math.MaxUint64)
	w.origins = slices.Delete(w.origins, oldest, oldest+1)
	return dropped
}

// append appends the encoded windows: number of origins, then for each node (16 bytes), boot, low, used, number
// of results, and for each number and replies, where a length of 0 means a large result. Numbers are uvarint.
func (w *windows) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(w.origins)))
	for i := range w.origins {
		o := &w.origins[i]
		dst = append(dst, o.node[:]...)
		dst = binary.AppendUvarint(dst, o.boot)
		dst = binary.AppendUvarint(dst, o.low)
		dst = binary.AppendUvarint(dst, o.used)
		dst = binary.AppendUvarint(dst, uint64(len(o.results)))
		for _, r := range o.results {
			dst = binary.AppendUvarint(dst, r.number)
			dst = appendBlob(dst, r.replies)
		}
	}
	return dst
}

func (w *windows) decode(r *reader) {
	n := r.count()
	for range n {
		var o origin
		copy(o.node[:], r.bytes(ident.Size))
		o.boot, o.low, o.used = r.uvarint(), r.uvarint(), r.uvarint()
		results := r.count()
		for range results {
			number := r.uvarint()
			replies := r.blob()
			if len(replies) == 0 {
				replies = nil
			}
			o.results = append(o.results, result{number: number, replies: slices.Clone(replies)})
			w.inline += len(replies)
			if r.failed {
				return
			}
		}
		w.origins = append(w.origins, o)
		if r.failed {
			return
		}
	}
}
