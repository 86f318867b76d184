package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/tablet"
)

// The golden story of a change of replicas that is cut takes the leader's power. Here each who takes part in it loses power, at
// one of its syncs after the other until the change ends before: a follower that stays, the one that goes, the one that
// comes, and all at once. Each time the change ends, and what was acknowledged is there.
func TestAChangeIsCutForEach(t *testing.T) {
	for _, who := range []string{"leader", "who stays", "who goes", "who comes", "all"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			var states []string // that the leader knew when the power went
			for sync := 1; ; sync++ {
				state, cut := cutChange(t, who, sync)
				if !cut {
					break
				}
				if !slices.Contains(states, state) {
					states = append(states, state)
				}
				if sync == 100 {
					t.Fatal("the change does not end without 100 syncs")
				}
			}
			all := strings.Join(states, "; ")
			t.Logf("cut at: %s", all)
			for _, step := range []string{"learner", "incoming", "former"} {
				// Who goes has nothing to sync any more once it is former.
				if !strings.Contains(all, step) && (step != "former" || who != "who goes") {
					t.Errorf("the power never went while the leader knew of one %s", step)
				}
			}
		})
	}
}

// changing returns a story in which a tablet of three nodes has just got a replica on a fourth one, which is to take a place; who is
// who among them; and the tablet's number.
func changing(t *testing.T) (s *Story, who map[string]*Machine, number uint32) {
	t.Helper()
	s = &Story{}
	tell(t, s, "world nodes=3 seed=7", "n0 SET c value", "join", "changing c")
	number = s.numberOf("c")
	who = map[string]*Machine{"leader": s.w.leader(number), "who comes": s.w.machines[3]}
	for _, m := range s.w.machines[:3] {
		if m != who["leader"] {
			who["who stays"], who["who goes"] = m, who["who stays"]
		}
	}
	return s, who, number
}

// tell carries out commands of a story.
func tell(t *testing.T, s *Story, commands ...string) (last string) {
	t.Helper()
	for _, c := range commands {
		var err error
		if last, err = s.Do(c); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
	}
	return last
}

// cutChange lets the change go on until some machine has synced so often, and then takes the power of those who are meant. It
// returns what the leader knew then of the change, and whether it was under way.
func cutChange(t *testing.T, who string, sync int) (state string, cut bool) {
	t.Helper()
	s, parts, number := changing(t)
	// Who of the followers goes shows when the voters change.
	goes := func(d *tablet.Descriptor, m *Machine) bool {
		r, ok := d.Find(m.dir.id)
		return !ok || !r.Role.Stays()
	}
	whole, same, _ := changing(t)
	tell(t, whole, "settle")
	if final := whole.w.leader(number).proc.core.Replica(number).Descriptor(); goes(final, same["who stays"]) {
		parts["who stays"], parts["who goes"] = parts["who goes"], parts["who stays"]
	} else if !goes(final, same["who goes"]) {
		t.Fatal("none of the followers goes: another seed is wanted")
	}
	victim := parts[who]
	if who == "all" {
		victim = parts["leader"]
	}
	victim.cutIn = sync
	over := false
	if !s.w.Until(10*sec, func() bool {
		if !victim.Running() {
			return true
		}
		if l := s.w.leader(number); l != nil {
			d := l.proc.core.Replica(number).Descriptor()
			state = s.roles(d)
			over = !d.Joint && !d.Parting() && len(d.Voters()) == 3 && len(d.Replicas) == 3 && goes(d, parts["who goes"])
		}
		return over
	}) {
		t.Fatalf("sync %d of %s: neither is the change over nor has its power gone: %s", sync, who, state)
	}
	if over {
		return "", false
	}
	fallen := []*Machine{victim}
	if who == "all" {
		for _, m := range s.w.running() {
			m.Cut()
			fallen = append(fallen, m)
		}
	}
	tell(t, s, "run 2s")
	for _, m := range fallen {
		m.Start()
	}
	tell(t, s, "settle")
	for _, c := range []struct{ ask, want string }{{"tablet c", "3 voters"}, {"n0 GET c", "value"}, {"agree", "all replicas are equal"}} {
		if got := tell(t, s, c.ask); got != c.want {
			t.Errorf("power of %s at sync %d, %s: %s: %s", who, sync, state, c.ask, got)
		}
	}
	if v := s.w.Violations(); len(v) > 0 {
		t.Errorf("power of %s at sync %d, %s: %v", who, sync, state, v)
	}
	return state, true
}
