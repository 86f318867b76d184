package main

import (
	"flag"
	"path/filepath"
	"testing"
)

var only = flag.String("only", "", "only mutations whose file's name holds this")

// nearby is how many seeds are tried from the recorded one on: what a seed means changes with every change of the product.
const nearby = 6

// Each mutation is found by the seed that found it first. When one is not, the instruments have gone blind where it
// hurts, or the seed means something else by now: `make mutants ARGS='-record'` finds another one.
func TestRecordedSeeds(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	all, err := mutations(*only)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sound, err := buildSim(root, filepath.Join(dir, "quordsim"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		t.Run(m.short(), func(t *testing.T) {
			if m.seed == 0 {
				t.Skip("no seed is recorded yet: only `make mutants` looks for it")
			}
			broken, err := m.build(root, dir)
			if err != nil {
				t.Fatal(err)
			}
			o, err := m.run(broken, m.seed, nearby)
			if err != nil {
				t.Fatal(err)
			}
			if o.caught == "" {
				t.Fatalf("seed %d and those after it do not show it: %s", m.seed, m.why)
			}
			// And the sound product lives through the same.
			if o, err = m.run(sound, o.seed, 1); err != nil {
				t.Fatal(err)
			}
			if o.caught != "" {
				t.Errorf("seed %d fails without the mutation: %s", o.seed, o.caught)
			}
		})
	}
}
