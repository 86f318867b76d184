package main

import (
	"bytes"
	"strings"
	"testing"
)

// What a night of seeds ends with is an exit code and a line; the sequences are what a person reads.
func TestInvariants(t *testing.T) {
	for _, c := range []struct {
		args string
		want int
		says string
	}{
		{"--json", exitDone, `"violations":0}`},
		{"--nodes 4", exitDone, "states satisfy the invariant"},
		{"--nodes 8 --successors 2 --steps 2000 --rings 2 --json", exitDone, `{"steps":4000,"violations":0}`},
		{"--rules original --json", exitDone, `"violations":7}`},
		{"--rules original --nodes 3", exitDone, "AtLeastOneRing (required) is broken after 4 events:"},
		{"--rules other", exitUsage, "ours or original"},
		{"--rules original --successors 3", exitUsage, "lists of 2"},
		{"--nodes 5 --rings 3", exitUsage, "leaves nothing to chance"},
		{"--nodes 3", exitUsage, "--nodes 3: want 4 to 6"},
		{"--nodes 8 --successors 4", exitUsage, "--successors 4: want 2 to 3"},
		{"--nodes 7 --steps 500 --json", exitDone, `{"steps":500,"violations":0}`},
	} {
		var out bytes.Buffer
		a := app{out: &out, err: &out}
		if got := a.run(append([]string{"invariants"}, strings.Fields(c.args)...)); got != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit %d, want %d with %q; printed %s", c.args, got, c.want, c.says, out.String())
		}
	}
}
