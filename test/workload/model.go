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
)

// input is one operation as it was sent.
type input struct {
	key   string
	verb  verb
	value string // of set, swap and swapNew
	lives bool   // of set: it is given an hour to live, which nobody waits for
	via   string // address of the node that was asked
}

// output is what came back; nothing is known of an operation that may or may not have been applied.
type output struct {
	value   string
	absent  bool
	unknown bool
}

// held is the state of one key.
type held struct {
	value string
	there bool
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
	if i.verb == set || i.verb == swap || i.verb == swapNew {
		asked += " " + i.value
	}
	if i.lives {
		asked += " for an hour"
	}
	switch {
	case o.unknown:
		return asked + " -> ?"
	case o.absent:
		return asked + " -> nothing"
	case i.verb == set:
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
	switch i.verb {
	case get:
		return answered(before), s
	case set:
		return answered(output{}), held{i.value, true}
	case swap:
		return answered(before), held{i.value, true}
	case swapNew:
		if s.there {
			return answered(before), s
		}
		return answered(before), held{i.value, true}
	case take:
		return answered(before), held{}
	case del:
		want := "0"
		if s.there {
			want = "1"
		}
		return answered(output{value: want}), held{}
	case incr:
		n := int64(0)
		if s.there {
			var err error
			if n, err = strconv.ParseInt(s.value, 10, 64); err != nil {
				return false, s
			}
		}
		sum := strconv.FormatInt(n+1, 10)
		return answered(output{value: sum}), held{sum, true}
	}
	return false, s
}
