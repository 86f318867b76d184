package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
)

// holders returns on which nodes each tablet lies, as its leader has it.
func (w *world) holders() (all [][]ident.NodeID) {
	for tab := range uint32(worldTablets) {
		l := w.leader(tab)
		if l == nil {
			w.t.Fatalf("tablet %d has no leader", tab)
		}
		nodes := l.core.places[tab].group.Descriptor().Nodes()
		slices.SortFunc(nodes, ident.NodeID.Compare)
		all = append(all, nodes)
	}
	return all
}

// A new node takes a dead one's place: in the end it holds exactly what the dead one held, and every other replica is
// where it was. Else replacing one node of many would copy the data of all.
func TestReplaceTakesThePlace(t *testing.T) {
	for seed := range uint64(*worlds) {
		w := newRing(t, 620+seed, 5)
		before := w.holders()
		load := w.load(0, 1, 2)
		dead := w.nodes[4]
		w.kill(dead, nil)
		w.until(5*time.Second, "called down", func() bool { return w.state(dead) == registry.Down })
		if _, _, err := w.nodes[0].core.RemovalOf(dead.id.Short(), true); err == nil || !strings.Contains(err.Error(), "start a new node") {
			t.Errorf("an old node may take the place of the dead one: %v", err)
		}
		fresh := w.add()
		w.start(fresh, w.nodes[0])
		w.until(20*time.Second, "the new node is up", func() bool { return fresh.core.Ready() == nil })
		_, cmd, err := fresh.core.RemovalOf(dead.id.Short(), true)
		if err != nil {
			t.Fatal(err)
		}
		w.change(fresh, cmd)
		w.settled(time.Minute)
		w.eventually(10*time.Second, "one ring", func() bool { return w.rings() == "" })
		after := w.holders()
		for tab := range after {
			want := slices.Clone(before[tab])
			if i := slices.Index(want, dead.id); i >= 0 {
				want[i] = fresh.id
			}
			slices.SortFunc(want, ident.NodeID.Compare)
			if !slices.Equal(after[tab], want) {
				t.Errorf("tablet %d lies on %v, want %v", tab, shorts(after[tab]), shorts(want))
			}
		}
		// The place outlives a restart.
		w.kill(fresh, nil)
		w.start(fresh)
		w.settled(time.Minute)
		load.stop()
		load.check()
		if load.refused > 0 {
			t.Errorf("replacing a node refused %d requests", load.refused)
		}
	}
}

// The new node dies at any point while it changes places: when it is back it stands where the registry says.
func TestCrashWhileReplacing(t *testing.T) {
	for seed := range uint64(2 * *worlds) {
		w := newRing(t, 640+seed, 4)
		dead := w.nodes[3]
		w.kill(dead, nil)
		fresh := w.add()
		w.start(fresh, w.nodes[0])
		var cmd registry.Command
		w.until(20*time.Second, "the new node may take the place", func() bool {
			var err error
			if fresh.core.Ready() == nil {
				_, cmd, err = fresh.core.RemovalOf(dead.id.Short(), true)
			}
			return err == nil && cmd.Replace != nil
		})
		w.change(w.nodes[0], cmd)
		for range 4 {
			fresh.crashIn = 1 + w.rng.IntN(8)
			w.run(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
			if fresh.core == nil {
				w.start(fresh)
			}
		}
		fresh.crashIn = 0
		w.settled(time.Minute)
		w.eventually(10*time.Second, "one ring", func() bool { return w.rings() == "" })
	}
}
