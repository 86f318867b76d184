package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/slot"
)

// load is clients that each send one command after the other, and remember what they saw.
type load struct {
	w       *World
	chance  *rand.Rand
	clients []*client
	keys    []*keyHistory // one of each place is in use
	named   int           // how many keys there have been
	values  int
	open    bool // clients go on
	think   time.Duration
	// valueBytes is how long a value is at most.
	valueBytes int
	// batch is how many commands a request has at most.
	batch int
	runs  int // requests so far
	// clockBehind says that a wall clock is behind: a TTL that begins now may be cut short.
	clockBehind bool

	histories []*keyHistory // of all keys ever used
	ops       int
	ok        int
	uncertain int
	refused   int
	since     time.Duration // failed counts those that began after it
	failed    int
	direct    int // reads that a session answered by itself
	// noted, when not nil, hears how each command ended; nil where nobody answered in time.
	noted func(*op, *Call)
}

// client is connected to one node at a time; what it asks it to do, it waits for.
type client struct {
	l    *load
	name int
	at   *Machine
	busy bool
}

const (
	// patience is how long a client waits for an answer: longer than a node that lives takes.
	patience = requestTimeout + 2*time.Second
	// Keys in use of each kind. A key is given up for a new one after so many operations, or so many of which nobody
	// knows whether they were done, so that its history can be judged.
	keysInUse  = 18
	maxOps     = 120
	maxUnknown = 5
	usualValue = 4000 // bytes, at most
)

// kindOfKey says which commands are used on a key.
type kindOfKey uint8

const (
	register kindOfKey = iota // SET, GET, SET NX GET, GETDEL, DEL
	counter                   // INCR, GET
	expiring                  // SET PX, GET
	paired                    // MSET, MGET, MSETNX, DEL of two keys of a slot; SET, GETDEL, GET of the first
)

var kindNames = [...]string{"register", "counter", "expiring", "pair"}

// newLoad starts clients, and says how many keys are in use at a time.
func (w *World) newLoad(clients int, think time.Duration, keys int) *load {
	l := &load{w: w, chance: w.generator("load"), open: true, think: think, valueBytes: usualValue}
	for i := range keys {
		l.keys = append(l.keys, nil)
		l.rotate(i)
	}
	for i := range clients {
		c := &client{l: l, name: i}
		l.clients = append(l.clients, c)
		w.after(between(l.chance, 0, think), c.next)
	}
	return l
}

// rotate gives the place of a key to a new one.
func (l *load) rotate(i int) {
	kind := register
	switch i % 6 {
	case 2, 3:
		kind = counter
	case 4:
		kind = expiring
	case 5:
		kind = paired
	}
	l.named++
	k := &keyHistory{name: fmt.Sprintf("%s%d", kindNames[kind][:1], l.named), kind: kind}
	if kind == paired {
		k.name = fmt.Sprintf("{%s}a", k.name)
	}
	l.keys[i] = k
	l.histories = append(l.histories, k)
}

// next lets a client ask for something.
func (c *client) next() {
	l := c.l
	if !l.open {
		return
	}
	if c.at == nil || c.at.proc == nil || l.chance.IntN(40) == 0 {
		c.at = l.w.serving(l.chance)
	}
	if c.at == nil {
		l.w.after(between(l.chance, 50*time.Millisecond, 200*time.Millisecond), c.next)
		return
	}
	i := l.chance.IntN(len(l.keys))
	if k := l.keys[i]; len(k.ops) >= maxOps || k.unknown >= maxUnknown {
		l.rotate(i)
	}
	c.askAll(l.more(wish{l.keys[i], l.draw(l.keys[i])}), func() {
		l.w.after(between(l.chance, 0, 2*l.think), c.next)
	})
}

// wish is a command that a client wants to be carried out on a key.
type wish struct {
	k *keyHistory
	o op
}

// more adds other commands to the first of a request, where there may be several: on the same tablet, and all reads or all writes.
func (l *load) more(first wish) []wish {
	run := []wish{first}
	if l.batch < 2 {
		return run
	}
	for range l.chance.IntN(l.batch) {
		k := first.k
		if l.chance.IntN(2) == 0 {
			k = l.keys[l.chance.IntN(len(l.keys))]
		}
		if o := l.draw(k); l.tabletOf(k) == l.tabletOf(first.k) && o.verb.reads() == first.o.verb.reads() {
			run = append(run, wish{k, o})
		}
	}
	return run
}

func (l *load) tabletOf(k *keyHistory) uint32 {
	return slot.Tablet(slot.Of([]byte(k.name)), l.w.cfg.Tablets)
}

