package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The shapes of JSON are what scripts read; a combination that makes no sense must be told apart from a result.
func TestExperiments(t *testing.T) {
	for _, c := range []struct {
		args string
		keys string // of the JSON, "" for wrong usage
		says string
	}{
		{"paths --nodes 16,32 --rings 2 --lookups 20", "nodes hops", `"pdf":[`},
		{"paths --nodes 20 --rings 1 --lookups 20 --preset quord --mode recursive", "nodes hops", `"p50":`},
		{"load --nodes 50 --keys 1000 --tokens 1,4 --rings 2", "keys_per_node", `"p99":`},
		{"failures --nodes 60 --successors 6 --fail 0,0.3 --rings 2 --lookups 50", "hops timeouts failed", `"failed":0}`},
		{"churn --nodes 40 --successors 4 --rate 0.05 --rings 1 --hours 0.02", "hops timeouts failed_per_10000 wrong", `"wrong":0}`},
		{"balance --nodes 6 --tablets 512 --rings 2", "max_over_mean efficiency", `"efficiency":0.`},
		{"join --nodes 8,16 --rings 2", "messages tablets_moved ideal", `"ideal":`},
		{"join --nodes 8 --rings 1 --leave", "messages tablets_moved ideal", `"messages":2,`},
		{"balance --nodes 3 --weights 1,1,1,2", "", "4 of them for 3 nodes"},
		{"balance --nodes 0", "", "--nodes 0: want more"},
		{"load --nodes 50 --keys 10,100 --tokens 1,2", "", "not both"},
		{"load --nodes 50 --preset quord --tokens 4", "", "--tokens 4: with --preset quord"},
		{"failures --fail nan", "", "--fail NaN"},
		{"churn --nodes 40 --rate 0.3", "", "want 0 to 0.133 for 40 nodes"},
		{"stretch --preset quord --proximity 100", "", "fewer candidates"},
		{"balance --tablets 1000", "", "power of two"},
		{"balance --weights 1,0", "", "numbers above 0"},
		{"balance --preset quord --tokens 4", "", "tokens 4: want 17"},
		{"join --leave --nodes 3", "", "--nodes 3: want 4"},
		{"stretch --nodes 64 --proximity 1,4 --rings 1 --lookups 50", "stretch", `"p90":`},
		{"stretch --nodes 20 --preset quord --mode recursive --rings 1 --lookups 50", "stretch", `"p10":`},
		{"stretch --live --nodes 5000", "", "--live"},
		{"stretch --proximity 0", "", "--proximity 0"},
		{"churn --rate 100", "", "--rate 100"},
		{"churn --hours -1", "", "--hours -1"},
		{"failures --fail 1", "", "--fail 1"},
		{"failures --preset quord", "", "--preset quord"},
		{"paths --nodes 1", "", "--nodes 1: want 2"},
		{"paths --nodes 10 --successors 12", "", "--successors 12"},
		{"paths --mode sideways", "", "iterative or recursive"},
		{"paths --preset other", "", "paper or quord"},
		{"paths --rings 0", "", "--rings 0"},
		{"load --tokens 0", "", "--tokens 0"},
	} {
		t.Run(c.args, func(t *testing.T) {
			svg := filepath.Join(t.TempDir(), "figure.svg")
			run := func(extra ...string) (int, string) {
				var out bytes.Buffer
				a := app{out: &out, err: &out}
				code := a.run(append(strings.Fields(c.args), extra...))
				return code, out.String()
			}
			code, out := run("--json", "--svg", svg)
			if !strings.Contains(out, c.says) {
				t.Errorf("it says %q, want %q in it", out, c.says)
			}
			if c.keys == "" {
				if code != exitUsage {
					t.Errorf("exit %d, want %d", code, exitUsage)
				}
				return
			}
			if code != exitDone {
				t.Fatalf("exit %d: %s", code, out)
			}
			if _, again := run("--json"); again != out {
				t.Errorf("the same seed says %s, then %s", out, again)
			}
			for line := range strings.Lines(out) {
				var v map[string]any
				if err := json.Unmarshal([]byte(line), &v); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				for _, key := range strings.Fields(c.keys) {
					if _, ok := v[key]; !ok {
						t.Errorf("no %q in %s", key, line)
					}
				}
				if len(v) != len(strings.Fields(c.keys)) {
					t.Errorf("want only %s in %s", c.keys, line)
				}
			}
			if b, err := os.ReadFile(svg); err != nil || !bytes.HasPrefix(b, []byte("<svg")) {
				t.Errorf("the figure: %v, %.20s", err, b)
			}
			if code, out := run(); code != exitDone || !strings.Contains(out, "Counted: ") {
				t.Errorf("exit %d, no word of how it was counted: %s", code, out)
			}
		})
	}
}

// A figure that cannot be written is told before hours of computing.
func TestAFigureWithoutAPlaceIsRefused(t *testing.T) {
	var out bytes.Buffer
	a := app{out: &out, err: &out}
	svg := filepath.Join(t.TempDir(), "missing", "figure.svg")
	if code := a.run([]string{"paths", "--svg", svg}); code != exitUsage || !strings.Contains(out.String(), "there is no directory") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
