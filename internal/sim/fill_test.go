package sim

import (
	"strings"
	"testing"
	"time"
)

// Records that expire while there are faults are gone in the end, from the count of keys too; and the judge of that count notices
// a key that clients have found and nobody counts.
func TestKeysAreCounted(t *testing.T) {
	t.Parallel()
	const fleeting = 500
	opts := Options{
		Config: Config{Seed: 9, Quiet: true}, Nodes: 3, Length: time.Minute, Mix: newMix(t, "kill,power,split"), Fleeting: fleeting,
	}.withDefaults()
	r := prepare(opts)
	var settled time.Duration
	if err := r.live(t.Context(), Draw(opts), &settled); err != nil {
		t.Fatal(err)
	}
	gone := 0
	for _, k := range r.load.histories {
		if strings.HasPrefix(k.name, "fill") && k.ops[len(k.ops)-1].found() == 0 {
			gone++
		}
	}
	if len(r.w.violations) > 0 || len(r.faults) == 0 || gone < fleeting*9/10 {
		t.Fatalf("%v; faults %v; %d of %d records have expired", r.w.violations, r.faults, gone, fleeting)
	}
	if why := r.miscounted(); why != "" {
		t.Fatal(why)
	}
	r.w.Run(15 * sec) // what is left of those that clients let expire
	found := op{verb: mget, known: true, reply: "*2\r\n$1\r\nx\r\n$1\r\nx\r\n"}
	r.load.histories = append(r.load.histories, &keyHistory{name: "none", kind: paired, ops: []op{found}})
	if why := r.miscounted(); why == "" {
		t.Error("two keys that do not exist were found, and nobody minds")
	}
}
