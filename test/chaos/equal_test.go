package main

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/store"
	"github.com/quorddb/quord/test/cluster"
)

// newStore writes what a node would hold of tablet 1 of 4: a head that has applied so many entries, a record and an
// expiry.
func newStore(t *testing.T, name string, applied uint64, value, expires string) *cluster.Node {
	t.Helper()
	n := &cluster.Node{Name: name, Dir: t.TempDir()}
	s, err := store.Open(store.Config{Dir: filepath.Join(n.Dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	head := binary.AppendUvarint([]byte{1}, applied)
	w := &kv.Write{State: []kv.Op{
		{Kind: kv.Set, Key: []byte{'m', 0, 0, 0, 1}, Value: append(head, "the rest"...)},
		{Kind: kv.Set, Key: record.AppendPosition(nil, 4096, 77), Value: []byte(value)},
		{Kind: kv.Set, Key: append([]byte{'x', 0x1f, 0xff}, expires...)},
	}}
	pending, err := s.Apply(w, true)
	if err == nil {
		err = pending.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// What is lost when this fails: the only look at what the disks hold. A replica that differs would go unnoticed for as
// long as it does not lead.
func TestCompareNoticesWhatDiffers(t *testing.T) {
	one := newStore(t, "one", 5, "a", "soon")
	for _, c := range []struct {
		name     string
		other    *cluster.Node
		compared int
		equal    bool
	}{
		{"equal", newStore(t, "equal", 5, "a", "soon"), 2, true},
		{"another value", newStore(t, "differs", 5, "b", "soon"), 2, false},
		{"another expiry", newStore(t, "expires", 5, "a", "late"), 2, false},
		{"one that is behind", newStore(t, "behind", 4, "b", "soon"), 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			compared, err := compare([]*cluster.Node{one, c.other}, 4)
			if compared != c.compared || (err == nil) != c.equal {
				t.Errorf("%d compared, %v; want %d, equal: %v", compared, err, c.compared, c.equal)
			}
		})
	}
}

// What is lost when this fails: a way to do again what went wrong, since a failure names kinds and seeds.
func TestFaultsAreFoundByName(t *testing.T) {
	for _, name := range pairs {
		if _, err := named(name); err != nil {
			t.Errorf("a storm does not know its parts: %v", err)
		}
	}
	if _, err := named("kill+nonsense"); err == nil {
		t.Error("a kind that does not exist was found")
	}
	if o, err := parse([]string{"--faults", "join+flap,clock", "--seed", "9"}); err != nil || len(o.faults) != 2 || o.seed != 9 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := parse([]string{"--duration", "0s"}); err == nil {
		t.Error("no time at all was accepted")
	}
}
