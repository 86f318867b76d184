package server

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/request"
)

const (
	// maxRunBytes and maxRunCommands bound one request, which is one entry of a log where it writes.
	maxRunBytes    = 1 << 20
	maxRunCommands = 256
	// keepReply is the longest reply buffer that is kept for the next batch.
	keepReply = 16 << 10
	// scanTablets is the number of tablets of a batch up to which they are searched one by one.
	scanTablets = 8
	// firstLot is the number of requests that are submitted together before anything is known of how long replies are.
	firstLot = 256
)

// batch is what a session executes together. Batches are pooled: an idle session has none. A batch belongs to one
// session's goroutine; only Ended is called from others.
type batch struct {
	backend Backend
	tablets int

	calls []call
	parts []place // of split calls, in the order of their calls
	// partOf says for each key of a split call which of its parts the key is in; -1 stands for a value.
	partOf []int32
	bytes  int // of arguments

	runs  []*run // all runs, also spare ones behind used
	used  int
	waves [][]*run
	// last is the latest run of each tablet that the batch touches; lastOf finds it by tablet where there are many.
	last   []*run
	lastOf []int32

	// inline holds the replies of calls that were answered on the spot, merged those of split calls.
	inline, merged []byte
	mark           int // where the reply of the call that is being planned begins in inline
	out            []byte
	largest        int  // the longest reply of the batch
	held           int  // bytes of replies in memory that tablets have given
	limit          int  // of held, past which nothing more is asked for than what is due
	requests       int  // submitted
	failed         bool // a request ended without replies

	submit  []*request.Request
	asked   []*run // whose requests stand in submit
	pending atomic.Int32
	done    chan struct{}
}

// call is one command of a client.
type call struct {
	entry *entry
	// where the reply is: inline, in one run, or in several parts.
	kind     callKind
	proto    uint8
	muted    bool
	rejected bool // refused before it was executed
	where    place
	from, to int // of inline, or of parts
	keys     int // where the call's keys begin in partOf
}

type callKind uint8

const (
	inlineCall callKind = iota
	runCall
	splitCall
)

// place is the reply of one command of a run.
type place struct {
	run *run
	at  int
}

// run is consecutive commands of the batch on one tablet, all reads or all writes.
type run struct {
	request.Request // what is asked for now: the commands that have no answer yet
	commands        []request.Command
	answers         [][]byte // of the first commands
	wave, bytes     int
	// own are reply buffers that the batch owns and that Backend.TryRead may fill again.
	own [][]byte
}

// has reports whether it is known how the command at a place ended.
func (r *run) has(at int) bool { return r.Failure != nil || at < len(r.answers) }

func (r *run) done() bool { return r.has(len(r.commands) - 1) }

func newBatch(s *Server) *batch {
	return &batch{backend: s.backend, tablets: s.tablets, done: make(chan struct{}, 1)}
}

// Ended is told by the backend that a request of the wave has ended.
func (b *batch) Ended(*request.Request) {
	if b.pending.Add(-1) == 0 {
		b.done <- struct{}{}
	}
}

// add appends a command to the latest run of its tablet, or begins a run, and returns where the reply will be.
func (b *batch) add(tablet uint32, write bool, args [][]byte, size int) place {
	r, at := b.latest(tablet)
	if r == nil || r.Write != write || r.bytes+size > maxRunBytes || len(r.commands) >= maxRunCommands {
		wave := 0
		if r != nil {
			wave = r.wave + 1
		}
		r = b.begin(tablet, write, wave)
		if at < 0 {
			b.remember(tablet, r)
		} else {
			b.last[at] = r
		}
	}
	r.commands = append(r.commands, args)
	r.bytes += size
	return place{run: r, at: len(r.commands) - 1}
}

// latest returns the latest run of a tablet and its index in last; -1 when the tablet is new.
func (b *batch) latest(tablet uint32) (*run, int) {
	if len(b.last) > scanTablets {
		if i := b.lastOf[tablet]; i > 0 {
			return b.last[i-1], int(i - 1)
		}
		return nil, -1
	}
	for i := len(b.last) - 1; i >= 0; i-- {
		if b.last[i].Tablet == tablet {
			return b.last[i], i
		}
	}
	return nil, -1
}

// remember notes the first run of a tablet.
func (b *batch) remember(tablet uint32, r *run) {
	b.last = append(b.last, r)
	switch n := len(b.last); {
	case n <= scanTablets:
	case n == scanTablets+1:
		if b.lastOf == nil {
			b.lastOf = make([]int32, b.tablets)
		}
		for i, r := range b.last {
			b.lastOf[r.Tablet] = int32(i + 1)
		}
	default:
		b.lastOf[tablet] = int32(n)
	}
}

func (b *batch) begin(tablet uint32, write bool, wave int) *run {
	if b.used == len(b.runs) {
		b.runs = append(b.runs, &run{})
	}
	r := b.runs[b.used]
	b.used++
	r.Request = request.Request{Tablet: tablet, Write: write, Owner: b}
	r.commands, r.answers, r.wave, r.bytes = r.commands[:0], nil, wave, 0
	for wave >= len(b.waves) {
		b.waves = append(b.waves, nil)
	}
	b.waves[wave] = append(b.waves[wave], r)
	return r
}

// execute runs the waves one after the other. Once the replies take more than limit bytes it stops: what is left is
// executed when its replies are due (finish), and those before it have been written out.
func (b *batch) execute(limit int) {
	b.limit = limit
	b.proceed()
}

