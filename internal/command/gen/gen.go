// Package gen makes up sequences of commands that two servers should answer alike.
//
// A sequence follows from its seed. It leans towards what finds differences: few keys, so that commands meet the
// traces of earlier ones; numbers and lengths at the edges of their ranges; wrong words, too many words and too few.
// It keeps away from what two servers may rightly answer differently: the order of keys, words with a NUL byte in
// place of options, expiries that are decided by who is a millisecond later. What is left of time in the replies is
// the business of Same.
//
// The package knows nothing of servers: it runs against evaluation in memory and against rings of processes alike.
package gen

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strconv"
)

// Config says what to make up.
type Config struct {
	// Seed decides everything else.
	Seed uint64
	// Keys is how many keys there are; 0 means 6.
	Keys int
	// Tag, when not empty, is the hash tag of all keys: they lie in one slot then.
	Tag string
	// Now is the present in milliseconds since 1970, around which moments of expiry are chosen.
	Now int64
	// MaxValue is the limit of values that both servers enforce in APPEND and SETRANGE; 0 means 1 MiB. Values are
	// sometimes this long.
	MaxValue int
	// Lists adds LPUSH, for keys that hold something else than a string.
	Lists bool
	// Only, when not empty, are the commands to choose from, in lower case.
	Only []string
}

// Sequence makes up one command after the other. It is not safe for concurrent use.
type Sequence struct {
	cfg     Config
	rand    *rand.Rand
	choices []shape
	total   int
	// later grows, so that no two expiries are so near to one another that a slow server could swap them.
	later int64
}

// New begins a sequence.
func New(cfg Config) *Sequence {
	if cfg.Keys == 0 {
		cfg.Keys = 6
	}
	if cfg.MaxValue == 0 {
		cfg.MaxValue = 1 << 20
	}
	s := &Sequence{cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 0x71756f7264))}
	for _, shape := range shapes {
		if s.wanted(shape.name) {
			s.choices = append(s.choices, shape)
			s.total += shape.weight
		}
	}
	return s
}

func (s *Sequence) wanted(name string) bool {
	if name == "lpush" && !s.cfg.Lists {
		return false
	}
	for _, only := range s.cfg.Only {
		if only == name {
			return true
		}
	}
	return len(s.cfg.Only) == 0
}

// Next returns the next command.
func (s *Sequence) Next() [][]byte {
	n := s.rand.IntN(s.total)
	i := 0
	for ; n >= s.choices[i].weight; i++ {
		n -= s.choices[i].weight
	}
	args := [][]byte{s.anyCase(s.choices[i].name)}
	for _, part := range s.choices[i].parts {
		args = part(s, args)
	}
	if s.oneIn(40) {
		args = s.spoil(args)
	}
	return args
}

// spoil drops, adds or swaps arguments, never the name. Commands with a time from now only lose or gain a word: a
// number that strays to its place would be an expiry of a few milliseconds, and whether a key is still there then
// depends on the servers' speed.
func (s *Sequence) spoil(args [][]byte) [][]byte {
	last := len(args) - 1
	switch string(bytes.ToLower(args[0])) {
	case "set", "setex", "psetex", "getex", "expire", "pexpire", "expireat", "pexpireat":
		if s.oneIn(2) || last == 0 {
			return append(args, []byte("extra"))
		}
		return args[:last]
	}
	switch {
	case s.oneIn(3) || last == 0:
		return append(args, s.value())
	case s.oneIn(2):
		return args[:last]
	default:
		i := 1 + s.rand.IntN(last)
		args[i], args[last] = args[last], args[i]
		return args
	}
}

func (s *Sequence) oneIn(n int) bool { return s.rand.IntN(n) == 0 }

func choose[T any](s *Sequence, from []T) T { return from[s.rand.IntN(len(from))] }

// anyCase returns the word in lower, upper or mixed case.
func (s *Sequence) anyCase(word string) []byte {
	b := []byte(word)
	switch s.rand.IntN(4) {
	case 0:
		return bytes.ToUpper(b)
	case 1:
		for i := range b {
			if s.oneIn(2) {
				b[i] = bytes.ToUpper(b[i : i+1])[0]
			}
		}
	}
	return b
}

// key returns one of the keys. Key 0 is empty where there is no tag; some have bytes that need quoting.
func (s *Sequence) key() []byte { return Key(s.cfg.Tag, s.rand.IntN(s.cfg.Keys)) }

// Key returns the key of number i with the tag.
func Key(tag string, i int) []byte {
	var b []byte
	if tag != "" {
		b = append(append(append(b, '{'), tag...), '}')
	}
	switch i {
	case 0:
		return b
	case 1:
		return append(b, "\x00\r\n\xff key"...)
	}
	return strconv.AppendInt(append(b, 'k'), int64(i), 10)
}

