package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// verb is a command as clients use it.
type verb uint8

const (
	get verb = iota
	set1
	setPX
	setNX // SET NX GET: set where there is nothing, and say what there was
	getDel
	del
	incr
	// On a pair of keys:
	mget
	mset
	msetNX
	mdel
)

// reads reports whether a command changes nothing.
func (v verb) reads() bool { return v == get || v == mget }

// op is one command of a client and what it saw.
type op struct {
	verb   verb
	arg    string
	ttl    time.Duration
	client int
	run    int // the request that it was part of: its commands on one key are carried out together, in order
	at     int // the machine that was asked
	call   time.Duration
	ret    time.Duration // unknownEnd while nobody knows
	known  bool          // there is a reply
	void   bool          // it certainly changed nothing and nobody saw a result
	loose  bool          // its TTL may be cut short
	exact  bool          // all clocks have been right for a while: what has expired is gone
	reply  string
}

// unknownEnd is the end of a command that may be done at any time yet.
const unknownEnd = time.Duration(math.MaxInt64)

func (o *op) command(key string) []string {
	switch o.verb {
	case set1:
		return []string{"SET", key, o.arg}
	case setPX:
		return []string{"SET", key, o.arg, "PX", strconv.FormatInt(o.ttl.Milliseconds(), 10)}
	case setNX:
		return []string{"SET", key, o.arg, "NX", "GET"}
	case getDel:
		return []string{"GETDEL", key}
	case del:
		return []string{"DEL", key}
	case incr:
		return []string{"INCR", key}
	case mget:
		return []string{"MGET", key, partner(key)}
	case mset:
		return []string{"MSET", key, o.arg, partner(key), o.arg}
	case msetNX:
		return []string{"MSETNX", key, o.arg, partner(key), o.arg}
	case mdel:
		return []string{"DEL", key, partner(key)}
	}
	return []string{"GET", key}
}

// value returns what a reply says, and whether there was anything.
func (o *op) value() (string, bool) {
	return value(o.reply)
}

func value(reply string) (string, bool) {
	if reply == "_\r\n" {
		return "", false
	}
	if strings.HasPrefix(reply, "$") {
		_, v, _ := strings.Cut(reply, "\r\n")
		return strings.TrimSuffix(v, "\r\n"), true
	}
	return strings.TrimSuffix(reply[1:], "\r\n"), true
}

// keyHistory is all that clients did with one key, or with a pair of them.
type keyHistory struct {
	name    string
	kind    kindOfKey
	ops     []op
	busy    int
	unknown int
}

// state is a key as the model has it: its value, the earliest moment at which it may have expired, and the latest one
// where all clocks are right; 0: never.
type state struct {
	value           string
	there           bool
	soonest, latest time.Duration
}

// A tablet's time may run faster than the real one by a tenth while it makes up for what it is behind, and a clock that
// is a second behind a majority of clocks may step: so much sooner than asked a key may be gone. It may be late by as much.
const (
	fastest   = 0.88
	slowest   = 1.12
	stepAhead = 1200 * time.Millisecond
)

// model is what a key does, in one step.
var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(before, input, _ any) (bool, any) { return steps(before.(state), input.([]*op), step) },
}

// steps is what the commands of a request do, one after the other.
func steps[S any](s S, run []*op, step func(S, *op) (bool, S)) (ok bool, next S) {
	for _, o := range run {
		if ok, s = step(s, o); !ok {
			return false, s
		}
	}
	return true, s
}

