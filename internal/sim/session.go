package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/slot"
)

// Call is a request of a client, of one command or several, on its way through the process that took it.
type Call struct {
	p      *Process
	req    request.Request
	name   [][]string
	ends   int
	gone   bool // the connection broke before there was an answer
	Begun  time.Duration
	Took   time.Duration
	direct bool // answered by the session itself
	then   func(*Call)
}

// Ask sends a command about one key, or keys of one slot, to the node on a machine, whose process must run. then is called once, when the
// answer is there or the connection has broken.
func (m *Machine) Ask(then func(*Call), args ...string) *Call {
	return m.AskAll(then, [][]string{args})
}

// AskAll is Ask for a run of commands on one tablet, all reads or all writes.
func (m *Machine) AskAll(then func(*Call), run [][]string) *Call {
	p, w := m.proc, m.w
	c := &Call{p: p, name: run, Begun: w.now, then: then}
	for _, args := range run {
		cmd := make(request.Command, len(args))
		for i, a := range args {
			cmd[i] = []byte(a)
		}
		c.req.Commands = append(c.req.Commands, cmd)
		w.note('Q', m.index, len(args), []byte(strings.Join(args, " ")))
	}
	first := c.req.Commands[0]
	c.req.Tablet, c.req.Write, c.req.Owner = slot.Tablet(slot.Of(first[1]), w.cfg.Tablets), command.Find(first[0]).IsWrite(), c
	p.calls = append(p.calls, c)
	p.post(func() {
		// A session reads by itself where it may, whatever the worker is waiting for.
		if !c.req.Write && p.core.TryRead(m.now().Mono, &c.req) {
			c.direct = true
			c.Ended(&c.req)
			return
		}
		p.core.Submit([]*request.Request{&c.req})
	})
	return c
}

// Ended implements request.Owner.
func (c *Call) Ended(*request.Request) {
	w := c.p.w
	if c.ends++; c.ends > 1 {
		w.violate("a request ended %d times: %v", c.ends, c.name)
		return
	}
	if c.gone {
		return
	}
	c.Took = w.now - c.Begun
	if i := slices.Index(c.p.calls, c); i >= 0 {
		c.p.calls = slices.Delete(c.p.calls, i, i+1)
	}
	w.note('A', c.p.m.index, 0, []byte(c.Reply()))
	for i := 1; i < len(c.req.Replies); i++ {
		w.note('A', c.p.m.index, i, c.req.Replies[i])
	}
	c.tell()
}

// broken says that the process has ended without an answer.
func (c *Call) broken() {
	if c.ends > 0 || c.gone {
		return
	}
	c.gone = true
	c.Took = c.p.w.now - c.Begun
	c.tell()
}

func (c *Call) tell() {
	if c.then != nil {
		c.p.w.after(0, func() { c.then(c) }) // not from within a turn
	}
}

// Over reports whether there is nothing to wait for any more.
func (c *Call) Over() bool { return c.ends > 0 || c.gone }

// ReplyTo returns the reply to a command, and whether there is one: a request may end with those to its first commands only.
func (c *Call) ReplyTo(i int) (string, bool) {
	if !c.OK() || i >= len(c.req.Replies) {
		return "", false
	}
	return string(c.req.Replies[i]), true
}

// Reply returns what the client sees, of the first command where there are several.
func (c *Call) Reply() string {
	switch {
	case c.ends == 0:
		return "(the connection broke)"
	case c.req.Failure != nil:
		return "-" + c.req.Failure.Error()
	}
	return string(c.req.Replies[0])
}

// Code returns the code of the failure, "" after a success or a broken connection.
func (c *Call) Code() request.Code {
	if c.ends > 0 && c.req.Failure != nil {
		return c.req.Failure.Code
	}
	return ""
}

// OK reports whether the command was carried out.
func (c *Call) OK() bool { return c.ends > 0 && c.req.Failure == nil }

// say writes a reply in one line.
func say(reply string) string {
	reply = strings.TrimSuffix(reply, "\r\n")
	switch {
	case reply == "_":
		return "nil"
	case strings.HasPrefix(reply, "$"):
		_, value, _ := strings.Cut(reply, "\r\n")
		return brief(value)
	case strings.HasPrefix(reply, "+"), strings.HasPrefix(reply, ":"):
		return reply[1:]
	case strings.HasPrefix(reply, "*"):
		var parts []string
		_, rest, _ := strings.Cut(reply, "\r\n")
		for rest != "" {
			part, after, _ := strings.Cut(rest, "\r\n")
			if strings.HasPrefix(part, "$") {
				part, after, _ = strings.Cut(after, "\r\n")
				part = brief(part)
			} else {
				part = say(part)
			}
			parts, rest = append(parts, part), after
		}
		return strings.Join(parts, ", ")
	}
	return reply
}

// brief shortens a value for an account.
func brief(s string) string {
	if len(s) > 40 {
		return s[:24] + "…" + s[len(s)-8:]
	}
	return s
}
