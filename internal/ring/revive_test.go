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
				if err := r.Revive(w.now, all, nil); err != nil {
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
		if err := w.node(id, w.randomID(), w.randomID(), w.randomID()).Revive(0, members, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.run(time.Minute)
	if got := w.members(); len(got) > 0 {
		t.Errorf("two of four made a ring: %v", got)
	}
	if err := w.node(nodeID(3), w.randomID(), w.randomID(), w.randomID()).Revive(w.now, members, nil); err != nil {
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
	if err := r.Revive(0, []ident.NodeID{nodeID(1), nodeID(2)}, nil); err != nil {
		t.Fatal(err)
	}
	w.until(20*time.Second, "one ring of both", w.settled)
	if err := r.Revive(w.now, w.order, nil); !errors.Is(err, ErrMember) {
		t.Errorf("reviving a member: %v", err)
	}
}

// A node that is back before the others have noticed that it was gone is still named by their lists, so what it asks them
// leads back to itself. Its own word must not count as another node's leave to make a ring: it would stand in one alone.
func TestReviveDoesNotAskItself(t *testing.T) {
	for seed := range uint64(20) {
		w, all, tokens := threeRevived(t, seed)
		w.log = nil
		back := all[seed%3]
		w.kill(back)
		if err := w.node(back, tokens[back]...).Revive(w.now, all, nil); err != nil {
			t.Fatal(err)
		}
		w.collect(back)
		w.until(20*time.Second, "one ring again", w.settled)
		for _, line := range w.log {
			if strings.Contains(line, Created.String()) {
				t.Fatalf("seed %d: it made a ring beside the one that there was: %s", seed, line)
			}
		}
	}
}

// A node whose registry calls all others down, wrongly or no more rightly, goes back into the ring that they are in: what
// it remembers is old. In a ring of its own it would answer for the whole cluster until the two had merged.
func TestReviveAsksThoseCalledDown(t *testing.T) {
	for seed := range uint64(20) {
		w, all, tokens := threeRevived(t, seed)
		back := all[seed%3]
		w.kill(back)
		w.run(time.Duration(w.rng.Int64N(int64(5 * time.Second))))
		w.log = nil
		if err := w.node(back, tokens[back]...).Revive(w.now, []ident.NodeID{back}, all); err != nil {
			t.Fatal(err)
		}
		w.collect(back)
		w.until(20*time.Second, "one ring again", w.settled)
		for _, line := range w.log {
			if strings.Contains(line, Created.String()) {
				t.Fatalf("seed %d: it made a ring beside the one that there was: %s", seed, line)
			}
		}
	}
}

// Those who are left of a cluster do not wait for ever for members that are called down and stay away.
func TestReviveGoesOnWithoutTheDead(t *testing.T) {
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	for n := 1; n <= 3; n++ {
		w := newWorld(t, cfg, uint64(n))
		left := []ident.NodeID{nodeID(1), nodeID(2), nodeID(3)}[:n]
		for _, id := range left {
			r := w.node(id, w.randomID(), w.randomID(), w.randomID())
			if err := r.Revive(w.now, left, []ident.NodeID{nodeID(4), nodeID(5), nodeID(6)}); err != nil {
				t.Fatal(err)
			}
			w.collect(id)
		}
		w.until(20*time.Second, "one ring of those who are left", w.settled)
		if w.now < 3*cfg.StabilizeEvery {
			t.Errorf("%d nodes made a ring after %v, before the others could answer", n, w.now)
		}
	}
}

// Nor does a majority of all wait for those that are called down, where they are gone; where they are in a ring, it is found.
func TestAMajorityDoesNotWaitForTheDead(t *testing.T) {
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	for seed := range uint64(20) {
		for _, dead := range []bool{true, false} {
			w := newWorld(t, cfg, seed)
			all := []ident.NodeID{nodeID(1), nodeID(2), nodeID(3), nodeID(4), nodeID(5)}
			w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			back, down := all[:3], all[3:]
			for _, id := range down {
				if dead {
					continue
				}
				if err := w.node(id, w.randomID(), w.randomID(), w.randomID()).Revive(w.now, down, nil); err != nil {
					t.Fatal(err)
				}
				w.collect(id)
			}
			w.run(10 * time.Second)
			w.log = nil
			began := w.now
			for _, id := range back {
				r := w.node(id, w.randomID(), w.randomID(), w.randomID())
				for _, other := range down {
					r.NodeDown(w.now, other) // not connected, or not yet
				}
				if err := r.Revive(w.now, back, down); err != nil {
					t.Fatal(err)
				}
				w.collect(id)
			}
			if dead {
				w.until(cfg.StabilizeEvery, "a ring of those who are there", func() bool { return len(w.members()) > 0 })
			}
			w.until(20*time.Second, "one ring", func() bool { return len(w.members()) >= 3*len(back) && w.settled() })
			for _, line := range w.log {
				if !dead && strings.Contains(line, Created.String()) {
					t.Fatalf("seed %d: another ring was made beside that of those who were called down: %s", seed, line)
				}
			}
			if dead {
				t.Logf("seed %d: %v", seed, w.now-began)
			}
		}
	}
}

// A node that waits for another one's vote goes on without it when that one has left: it would wait for ever.
func TestReviveGoesOnWithoutWhoHasLeft(t *testing.T) {
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	w := newWorld(t, cfg, 1)
	self, other := nodeID(1), nodeID(2)
	r := w.node(self, w.randomID(), w.randomID(), w.randomID())
	if err := r.Revive(w.now, []ident.NodeID{self, other}, nil); err != nil {
		t.Fatal(err)
	}
	w.run(20 * time.Second)
	if !r.Reviving() {
		t.Fatal("one of two made a ring, or has given up")
	}
	if err := r.Revive(w.now, []ident.NodeID{self}, nil); err != nil {
		t.Fatal(err)
	}
	w.collect(self)
	w.until(20*time.Second, "a ring of its own", w.settled)
}

// threeRevived returns a world in which three nodes of four tokens have made their ring anew.
func threeRevived(t *testing.T, seed uint64) (w *world, all []ident.NodeID, tokens map[ident.NodeID][]ID) {
	t.Helper()
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	w = newWorld(t, cfg, seed)
	all, tokens = []ident.NodeID{nodeID(1), nodeID(2), nodeID(3)}, map[ident.NodeID][]ID{}
	for _, id := range all {
		tokens[id] = []ID{w.randomID(), w.randomID(), w.randomID(), w.randomID()}
		if err := w.node(id, tokens[id]...).Revive(w.now, all, nil); err != nil {
			t.Fatal(err)
		}
		w.collect(id)
	}
	w.until(20*time.Second, "one ring", w.settled)
	return w, all, tokens
}

// A node that leaves the ring to come back in another place does not help one that starts at the same time to make another
// ring: two of three would, and the third goes on with the one that there is.
func TestWhoChangesPlacesMakesNoRing(t *testing.T) {
	for seed := range uint64(20) {
		w, all, tokens := threeRevived(t, seed)
		starts, moves := all[seed%3], all[(seed+1)%3]
		w.kill(starts)
		w.run(time.Second)
		w.log = nil
		w.rings[moves].Leave(w.now)
		w.collect(moves)
		w.kill(moves)
		r := w.node(moves, w.randomID(), w.randomID(), w.randomID(), w.randomID())
		r.Abstain(w.now)
		if err := r.Revive(w.now, all, nil); err != nil {
			t.Fatal(err)
		}
		w.collect(moves)
		if err := w.node(starts, tokens[starts]...).Revive(w.now, all, nil); err != nil {
			t.Fatal(err)
		}
		w.collect(starts)
		w.until(20*time.Second, "one ring again", w.settled)
		for _, line := range w.log {
			if strings.Contains(line, Created.String()) {
				t.Fatalf("seed %d: another ring was made: %s", seed, line)
			}
		}
	}
}

// Nor does a node that has left for good, and is still there.
func TestWhoHasLeftMakesNoRing(t *testing.T) {
	for seed := range uint64(20) {
		w, all, tokens := threeRevived(t, seed)
		starts, leaves := all[seed%3], all[(seed+1)%3]
		w.kill(starts)
		w.run(time.Second)
		w.log = nil
		w.rings[leaves].Leave(w.now)
		w.collect(leaves)
		if err := w.node(starts, tokens[starts]...).Revive(w.now, all, nil); err != nil {
			t.Fatal(err)
		}
		w.collect(starts)
		w.run(10 * time.Second)
		for _, line := range w.log {
			if strings.Contains(line, Created.String()) {
				t.Fatalf("seed %d: another ring was made: %s", seed, line)
			}
		}
	}
}

// Nor does a node that joins for the first time: that it is in no ring says nothing about whether there is one.
func TestWhoComesAnewMakesNoRing(t *testing.T) {
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	for seed := range uint64(20) {
		w := newWorld(t, cfg, seed)
		all := []ident.NodeID{nodeID(1), nodeID(2), nodeID(3)}
		starts, stays, comes := all[seed%3], all[(seed+1)%3], all[(seed+2)%3]
		tokens := map[ident.NodeID][]ID{}
		for _, id := range []ident.NodeID{starts, stays} {
			tokens[id] = []ID{w.randomID(), w.randomID(), w.randomID(), w.randomID()}
			if err := w.node(id, tokens[id]...).Revive(w.now, []ident.NodeID{starts, stays}, nil); err != nil {
				t.Fatal(err)
			}
			w.collect(id)
		}
		w.until(20*time.Second, "one ring", w.settled)
		w.kill(starts)
		w.log = nil
		if err := w.node(comes, w.randomID(), w.randomID(), w.randomID()).Join(w.now, []ident.NodeID{starts, stays}); err != nil {
			t.Fatal(err)
		}
		w.collect(comes)
		if err := w.node(starts, tokens[starts]...).Revive(w.now, all, nil); err != nil {
			t.Fatal(err)
		}
		w.collect(starts)
		w.until(20*time.Second, "one ring again", w.settled)
		for _, line := range w.log {
			if strings.Contains(line, Created.String()) {
				t.Fatalf("seed %d: another ring was made: %s", seed, line)
			}
		}
	}
}

// A bare majority of many nodes is back after a loss of all. Whose connection is down is asked last, and one at a time, or the
// votes of those who are there would lapse before all of them have been asked, again and again.
func TestABareMajorityMakesTheRing(t *testing.T) {
	cfg := LAN()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	for _, n := range []int{9, 21, 41} {
		w := newWorld(t, cfg, uint64(n))
		var all []ident.NodeID
		for i := range n {
			all = append(all, nodeID(i+1))
		}
		w.rng.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
		back, away := all[:n/2+1], all[n/2+1:]
		for _, id := range back {
			r := w.node(id, w.randomID(), w.randomID(), w.randomID())
			for _, gone := range away {
				r.NodeDown(w.now, gone)
			}
			if err := r.Revive(w.now, all, nil); err != nil {
				t.Fatal(err)
			}
			w.collect(id)
		}
		w.until(10*time.Second, fmt.Sprintf("a ring of %d of %d", len(back), n), func() bool { return len(w.members()) > 0 })
		w.until(20*time.Second, "one ring", w.settled)
	}
}

// Nor do two that start at the same time, of which one remembers fewer members than there are: the two would be a majority of
// those. The other one looks for itself first.
func TestWhoHasNotLookedGivesNoVote(t *testing.T) {
	cfg := Local()
	cfg.Successors, cfg.MaxSuccessors = 2, 8
	for seed := range uint64(20) {
		w := newWorld(t, cfg, seed)
		var all []ident.NodeID
		tokens := map[ident.NodeID][]ID{}
		for i := range 5 {
			id := nodeID(i + 1)
			tokens[id] = []ID{w.randomID(), w.randomID(), w.randomID(), w.randomID()}
			r, err := w.node(id, tokens[id]...), error(nil)
			if i == 0 {
				err = r.Create(w.now)
			} else {
				err = r.Join(w.now, all)
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, id)
			w.collect(id)
			w.until(20*time.Second, "one ring", w.settled)
		}
		w.kill(all[0])
		w.kill(all[1])
		w.run(4 * time.Second)
		w.log = nil
		for i, known := range [][]ident.NodeID{all[:3], all} {
			if err := w.node(all[i], tokens[all[i]]...).Revive(w.now, known, nil); err != nil {
				t.Fatal(err)
			}
			w.collect(all[i])
		}
		w.until(20*time.Second, "one ring again", w.settled)
		for _, line := range w.log {
			if strings.Contains(line, Created.String()) {
				t.Fatalf("seed %d: another ring was made: %s", seed, line)
			}
		}
	}
}