func step(s state, o *op) (ok bool, next state) {
	seen := func() (bool, state) { // what was there is told: as it stands, or gone where it may have expired
		v, there := o.value()
		if there {
			overdue := o.exact && s.latest > 0 && o.call > s.latest
			return s.there && v == s.value && !overdue, s
		}
		return !s.there || s.soonest > 0 && o.ret >= s.soonest, state{}
	}
	switch o.verb {
	case get:
		return seen()
	case set1:
		return !o.known || o.reply == "+OK\r\n", state{value: o.arg, there: true}
	case setPX:
		soonest := o.call + max(time.Duration(fastest*float64(o.ttl))-stepAhead, 1)
		if o.loose {
			soonest = o.call + 1
		}
		latest := unknownEnd
		if o.known {
			latest = o.ret + time.Duration(slowest*float64(o.ttl)) + stepAhead
		}
		return !o.known || o.reply == "+OK\r\n", state{o.arg, true, soonest, latest}
	case setNX:
		after := s
		if !s.there {
			after = state{value: o.arg, there: true}
		}
		if !o.known {
			return true, after
		}
		ok, _ := seen()
		return ok, after
	case getDel:
		if !o.known {
			return true, state{}
		}
		ok, _ := seen()
		return ok, state{}
	case del:
		want := ":0\r\n"
		if s.there {
			want = ":1\r\n"
		}
		return !o.known || o.reply == want, state{}
	default:
		n, _ := strconv.Atoi(s.value) // an absent counter is 0
		n++
		v := strconv.Itoa(n)
		return !o.known || o.reply == ":"+v+"\r\n", state{value: v, there: true}
	}
}

// judgeTimeout bounds how long the judge of one key's history may think, in real time. It needs milliseconds; a history
// that it could not judge is reported.
const judgeTimeout = 30 * time.Second

// check judges a key: can what its clients saw be told as a story in which each command happened at one moment between
// its request and its answer? Where it cannot, wrong is the first answer that fits into no story with what was before.
func (k *keyHistory) check() (why string, wrong *op) {
	switch k.judge(unknownEnd) {
	case porcupine.Ok:
		return "", nil
	case porcupine.Unknown:
		return fmt.Sprintf("the history of %s, %s, could not be judged", k.name, plural(len(k.ops), "operation")), nil
	}
	// What has no story has none however it goes on.
	var ends []*op
	for i := range k.ops {
		if k.ops[i].known {
			ends = append(ends, &k.ops[i])
		}
	}
	slices.SortStableFunc(ends, func(a, b *op) int { return cmp.Compare(a.ret, b.ret) })
	n, _ := slices.BinarySearchFunc(ends, 0, func(o *op, _ int) int {
		if k.judge(o.ret) == porcupine.Illegal {
			return 1
		}
		return -1
	})
	wrong = ends[min(n, len(ends)-1)]
	return fmt.Sprintf("the history of %s is not linearizable: client %d is answered %s to %s, which fits with nothing",
		k.name, wrong.client, say(wrong.reply), strings.Join(wrong.command(k.name), " ")), wrong
}

// judge judges what had happened until a moment.
func (k *keyHistory) judge(until time.Duration) porcupine.CheckResult {
	var events []porcupine.Operation
	last := 0 // the request of the event before
	for i := range k.ops {
		o := &k.ops[i]
		if o.call > until || o.void {
			continue
		}
		if o.ret > until { // it was under way
			pending := *o
			pending.known, pending.ret = false, unknownEnd
			o = &pending
		}
		switch {
		case !o.known && o.verb.reads():
		case o.run == last && last > 0:
			e := &events[len(events)-1]
			e.Input = append(e.Input.([]*op), o)
		default:
			events = append(events, porcupine.Operation{ClientId: o.client, Input: []*op{o}, Call: int64(o.call), Return: int64(o.ret)})
			last = o.run
		}
	}
	return porcupine.CheckOperationsTimeout(k.kind.model(), events, judgeTimeout)
}

// lines tells what was done with the key, each command where it began.
func (k *keyHistory) lines() []line {
	ops := slices.Clone(k.ops)
	slices.SortStableFunc(ops, func(a, b op) int { return cmp.Compare(a.call, b.call) })
	var out []line
	for i := range ops {
		o := &ops[i]
		cmd := o.command(k.name)
		for j := range cmd {
			cmd[j] = brief(cmd[j])
		}
		end := "no answer was seen"
		if o.ret != unknownEnd {
			end = fmt.Sprintf("%s after %v", say(o.reply), (o.ret - o.call).Round(10*time.Microsecond))
		} else if o.reply != "" && o.reply != "?" {
			end = o.reply
		}
		out = append(out, line{o.call, -1, fmt.Sprintf("client %d at n%d: %s -> %s", o.client, o.at, strings.Join(cmd, " "), end)})
	}
	return out
}
