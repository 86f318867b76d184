package gen

import (
	"bytes"
	"strconv"
)

// slack is by how much two servers may differ about a time, in milliseconds: they take their clocks' readings one
// after the other, and a slow machine is slow in between. It is far less than what lies between two expiries.
const slack = 20_000

// timed are the commands whose replies are times, and the milliseconds in one of their units.
var timed = map[string]int64{"ttl": 1000, "pttl": 1, "expiretime": 1000, "pexpiretime": 1}

// Same reports whether two replies to a command are the same: byte for byte, save that times may differ a little.
func Same(args [][]byte, a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	unit, ok := timed[string(bytes.ToLower(args[0]))]
	if !ok {
		return false
	}
	x, okX := integerReply(a)
	y, okY := integerReply(b)
	return okX && okY && x >= 0 && y >= 0 && max(x-y, y-x) <= slack/unit
}

func integerReply(b []byte) (int64, bool) {
	if len(b) < 4 || b[0] != ':' || !bytes.HasSuffix(b, []byte("\r\n")) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b[1:len(b)-2]), 10, 64)
	return n, err == nil
}

// Format writes a command as a person would type it, cut to a readable length.
func Format(args [][]byte) string {
	var b []byte
	for i, a := range args {
		if i > 0 {
			b = append(b, ' ')
		}
		if len(a) > 60 {
			b = strconv.AppendQuote(b, string(a[:60]))
			b = append(b, "...("...)
			b = strconv.AppendInt(b, int64(len(a)), 10)
			b = append(b, " bytes)"...)
			continue
		}
		b = strconv.AppendQuote(b, string(a))
	}
	return string(b)
}
