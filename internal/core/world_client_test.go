package core

import (
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/slot"
)

// call is a request of a client, which must end exactly once, unless the node that took it is gone.
type call struct {
	n     *node
	req   request.Request
	ends  int
	nth   int // of all calls to end
	gone  bool
	begun time.Duration
	took  time.Duration
}

// Ended implements request.Owner.
func (c *call) Ended(*request.Request) {
	if c.ends++; c.ends > 1 {
		c.n.w.t.Errorf("a request ended %d times", c.ends)
	}
	c.n.w.ended++
	c.nth = c.n.w.ended
	c.took = c.n.w.now - c.begun
	delete(c.n.calls, c)
}

func (c *call) over() bool { return c.ends > 0 || c.gone }

// reply returns what the client sees.
func (c *call) reply() string {
	switch {
	case c.ends == 0:
		return "GONE"
	case c.req.Failure != nil:
		return "-" + c.req.Failure.Error()
	}
	return string(c.req.Replies[0])
}

// code returns the code of the failure, "" after a success.
func (c *call) code() request.Code {
	if c.ends > 0 && c.req.Failure != nil {
		return c.req.Failure.Code
	}
	return ""
}

// ask sends a command about one key to a node.
func (w *world) ask(n *node, args ...string) *call {
	w.t.Helper()
	if n.core == nil {
		w.t.Fatalf("node %d does not run", n.index)
	}
	cmd := make(request.Command, len(args))
	for i, a := range args {
		cmd[i] = []byte(a)
	}
	c := &call{n: n, begun: w.now}
	c.req = request.Request{
		Tablet: slot.Tablet(slot.Of(cmd[1]), worldTablets), Write: args[0] != "GET", Commands: []request.Command{cmd}, Owner: c,
	}
	n.calls[c] = true
	n.event(func() { n.core.Submit([]*request.Request{&c.req}) })
	return c
}

// must sends a command and returns the reply, which must be a success.
func (w *world) must(n *node, args ...string) string {
	w.t.Helper()
	c := w.ask(n, args...)
	w.until(6*time.Second, fmt.Sprintf("an answer to %q at node %d", args, n.index), c.over)
	if c.code() != "" || c.gone {
		w.t.Fatalf("%q at node %d: %s\n%s", args, n.index, c.reply(), w.describe())
	}
	return c.reply()
}

// key returns a key of a tablet.
func key(t uint32) string {
	for i := 0; ; i++ {
		if k := fmt.Sprintf("key%d", i); slot.Tablet(slot.Of([]byte(k)), worldTablets) == t {
			return k
		}
	}
}
