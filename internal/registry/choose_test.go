package registry

import (
	"errors"
	"testing"

	"github.com/quorddb/quord/internal/placement"
)

// Nodes that join one after the other, and again after a refusal when they join together, share the tablets evenly.
func TestChooseFillsTheRingEvenly(t *testing.T) {
	r := &Registry{}
	for n := 1; n <= 6; n++ {
		j := joiner(n, 1)
		// Another node slips in between the choice and the admission.
		early, earlyRing, err := r.Choose(j.Key, j.Zone, 64, 1)
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			j.Tokens = early
			must(t, r, Command{Init: &Init{Cluster: testCluster, Settings: DefaultSettings(), First: j}})
			continue
		}
		must(t, r, admit(100))
		j.Tokens = early
		if err := r.Apply(Command{Admit: &Admit{Joiner: j, Ring: earlyRing}}, 1).Err(); !errors.Is(err, ErrStale) {
			t.Fatalf("tokens chosen for an older ring: %v, want %v", err, ErrStale)
		}
		must(t, r, remove(100))
		r.removed = nil

		var ring uint64
		if j.Tokens, ring, err = r.Choose(j.Key, j.Zone, 64, 1); err != nil {
			t.Fatal(err)
		}
		must(t, r, Command{Admit: &Admit{Joiner: j, Ring: ring}})
	}
	m, err := placement.NewMap(r.Tokens(nil), 1024, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range r.Members() {
		if share := m.Share(member.ID) * 6; share > 1.25 || share < 0.75 {
			t.Errorf("node %s has %.2f times the mean", member.ID.Short(), share)
		}
	}
	if _, _, err := r.Choose(joiner(9, 1).Key, "", 64, -1); err == nil {
		t.Error("a negative weight was accepted")
	}
}
