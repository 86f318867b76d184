package tablet

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	pb "go.etcd.io/raft/v3/raftpb"
)

var (
	seeds     = flag.Int("seeds", 6, "how many random histories to check for linearizability")
	firstSeed = flag.Uint64("seed", 1, "the first seed of the random histories")
)

// What clients saw while nodes crashed and forgot what was not synced, while the network lost, delayed, repeated and
// reordered messages and fell apart, while processes were stopped and went on, while wall clocks jumped and monotonic ones
// drifted apart as far as they may, and while replicas moved and leaders handed over or gave that up, can be told as one
// story in which each command happened at one moment between its request and its answer. When this fails, a user has read a value that was
// overwritten before, or lost a write that was acknowledged, or had one counted twice.
func TestLinearizable(t *testing.T) {
	for i := range uint64(*seeds) {
		seed := *firstSeed + i
		replicas := 3
		if seed%3 == 0 {
			replicas = 5
		}
		t.Run(fmt.Sprintf("seed %d with %d replicas", seed, replicas), func(t *testing.T) { history(t, seed, replicas) })
	}
}

const (
	registers = 3
	counters  = 2
	callers   = 6
	readers   = 2 // who only read, and so are slow to notice that a leader is cut off
)

// seen is one operation as the checker reads it.
type seen struct {
	key    int
	kind   byte // 'g'et, 's'et, 'i'ncr
	value  int  // what is set
	result int  // what was answered; -1 for no such key
	known  bool
}

// plot is what goes wrong in one history.
type plot struct {
	*world
	replicas int
	events   []porcupine.Operation
	values   int
	open     bool // clients go on
	sources  []*source
}

func history(t *testing.T, seed uint64, replicas int) {
	w := grown(t, seed, replicas+2, replicas)
	w.chunk, w.move = 200+w.rng.IntN(2000), 150+w.rng.IntN(1000)
	w.truncateAt(20 + w.rng.Uint64N(40))
	p := &plot{world: w, replicas: replicas, open: true}
	for range callers / 2 {
		p.sources = append(p.sources, w.newSource())
	}
	for i := range callers + readers {
		c := &client{w: w, source: p.sources[i/2%len(p.sources)], name: i}
		c.ended = func(o *operation) { p.note(c, o); p.next(c) }
		p.next(c)
	}
	for _, n := range w.nodes {
		n.drifts(w.rng.Int64N(49) - 24)
	}
	w.hold = func(_, _ int, m *message) time.Duration {
		if m.GetType() == pb.MsgTimeoutNow && w.rng.IntN(2) == 0 {
			return time.Duration(w.rng.Int64N(int64(5 * time.Second))) // until the transfer has long been given up
		}
		return 0
	}
	p.trouble()
	w.pass(12 * time.Second)
	p.open = false
	w.heal()
	for _, n := range w.nodes {
		n.restart()
		n.resume()
	}
	w.pass(clientPatience)
	w.heal() // what had been planned is over
	for _, n := range w.nodes {
		n.restart()
		n.resume()
	}
	w.until("the replicas are the targets", w.settled)
	reader := w.newClient(callers + readers)
	reader.ended = func(o *operation) { p.note(reader, o) }
	for k := range registers + counters {
		for reader.do("GET", keyOf(k)).failed != "" {
		}
	}
	w.mustAgree()
	w.until("those that are no replicas any more are gone", func() bool {
		left := 0
		for _, n := range w.nodes {
			if n.group != nil {
				left++
			}
		}
		return left == replicas
	})
	if result := porcupine.CheckOperationsTimeout(model, p.events, 20*time.Second); result != porcupine.Ok {
		w.fatalf("%d operations: %s", len(p.events), result)
	}
}

func keyOf(k int) string { return key(strconv.Itoa(k)) }

// next lets a client begin its next command.
func (p *plot) next(c *client) {
	pause := time.Duration(p.rng.IntN(40)) * time.Millisecond
	p.after(pause, func() {
		if !p.open || !c.idle() {
			return
		}
		if p.rng.IntN(8) == 0 {
			c.guess = -1 // whoever: it may be one that led once
		}
		k := p.rng.IntN(registers + counters)
		switch {
		case c.name >= callers || p.rng.IntN(3) == 0:
			c.begin("GET", keyOf(k))
		case k < registers:
			p.values++
			c.begin("SET", keyOf(k), strconv.Itoa(p.values))
		default:
			c.begin("INCR", keyOf(k))
		}
	})
}

