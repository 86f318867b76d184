package server

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/resp"
	"github.com/quorddb/quord/internal/slot"
)

// redisVersion is the version of Redis whose behaviour the commands follow.
const redisVersion = "7.2.4"

const (
	errSyntax     = "ERR syntax error"
	errNotInteger = "ERR value is not an integer or out of range"
	errWrongPass  = "WRONGPASS invalid username-password pair or user is disabled."
)

var okReply = []byte("+OK\r\n")

// is compares a word of a client in any case.
func is(b []byte, word string) bool { return len(b) == len(word) && strings.EqualFold(string(b), word) }

func (c *session) ping(args [][]byte, out []byte) []byte {
	switch len(args) {
	case 1:
		return append(out, "+PONG\r\n"...)
	case 2:
		return resp.AppendBulk(out, args[1])
	}
	return resp.AppendError(out, "ERR wrong number of arguments for 'ping' command")
}

func (c *session) echo(args [][]byte, out []byte) []byte { return resp.AppendBulk(out, args[1]) }

func (c *session) selectDB(args [][]byte, out []byte) []byte {
	switch n, isInt := resp.ParseInt(args[1]); {
	case !isInt:
		return resp.AppendError(out, errNotInteger)
	case n != 0:
		return resp.AppendError(out, "ERR DB index is out of range")
	}
	return append(out, okReply...)
}

func (c *session) quitNow(_ [][]byte, out []byte) []byte {
	c.quit = true
	return append(out, okReply...)
}

func (c *session) reset(_ [][]byte, out []byte) []byte {
	c.silent, c.skip = false, 0
	c.setProto(2)
	c.setAuthenticated(c.srv.open)
	c.mu.Lock()
	c.name = ""
	c.mu.Unlock()
	return append(out, "+RESET\r\n"...)
}

func (c *session) setProto(v uint8) {
	c.proto = v
	c.resp.Store(int64(v))
}

// setAuthenticated changes the limits with the rights.
func (c *session) setAuthenticated(yes bool) {
	if yes == c.authenticated {
		return
	}
	c.authenticated = yes
	c.rd.SetLimits(c.srv.cfg.limits(yes))
	var until time.Time
	if !yes {
		until = time.Now().Add(c.srv.cfg.AuthTimeout)
	}
	c.setReadDeadline(until)
}

// login checks a password; it reports whether the session may go on.
func (c *session) login(user, password []byte) bool {
	if !c.srv.checkPassword(user, password) {
		c.srv.counted.authFailed.Add(1)
		return false
	}
	c.setAuthenticated(true)
	return true
}

func (c *session) auth(args [][]byte, out []byte) []byte {
	user, password := []byte("default"), args[1]
	switch {
	case len(args) > 3:
		return resp.AppendError(out, errSyntax)
	case len(args) == 3:
		user, password = args[1], args[2]
	case c.srv.open:
		return resp.AppendError(out, "ERR AUTH <password> called without any password configured for the default user. "+
			"Are you sure your configuration is correct?")
	}
	if !c.login(user, password) {
		return resp.AppendError(out, errWrongPass)
	}
	return append(out, okReply...)
}

// hello is HELLO [version [AUTH user password] [SETNAME name]]. Nothing changes unless all of it is right.
func (c *session) hello(args [][]byte, out []byte) []byte {
	proto := c.proto
	if len(args) > 1 {
		v, isInt := resp.ParseInt(args[1])
		if !isInt {
			return resp.AppendError(out, "ERR Protocol version is not an integer or out of range")
		}
		if v != 2 && v != 3 {
			return resp.AppendError(out, "NOPROTO unsupported protocol version")
		}
		proto = uint8(v)
	}
	var user, password, name []byte
	for rest := args[min(2, len(args)):]; len(rest) > 0; {
		switch {
		case is(rest[0], "auth") && len(rest) >= 3:
			user, password, rest = rest[1], rest[2], rest[3:]
		case is(rest[0], "setname") && len(rest) >= 2:
			name, rest = rest[1], rest[2:]
			if !validName(name) {
				return resp.AppendError(out, errName)
			}
		default:
			return resp.AppendError(out, fmt.Sprintf("ERR Syntax error in HELLO option '%.128s'", rest[0]))
		}
	}
	if user != nil && !c.login(user, password) {
		return resp.AppendError(out, errWrongPass)
	}
	if !c.authenticated {
		return resp.AppendError(out, "NOAUTH HELLO must be called with the client already authenticated, otherwise the "+
			"HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "+
			"version at the same time")
	}
	if name != nil {
		c.mu.Lock()
		c.name = string(name)
		c.mu.Unlock()
	}
	c.setProto(proto)
	out = resp.AppendMap(out, 7)
	out = appendPair(out, "server", "redis")
	out = appendPair(out, "version", redisVersion)
	out = resp.AppendInt(resp.AppendBulk(out, "proto"), int64(proto))
	out = resp.AppendInt(resp.AppendBulk(out, "id"), c.id)
	out = appendPair(out, "mode", "standalone")
	out = appendPair(out, "role", "master")
	return resp.AppendArray(resp.AppendBulk(out, "modules"), 0)
}

func appendPair(out []byte, key, value string) []byte {
	return resp.AppendBulk(resp.AppendBulk(out, key), value)
}

func (c *session) time(_ [][]byte, out []byte) []byte {
	now := c.srv.cfg.Now().UnixMicro()
	out = resp.AppendArray(out, 2)
	out = resp.AppendBulk(out, fmt.Sprint(now/1e6))
	return resp.AppendBulk(out, fmt.Sprint(now%1e6))
}

// wait is WAIT replicas timeout. A write that was acknowledged is on the disks of a majority of its tablet's voting
// replicas; that is all that is certain and it was so before this command came, so there is nothing to wait for: the
// answer is the size of that majority without the leader, whatever number was asked for.
func (c *session) wait(args [][]byte, out []byte) []byte {
	if _, isInt := resp.ParseInt(args[1]); !isInt {
		return resp.AppendError(out, errNotInteger)
	}
	switch ms, isInt := resp.ParseInt(args[2]); {
	case !isInt:
		return resp.AppendError(out, "ERR timeout is not an integer or out of range")
	case ms < 0:
		return resp.AppendError(out, "ERR timeout is negative")
	}
	return resp.AppendInt(out, int64(c.srv.backend.Figures().Voters/2))
}

func (c *session) clusterKeySlot(args [][]byte, out []byte) []byte {
	return resp.AppendInt(out, int64(slot.Of(args[2])))
}

func (c *session) clusterDisabled(_ [][]byte, out []byte) []byte {
	return resp.AppendError(out, "ERR This instance has cluster support disabled: this address serves all keys as one "+
		"big Redis (QUORD.RING describes the nodes); an address for cluster-aware clients is not there yet")
}

const errName = "ERR Client names cannot contain spaces, newlines or special characters."

// maxName bounds what a client may call itself.
const maxName = 1024

func validName(name []byte) bool {
	return len(name) <= maxName && bytes.IndexFunc(name, func(r rune) bool { return r < '!' || r > '~' }) < 0
}
