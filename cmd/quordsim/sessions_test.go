package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// The shape of the JSON is what scripts read, and the table has to say what the figures are beside.
func TestSessions(t *testing.T) {
	const small = "sessions --nodes 4 --replicas 3 --tablets 4 --clients 2 --minutes 0.2 --away 10s --median 100s,150s --seeds 1"
	run := func(args string) (int, string) {
		var out, errs bytes.Buffer
		a := app{out: &out, err: &errs}
		code := a.run(strings.Fields(args))
		return code, out.String() + errs.String()
	}
	code, out := run(small + " --json")
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("two medians give %s", out)
	}
	for i, line := range lines {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, key := range strings.Fields("seed trace_hash median_s departures ops failed failed_percent missed tablets settled_s violations") {
			if _, ok := v[key]; !ok {
				t.Errorf("no %q in %s", key, line)
			}
		}
		if _, known := v["published"]; known != (i == 0) {
			t.Errorf("what was published for 100 s and nothing else: %s", line)
		}
	}
	if code, out := run(small); code != exitDone || !strings.Contains(out, "1.09") || !strings.Contains(out, "Counted: ") {
		t.Errorf("exit %d: %s", code, out)
	}
	for _, c := range []struct{ args, says string }{
		{"sessions --median 0s", "--median 0s"},
		{"sessions --lifetimes weibull", "poisson or pareto"},
		{"sessions --replicas 9", "--replicas: want 1 to 7"},
		{"sessions --tablets 60", "a power of two"},
		{"sessions --minutes 0", "--minutes"},
	} {
		if code, out := run(c.args); code != exitUsage || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d: %s", c.args, code, out)
		}
	}
}
