package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/core"
)

// A world with zones loses them one at a time, for longer than the grace too, and nodes move between them.
func TestZones(t *testing.T) {
	t.Parallel()
	res := newRun(t, Options{
		Config: Config{Seed: 3, Zones: 3, Quiet: true}, Nodes: 6, Length: 3 * time.Minute, Mix: newMix(t, "outage,rezone"),
	})
	if len(res.Violations) > 0 || res.Faults["outage"] == 0 || res.Faults["rezone"] == 0 {
		t.Errorf("%v, faults %v", res.Violations, res.Faults)
	}
}

// Where a node stands in another zone than the others believe, each judge of places says so.
func TestPlacesAreJudgedByZone(t *testing.T) {
	t.Parallel()
	opts := Options{Config: Config{Seed: 5, Zones: 3, Quiet: true}, Nodes: 6, Length: sec}.withDefaults()
	r := prepare(opts)
	if err := r.gather(t.Context()); err != nil || r.broken() {
		t.Fatal(err, r.w.violations)
	}
	d := r.w.leader(core.System).proc.core.Replica(core.System).Descriptor()
	for _, m := range r.w.machines {
		if _, ok := d.Find(m.dir.id); ok {
			m.zone = zoneName(0)
		} else {
			m.zone = zoneName(1)
		}
	}
	if why := r.w.systemMisplaced(r.w.running()); !strings.Contains(why, "unevenly") {
		t.Errorf("all voters of the system group are in one zone: %q", why)
	}
	if why := r.w.unsettled(); !strings.Contains(why, "tablet") {
		t.Errorf("replicas lie where other zones had wanted them: %q", why)
	}
}