// serving returns a machine whose node takes requests of clients, nil where there is none.
func (w *World) serving(r *rand.Rand) *Machine {
	var all []*Machine
	for _, m := range w.machines {
		if m.proc != nil && m.proc.core.Tablets() > 0 {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[r.IntN(len(all))]
}

// draw chooses a command.
func (l *load) draw(k *keyHistory) op {
	n := l.chance.IntN(100)
	value := func() string {
		l.values++
		v := fmt.Sprintf("v%d", l.values)
		if l.chance.IntN(16) == 0 {
			v += strings.Repeat(".", l.chance.IntN(l.valueBytes))
		}
		return v
	}
	switch k.kind {
	case counter:
		if n < 40 {
			return op{verb: get}
		}
		return op{verb: incr}
	case expiring:
		if n < 70 {
			return op{verb: get}
		}
		return op{verb: setPX, arg: value(), ttl: between(l.chance, 20*time.Millisecond, 8*time.Second).Truncate(time.Millisecond)}
	case paired:
		switch {
		case n < 40:
			return op{verb: mget}
		case n < 65:
			return op{verb: mset, arg: value()}
		case n < 75:
			return op{verb: msetNX, arg: value()}
		case n < 85:
			return op{verb: mdel}
		case n < 90:
			return op{verb: set1, arg: value()}
		case n < 95:
			return op{verb: getDel}
		}
		return op{verb: get}
	}
	switch {
	case n < 45:
		return op{verb: get}
	case n < 75:
		return op{verb: set1, arg: value()}
	case n < 85:
		return op{verb: setNX, arg: value()}
	case n < 95:
		return op{verb: getDel}
	}
	return op{verb: del}
}

// ask sends a command and notes how it ended; then is called when the client is free again.
func (c *client) ask(k *keyHistory, o op, then func()) { c.askAll([]wish{{k, o}}, then) }

// askAll is ask for the commands of one request.
func (c *client) askAll(run []wish, then func()) {
	l := c.l
	var commands [][]string
	var places []int // in the histories of the keys
	l.runs++
	for i := range run {
		k, o := run[i].k, &run[i].o
		o.client, o.run, o.at, o.call, o.ret, o.loose = c.name, l.runs, c.at.index, l.w.now, unknownEnd, l.clockBehind
		places = append(places, len(k.ops))
		k.ops = append(k.ops, *o)
		k.busy++
		commands = append(commands, o.command(k.name))
	}
	c.busy = true
	over := false
	end := func(q *Call) {
		if over {
			return
		}
		over = true
		c.busy = false
		for i, x := range run {
			x.k.busy--
			l.judge(x.k, &x.k.ops[places[i]], q, i)
		}
		then()
	}
	call := c.at.AskAll(end, commands)
	l.w.after(patience, func() {
		if !over {
			if p := call.p; p.m.proc == p && !p.paused && l.w.now-p.woke >= patience {
				l.w.violateKey(run[0].k.name, "a request has no end after %v: %s at n%d", patience, commands, run[0].o.at)
			}
			end(nil)
		}
	})
}

// judge takes the end of a command into its key's history: of the i-th of its request.
func (l *load) judge(k *keyHistory, o *op, q *Call, i int) {
	l.ops++
	if l.noted != nil {
		l.noted(o, q)
	}
	write := !o.verb.reads()
	if o.call >= l.since && (q == nil || !q.OK()) {
		l.failed++
	}
	lost := func() {
		if write {
			k.unknown++
			l.uncertain++
			return
		}
		o.void = true
	}
	switch {
	case q == nil || q.gone:
		o.reply = "?"
		lost()
		return
	case q.OK():
		reply, told := q.ReplyTo(i)
		if !told { // it was left for another request, and has not happened
			o.void, o.ret, o.reply = true, l.w.now, "left out"
			return
		}
		o.known, o.ret, o.reply = true, l.w.now, reply
		l.ok++
		if q.direct {
			l.direct++
		}
		return
	}
	o.reply = string(q.Code())
	switch q.Code() {
	case request.Uncertain:
		if !write {
			l.w.violateKey(k.name, "a read is uncertain: %s", q.Reply())
		}
		lost()
	case request.TryAgain, request.ClusterDown:
		// Certainly not done: whoever sees it done has seen what cannot be.
		l.refused++
		o.void, o.ret = true, l.w.now
	default:
		l.w.violateKey(k.name, "%v answers %s", o.command(k.name), q.Reply())
	}
}

// idle reports whether no client waits for an answer.
func (l *load) idle() bool {
	for _, c := range l.clients {
		if c.busy {
			return false
		}
	}
	return true
}
