package kv_test

import (
	"errors"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"pgregory.net/rapid"
)

// A store deletes and keeps what Effect says: one index too many is a lost entry, one too few a stale one that a later
// start takes for a part of the log. Judged by marking indexes one by one.
func TestEffectAccountsForEveryEntry(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		index := rapid.Uint64Range(0, 30)
		before := kv.Group{Start: kv.Position{Index: index.Draw(rt, "start")}}
		before.Last = before.Start.Index + index.Draw(rt, "length")
		exists := before.Last > 0 || rapid.Bool().Draw(rt, "exists")
		op := kv.LogOp{Destroy: rapid.Bool().Draw(rt, "destroy")}
		if rapid.Bool().Draw(rt, "reset") {
			op.Reset = &kv.Position{Index: index.Draw(rt, "reset_index"), Term: 1}
		}
		if rapid.Bool().Draw(rt, "append") {
			first := rapid.Uint64Range(0, 62).Draw(rt, "first")
			for i := range rapid.Uint64Range(1, 9).Draw(rt, "entries") {
				op.Append = append(op.Append, kv.Entry{Index: first + i})
			}
		}
		if rapid.Bool().Draw(rt, "truncate") {
			op.Truncate = &kv.Position{Index: rapid.Uint64Range(0, 62).Draw(rt, "truncate_index")}
		}
		e, err := op.Effect(before, exists)
		if err != nil {
			if !errors.Is(err, kv.ErrInvalid) {
				rt.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		stored := map[uint64]bool{}
		mark := func(s kv.Span, there bool) {
			for i := s.Lo; i < s.Hi; i++ {
				stored[i] = there
			}
		}
		mark(kv.Span{Lo: before.Start.Index + 1, Hi: before.Last + 1}, true)
		mark(e.Drop, false)
		for _, entry := range op.Append {
			stored[entry.Index] = true
		}
		mark(e.Tail, false)
		mark(e.Head, false)
		for i := range uint64(100) {
			if want := i > e.After.Start.Index && i <= e.After.Last; stored[i] != want {
				rt.Fatalf("entry %d is stored: %v, want %v; %+v", i, stored[i], want, e)
			}
		}
		if !e.Exists && e.After != (kv.Group{ID: op.Group}) {
			rt.Fatalf("what does not exist is %+v", e.After)
		}
		if !e.HardChanged && e.Exists && (!exists || e.After.Start != before.Start) {
			rt.Fatalf("a change of the start goes unnoticed: %+v", e)
		}
	})
}
