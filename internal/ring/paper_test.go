package ring

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring/original"
)

// The lectures' ring: m = 6.
var (
	six      = Space{6}
	lectures = []uint64{4, 8, 15, 20, 32, 35, 44, 58}
)

func lectureRing(t *testing.T) *world {
	t.Helper()
	cfg := LAN()
	cfg.Bits, cfg.Successors, cfg.MaxSuccessors = 6, 3, 3
	w := newWorld(t, cfg, 1)
	w.ring(lectures...)
	return w
}

// lectureOwner is the definition: the token at or behind the key.
func lectureOwner(key uint64, ids []uint64) uint64 {
	for _, id := range ids {
		if id >= key {
			return id
		}
	}
	return ids[0]
}

// Lectures, "Key to Node Mapping Example": [59..4] -> 4, [5..8] -> 8, [9..15] -> 15, [16..20] -> 20, key 14 on
// 15, key 37 on 44, whoever is asked and whichever way. A key looked for elsewhere is a key lost.
func TestLectureKeysToNodes(t *testing.T) {
	w := lectureRing(t)
	for _, mode := range []Mode{Iterative, Recursive} {
		for key := range uint64(64) {
			want := lectureOwner(key, lectures)
			for _, at := range lectures {
				res := w.lookup(nodeID(int(at)), six.Of(key), mode)
				if res.Err != nil || res.Owner.ID != six.Of(want) {
					t.Fatalf("%v lookup of %d at %d: %v, %v; want %d", mode, key, at, res.Owner, res.Err, want)
				}
			}
		}
	}
	if res := w.lookup(nodeID(4), six.Of(37), Iterative); res.Owner.ID != six.Of(44) || res.Hops != len(res.Path) || res.Hops == 0 {
		t.Errorf("key 37 asked at 4: %+v", res)
	}
}

// Lectures, "Joining Operation": node 50 joins through 15. The original rules, on which the slides are drawn.
func TestLectureJoinOriginal(t *testing.T) {
	o := original.New(64)
	o.Ideal(false, 4, 8, 15, 20, 32, 35, 44, 58)
	is := func(what string, got int8, want int) {
		t.Helper()
		if int(got) != want {
			t.Errorf("%s is %d, want %d", what, got, want)
		}
	}
	o.Join(50, 15)
	is("50.succ", o.Nodes[50].Succ, 58)
	if o.Nodes[50].Pred != original.None {
		t.Errorf("50.pred is %d before anybody notified it", o.Nodes[50].Pred)
	}
	o.Stabilize(50) // 58 answers 44, which does not lie between; 58 is notified
	is("50.succ", o.Nodes[50].Succ, 58)
	is("58.pred", o.Nodes[58].Pred, 50)
	o.Stabilize(44) // 58 answers 50; 50 is notified
	is("44.succ", o.Nodes[44].Succ, 50)
	is("50.pred", o.Nodes[50].Pred, 44)
	if got := o.Rings(); len(got) != 1 || len(got[0]) != 9 {
		t.Errorf("rings %v", got)
	}
}

// The same join by our rules: the lookup ends at 44, whose successor is 58; 50 takes 58 as its successor; then
// 58.pred = 50, 44.succ = 50, 50.pred = 44. The keys between its predecessor and itself come to the new node,
// and only those, and only once its successor has let go of them.
func TestLectureJoinOurs(t *testing.T) {
	w := lectureRing(t)
	owner := func(key uint64) (ids []uint64) {
		for _, id := range append(slices.Clone(lectures), 50) {
			if r := w.rings[nodeID(int(id))]; r != nil {
				if _, ok := r.Owns(six.Of(key)); ok {
					ids = append(ids, id)
				}
			}
		}
		return ids
	}
	w.after = func() {
		for key := range uint64(64) {
			if got := owner(key); len(got) > 1 {
				t.Fatalf("at %v key %d is owned by %v", w.now, key, got)
			}
		}
	}
	w.run(5 * time.Second)
	var asked []uint64
	w.trace = func(from, to ident.NodeID, m *Message) {
		if m.Kind == Query && m.Joining {
			asked = append(asked, words(m.To)[3])
		}
	}
	r := w.node(nodeID(50), six.Of(50))
	if err := r.Join(w.now, []ident.NodeID{nodeID(15)}); err != nil {
		t.Fatal(err)
	}
	m := r.member(six.Of(50))
	w.until(time.Second, "50 joined", func() bool { return m.phase == Member })
	if !slices.Equal(asked, []uint64{44}) || m.pred.ID != six.Of(44) || m.list[0].ID != six.Of(58) {
		t.Errorf("joined behind %v asking %v, successor %v", m.pred, asked, m.list[0])
	}
	w.until(5*time.Second, "one ring with 50", w.settled)
	at := func(id uint64) *member { return w.rings[nodeID(int(id))].member(six.Of(id)) }
	if at(44).list[0].ID != six.Of(50) || at(58).pred.ID != six.Of(50) || at(50).pred.ID != six.Of(44) || at(50).list[0].ID != six.Of(58) {
		t.Error("the pointers around 50 are not those of the slides")
	}
	all := append(slices.Clone(lectures), 50)
	slices.Sort(all)
	for key := range uint64(64) {
		want := lectureOwner(key, all)
		if got := owner(key); !slices.Equal(got, []uint64{want}) {
			t.Errorf("key %d is owned by %v, want %d", key, got, want)
		}
	}
}

