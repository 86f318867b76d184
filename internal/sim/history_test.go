package sim

import (
	"testing"
	"time"
)

// A judge that lets everything pass proves nothing: each history here is one that a user must never see, beside one that
// is allowed.
func TestHistories(t *testing.T) {
	const s = time.Second
	done := func(v verb, arg, reply string, call, ret time.Duration) op {
		return op{verb: v, arg: arg, reply: reply, call: call, ret: ret, known: true}
	}
	unknown := func(v verb, arg string, call time.Duration) op {
		return op{verb: v, arg: arg, call: call, ret: unknownEnd, reply: "?"}
	}
	for name, c := range map[string]struct {
		ops  []op
		fine bool
	}{
		"a read sees the last write": {[]op{done(set1, "a", "+OK\r\n", 0, s), done(get, "", "$1\r\na\r\n", 2*s, 3*s)}, true},
		"a write is lost":            {[]op{done(set1, "a", "+OK\r\n", 0, s), done(get, "", "_\r\n", 2*s, 3*s)}, false},
		"a read goes back": {[]op{
			done(set1, "a", "+OK\r\n", 0, s), done(set1, "b", "+OK\r\n", 2*s, 3*s), done(get, "", "$1\r\na\r\n", 4*s, 5*s),
		}, false},
		"an uncertain write may be seen late": {[]op{
			done(set1, "a", "+OK\r\n", 0, s), unknown(set1, "b", 2*s), done(get, "", "$1\r\na\r\n", 4*s, 5*s), done(get, "", "$1\r\nb\r\n", 6*s, 7*s),
		}, true},
		"but not come and go": {[]op{
			done(set1, "a", "+OK\r\n", 0, s), unknown(set1, "b", 2*s), done(get, "", "$1\r\nb\r\n", 4*s, 5*s), done(get, "", "$1\r\na\r\n", 6*s, 7*s),
		}, false},
		"what was refused is seen": {[]op{
			{verb: set1, arg: "a", call: 0, ret: s, void: true, reply: "TRYAGAIN"}, done(get, "", "$1\r\na\r\n", 2*s, 3*s),
		}, false},
		"an increment is done twice": {[]op{done(incr, "", ":1\r\n", 0, s), done(incr, "", ":3\r\n", 2*s, 3*s)}, false},
		"two take the same value":    {[]op{done(set1, "a", "+OK\r\n", 0, s), done(getDel, "", "$1\r\na\r\n", 2*s, 3*s), done(getDel, "", "$1\r\na\r\n", 4*s, 5*s)}, false},
		"two are the first": {[]op{
			done(setNX, "a", "_\r\n", 0, s), done(setNX, "b", "_\r\n", 2*s, 3*s),
		}, false},
		"one is the first": {[]op{
			done(setNX, "a", "_\r\n", 0, s), done(setNX, "b", "$1\r\na\r\n", 2*s, 3*s), done(get, "", "$1\r\na\r\n", 4*s, 5*s),
		}, true},
		"a key expires":           {[]op{{verb: setPX, arg: "a", ttl: 3 * s, call: 0, ret: s, known: true, reply: "+OK\r\n"}, done(get, "", "_\r\n", 4*s, 5*s)}, true},
		"a key expires too early": {[]op{{verb: setPX, arg: "a", ttl: 8 * s, call: 0, ret: s, known: true, reply: "+OK\r\n"}, done(get, "", "_\r\n", 2*s, 3*s)}, false},
		"an expired key is back": {[]op{
			{verb: setPX, arg: "a", ttl: 3 * s, call: 0, ret: s, known: true, reply: "+OK\r\n"},
			done(get, "", "_\r\n", 4*s, 5*s), done(get, "", "$1\r\na\r\n", 6*s, 7*s),
		}, false},
	} {
		k := keyHistory{name: "k", ops: c.ops}
		if why, _ := k.check(); (why == "") != c.fine {
			t.Errorf("%s: the judge says %q", name, why)
		}
	}
}
