package sim

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// A pair is two keys of one slot: what is done to both is done as a whole, and nobody sees half of it. It goes by the
// name of its first key.

// partner returns the second key of a pair.
func partner(key string) string { return strings.TrimSuffix(key, "a") + "b" }

// look returns the command that reads all of a key, or of a pair.
func (k kindOfKey) look() op {
	if k == paired {
		return op{verb: mget}
	}
	return op{verb: get}
}

// model returns what a key, or a pair, does.
func (k kindOfKey) model() porcupine.Model {
	if k == paired {
		return pairModel
	}
	return model
}

// both is a pair as the model has it.
type both [2]state

var pairModel = porcupine.Model{
	Init: func() any { return both{} },
	Step: func(before, input, _ any) (bool, any) { return steps(before.(both), input.([]*op), stepPair) },
}

func stepPair(b both, o *op) (bool, both) {
	there := 0
	for _, s := range b {
		if s.there {
			there++
		}
	}
	written := state{value: o.arg, there: true}
	switch o.verb {
	case mget:
		return o.reply == mgetReply(b), b
	case mset:
		return !o.known || o.reply == "+OK\r\n", both{written, written}
	case msetNX:
		if there > 0 {
			return !o.known || o.reply == ":0\r\n", b
		}
		return !o.known || o.reply == ":1\r\n", both{written, written}
	case mdel:
		return !o.known || o.reply == fmt.Sprintf(":%d\r\n", there), both{}
	}
	ok, first := step(b[0], o)
	return ok, both{first, b[1]}
}

// mgetReply returns what MGET answers.
func mgetReply(b both) string {
	reply := "*2\r\n"
	for _, s := range b {
		if s.there {
			reply += fmt.Sprintf("$%d\r\n%s\r\n", len(s.value), s.value)
		} else {
			reply += "_\r\n"
		}
	}
	return reply
}
