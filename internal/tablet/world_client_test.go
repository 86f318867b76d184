package tablet

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/request"
)

// source is where writes come from: what a node's boot is to a tablet. Several clients may share one.
type source struct {
	id     ident.NodeID
	boot   uint64
	next   uint64
	flight []uint64
}

func (s *source) take() uint64 {
	s.next++
	s.flight = append(s.flight, s.next)
	return s.next
}

func (s *source) done(number uint64) {
	s.flight = slices.DeleteFunc(s.flight, func(n uint64) bool { return n == number })
}

func (s *source) low() uint64 {
	if len(s.flight) == 0 {
		return s.next + 1
	}
	return slices.Min(s.flight)
}

// reboot forgets all that is under way, as a crash of the node would.
func (s *source) reboot() { s.boot, s.next, s.flight = s.boot+1, 0, nil }

// client sends one command at a time, and again under the same number until it knows how it ended or five seconds
// are over: what package core does for the clients of a node.
type client struct {
	w      *world
	source *source
	name   int
	guess  int // the node that is asked next

	now    *operation
	ended  func(*operation)
	latest *operation
}

// operation is one command on its way.
type operation struct {
	client     *client
	command    request.Command
	write      bool
	boot       uint64
	number     uint64
	attempt    int
	maybe      bool
	over       bool
	reply      string // of what was answered
	failed     string // why there is no reply; empty when there is
	begun, end time.Duration
}

// uncertain reports whether the operation may have been carried out without an answer.
func (o *operation) uncertain() bool { return o.failed != "" && o.write && o.maybe }

func (w *world) newSource() *source {
	return &source{id: nodeID(100 + w.rng.IntN(1<<20)), boot: 1}
}

func (w *world) newClient(name int) *client {
	return &client{w: w, source: w.newSource(), name: name}
}

const (
	clientPatience  = 5 * time.Second
	attemptPatience = time.Second
)

// begin sends a command; ended, if there is one, is called with the outcome.
func (c *client) begin(args ...string) *operation {
	o := &operation{client: c, command: words(args...), begun: c.w.now, boot: c.source.boot}
	o.write = args[0] != "GET" && args[0] != "EXISTS" && args[0] != "PTTL"
	if o.write {
		o.number = c.source.take()
	}
	c.now = o
	c.w.after(clientPatience, func() { o.finish("", "timeout") })
	o.try()
	return o
}

func (c *client) idle() bool { return c.now == nil }

// finish waits for the command under way.
func (c *client) finish() *operation {
	c.w.until("the command has ended", c.idle)
	return c.latest
}

// do carries out a command.
func (c *client) do(args ...string) *operation {
	c.begin(args...)
	return c.finish()
}

// expect carries out a command until it gets an answer, which must be want.
func (c *client) expect(want string, args ...string) {
	c.w.Helper()
	o := c.do(args...)
	for o.failed != "" && !o.uncertain() {
		o = c.do(args...)
	}
	if o.failed != "" || o.reply != want {
		c.w.fatalf("%q: %q %s, want %q", args, o.reply, o.failed, want)
	}
}

func (o *operation) try() {
	c := o.client
	if o.over {
		return
	}
	o.attempt++
	attempt := o.attempt
	to := c.guess
	for range 10 {
		if to >= 0 && c.w.nodes[to].up && attempt%4 != 0 {
			break
		}
		if to = c.w.rng.IntN(len(c.w.nodes)); c.w.nodes[to].up {
			break
		}
	}
	origin := Origin{}
	if o.write {
		origin = Origin{Node: c.source.id, Boot: o.boot, Number: o.number, Low: min(c.source.low(), o.number)}
	}
	c.w.send(to, to, func() { c.w.nodes[to].request(o, attempt, origin) })
	c.w.after(attemptPatience, func() {
		if o.attempt == attempt && !o.over {
			o.maybe = true
			c.guess = -1
			o.try()
		}
	})
}

func (o *operation) again(attempt int) {
	if o.over || o.attempt != attempt {
		return
	}
	o.attempt++ // nothing else may try meanwhile
	o.client.w.after(5*time.Millisecond<<min(o.attempt, 4), o.try)
}

func (o *operation) finish(reply, failed string) {
	if o.over {
		return
	}
	c := o.client
	o.over, o.reply, o.failed, o.end = true, reply, failed, c.w.now
	if failed == "timeout" {
		o.maybe = o.maybe || o.attempt > 0 // the last attempt may still be on its way
	}
	if o.write && o.boot == c.source.boot {
		c.source.done(o.number)
	}
	if c.now == o {
		c.now, c.latest = nil, o
	}
	if c.ended != nil {
		c.ended(o)
	}
}

// request takes a client's command on a node.
func (n *node) request(o *operation, attempt int, origin Origin) {
	g := n.group
	if g == nil || !g.Leading() {
		leader := -1
		if g != nil {
			if id, ok := g.Leader(); ok {
				leader = slices.IndexFunc(n.w.nodes, func(x *node) bool { return x.id == id })
			}
		}
		n.w.after(n.w.delay(), func() {
			if o.attempt == attempt {
				o.client.guess = leader
			}
			o.again(attempt)
		})
		return
	}
	waiter := &clientWaiter{n: n, o: o, attempt: attempt}
	var r Refusal
	if o.write {
		r = g.Write(n.mono(), origin, []request.Command{o.command}, waiter)
	} else {
		r = g.Read(n.mono(), []request.Command{o.command}, waiter)
	}
	if r != Taken {
		waiter.told = true
		n.w.after(n.w.delay(), func() { o.again(attempt) })
	}
}

// clientWaiter carries the outcome of an attempt back to its client.
type clientWaiter struct {
	n       *node
	o       *operation
	attempt int
	told    bool
}

func (c *clientWaiter) tell(what string, fn func()) {
	if c.told {
		c.n.w.fatalf("a waiter was told twice; the second time: %s", what)
	}
	c.told = true
	w := c.n.w
	if w.rng.Float64() < w.loss {
		return
	}
	w.after(w.delay(), fn)
}

// Done implements Waiter.
func (c *clientWaiter) Done(replies [][]byte) {
	if len(replies) != 1 {
		c.n.w.fatalf("%d replies to one command", len(replies))
	}
	reply := string(replies[0])
	c.tell("done", func() {
		c.o.client.guess = c.n.at
		c.o.finish(reply, "")
	})
}

// Lost implements Waiter.
func (c *clientWaiter) Lost() {
	c.n.w.lost++
	c.tell("lost", func() {
		c.o.maybe = true
		c.o.client.guess = -1
		c.o.again(c.attempt)
	})
}

// Spent implements Waiter.
func (c *clientWaiter) Spent() {
	c.tell("spent", func() {
		c.o.maybe = true
		c.o.finish("", "spent")
	})
}

// bulk is the reply that holds a number as a string.
func bulk(n int) string {
	s := fmt.Sprint(n)
	return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s)
}