// Lectures, "Quorum Consensus" and Dynamo: K14 lies on 15, 20 and 32; 15 dies; then on 20, 32 and 35. One lookup
// yields all replicas.
func TestLectureReplicas(t *testing.T) {
	w := lectureRing(t)
	replicas := func() []Token {
		res := w.lookup(nodeID(58), six.Of(14), Iterative)
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		return append([]Token{res.Owner}, res.Successors...)[:3]
	}
	if got := showTokens(replicas()); got != "15 20 32" {
		t.Errorf("K14 lies on %s", got)
	}
	w.kill(nodeID(15))
	if got := showTokens(replicas()); got != "20 32 35" { // the lookup itself waits until the ring has mended
		t.Errorf("after 15 died K14 lies on %s", got)
	}
	if got := showTokens(w.rings[nodeID(20)].Walk(six.Of(14))); got != "20 32 35 44" {
		t.Errorf("20 itself says %s", got)
	}
}

// Lectures, "Finger table": m = 7, nodes 20 32 45 80 96 112: the fingers of 80 are 96 96 96 96 96 112 20.
func TestLectureFingers(t *testing.T) {
	seven := Space{7}
	cfg := LAN()
	cfg.Bits, cfg.Successors, cfg.MaxSuccessors, cfg.Proximity = 7, 1, 1, 1
	w := newWorld(t, cfg, 1)
	w.ring(20, 32, 45, 80, 96, 112)
	w.run(20 * time.Second)
	var got []Token
	for i := range 7 {
		f, ok := w.rings[nodeID(80)].Finger(seven.Of(80), i)
		if !ok {
			t.Errorf("finger %d is unknown", i)
		}
		got = append(got, f)
	}
	if s := showTokens(got); s != "96 96 96 96 96 112 20" {
		t.Errorf("the fingers of 80 are %s", s)
	}
}

// SIGCOMM 2001, theorem 2 and figure 10: a lookup takes 1/2 log2 N hops in the mean, 3.88 at 256 nodes, counting
// the nodes between the one that asks and the owner, without a successor list. Longer paths are latency for
// every cold lookup. Lookups of keys that the asking node owns are left out: ours end at once, the paper's
// travel around the ring, which matters in small ones.
func TestSIGCOMMFigure10PathLength(t *testing.T) {
	const published = 3.88
	var hops, n float64
	for seed := range uint64(6) {
		w := newWorld(t, Config{Successors: 1, MaxSuccessors: 1, Proximity: 1, DistinctNodes: 1}, seed)
		w.constructed(256)
		for range 200 {
			at := w.order[w.rng.IntN(len(w.order))]
			res := w.lookup(at, w.randomID(), Iterative)
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			if res.Hops > 0 {
				hops += float64(res.Hops - 1)
				n++
			}
		}
	}
	if mean := hops / n; math.Abs(mean-published) > 0.2 {
		t.Errorf("%.2f hops, published %.2f", mean, published)
	}
}

// ToN 2003, theorem IV.5: with successor lists of r = O(log N), lookups still find the closest living
// successor when every other node has died at once. Here the ring mends under way, and no lookup may fail.
func TestToNHalfTheNodesDie(t *testing.T) {
	cfg := LAN()
	cfg.LookupTimeout = 30 * time.Second
	w := newWorld(t, cfg, 7)
	w.constructed(200)
	for _, id := range slices.Clone(w.order) {
		if w.rng.IntN(2) == 0 {
			w.kill(id)
		}
	}
	alive := slices.DeleteFunc(slices.Clone(w.order), func(id ident.NodeID) bool { return !w.alive(id) })
	for range 20 {
		key := w.randomID()
		res := w.lookup(alive[w.rng.IntN(len(alive))], key, Iterative)
		want := w.successorOf(key)
		if res.Err != nil || res.Owner != want {
			t.Fatalf("%v, %v; want %v", res.Owner, res.Err, want)
		}
	}
	w.until(time.Minute, "one ring of the living", w.settled)
}

// Zave 2017, section V: a ring that starts with fewer than r+1 principals can fall apart, so it does not start.
func TestZaveFewPrincipalsAreRefused(t *testing.T) {
	w := newWorld(t, Config{Bits: 6, Successors: 2}, 1)
	if err := w.node(nodeID(1), six.Of(1), six.Of(2)).Create(0); !errors.Is(err, ErrTokens) {
		t.Errorf("two tokens, r = 2: %v", err)
	}
	if err := w.node(nodeID(1), six.Of(1), six.Of(2), six.Of(3)).Create(0); err != nil {
		t.Errorf("three tokens, r = 2: %v", err)
	}
}
