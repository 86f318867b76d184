package sim

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What a person is told of a failure is as little as leads to it, and the account of just that: of many faults those two
// that it takes, and of all tablets the one that it is about.
func TestShrinkFindsWhatIsEnough(t *testing.T) {
	own := kinds
	t.Cleanup(func() { kinds = own })
	kinds = slices.Concat(kinds, []kind{
		{name: "whisper", do: func(r *run, f Fault) { r.begin(f, "somebody whispers") }},
		{name: "betray", do: func(r *run, f Fault) {
			r.begin(f, "somebody betrays")
			if r.faults["whisper"] > 0 {
				r.w.tellOf(2, "this is about tablet 2")
				r.w.violateOf(3, "tablet 3 is betrayed")
			}
		}},
	})
	opts := Options{Config: Config{Seed: 3}, Nodes: 3, Length: 10 * sec, Clients: 2, Planned: true}
	for i := range 20 {
		kind := "slow"
		switch i {
		case 7:
			kind = "whisper"
		case 4, 13, 17:
			kind = "betray"
		}
		opts.Plan = append(opts.Plan, Fault{At: time.Duration(i) * sec / 2, For: sec, Kind: kind, Pick: uint64(i), Size: 0.1})
	}
	failed := newRun(t, opts)
	if len(failed.Violations) == 0 {
		t.Fatal("this run does not fail")
	}
	least := Shrink(t.Context(), opts, failed, nil)
	var left []string
	for _, f := range least.Plan {
		left = append(left, f.Kind)
	}
	if !slices.Equal(left, []string{"whisper", "betray"}) || least.Runs > shrinkRuns {
		t.Errorf("after %d runs this is left: %v", least.Runs, left)
	}
	for _, want := range []string{"FAULT whisper", "FAULT betray", "VIOLATION: tablet 3 is betrayed"} {
		if !strings.Contains(least.Account, want) {
			t.Errorf("the account lacks %q:\n%s", want, least.Account)
		}
	}
	if strings.Contains(least.Account, "tablet 2") {
		t.Errorf("the account tells of a tablet that it is not about:\n%s", least.Account)
	}
}
