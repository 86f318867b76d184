package workload

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// verb is one of the operations that a History does.
type verb string

const (
	get     verb = "GET"
	set     verb = "SET"
	swap    verb = "SET GET"    // sets and answers what was there
	swapNew verb = "SET NX GET" // answers what was there, and sets where nothing was
	take    verb = "GETDEL"
	del     verb = "DEL"
	incr    verb = "INCR"
	// On a pair of keys of one slot, which goes by the name of its first key: each is carried out as a whole.
	getBoth verb = "MGET"
	setBoth verb = "MSET"
	newBoth verb = "MSETNX"
	delBoth verb = "DEL both"
)

// reads reports whether an operation changes nothing.
func (v verb) reads() bool { return v == get || v == getBoth }

// writesValue reports whether an operation sends a value.
func (v verb) writesValue() bool {
	return v == set || v == swap || v == swapNew || v == setBoth || v == newBoth
}

// input is one operation as it was sent.
type input struct {
	key   string
	verb  verb
	value string // where the verb writes one
	lives bool   // of set: it is given an hour to live, which nobody waits for
	via   string // address of the node that was asked
}

// output is what came back; nothing is known of an operation that may or may not have been applied.
type output struct {
	value   string
	absent  bool
	second  half // of getBoth
	unknown bool
}

// half is what lies under one key.
type half struct {
	value string
	there bool
}

func (h half) String() string {
	if !h.there {
		return "nothing"
	}
	return h.value
}

// held is the state of one key, and of its partner where it has one.
type held struct {
	half
	partner half
}

// model says how one key behaves when operations happen one after another.
var model = porcupine.Model{
	Partition:         partition,
	Init:              func() any { return held{} },
	Step:              step,
	DescribeOperation: func(in, out any) string { return describe(in.(input), out.(output)) },
}

func describe(i input, o output) string {
	asked := fmt.Sprintf("%s %s", i.verb, i.key)
	if i.verb.writesValue() {
		asked += " " + i.value
	}
	if i.lives {
		asked += " for an hour"
	}
	switch {
	case o.unknown:
		return asked + " -> ?"
	case i.verb == getBoth:
		return fmt.Sprintf("%s -> %s, %s", asked, half{o.value, !o.absent}, o.second)
	case o.absent:
		return asked + " -> nothing"
	case i.verb == set, i.verb == setBoth:
		return asked + " -> OK"
	}
	return asked + " -> " + o.value
}

// partition cuts a history by key: linearizability of the whole is that of each key (Herlihy and Wing 1990).
func partition(history []porcupine.Operation) [][]porcupine.Operation {
	byKey := map[string][]porcupine.Operation{}
	for _, op := range history {
		key := op.Input.(input).key
		byKey[key] = append(byKey[key], op)
	}
	return slices.SortedFunc(maps.Values(byKey), func(a, b []porcupine.Operation) int {
		return cmp.Compare(a[0].Call, b[0].Call)
	})
}

func step(state, in, out any) (ok bool, next any) {
	s, i, o := state.(held), in.(input), out.(output)
	answered := func(want output) bool { return o.unknown || o == want }
	before := output{value: s.value, absent: !s.there}
	written := half{i.value, true}
	count := 0
	for _, h := range []half{s.half, s.partner} {
		if h.there {
			count++
		}
	}
	switch i.verb {
	case get:
		return answered(before), s
	case set:
		return answered(output{}), held{written, s.partner}
	case swap:
		return answered(before), held{written, s.partner}
	case swapNew:
		if s.there {
			return answered(before), s
		}
		return answered(before), held{written, s.partner}
	case take:
		return answered(before), held{partner: s.partner}
	case del:
		want := "0"
		if s.there {
			want = "1"
		}
		return answered(output{value: want}), held{partner: s.partner}
	case getBoth:
		before.second = s.partner
		return answered(before), s
	case setBoth:
		return answered(output{}), held{written, written}
	case newBoth:
		if count > 0 {
			return answered(output{value: "0"}), s
		}
		return answered(output{value: "1"}), held{written, written}
	case delBoth:
		return answered(output{value: strconv.Itoa(count)}), held{}
	case incr:
		n := int64(0)
		if s.there {
			var err error
			if n, err = strconv.ParseInt(s.value, 10, 64); err != nil {
				return false, s
			}
		}
		sum := strconv.FormatInt(n+1, 10)
		return answered(output{value: sum}), held{half{sum, true}, s.partner}
	}
	return false, s
}
