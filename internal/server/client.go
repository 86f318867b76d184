package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/resp"
)

func (c *session) clientID(_ [][]byte, out []byte) []byte { return resp.AppendInt(out, c.id) }

func (c *session) clientGetName(_ [][]byte, out []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.name == "" {
		return resp.AppendNull(out)
	}
	return resp.AppendBulk(out, c.name)
}

func (c *session) clientSetName(args [][]byte, out []byte) []byte {
	if !validName(args[2]) {
		return resp.AppendError(out, errName)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.name = string(args[2])
	return append(out, okReply...)
}

func (c *session) clientSetInfo(args [][]byte, out []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var what *string
	switch {
	case is(args[2], "lib-name"):
		what = &c.libName
	case is(args[2], "lib-ver"):
		what = &c.libVer
	default:
		return resp.AppendError(out, fmt.Sprintf("ERR Unrecognized option '%.128s'", args[2]))
	}
	if !validName(args[3]) {
		return resp.AppendError(out, "ERR "+strings.ToLower(string(args[2]))+
			" cannot contain spaces, newlines or special characters.")
	}
	*what = string(args[3])
	return append(out, okReply...)
}

// clientFlag is CLIENT NO-EVICT and CLIENT NO-TOUCH: there is nothing here to be kept from.
func (c *session) clientFlag(args [][]byte, out []byte) []byte {
	if !is(args[2], "on") && !is(args[2], "off") {
		return resp.AppendError(out, errSyntax)
	}
	return append(out, okReply...)
}

func (c *session) clientReply(args [][]byte, out []byte) []byte {
	switch {
	case is(args[2], "on"):
		c.silent, c.skip = false, 0
		return append(out, okReply...)
	case is(args[2], "off"):
		c.silent = true
		return out
	case is(args[2], "skip"):
		if !c.silent {
			c.skip = 2
		}
		return out
	}
	return resp.AppendError(out, errSyntax)
}

func (c *session) clientInfo(_ [][]byte, out []byte) []byte {
	return resp.AppendVerbatim(out, c.describe(c.srv.cfg.Now())+"\n")
}

// describe is the line of CLIENT LIST. It may be asked of another session.
func (c *session) describe(now time.Time) string {
	c.mu.Lock()
	name, libName, libVer := c.name, c.libName, c.libVer
	c.mu.Unlock()
	last := "NULL"
	if e := c.last.Load(); e != nil {
		last = e.name
	}
	idle := now.Sub(time.Unix(0, c.active.Load()))
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 "+
		"qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=%s user=default "+
		"redir=-1 resp=%d lib-name=%s lib-ver=%s tot-net-in=%d tot-net-out=%d tot-cmds=%d",
		c.id, c.addr, c.laddr, name, int64(max(0, now.Sub(c.since)).Seconds()), int64(max(0, idle).Seconds()), last,
		c.resp.Load(), libName, libVer, c.in.Load(), c.out.Load(), c.commands.Load())
}

// clientType reports whether a TYPE of Redis is one that clients here have.
func clientType(b []byte) (has, known bool) {
	switch strings.ToLower(string(b)) {
	case "normal":
		return true, true
	case "master", "replica", "slave", "pubsub":
		return false, true
	}
	return false, false
}

func (c *session) clientList(args [][]byte, out []byte) []byte {
	list := c.srv.all()
	switch {
	case len(args) == 2:
	case len(args) == 4 && is(args[2], "type"):
		has, known := clientType(args[3])
		if !known {
			return resp.AppendError(out, fmt.Sprintf("ERR Unknown client type '%.128s'", args[3]))
		}
		if !has {
			list = nil
		}
	case len(args) > 3 && is(args[2], "id"):
		wanted := map[int64]bool{}
		for _, a := range args[3:] {
			id, isInt := resp.ParseInt(a)
			if !isInt || id < 1 {
				return resp.AppendError(out, "ERR Invalid client ID")
			}
			wanted[id] = true
		}
		var some []*session
		for _, o := range list {
			if wanted[o.id] {
				some = append(some, o)
			}
		}
		list = some
	default:
		return resp.AppendError(out, errSyntax)
	}
	var text strings.Builder
	now := c.srv.cfg.Now()
	for _, o := range list {
		text.WriteString(o.describe(now))
		text.WriteByte('\n')
	}
	return resp.AppendVerbatim(out, text.String())
}

// clientKill is CLIENT KILL addr, or CLIENT KILL with filters, all of which must be met.
func (c *session) clientKill(args [][]byte, out []byte) []byte {
	if len(args) == 3 {
		for _, o := range c.srv.all() {
			if o.addr == string(args[2]) {
				c.end(o)
				return append(out, okReply...)
			}
		}
		return resp.AppendError(out, "ERR No such client")
	}
	f := killFilter{skipMe: true}
	if problem := f.parse(args[2:]); problem != "" {
		return resp.AppendError(out, problem)
	}
	now := c.srv.cfg.Now()
	var n int64
	for _, o := range c.srv.all() {
		if f.meets(o, now) && (o != c || !f.skipMe) {
			c.end(o)
			n++
		}
	}
	return resp.AppendInt(out, n)
}

// end kills another session at once, this one when it has its reply.
func (c *session) end(o *session) {
	if o == c {
		c.quit = true
		return
	}
	o.kill()
}

// killFilter says which sessions CLIENT KILL ends; what is empty does not matter.
type killFilter struct {
	id           int64
	addr, laddr  string
	minAge       time.Duration
	none, skipMe bool
}

func (f *killFilter) parse(words [][]byte) string {
	if len(words)%2 != 0 {
		return errSyntax
	}
	for ; len(words) > 0; words = words[2:] {
		value := words[1]
		switch {
		case is(words[0], "id"):
			id, isInt := resp.ParseInt(value)
			if !isInt || id < 1 {
				return "ERR client-id should be greater than 0"
			}
			f.id = id
		case is(words[0], "addr"):
			f.addr = string(value)
		case is(words[0], "laddr"):
			f.laddr = string(value)
		case is(words[0], "maxage"):
			age, isInt := resp.ParseInt(value)
			if !isInt || age < 1 || age > int64(1<<31) {
				return "ERR maxage is not an integer or out of range"
			}
			f.minAge = time.Duration(age) * time.Second
		case is(words[0], "type"):
			has, known := clientType(value)
			if !known {
				return fmt.Sprintf("ERR Unknown client type '%.128s'", value)
			}
			f.none = f.none || !has
		case is(words[0], "user"):
			if string(value) != "default" {
				return fmt.Sprintf("ERR No such user '%.128s'", value)
			}
		case is(words[0], "skipme") && is(value, "yes"):
			f.skipMe = true
		case is(words[0], "skipme") && is(value, "no"):
			f.skipMe = false
		default:
			return errSyntax
		}
	}
	return ""
}

func (f *killFilter) meets(o *session, now time.Time) bool {
	return !f.none && (f.id == 0 || f.id == o.id) && (f.addr == "" || f.addr == o.addr) &&
		(f.laddr == "" || f.laddr == o.laddr) && now.Sub(o.since) >= f.minAge
}
