package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// rings says what keeps the running nodes from being one ring, "" where they are: each token's successor is the next
// token of all.
func (w *world) rings() string {
	var all []ring.TokenState
	owner := map[ring.ID]int{}
	for _, n := range w.running() {
		if n.core.ring == nil {
			return fmt.Sprintf("node %d has no ring", n.index)
		}
		for _, t := range n.core.ring.State().Tokens {
			all = append(all, t)
			owner[t.ID] = n.index
		}
	}
	slices.SortFunc(all, func(a, b ring.TokenState) int { return a.ID.Compare(b.ID) })
	for i, t := range all {
		next := all[(i+1)%len(all)].ID
		if t.Phase != ring.Member || len(t.Successors) == 0 || t.Successors[0].ID != next {
			return fmt.Sprintf("node %d: token %s is %v and is not followed by %s of node %d", owner[t.ID], t.ID.Short(), t.Phase, next.Short(), owner[next])
		}
	}
	return ""
}

// eventually is until for conditions that are work to find out: it looks now and then.
func (w *world) eventually(limit time.Duration, what string, cond func() bool) {
	w.t.Helper()
	for end := w.now + limit; !cond(); w.run(100 * time.Millisecond) {
		if w.now > end {
			w.t.Fatalf("after %v still not: %s; %s\n%s", limit, what, w.rings(), w.describe())
		}
	}
}

// reach returns how many nodes the ring of a node has, found by walking over the successors.
func (w *world) reach(n *node) int {
	next := map[ring.ID]ring.Token{}
	for _, n := range w.running() {
		for _, t := range n.core.ring.State().Tokens {
			if len(t.Successors) > 0 {
				next[t.ID] = t.Successors[0]
			}
		}
	}
	seen := map[ident.NodeID]bool{}
	at := n.core.ring.State().Tokens[0].ID
	for range next {
		t := next[at]
		seen[t.Node] = true
		at = t.ID
	}
	return len(seen)
}

// descriptors returns the descriptor of each tablet as its leader has it, "" where it has none.
func (w *world) descriptors() (all []string) {
	for tab := range uint32(worldTablets) {
		d := ""
		if l := w.leader(tab); l != nil {
			d = l.core.places[tab].group.Descriptor().String()
		}
		all = append(all, d)
	}
	return all
}

// With many replicas a successor list reaches as many other nodes: it shows all targets of a tablet, and a token does not
// lose all its successors with fewer nodes than a tablet may lose. The few lists that would be longer than lists get are content
// with less.
func TestListsReachAsManyNodesAsThereAreReplicas(t *testing.T) {
	w := newWorld(t, 430)
	settings := w.settings()
	settings.Replicas = 7
	w.foundWith(settings, 1)
	for range 8 {
		w.start(w.add(), w.nodes[0])
	}
	w.eventually(time.Minute, "one ring", func() bool { return len(w.running()) == 9 && w.rings() == "" })
	w.run(10 * time.Second)
	for _, n := range w.running() {
		for _, token := range n.core.ring.State().Tokens {
			others := map[ident.NodeID]bool{}
			for _, s := range token.Successors {
				others[s.Node] = true
			}
			delete(others, n.id)
			if len(others) < settings.Replicas && len(token.Successors) < maxSuccessors {
				t.Errorf("node %d: the %d successors of token %s are of %d other nodes", n.index, len(token.Successors), token.ID.Short(), len(others))
			}
		}
	}
}

// A partition lasts until each side has a ring of its own, larger than successor lists reach. Afterwards the two merge
// within seconds. Meanwhile no tablet's replicas are moved for what a ring showed, and no write is lost: whoever has a
// majority of a tablet goes on with it.
func TestLargeRingsMerge(t *testing.T) {
	for _, c := range []struct{ all, apart int }{{9, 4}, {10, 5}} {
		for seed := range uint64(*worlds) {
			t.Run(fmt.Sprintf("%d of %d/seed=%d", c.apart, c.all, seed), func(t *testing.T) {
				t.Parallel()
				w := newRing(t, 400+seed, c.all)
				before := w.descriptors()
				load := w.load(0, 1, c.all-1)
				w.run(time.Second)
				w.split(w.nodes[c.all-c.apart:]...)
				w.eventually(replaceAfter-3*time.Second, "a ring on each side", func() bool {
					return w.reach(w.nodes[0]) == c.all-c.apart && w.reach(w.nodes[c.all-1]) == c.apart
				})
				w.run(3 * time.Second)
				if during := w.descriptors(); !alike(before, during) {
					t.Errorf("within the grace period replicas were moved:\n%v\n%v", before, during)
				}
				w.heal()
				healed := w.now
				w.eventually(30*time.Second, "one ring again", func() bool { return w.rings() == "" })
				t.Logf("one ring %v after the partition", (w.now - healed).Round(time.Millisecond))
				w.settled(30 * time.Second)
				load.stop()
				load.check()
				if after := w.descriptors(); !alike(before, after) {
					t.Errorf("after the merge replicas have been moved:\n%v\n%v", before, after)
				}
			})
		}
	}
}

// alike reports whether two views of the tablets agree wherever both have a leader.
func alike(a, b []string) bool {
	for i := range a {
		if a[i] != "" && b[i] != "" && a[i] != b[i] {
			return false
		}
	}
	return true
}

// A partition outlasts the grace period: the side that can goes on with fewer replicas and makes them whole, the other
// one changes nothing. When it ends all agree on one ring and one placement.
func TestRingsMergeAfterReplacement(t *testing.T) {
	w := newRing(t, 410, 9)
	load := w.load(0, 1, 8)
	w.split(w.nodes[5:]...)
	w.run(replaceAfter + 15*time.Second)
	w.heal()
	w.eventually(30*time.Second, "one ring again", func() bool { return w.rings() == "" })
	w.run(time.Second)
	load.stop()
	w.settled(time.Minute)
	load.check()
}
