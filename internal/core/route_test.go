package core

import (
	"fmt"
	"testing"
	"time"
)

// A client whose request is under way when a leader dies waits for the election, not for its timeout: whoever refuses
// and names the new leader is believed, and where none is known nobody who cannot answer is asked over and over. On a
// ring of five the node that takes the requests holds no replica of some tablets: for those it has only the word of
// others.
func TestRequestsUnderWayOutliveALeader(t *testing.T) {
	const bound = 2 * time.Second
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newRing(t, 130+seed, 5)
			taker := w.nodes[0]
			for tab := range uint32(worldTablets) {
				w.must(taker, "SET", key(tab), "0")
			}
			victim := leaderElsewhere(w, taker)
			var calls []*call
			for range 8 { // all within the time that a frame takes there and back
				for tab := range uint32(worldTablets) {
					calls = append(calls, w.ask(taker, "INCR", key(tab)), w.ask(taker, "GET", key(tab)))
				}
				w.run(100 * time.Microsecond)
			}
			waiting := 0
			for _, c := range calls {
				if !c.over() && w.leader(c.req.Tablet) == victim {
					waiting++
				}
			}
			if waiting < 16 {
				t.Fatalf("only %d requests wait for the leader that is to die", waiting)
			}
			killed := w.now
			w.kill(victim, nil)
			w.until(10*time.Second, "the end of all requests", func() bool { return len(taker.calls) == 0 })
			for _, c := range calls {
				verb, took := c.req.Commands[0][0], c.begun+c.took-killed
				if took > bound || c.code() != "" {
					t.Errorf("%s on tablet %d ended %v after the leader's death: %s", verb, c.req.Tablet, took, c.reply())
				}
			}
			for tab := range uint32(worldTablets) {
				if got := number(w.must(taker, "GET", key(tab))); got != 8 {
					t.Errorf("tablet %d: %d after 8 increments", tab, got)
				}
			}
		})
	}
}

// leaderElsewhere returns the node that leads the most tablets of which n holds no replica.
func leaderElsewhere(w *world, n *node) *node {
	w.t.Helper()
	led := map[*node]int{}
	var most *node
	for tab := range uint32(worldTablets) {
		if n.core.places[tab].group != nil {
			continue
		}
		l := w.leader(tab)
		if led[l]++; most == nil || led[l] > led[most] {
			most = l
		}
	}
	if most == nil {
		w.t.Fatalf("node %d holds a replica of every tablet", n.index)
	}
	return most
}

// Where nobody knows who leads, everybody comes to be asked: the one who is never asked may be the one who leads.
func TestEverybodyIsAskedInTurn(t *testing.T) {
	for size := 1; size <= 12; size++ {
		asked := map[bool]map[int]bool{true: {}, false: {}}
		for n := 1; n <= 3*size; n++ {
			index, anybody := inTurn(n)
			asked[anybody][index%size] = true
		}
		for anybody, who := range asked {
			if len(who) != size {
				t.Errorf("of %d nodes (anybody: %t) only %v are asked", size, anybody, who)
			}
		}
	}
}
