package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/quorddb/quord/internal/kv"
)

// tb is what testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

func set(key, value string) kv.Op { return kv.Op{Kind: kv.Set, Key: []byte(key), Value: []byte(value)} }
func del(key string) kv.Op        { return kv.Op{Kind: kv.Delete, Key: []byte(key)} }

func delRange(lower, upper string) kv.Op {
	return kv.Op{Kind: kv.DeleteRange, Key: []byte(lower), Value: []byte(upper)}
}

// entries returns entries [lo, hi) of the given term.
func entries(lo, hi, term uint64) []kv.Entry {
	var es []kv.Entry
	for i := lo; i < hi; i++ {
		es = append(es, kv.Entry{Index: i, Term: term, Type: uint8(i), Data: fmt.Appendf(nil, "%d@%d", i, term)})
	}
	return es
}

func apply(t tb, s kv.Store, sync bool, w kv.Write) {
	t.Helper()
	p, err := s.Apply(&w, sync)
	if err == nil {
		err = p.Wait()
	}
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
}

func state(t tb, s kv.Store, ops ...kv.Op) {
	t.Helper()
	apply(t, s, true, kv.Write{State: ops})
}

func logOps(t tb, s kv.Store, ops ...kv.LogOp) {
	t.Helper()
	apply(t, s, true, kv.Write{Log: ops})
}

func wantGet(t tb, r kv.Reader, key, want string) {
	t.Helper()
	got, err := r.Get([]byte(key))
	if err != nil || string(got) != want {
		t.Fatalf("get %q: %q, %v; want %q", key, got, err, want)
	}
}

func wantNone(t tb, r kv.Reader, key string) {
	t.Helper()
	if got, err := r.Get([]byte(key)); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("get %q: %q, %v; want ErrNotFound", key, got, err)
	}
}

type pair struct{ Key, Value string }

func dump(t tb, r kv.Reader, lower, upper string) []pair {
	t.Helper()
	var all []pair
	err := r.Scan([]byte(lower), []byte(upper), func(key, value []byte) bool {
		all = append(all, pair{string(key), string(value)})
		return true
	})
	if err != nil {
		t.Fatalf("scan [%q, %q): %v", lower, upper, err)
	}
	return all
}

func wantDump(t tb, r kv.Reader, lower, upper string, want ...pair) {
	t.Helper()
	got := dump(t, r, lower, upper)
	if slices.Equal(want, got) {
		return
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("scan [%q, %q): (-want +got)\n%s", lower, upper, diff)
	}
}

func groups(t tb, s kv.Store) []kv.Group {
	t.Helper()
	var all []kv.Group
	if err := s.Groups(func(g kv.Group) error { all = append(all, g); return nil }); err != nil {
		t.Fatalf("groups: %v", err)
	}
	return all
}

func wantGroups(t tb, s kv.Store, want ...kv.Group) {
	t.Helper()
	if diff := cmp.Diff(want, groups(t, s), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("groups: (-want +got)\n%s", diff)
	}
}

const unlimited = ^uint64(0)

func wantEntries(t tb, s kv.Store, group uint32, lo, hi, maxBytes uint64, want []kv.Entry) {
	t.Helper()
	got, err := s.Entries(group, lo, hi, maxBytes)
	if err != nil {
		t.Fatalf("entries [%d, %d) of group %d: %v", lo, hi, group, err)
	}
	if slices.EqualFunc(want, got, equalEntries) {
		return // cmp takes its time over thousands of entries
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("entries [%d, %d) of group %d: (-want +got)\n%s", lo, hi, group, diff)
	}
}

func equalEntries(a, b kv.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
}

func wantNoEntry(t tb, s kv.Store, group uint32, index uint64) {
	t.Helper()
	if got, err := s.Entries(group, index, index+1, unlimited); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("entry %d of group %d: %v, %v; want ErrNotFound", index, group, got, err)
	}
}
