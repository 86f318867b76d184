package server

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/resp"
	"github.com/quorddb/quord/internal/slot"
)

const (
	// inFlight is the number of tablets that one command on the whole keyspace asks at a time.
	inFlight = 64
	// scanWidth is the number of tablets that one SCAN asks at a time, scanTabletBound the number that it asks
	// altogether, and scanLookBound the keys that it looks at while it finds none; then it answers what it has.
	scanWidth       = 16
	scanTabletBound = 512
	scanLookBound   = 8192
	// keysBound is the most bytes that KEYS answers.
	keysBound = 64 << 20
	// keyCountAge is how old the number of keys in INFO may be, keyCountWait how long INFO waits for a new one.
	keyCountAge  = 5 * time.Second
	keyCountWait = 250 * time.Millisecond
)

// inquiry is a number of requests that are asked together.
type inquiry struct {
	pending atomic.Int32
	done    chan struct{}
}

func (q *inquiry) Ended(*request.Request) {
	if q.pending.Add(-1) == 0 {
		close(q.done)
	}
}

// ask executes requests of different tablets and returns when all have ended.
func (s *Server) ask(reqs []*request.Request) {
	q := &inquiry{done: make(chan struct{})}
	var submit []*request.Request
	at := s.backend.Moment()
	for _, r := range reqs {
		r.Owner = q
		if r.Write || !s.backend.TryRead(at, r) {
			r.Replies = nil
			submit = append(submit, r)
		}
	}
	if len(submit) > 0 {
		q.pending.Store(int32(len(submit)))
		s.backend.Submit(submit)
		<-q.done
	}
	s.counted.requests.Add(uint64(len(submit)))
}

// answer returns the one reply of an ended request, or the line of an error.
func answer(r *request.Request) (reply []byte, problem string) {
	switch {
	case r.Failure != nil:
		return nil, r.Failure.Error()
	case len(r.Replies) != 1:
		return nil, "ERR internal error: a tablet gave no reply"
	case isError(r.Replies[0]):
		return nil, string(r.Replies[0][1:max(1, len(r.Replies[0])-2)])
	}
	return r.Replies[0], ""
}

// eachTablet asks all tablets the same, inFlight at a time, and calls fn with the requests that have ended, in the order
// of their tablets, until fn returns false.
func (s *Server) eachTablet(write bool, args request.Command, fn func(ended []*request.Request) bool) {
	reqs := make([]*request.Request, 0, inFlight)
	for t := 0; t < s.tablets; {
		reqs = reqs[:0]
		for ; len(reqs) < inFlight && t < s.tablets; t++ {
			reqs = append(reqs, &request.Request{Tablet: uint32(t), Write: write, Commands: []request.Command{args}})
		}
		s.ask(reqs)
		if !fn(reqs) {
			return
		}
	}
}

// countKeys asks all tablets; problem is the line of an error.
func (s *Server) countKeys() (n int64, problem string) {
	s.eachTablet(false, request.Command{[]byte("_len")}, func(ended []*request.Request) bool {
		for _, r := range ended {
			var reply []byte
			if reply, problem = answer(r); problem != "" {
				return false
			}
			k, _, err := resp.IntAt(reply)
			if err != nil {
				problem = fmt.Sprintf("ERR internal error: a tablet answered %.64q", reply)
				return false
			}
			n += k
		}
		return true
	})
	return n, problem
}

func (c *session) dbSize(_ [][]byte, out []byte) []byte {
	n, problem := c.srv.countKeys()
	if problem != "" {
		return resp.AppendError(out, problem)
	}
	return resp.AppendInt(out, n)
}

// flushAll removes all keys, tablet by tablet: each is emptied at one moment, the whole is not. A tablet that is out of
// reach does not save the others; but once one has failed the command ends with the tablets that are being asked when
// AdminTimeout has passed, for each further lot would cost a request timeout. While all answer it may take its time.
func (c *session) flushAll(args [][]byte, out []byte) []byte {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "sync") && !is(args[1], "async") {
		return resp.AppendError(out, errSyntax)
	}
	now := c.srv.cfg.Now
	deadline := now().Add(c.srv.cfg.AdminTimeout)
	done, first, uncertain := 0, "", false
	c.srv.eachTablet(true, request.Command{[]byte("_clear")}, func(ended []*request.Request) bool {
		for _, r := range ended {
			_, problem := answer(r)
			switch {
			case problem == "":
				done++
			case first == "":
				first = problem
			}
			uncertain = uncertain || r.Failure != nil && r.Failure.Code == request.Uncertain
		}
		return first == "" || now().Before(deadline)
	})
	switch {
	case first == "":
		return append(out, okReply...)
	case done == 0 && !uncertain:
		return resp.AppendError(out, first)
	}
	return resp.AppendError(out, fmt.Sprintf("%s %d of %d tablets have been emptied; the first of the others answered: %s",
		request.Uncertain, done, c.srv.tablets, first))
}

