package gen

// part appends one or more arguments.
type part func(s *Sequence, args [][]byte) [][]byte

// shape is how a command is made up: its name, how often it is chosen, its arguments.
type shape struct {
	name   string
	weight int
	parts  []part
}

func one(f func(s *Sequence) []byte) part {
	return func(s *Sequence, args [][]byte) [][]byte { return append(args, f(s)) }
}

var (
	key     = one((*Sequence).key)
	value   = one((*Sequence).value)
	integer = one((*Sequence).integer)
	float   = one((*Sequence).float)
	offset  = one((*Sequence).offset)
	seconds = one(func(s *Sequence) []byte { return s.span(1000) })
	millis  = one(func(s *Sequence) []byte { return s.span(1) })
	unix    = one(func(s *Sequence) []byte { return s.moment(1000) })
	unixMs  = one(func(s *Sequence) []byte { return s.moment(1) })
)

// keys appends up to four keys, some perhaps twice.
func keys(s *Sequence, args [][]byte) [][]byte {
	for range 1 + s.rand.IntN(4) {
		args = append(args, s.key())
	}
	return args
}

func pairs(s *Sequence, args [][]byte) [][]byte {
	for range 1 + s.rand.IntN(3) {
		args = append(args, s.key(), s.value())
	}
	return args
}

// lifetime appends an expiry of any form.
func lifetime(s *Sequence, args [][]byte) [][]byte {
	switch s.rand.IntN(4) {
	case 0:
		return append(args, s.anyCase("ex"), s.span(1000))
	case 1:
		return append(args, s.anyCase("px"), s.span(1))
	case 2:
		return append(args, s.anyCase("exat"), s.moment(1000))
	}
	return append(args, s.anyCase("pxat"), s.moment(1))
}

// words appends some of the words, and seldom one that is none of them.
func words(likely int, from ...string) part {
	return func(s *Sequence, args [][]byte) [][]byte {
		for s.rand.IntN(10) < likely {
			if s.oneIn(25) {
				args = append(args, s.anyCase(choose(s, []string{"nope", "ex", "px", "nxx", ""})))
			} else {
				args = append(args, s.anyCase(choose(s, from)))
			}
		}
		return args
	}
}

// maybe takes a part or leaves it.
func maybe(p part) part {
	return func(s *Sequence, args [][]byte) [][]byte {
		if s.oneIn(2) {
			return p(s, args)
		}
		return args
	}
}

var (
	setWords    = words(3, "nx", "xx", "get", "keepttl")
	getexWords  = words(3, "persist", "persist", "keepttl")
	expireWords = words(4, "nx", "xx", "gt", "lt")
)

// shapes are all commands on data. Strings that can be counted with come up often enough to be counted with.
var shapes = []shape{
	{"get", 10, []part{key}},
	{"set", 12, []part{key, value, setWords, maybe(lifetime), setWords}},
	{"set", 6, []part{key, integer}},
	{"set", 3, []part{key, float}},
	{"setnx", 3, []part{key, value}},
	{"setex", 3, []part{key, seconds, value}},
	{"psetex", 3, []part{key, millis, value}},
	{"getset", 3, []part{key, value}},
	{"getdel", 3, []part{key}},
	{"getex", 6, []part{key, getexWords, maybe(lifetime), maybe(getexWords)}},
	{"mget", 4, []part{keys}},
	{"mset", 3, []part{pairs}},
	{"msetnx", 3, []part{pairs}},
	{"append", 5, []part{key, value}},
	{"strlen", 3, []part{key}},
	{"getrange", 5, []part{key, offset, offset}},
	{"substr", 2, []part{key, offset, offset}},
	{"setrange", 5, []part{key, offset, value}},
	{"incr", 4, []part{key}},
	{"decr", 4, []part{key}},
	{"incrby", 5, []part{key, integer}},
	{"decrby", 5, []part{key, integer}},
	{"incrbyfloat", 8, []part{key, float}},
	{"del", 4, []part{keys}},
	{"unlink", 2, []part{keys}},
	{"exists", 3, []part{keys}},
	{"touch", 2, []part{keys}},
	{"type", 3, []part{key}},
	{"expire", 5, []part{key, seconds, expireWords}},
	{"pexpire", 4, []part{key, millis, expireWords}},
	{"expireat", 5, []part{key, unix, expireWords}},
	{"pexpireat", 4, []part{key, unixMs, expireWords}},
	{"ttl", 3, []part{key}},
	{"pttl", 3, []part{key}},
	{"expiretime", 4, []part{key}},
	{"pexpiretime", 4, []part{key}},
	{"persist", 3, []part{key}},
	{"lpush", 2, []part{key, value}},
}

// Commands returns the names of all commands that a sequence may contain, without LPUSH.
func Commands() []string {
	var names []string
	for i, shape := range shapes {
		if shape.name != "lpush" && (i == 0 || shapes[i-1].name != shape.name) {
			names = append(names, shape.name)
		}
	}
	return names
}
