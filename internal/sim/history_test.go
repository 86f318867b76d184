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
	together := func(run int, ops ...op) []op {
		for i := range ops {
			ops[i].run = run
		}
		return ops
	}
	for name, c := range map[string]struct {
		ops  []op
		fine bool
	}{
		"a request does its commands in order": {together(1, done(set1, "a", "+OK\r\n", 0, s), done(getDel, "", "$1\r\na\r\n", 0, s)), true},
		"a request turns them around":          {together(1, done(getDel, "", "$1\r\na\r\n", 0, s), done(set1, "a", "+OK\r\n", 0, s)), false},
		"another comes between": {append(
			together(1, done(incr, "", ":1\r\n", 0, s), done(incr, "", ":3\r\n", 0, s)), done(incr, "", ":2\r\n", 0, s),
		), false},
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
		"a key is there still": {[]op{
			{verb: setPX, arg: "a", ttl: 3 * s, call: 0, ret: s, known: true, reply: "+OK\r\n"}, done(get, "", "$1\r\na\r\n", 9*s, 10*s),
		}, true},
		"though all clocks are right": {[]op{
			{verb: setPX, arg: "a", ttl: 3 * s, call: 0, ret: s, known: true, reply: "+OK\r\n"},
			{verb: get, reply: "$1\r\na\r\n", call: 9 * s, ret: 10 * s, known: true, exact: true},
		}, false},
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

// What is done to two keys of a slot is done as a whole.
func TestHistoriesOfPairs(t *testing.T) {
	const s = time.Second
	done := func(v verb, arg, reply string, call, ret time.Duration) op {
		return op{verb: v, arg: arg, reply: reply, call: call, ret: ret, known: true}
	}
	const ok, none, aa, ab, an = "+OK\r\n", "*2\r\n_\r\n_\r\n", "*2\r\n$1\r\na\r\n$1\r\na\r\n", "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*2\r\n$1\r\na\r\n_\r\n"
	for name, c := range map[string]struct {
		ops  []op
		fine bool
	}{
		"a read sees both":          {[]op{done(mset, "a", ok, 0, s), done(mget, "", aa, 2*s, 3*s)}, true},
		"one half is lost":          {[]op{done(mset, "a", ok, 0, s), done(mget, "", an, 2*s, 3*s)}, false},
		"a read sees half a write":  {[]op{done(mset, "b", ok, 0, s), done(mset, "a", ok, 2*s, 5*s), done(mget, "", ab, 3*s, 4*s)}, false},
		"one key alone":             {[]op{done(mset, "b", ok, 0, s), done(set1, "a", ok, 2*s, 3*s), done(mget, "", ab, 4*s, 5*s)}, true},
		"an uncertain write":        {[]op{{verb: mset, arg: "a", call: 0, ret: unknownEnd, reply: "?"}, done(mget, "", none, s, 2*s), done(mget, "", aa, 3*s, 4*s)}, true},
		"an uncertain write, torn":  {[]op{{verb: mset, arg: "a", call: 0, ret: unknownEnd, reply: "?"}, done(mget, "", an, s, 2*s)}, false},
		"set where nothing is":      {[]op{done(msetNX, "a", ":1\r\n", 0, s), done(msetNX, "b", ":0\r\n", 2*s, 3*s), done(mget, "", aa, 4*s, 5*s)}, true},
		"set where one half is":     {[]op{done(set1, "a", ok, 0, s), done(msetNX, "b", ":1\r\n", 2*s, 3*s)}, false},
		"both are deleted":          {[]op{done(mset, "a", ok, 0, s), done(mdel, "", ":2\r\n", 2*s, 3*s), done(mget, "", none, 4*s, 5*s)}, true},
		"one of two is deleted":     {[]op{done(mset, "a", ok, 0, s), done(mdel, "", ":1\r\n", 2*s, 3*s)}, false},
		"one was taken before that": {[]op{done(mset, "a", ok, 0, s), done(getDel, "", "$1\r\na\r\n", 2*s, 3*s), done(mdel, "", ":1\r\n", 4*s, 5*s)}, true},
	} {
		k := keyHistory{name: "{p}a", kind: paired, ops: c.ops}
		if why, _ := k.check(); (why == "") != c.fine {
			t.Errorf("%s: the judge says %q", name, why)
		}
	}
}

func TestAnAnswerOfTwoInALine(t *testing.T) {
	if got := say("*2\r\n$2\r\nv1\r\n_\r\n"); got != "v1, nil" {
		t.Fatal(got)
	}
}