func (b *batch) proceed() {
	for _, wave := range b.waves {
		if len(wave) == 0 {
			return
		}
		for left := true; left; {
			if b.held > b.limit {
				return
			}
			left = b.step(wave)
		}
	}
}

// step asks for what a wave has no answer to, and reports whether there is more: a request may end with the answers to
// its first commands only.
func (b *batch) step(wave []*run) (left bool) {
	at := time.Duration(-1) // one moment serves the reads of a wave: what they have to see came in waves before
	for _, r := range wave {
		if r.done() {
			continue
		}
		if !r.Write && at < 0 {
			at = b.backend.Moment()
		}
		if r.Write || !b.tryRead(at, r) {
			b.ask(r)
		} else if b.held > b.limit {
			b.submit, b.asked = b.submit[:0], b.asked[:0]
			return true
		}
	}
	b.await()
	return slices.ContainsFunc(wave, func(r *run) bool { return !r.done() })
}

// finish executes what execute has left of a run, as far as the command at a place: with all that goes with it while there
// is room for replies, else alone. It is called in the order of the commands, so what came before it on its tablet is done.
func (b *batch) finish(p place) {
	if p.run.has(p.at) {
		return
	}
	b.proceed()
	for r := p.run; !r.has(p.at); {
		if r.Write || !b.tryRead(b.backend.Moment(), r) {
			b.ask(r)
			b.await()
		}
	}
}

// await submits the requests of b.submit and waits until they have ended: all at once but where there are many, whose
// replies could take any room. Then some go first, and the others as many at a time as there is room for if their replies
// are as long. What there is no room for is not asked for; one request always is.
func (b *batch) await() {
	for n := firstLot; len(b.submit) > 0; {
		n = min(n, len(b.submit))
		before := b.held
		b.pending.Store(int32(n))
		b.backend.Submit(b.submit[:n])
		<-b.done
		b.requests += n
		for _, r := range b.asked[:n] {
			b.settle(r)
		}
		if n == len(b.submit) || b.held > b.limit {
			break
		}
		b.submit, b.asked = slices.Delete(b.submit, 0, n), slices.Delete(b.asked, 0, n)
		n = max(1, (b.limit-b.held)*n/max(1, b.held-before))
	}
	b.submit, b.asked = b.submit[:0], b.asked[:0]
}

func (b *batch) ask(r *run) {
	r.Commands, r.Replies = r.commands[len(r.answers):], nil
	b.submit = append(b.submit, &r.Request)
	b.asked = append(b.asked, r)
}

// tryRead offers a run of reads to the backend, at a moment after they were asked for.
func (b *batch) tryRead(at time.Duration, r *run) bool {
	first := len(r.answers) == 0
	r.Commands, r.Replies = r.commands[len(r.answers):], nil
	if first {
		r.Replies = r.own[:0]
	}
	if !b.backend.TryRead(at, &r.Request) {
		r.Replies = nil
		return false
	}
	if first && r.Failure == nil {
		r.own = r.Replies
	}
	b.settle(r)
	return true
}

// settle takes note of an ended run. An answer that does not fit the question must not be given to a client.
func (b *batch) settle(r *run) {
	if n := len(r.Replies); r.Failure == nil && (n == 0 || n > len(r.Commands)) {
		r.Failure = &request.Failure{Code: request.Err, Message: "internal error: the replies do not fit the commands"}
		if r.Write {
			r.Failure.Code = request.Uncertain
		}
	}
	if r.Failure != nil {
		b.failed = true
		return
	}
	for _, reply := range r.Replies {
		b.held += len(reply)
		b.largest = max(b.largest, len(reply))
	}
	if r.answers == nil {
		r.answers = r.Replies
	} else {
		r.answers = append(slices.Clip(r.answers), r.Replies...) // what lies behind the first ones may be filled again
		r.own = nil                                              // long ones are dropped from the list of answers alone
	}
	r.Replies = nil
}

// clear forgets all commands, so that the batch can be used again. out stays.
func (b *batch) clear() {
	clear(b.calls)
	b.calls, b.parts, b.partOf, b.bytes = b.calls[:0], b.parts[:0], b.partOf[:0], 0
	if len(b.last) > scanTablets {
		for _, r := range b.last {
			b.lastOf[r.Tablet] = 0
		}
	}
	b.last = b.last[:0]
	for i, r := range b.runs[:b.used] {
		if r.Failure != nil {
			b.runs[i] = &run{} // what failed may still be looked at; see session.done
			continue
		}
		clear(r.commands)
		r.Commands, r.answers = nil, nil
		for i := range r.own {
			if cap(r.own[i]) > keepReply {
				r.own[i] = nil
			}
		}
	}
	b.used = 0
	for w := range b.waves {
		if len(b.waves[w]) == 0 {
			break
		}
		b.waves[w] = b.waves[w][:0]
	}
	b.inline, b.merged = shrink(b.inline), shrink(b.merged)
	b.held, b.largest, b.requests, b.failed = 0, 0, 0, false
}

// drop gives back a long reply that has been written out.
func (b *batch) drop(p place) {
	if r := p.run; p.at < len(r.answers) && len(r.answers[p.at]) > keepReply {
		b.held -= len(r.answers[p.at])
		r.answers[p.at] = nil
	}
}

// shrink empties a buffer and drops one that has become large.
func shrink(b []byte) []byte {
	if cap(b) > 4*keepReply {
		return nil
	}
	return b[:0]
}
