package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/request"
)

// load is clients that increment counters and read them back, through several nodes, and the judge of what they saw:
// no acknowledged increment may be missing, none may be done twice, no read may go back, and what was refused as
// certainly not applied was not.
type load struct {
	w        *world
	nodes    []int
	stopped  bool
	counters []counter

	ok, uncertain, refused int
	longest                time.Duration // that a request took
}

type counter struct {
	key   string
	acked int64 // increments with a success
	maybe int64 // and those that may have been done
	low   int64 // the highest value that anybody was shown, when a request began
	busy  bool
}

const loadCounters = 16

// load starts clients that ask the nodes given, one request for each counter at a time.
func (w *world) load(nodes ...int) *load {
	l := &load{w: w, nodes: nodes}
	for i := range loadCounters {
		l.counters = append(l.counters, counter{key: fmt.Sprintf("counter%d", i)})
		w.after(time.Duration(w.rng.IntN(20))*time.Millisecond, func() { l.next(&l.counters[i]) })
	}
	return l
}

// next asks for one counter, and for what follows when the answer is there.
func (l *load) next(c *counter) {
	if l.stopped {
		return
	}
	n := l.w.nodes[l.nodes[l.w.rng.IntN(len(l.nodes))]]
	again := func() { l.w.after(time.Duration(1+l.w.rng.IntN(150))*time.Millisecond, func() { l.next(c) }) }
	if n.core == nil {
		again()
		return
	}
	low := c.low
	verb := "INCR"
	if l.w.rng.IntN(3) == 0 {
		verb = "GET"
	}
	q := l.w.ask(n, verb, c.key)
	c.busy = true
	var wait func()
	wait = func() {
		if !q.over() {
			l.w.after(time.Millisecond, wait)
			return
		}
		c.busy = false
		l.judge(c, q, verb, low)
		again()
	}
	l.w.after(time.Millisecond, wait)
}

func (l *load) judge(c *counter, q *call, verb string, low int64) {
	write := verb == "INCR"
	l.longest = max(l.longest, q.took)
	if q.took > 5*time.Second+100*time.Millisecond {
		l.w.t.Errorf("%s %s took %v", verb, c.key, q.took)
	}
	switch q.code() {
	case "":
		if q.gone {
			if write {
				c.maybe++
			}
			return
		}
		v := number(q.reply())
		if write {
			c.acked++
		}
		l.ok++
		if v < low || write && v == low {
			l.w.t.Errorf("%s %s shows %d after %d was seen", verb, c.key, v, low)
		}
		c.low = max(c.low, v)
	case request.Uncertain:
		if !write {
			l.w.t.Errorf("a read is uncertain: %s", q.reply())
		}
		c.maybe++
		l.uncertain++
	case request.TryAgain, request.ClusterDown:
		l.refused++
	default:
		l.w.t.Errorf("%s %s: %s", verb, c.key, q.reply())
	}
}

// number reads a counter's reply: an integer, a string, or nil.
func number(reply string) int64 {
	if reply == "_\r\n" {
		return 0
	}
	s := strings.Split(strings.TrimSuffix(reply, "\r\n"), "\r\n")
	v, err := strconv.ParseInt(strings.TrimPrefix(s[len(s)-1], ":"), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("no number: %q", reply))
	}
	return v
}

// stop ends the load and waits for what is under way.
func (l *load) stop() {
	l.stopped = true
	l.w.until(6*time.Second, "the end of all requests", func() bool {
		for i := range l.counters {
			if l.counters[i].busy {
				return false
			}
		}
		return true
	})
}

// check reads all counters through all nodes.
func (l *load) check() {
	l.w.t.Helper()
	if l.ok == 0 {
		l.w.t.Error("no request succeeded")
	}
	for i := range l.counters {
		c := &l.counters[i]
		for _, n := range l.w.running() {
			v := number(l.w.must(n, "GET", c.key))
			if v < c.acked || v > c.acked+c.maybe {
				l.w.t.Errorf("%s is %d: %d increments were acknowledged, %d may have been done", c.key, v, c.acked, c.maybe)
			}
		}
	}
}