// note adds to the history what a client saw.
func (p *plot) note(c *client, o *operation) {
	if o.failed != "" && (!o.write || !o.maybe) {
		return // it read nothing, or certainly did nothing
	}
	s := seen{known: o.failed == "", result: -1}
	s.key, _ = strconv.Atoi(strings.TrimPrefix(string(o.command[1]), tag))
	switch string(o.command[0]) {
	case "GET":
		s.kind = 'g'
		if s.known && o.reply != "_\r\n" {
			s.result = p.number(strings.Split(o.reply, "\r\n")[1])
		}
	case "SET":
		s.kind = 's'
		s.value = p.number(string(o.command[2]))
		if s.known && o.reply != "+OK\r\n" {
			p.fatalf("SET: %q", o.reply)
		}
	case "INCR":
		s.kind = 'i'
		if s.known {
			s.result = p.number(strings.TrimSuffix(o.reply[1:], "\r\n"))
		}
	}
	end := int64(o.end)
	if !s.known {
		end = int64(time.Hour) // it may happen at any time yet
	}
	p.events = append(p.events, porcupine.Operation{ClientId: c.name, Input: s, Call: int64(o.begun), Output: s, Return: end})
}

func (p *plot) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.fatalf("an answer is no number: %q", s)
	}
	return n
}

// model is a register or counter for each key: -1 where there is none.
var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, registers+counters)
		for _, o := range history {
			k := o.Input.(seen).key
			parts[k] = append(parts[k], o)
		}
		return parts
	},
	Init: func() any { return -1 },
	Step: func(state, input, _ any) (bool, any) {
		now, s := state.(int), input.(seen)
		switch s.kind {
		case 's':
			return true, s.value
		case 'i':
			next := max(now, 0) + 1
			return !s.known || s.result == next, next
		default:
			return s.result == now, now
		}
	},
}

// trouble lets something go wrong, and again after a while.
func (p *plot) trouble() {
	if !p.open {
		return
	}
	n := p.nodes[p.rng.IntN(len(p.nodes))]
	for range 3 { // mostly a replica's
		if n.group == nil {
			n = p.nodes[p.rng.IntN(len(p.nodes))]
		}
	}
	if l := p.leader(); l != nil && p.rng.IntN(2) == 0 {
		n = l
	}
	soon := func() time.Duration { return time.Duration(p.rng.Int64N(int64(2 * time.Second))) }
	switch p.rng.IntN(14) {
	case 0, 1, 2:
		n.crash()
		p.after(soon(), n.restart)
	case 3: // power goes everywhere
		for _, o := range p.nodes {
			o.crash()
			p.after(soon()/4, o.restart)
		}
	case 4, 5:
		p.isolate(n.at)
		p.after(3*soon(), p.heal)
	case 6: // one way only
		p.cutOff(n.at, p.rng.IntN(len(p.nodes)))
		p.after(soon(), p.heal)
	case 7:
		perm := p.rng.Perm(len(p.nodes))
		k := 1 + p.rng.IntN(len(perm)-1)
		p.part(perm[:k], perm[k:])
		p.after(soon(), p.heal)
	case 8:
		p.loss, p.twice, p.slowest = 0.2*p.rng.Float64(), 0.2*p.rng.Float64(), 20*time.Millisecond
		p.after(soon(), p.heal)
	case 9:
		n.wall = time.Duration(p.rng.IntN(7_200_000)-3_600_000) * time.Millisecond
	case 10:
		p.targets = p.rng.Perm(len(p.nodes))[:p.replicas]
	case 11:
		s := p.sources[p.rng.IntN(len(p.sources))]
		s.reboot()
		if l := p.leader(); l != nil {
			voters := l.group.Descriptor().Voters()
			l.do(func() {
				if l.group != nil {
					l.group.TransferTo(voters[p.rng.IntN(len(voters))].ID)
				}
			})
		}
	case 12, 13:
		n.pause()
		p.after(2*soon(), n.resume)
	}
	p.after(soon()/2, p.trouble)
}
