package command_test

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/memview"
	"github.com/quorddb/quord/internal/record"
)

// words cuts a line into arguments at spaces.
func words(line string) [][]byte {
	var args [][]byte
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}

// run carries out a command of a client as a node does, and returns the reply.
func run(v command.View, args [][]byte) string {
	spec, refusal := command.Check(args, nil)
	if spec == nil {
		return string(refusal)
	}
	return string(command.Evaluate(v, args, nil))
}

// clone returns a view with the same live data at the same time; what has expired is left behind.
func clone(v *memview.View) *memview.View {
	c := &memview.View{Time: v.Time, Max: v.Max}
	v.Scan(0, 0, func(_ uint16, _ uint64, key []byte, r record.Record) bool {
		if !r.Expired(v.Time) {
			c.Put(key, r)
		}
		return true
	})
	return c
}

// sweep removes at most limit keys whose time has passed, as a replica does when the leader names them.
func sweep(v *memview.View, limit int) {
	var gone [][]byte
	v.Scan(0, 0, func(_ uint16, _ uint64, key []byte, r record.Record) bool {
		if r.Expired(v.Time) {
			gone = append(gone, key)
		}
		return len(gone) < limit
	})
	for _, key := range gone {
		v.Delete(key)
	}
}

// dump writes the live data of a view.
func dump(v *memview.View) string {
	var b strings.Builder
	v.Scan(0, 0, func(_ uint16, _ uint64, key []byte, r record.Record) bool {
		if !r.Expired(v.Time) {
			b.WriteString(strconv.Quote(string(key)) + " " + r.Kind.String() + " " + strconv.FormatInt(r.ExpireAt, 10) +
				" " + strconv.Quote(string(r.Value)) + "\n")
		}
		return true
	})
	return b.String()
}

// oneReply reports whether b is exactly one RESP3 value.
func oneReply(b []byte) bool {
	rest, ok := cutReply(b)
	return ok && len(rest) == 0
}

func cutReply(b []byte) (rest []byte, ok bool) {
	i := bytes.Index(b, []byte("\r\n"))
	if i < 1 {
		return nil, false
	}
	n, err := strconv.Atoi(string(b[1:i]))
	kind, rest := b[0], b[i+2:]
	switch kind {
	case '+', '-', '_':
		return rest, !bytes.ContainsAny(b[:i], "\r\n")
	case ':':
		return rest, err == nil
	case '$':
		if err != nil || n < 0 || len(rest) < n+2 || rest[n] != '\r' || rest[n+1] != '\n' {
			return nil, false
		}
		return rest[n+2:], true
	case '*', '~', '%':
		if err != nil || n < 0 {
			return nil, false
		}
		if kind == '%' {
			n *= 2
		}
		for range n {
			if rest, ok = cutReply(rest); !ok {
				return nil, false
			}
		}
		return rest, true
	}
	return nil, false
}
