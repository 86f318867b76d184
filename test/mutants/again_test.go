package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	leastLine = regexp.MustCompile(`(?m)^it ends with trace ([0-9a-f]{16}): [^:]+: (.*)$`)
	justLine  = regexp.MustCompile(`(?m)^see just that: quordsim (.*) --verbose$`)
)

// The command that a failure prints for the few faults that are left shows just what it told: the same violation, after the
// same steps.
func TestPrintedCommandShowsItAgain(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMutation(filepath.Join("testdata", "one-replica.txt"))
	if err != nil {
		t.Fatal(err)
	}
	broken, err := m.build(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"world", "--stop-at-first", "--seed", strconv.FormatUint(m.seed, 10), "--seeds", strconv.Itoa(nearby)}, m.world...)
	told, err := exec.Command(broken, args...).CombinedOutput()
	least, just := leastLine.FindSubmatch(told), justLine.FindSubmatch(told)
	if err == nil || least == nil || just == nil {
		t.Fatalf("no command is printed (%v):\n%s", err, told)
	}
	again, err := exec.Command(broken, append(strings.Fields(string(just[1])), "--shrink=false")...).CombinedOutput()
	if err == nil || !strings.Contains(string(again), "trace "+string(least[1])) || !strings.Contains(string(again), string(least[2])) {
		t.Errorf("%s shows something else (%v):\n%s\nthan\n%s", just[1], err, again, told)
	}
}