// value returns what a client might store: text, bytes, numbers that can and cannot be counted with, much of it.
func (s *Sequence) value() []byte {
	switch s.rand.IntN(12) {
	case 0:
		return nil
	case 1, 2, 3:
		return s.integer()
	case 4, 5:
		return s.float()
	case 6:
		return []byte("\x00\r\n$-1\r\n\xfe\xff")
	case 7:
		return bytes.Repeat([]byte{byte('a' + s.rand.IntN(26))}, s.rand.IntN(1000))
	case 8:
		if s.oneIn(50) {
			return bytes.Repeat([]byte("q"), s.cfg.MaxValue-s.rand.IntN(3))
		}
	}
	b := make([]byte, s.rand.IntN(12))
	for i := range b {
		b[i] = byte(' ' + s.rand.IntN(95))
	}
	return b
}

var edges = []string{
	"0", "1", "-1", "2", "10", "-10", "9223372036854775807", "9223372036854775806", "-9223372036854775808",
	"-9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
	"99999999999999999999999", "4611686018427387904", "-0", "+1", "01", " 1", "1 ", "", "-", "abc", "1.0", "1e3", "0x10",
}

func (s *Sequence) integer() []byte {
	if s.oneIn(2) {
		return []byte(choose(s, edges))
	}
	n := s.rand.Int64() >> s.rand.IntN(63)
	if s.oneIn(2) {
		n = -n
	}
	return strconv.AppendInt(nil, n, 10)
}

var floatEdges = []string{
	"0", "-0", "0.0", "1", "-1", "0.1", "-0.1", "3.0e3", "1e17", "1e-17", "5e-18", "4.9e-18", "-4e-18", "1.5", ".5", "5.", ".",
	"123456789.123456789", "0.00000000000000001", "99999999999999999999.5", "18446744073709551615",
	"18446744073709551616", "18446744073709551617", "9223372036854775807.5", "1e300", "1e400", "1e4932", "-1e4932",
	"1.18973149535723176502e+4932", "1.18973149535723176503e+4932", "1.19e4932", "1e4933", "1e99999999999999999999", "0e999999999999",
	"1e-4931", "1e-4950", "1.9e-4951", "1.7e-4951", "1e-4960", "1e-99999999", "inf", "-inf", "+INF", "Infinity", "infinit", "nan", "-nan",
	"nan(1)", "0x10", "0x1.8p3", "0x.8", "0x", "0x1p", "-0x1P-2", "0x1p16383", "0x1p16384", "0xffffffffffffffff.8",
	"1e", "1e+", "e1", "+1", "++1", "+-1", " 1", "1 ", "", "1,5", "1_000", "abc", "1.2.3",
}

// longestNumber is the most bytes that Redis reads as one number.
const longestNumber = 5*1024 - 1

func (s *Sequence) float() []byte {
	switch s.rand.IntN(4) {
	case 0, 1:
		return []byte(choose(s, floatEdges))
	case 2:
		return strconv.AppendFloat(nil, s.rand.NormFloat64()*math.Pow(10, float64(s.rand.IntN(40)-20)), 'g', -1, 64)
	}
	b := []byte{'-'}[:s.rand.IntN(2)]
	digits := 1 + s.rand.IntN(30)
	point := s.rand.IntN(digits + 1)
	for i := range digits {
		if i == point {
			b = append(b, '.')
		}
		b = append(b, byte('0'+s.rand.IntN(10)))
	}
	if s.oneIn(60) { // around the longest number that is one
		b = append(b, bytes.Repeat([]byte("7"), longestNumber-len(b)+s.rand.IntN(3)-1)...)
	}
	return b
}

// offset returns an index into a value, mostly a small one.
func (s *Sequence) offset() []byte {
	switch s.rand.IntN(12) {
	case 0:
		return []byte(choose(s, edges))
	case 1:
		if s.oneIn(20) {
			return strconv.AppendInt(nil, int64(s.cfg.MaxValue-s.rand.IntN(10)), 10)
		}
		return strconv.AppendInt(nil, int64(s.cfg.MaxValue+s.rand.IntN(10)), 10)
	}
	return strconv.AppendInt(nil, int64(s.rand.IntN(40)-12), 10)
}

var badTimes = []string{
	"0", "-1", "-100000", "9223372036854775807", "-9223372036854775808", "9223372036854775", "9223372036854776",
	"-9223372036854776", "9223372036854775808", "", "abc", "1.5", "010",
}

// step is how far apart two expiries are, in milliseconds: more than any test takes.
const step = 100_000

// span returns a time from now in units of so many milliseconds; no two are alike.
func (s *Sequence) span(unit int64) []byte {
	if s.oneIn(8) {
		return []byte(choose(s, badTimes))
	}
	s.later++
	return strconv.AppendInt(nil, (10+s.later)*step/unit, 10)
}

// moment returns a time since 1970 in units of so many milliseconds, past or well after now. Some are alike.
func (s *Sequence) moment(unit int64) []byte {
	switch s.rand.IntN(8) {
	case 0:
		return []byte(choose(s, badTimes))
	case 1:
		return strconv.AppendInt(nil, (s.cfg.Now-s.rand.Int64N(1_000_000))/unit, 10)
	}
	ahead := s.rand.Int64N(4) // often alike
	if s.oneIn(2) {
		ahead = s.rand.Int64N(s.later + 10)
	}
	at := s.cfg.Now + (10+ahead)*step + step/2
	return strconv.AppendInt(nil, at/unit, 10)
}
