package server

import (
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/resp"
	"github.com/quorddb/quord/internal/slot"
)

// plan adds one command to the batch: what is about the session is answered on the spot, what is about tablets becomes
// part of a run.
func (c *session) plan(b *batch, cmd resp.Command) {
	b.calls = append(b.calls, call{proto: c.proto, muted: c.mute()})
	b.bytes += cmd.Size
	b.mark = len(b.inline)
	c.decide(b, &b.calls[len(b.calls)-1], cmd)
	if k := &b.calls[len(b.calls)-1]; k.kind == inlineCall {
		k.from, k.to = b.mark, len(b.inline)
	}
}

// decide finds out what a command is and who carries it out. What it appends to b.inline is the reply.
func (c *session) decide(b *batch, k *call, cmd resp.Command) {
	k.entry = c.srv.unknown
	if cmd.Oversize > 0 {
		c.srv.counted.oversize.Add(1)
		k.rejected = true
		b.inline = resp.AppendError(b.inline, fmt.Sprintf(
			"ERR an argument of %d bytes is over the limit: at most %d for a value, %d for all of a command",
			cmd.Oversize, c.srv.cfg.MaxValue, c.srv.cfg.limits(true).MaxCommand))
		return
	}
	var spec *command.Spec
	if spec, b.inline = command.Check(cmd.Args, b.inline); spec == nil {
		k.rejected = true
		if named := command.Lookup(cmd.Args[0]); named != nil {
			k.entry = c.srv.table[named]
		}
		if isHTTP(cmd.Args[0]) {
			// A browser that was lured here sends commands in the body of its request.
			c.srv.cfg.Log.Warn("closed a connection that speaks HTTP, possibly an attack on this node", "client", c.addr)
			c.quit = true
		}
		return
	}
	if c.lastEntry == nil || c.lastEntry.spec != spec {
		c.lastEntry = c.srv.table[spec]
	}
	k.entry = c.lastEntry
	if !c.authenticated && spec.Flags&command.NoAuth == 0 {
		k.rejected = true
		b.inline = append(b.inline, "-NOAUTH Authentication required.\r\n"...)
		return
	}
	if k.entry.handle == nil {
		c.planTablet(b, k, spec, cmd)
		return
	}
	if k.entry.barrier {
		k = c.settle(b)
	}
	c.last.Store(k.entry) // CLIENT LIST shows this one
	b.inline = k.entry.handle(c, cmd.Args, b.inline)
	// What changes the protocol speaks the new one already; what switches replies on or off obeys itself.
	k.proto = c.proto
	k.muted = c.silent || c.skip > 0
}

// planTablet adds a command on keys.
func (c *session) planTablet(b *batch, k *call, spec *command.Spec, cmd resp.Command) {
	args := cmd.Args
	first, last, step := spec.KeyRange(len(args))
	s := slot.Of(args[first])
	tablet := slot.Tablet(s, b.tablets)
	oneSlot, oneTablet, longest := true, true, len(args[first])
	for i := first + step; i <= last; i += step {
		longest = max(longest, len(args[i]))
		if other := slot.Of(args[i]); other != s {
			oneSlot = false
			oneTablet = oneTablet && slot.Tablet(other, b.tablets) == tablet
		}
	}
	switch {
	case longest > c.srv.cfg.MaxKey:
		k.rejected = true
		b.inline = resp.AppendError(b.inline,
			fmt.Sprintf("ERR a key of %d bytes is over the limit of %d bytes", longest, c.srv.cfg.MaxKey))
	case oneSlot || spec.Split != command.None && oneTablet:
		k.kind = runCall
		k.where = b.add(tablet, spec.IsWrite(), args, cmd.Size)
	case spec.Split == command.None:
		k.rejected = true
		b.inline = append(b.inline, "-CROSSSLOT Keys in request don't hash to the same slot\r\n"...)
	default:
		c.srv.counted.splits.Add(1)
		b.split(k, spec, args)
	}
}

// settle executes and answers what stands before the last call of the batch, which stays as the only one.
func (c *session) settle(b *batch) *call {
	n := len(b.calls) - 1
	last := b.calls[n]
	if n == 0 {
		return &b.calls[0]
	}
	start := time.Now()
	b.calls = b.calls[:n]
	b.execute(c.srv.cfg.MaxOutput)
	if c.emit(b, start) != nil {
		c.quit = true
	}
	bytes, largest, requests, failed := b.bytes, b.largest, b.requests, b.failed
	b.clear()
	b.bytes, b.largest, b.requests, b.failed = bytes, largest, requests, failed
	b.calls = append(b.calls, last)
	b.mark = len(b.inline)
	return &b.calls[0]
}

// mute reports whether the next command gets no reply.
func (c *session) mute() bool {
	if c.skip > 0 {
		c.skip--
	}
	return c.silent || c.skip > 0
}

// isHTTP reports whether a line of HTTP was read as a command.
func isHTTP(name []byte) bool {
	switch string(name) {
	case "POST", "post", "Host:", "host:", "HOST:":
		return true
	}
	return false
}
