package ring

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// All nodes of a cluster lose power and come back, in any order, within seconds: one of them makes the ring anew
// and all others join it. Two rings would split the cluster; none would leave it down for ever.
func TestReviveMakesOneRing(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cfg := LAN()
			cfg.Successors, cfg.MaxSuccessors = 2, 8
			w := newWorld(t, cfg, seed)
			w.delay = func(_, _ ident.NodeID) time.Duration {
				return time.Millisecond + time.Duration(w.rng.Int64N(int64(20*time.Millisecond)))
			}
			n := 1 + int(seed)%5
			var all []ident.NodeID
			for i := range n {
				all = append(all, nodeID(i+1))
			}
			w.rng.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, id := range all {
				r := w.node(id, w.randomID(), w.randomID(), w.randomID(), w.randomID())
				if err := r.Revive(w.now, all); err != nil {
					t.Fatal(err)
				}
				w.collect(id)
				w.run(time.Duration(w.rng.Int64N(int64(time.Second))))
			}
			w.until(20*time.Second, "one ring of all", w.settled)
			created := 0
			for _, line := range w.log {
				if strings.Contains(line, Created.String()) {
					created++
				}
			}
			if created != 4 {
				t.Errorf("%d tokens made a ring, want those of one node", created)
			}
		})
	}
}

// A minority that is cut off from the rest does not make a ring of its own: the others may be in one.
func TestReviveNeedsMajority(t *testing.T) {
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	w := newWorld(t, cfg, 1)
	members := []ident.NodeID{nodeID(1), nodeID(2), nodeID(3), nodeID(4)}
	for _, id := range members[:2] {
		if err := w.node(id, w.randomID(), w.randomID(), w.randomID()).Revive(0, members); err != nil {
			t.Fatal(err)
		}
	}
	w.run(time.Minute)
	if got := w.members(); len(got) > 0 {
		t.Errorf("two of four made a ring: %v", got)
	}
	if err := w.node(nodeID(3), w.randomID(), w.randomID(), w.randomID()).Revive(w.now, members); err != nil {
		t.Fatal(err)
	}
	w.until(20*time.Second, "one ring of three", w.settled)
}

// A node that comes back while the ring goes on without it joins that ring.
func TestReviveJoinsTheRingThatIs(t *testing.T) {
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	w := newWorld(t, cfg, 1)
	if err := w.node(nodeID(2), w.randomID(), w.randomID(), w.randomID()).Create(0); err != nil {
		t.Fatal(err)
	}
	w.collect(nodeID(2))
	r := w.node(nodeID(1), w.randomID(), w.randomID(), w.randomID())
	if err := r.Revive(0, []ident.NodeID{nodeID(1), nodeID(2)}); err != nil {
		t.Fatal(err)
	}
	w.until(20*time.Second, "one ring of both", w.settled)
	if err := r.Revive(w.now, w.order); !errors.Is(err, ErrMember) {
		t.Errorf("reviving a member: %v", err)
	}
}
