package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// A script that runs seeds all night knows by the exit code alone whether they passed, failed, or never ran.
func TestExitCodes(t *testing.T) {
	own := os.Args
	t.Cleanup(func() { os.Args = own })
	os.Args = []string{"quordsim.test", "on"} // what the test was started with plays no part
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"version"}, exitDone, "quordsim "},
		{nil, exitUsage, "a verb is missing"},
		{[]string{"word"}, exitUsage, "unknown verb"},
		{[]string{"version", "x"}, exitUsage, "not a flag"},
		{[]string{"world", "--faults", "meteor"}, exitUsage, "there is no fault"},
		{[]string{"world", "--faults", "kill,outage"}, exitUsage, "want --zones 2 or more"},
		{[]string{"world", "--nodes", "0"}, exitUsage, "--nodes: want 1 to 100"},
		{[]string{"world", "--minutes", "0.05", "--nodes", "3", "--json"}, exitDone, `"violations":[]`},
		{[]string{"world", "--only", "0,x"}, exitUsage, "--only: \"x\" is no place in a plan"},
		{[]string{"world", "--only", "0", "--seeds", "2"}, exitUsage, "--only: want one seed"},
		{[]string{"world", "--only", "none", "--until", "2s", "--nodes", "3", "--json"}, exitDone, `"faults":{},"violations":[]`},
		{[]string{"version", "--x"}, exitUsage, "unknown flag"},
	} {
		var out bytes.Buffer
		a := app{out: &out, err: &out}
		if got := a.run(c.args); got != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("%q: exit %d, want %d with %q; printed %s", c.args, got, c.want, c.says, out.String())
		}
	}
}
