package sim

import (
	"slices"
	"strings"
	"testing"
)

// What a person is told of a failure can be seen again: the places of the few faults that are left, and for how long they
// happen, bring the same violation after the same steps.
func TestWhatIsLeftIsSeenAgain(t *testing.T) {
	own := kinds
	t.Cleanup(func() { kinds = own })
	kinds = slices.Concat(kinds, []kind{{name: "betray", most: sec, weight: 1, do: func(r *run, f Fault) {
		r.begin(f, "somebody betrays")
		if r.faults["betray"] > 1 {
			r.w.violate("betrayed at %s", clock(r.w.now))
		}
	}}})
	opts := Options{Config: Config{Seed: 11}, Nodes: 3, Length: 40 * sec, Clients: 2, Mix: Mix{Kinds: []string{"slow", "betray"}}}
	failed := newRun(t, opts)
	if len(failed.Violations) == 0 || len(failed.Plan) < 3 {
		t.Fatalf("this run does not fail, or has little that can be left out: %v", failed.Plan)
	}
	least := Shrink(t.Context(), opts, failed, nil)
	plan := Draw(opts)
	if !slices.Equal(plan, failed.Plan) {
		t.Fatalf("another plan is drawn: %v", plan)
	}
	again := opts
	var err error
	if again.Plan, err = Only(plan, NameOnly(plan, least.Plan)); err != nil {
		t.Fatal(err)
	}
	again.Planned, again.Length = true, least.Length
	res := newRun(t, again)
	if len(least.Plan) != 2 || res.Trace != least.Trace || !slices.Equal(res.Violations, least.Violations) {
		t.Errorf("of %d faults %d are left; trace %x with %v becomes %x with %v", len(plan), len(least.Plan), least.Trace, least.Violations, res.Trace, res.Violations)
	}
}

func TestOnly(t *testing.T) {
	plan := []Fault{{Kind: "kill"}, {Kind: "pause"}, {Kind: "kill"}}
	for text, want := range map[string]string{
		"none": "", "0,2": "", "1": "", "3": "no fault 3", "2,1": "in the order", "1,1": "in the order", "": "no place", "x": "no place", "-1": "no place",
	} {
		some, err := Only(plan, text)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", text, err, want)
			}
		} else if err != nil || NameOnly(plan, some) != text {
			t.Errorf("%q: %v, read as %q", text, err, NameOnly(plan, some))
		}
	}
}