// scan goes on through the tablets until it has found COUNT keys, has asked scanTabletBound tablets or has looked at
// scanLookBound keys without finding enough. Tablets further on are asked at the same time as the next one when those
// before have given few keys; what is then too much is asked again by the next call.
func (c *session) scan(args [][]byte, out []byte) []byte {
	o, problem := command.ParseScan(args)
	if problem != "" {
		return resp.AppendError(out, problem)
	}
	// A request that fails may be looked at after this session has gone on (Backend.Submit).
	o.Match, o.Type = bytes.Clone(o.Match), bytes.Clone(o.Type)
	want, cursor := o.Count, o.Cursor
	from, _ := command.ParseCursor(cursor)
	t := int(slot.Tablet(from, c.srv.tablets))
	var found, looked int64
	var keys []byte
	width, asked := 1, 0
	reqs := make([]*request.Request, 0, scanWidth)
scanning:
	for t < c.srv.tablets && found < want && asked < scanTabletBound && looked < max(want, scanLookBound) &&
		len(keys) < command.ScanBytes {
		reqs = reqs[:0]
		o.Count = min(want-found, command.ScanBound)
		for i := 0; i < width && t+i < c.srv.tablets; i++ {
			if o.Cursor = cursor; i > 0 {
				o.Cursor = startOf(t+i, c.srv.tablets)
			}
			reqs = append(reqs, &request.Request{Tablet: uint32(t + i), Commands: []request.Command{o.Command()}})
		}
		c.srv.ask(reqs)
		before := found
		for _, r := range reqs {
			reply, problem := answer(r)
			if problem != "" {
				if asked == 0 {
					return resp.AppendError(out, problem)
				}
				break scanning // what has been found counts; the next call meets the tablet first
			}
			next, some, err := command.ParseScanReply(reply)
			if err != nil {
				return appendInternal(out, reply)
			}
			asked++
			for _, key := range some {
				keys = resp.AppendBulk(keys, key)
			}
			found += int64(len(some))
			if next != 0 {
				looked += o.Count
				cursor, width = next, 1
				continue scanning
			}
			looked += int64(len(some))
			t++
			cursor = startOf(t, c.srv.tablets)
			if found >= want {
				break
			}
		}
		// As many tablets as should hold what is still wanted.
		if got := found - before; got == 0 {
			width = min(2*width, scanWidth)
		} else {
			width = int(min(max(1, (want-found)*int64(len(reqs))/got), scanWidth))
		}
	}
	if t >= c.srv.tablets {
		cursor = 0
	}
	out = resp.AppendArray(out, 2)
	out = resp.AppendBulk(out, strconv.FormatUint(cursor, 10))
	out = resp.AppendArray(out, int(found))
	return append(out, keys...)
}

// startOf returns the cursor of the first key that tablet t may have.
func startOf(t, tablets int) uint64 {
	if t >= tablets {
		return 0
	}
	first, _ := slot.Range(uint32(t), tablets)
	return command.Cursor(first, 0)
}

// matchingKeys is KEYS pattern.
func (c *session) matchingKeys(args [][]byte, out []byte) []byte {
	var keys []byte
	found := 0
	pattern := bytes.Clone(args[1]) // see scan
	for from := 0; from < c.srv.tablets; from += scanWidth {
		open := make([]*request.Request, 0, scanWidth)
		ask := func(t uint32, cursor uint64) {
			o := command.ScanOptions{Cursor: cursor, Count: command.ScanBound, Match: pattern}
			open = append(open, &request.Request{Tablet: t, Commands: []request.Command{o.Command()}})
		}
		for t := from; t < min(from+scanWidth, c.srv.tablets); t++ {
			ask(uint32(t), startOf(t, c.srv.tablets))
		}
		for len(open) > 0 {
			c.srv.ask(open)
			asked := open
			open = make([]*request.Request, 0, len(asked))
			for _, r := range asked {
				reply, problem := answer(r)
				if problem != "" {
					return resp.AppendError(out, problem)
				}
				next, some, err := command.ParseScanReply(reply)
				if err != nil {
					return appendInternal(out, reply)
				}
				for _, key := range some {
					keys = resp.AppendBulk(keys, key)
				}
				found += len(some)
				if next != 0 {
					ask(r.Tablet, next)
				}
			}
			if len(keys) > keysBound {
				return resp.AppendError(out,
					fmt.Sprintf("ERR KEYS would answer more than %d bytes; SCAN goes through any number of keys", keysBound))
			}
		}
	}
	return append(resp.AppendArray(out, found), keys...)
}

// keyCount is the number of keys as INFO shows it: counting asks all tablets, and INFO is asked often.
type keyCount struct {
	mu       sync.Mutex
	n        int64
	at       time.Time     // of n; zero: never
	counting chan struct{} // closed when the count that is under way has ended; nil: none
}

// recentKeys returns the number of keys, at most keyCountAge old where the tablets answer in time, or false when it
// never was known.
func (s *Server) recentKeys() (int64, bool) {
	s.keys.mu.Lock()
	if s.keys.at.IsZero() || time.Since(s.keys.at) > keyCountAge {
		if s.keys.counting == nil {
			s.recount()
		}
		if counting := s.keys.counting; counting != nil {
			s.keys.mu.Unlock()
			timer := time.NewTimer(keyCountWait)
			select {
			case <-counting:
			case <-timer.C:
			}
			timer.Stop()
			s.keys.mu.Lock()
		}
	}
	defer s.keys.mu.Unlock()
	return s.keys.n, !s.keys.at.IsZero()
}

// recount starts the goroutine that counts the keys; s.keys.mu is held.
func (s *Server) recount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	s.running.Add(1)
	done := make(chan struct{})
	s.keys.counting = done
	go func() {
		defer s.running.Done()
		n, problem := s.countKeys()
		s.keys.mu.Lock()
		defer s.keys.mu.Unlock()
		if problem == "" {
			s.keys.n, s.keys.at = n, time.Now()
		}
		s.keys.counting = nil
		close(done)
	}()
}
