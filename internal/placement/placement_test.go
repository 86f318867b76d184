package placement

import (
	"crypto/ed25519"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// key is a public key as good as any for hashing.
func key(n uint64) ed25519.PublicKey {
	b := make(ed25519.PublicKey, ed25519.PublicKeySize)
	binary.BigEndian.PutUint64(b, n)
	return b
}

// newTestRing draws a ring of up to 12 nodes of 1 to 8 tokens, and a zone of up to 5 for each.
func newTestRing(t *rapid.T) ([]ring.Token, ZoneOf) {
	var tokens []ring.Token
	zones := map[ident.NodeID]string{}
	base := rapid.Uint64Range(0, 1<<40).Draw(t, "base")
	for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
		pub := key(base + uint64(i))
		for k := range rapid.IntRange(1, 8).Draw(t, "tokens") {
			tokens = append(tokens, ring.Token{ID: TokenOf(pub, uint32(k)), Node: ident.NodeOf(pub)})
		}
		zones[ident.NodeOf(pub)] = []string{"", "a", "b", "c", "d"}[rapid.IntRange(0, 4).Draw(t, "zone")]
	}
	if rapid.Bool().Draw(t, "no zones") {
		return tokens, nil
	}
	return tokens, func(n ident.NodeID) string { return zones[n] }
}

func newTestMap(t rapid.TB, tokens []ring.Token, tablets, replicas int, zone ZoneOf) *Map {
	t.Helper()
	m, err := NewMap(tokens, tablets, replicas, zone)
	if err != nil {
		t.Fatalf("NewMap: %v", err)
	}
	return m
}

// The tokens of a running cluster are on its disks: if the hash or the points move, every tablet moves.
func TestPlacesStayWhereTheyAre(t *testing.T) {
	if got, want := TokenOf(key(1), 2).String(), "848bf699196b623e19aeff7ff4246c168e1660989239f6867a4b1f5d972a475a"; got != want {
		t.Errorf("token 2 of key 1 = %s, want %s", got, want)
	}
	for _, c := range []struct {
		t    uint32
		of   int
		want string
	}{{0, 1, "00"}, {1, 2, "80"}, {3, 4, "c0"}, {1, 1024, "0040"}, {1023, 1024, "ffc0"}, {16383, 16384, "fffc"}} {
		want := c.want + strings.Repeat("0", 64-len(c.want))
		if got := Point(c.t, c.of).String(); got != want {
			t.Errorf("point of tablet %d of %d = %s, want %s", c.t, c.of, got, want)
		}
	}
}

// Who shows a key's targets (Targets), who computes them for all tablets (Map), and who knows only what a lookup
// returned (FirstOf) must come to the same nodes; and to those that the definition names.
func TestTargetsAgreeWithTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens, zone := newTestRing(t)
		n := rapid.IntRange(1, MaxReplicas).Draw(t, "n")
		tablets := 1 << rapid.IntRange(0, 8).Draw(t, "log2 tablets")
		m := newTestMap(t, tokens, tablets, n, zone)
		Sort(tokens)
		for tab := range uint32(tablets) {
			point := Point(tab, tablets)
			first := owner(tokens, point)
			walk := slices.Concat(tokens[first:], tokens[:first])
			want := definition(walk, n, zone)
			if diff := cmp.Diff(want, m.Targets(tab)); diff != "" {
				t.Fatalf("map, tablet %d (-want +got):\n%s", tab, diff)
			}
			if diff := cmp.Diff(want, Targets(point, tokens, n, zone)); diff != "" {
				t.Fatalf("Targets, tablet %d (-want +got):\n%s", tab, diff)
			}
			if diff := cmp.Diff(want, FirstOf(walk, n, zone)); diff != "" {
				t.Fatalf("FirstOf, tablet %d (-want +got):\n%s", tab, diff)
			}
		}
	})
}

// definition is the sentence of the design, written down as slowly as it reads: walk clockwise, take each node not
// taken yet, prefer zones not taken yet, stop at n.
func definition(walk []ring.Token, n int, zone ZoneOf) []ident.NodeID {
	var taken []ident.NodeID
	zones := map[string]bool{}
	for _, fresh := range []bool{true, false} {
		for _, t := range walk {
			name := ""
			if zone != nil {
				name = zone(t.Node)
			}
			if len(taken) < n && !slices.Contains(taken, t.Node) && (!fresh || !zones[name]) {
				taken = append(taken, t.Node)
				zones[name] = true
			}
		}
	}
	return taken
}

// A rack that burns must not take two replicas while there are racks enough: the targets span as many zones as
// there are, up to n; and no node is named twice.
func TestZonesAreRespected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens, zone := newTestRing(t)
		n := rapid.IntRange(1, MaxReplicas).Draw(t, "n")
		m := newTestMap(t, tokens, 64, n, zone)
		all := map[string]bool{}
		for _, node := range m.Nodes() {
			all[nameOf(zone, node)] = true
		}
		for tab := range uint32(64) {
			targets := m.Targets(tab)
			zones, nodes := map[string]bool{}, map[ident.NodeID]bool{}
			for _, node := range targets {
				zones[nameOf(zone, node)], nodes[node] = true, true
			}
			if want := min(n, m.Len()); len(nodes) != want || len(targets) != want {
				t.Fatalf("tablet %d: %d targets, %d of them distinct, want %d", tab, len(targets), len(nodes), want)
			}
			if want := min(n, len(all)); len(zones) != want {
				t.Fatalf("tablet %d: targets in %d zones of %d, want %d", tab, len(zones), len(all), want)
			}
		}
	})
}

func nameOf(zone ZoneOf, node ident.NodeID) string {
	if zone == nil {
		return ""
	}
	return zone(node)
}

// A join or a departure moves no more data than it must: only tablets that the node is a target of change, and in
// each one target is replaced.
func TestJoinAndLeaveMoveLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens, zone := newTestRing(t)
		n := rapid.IntRange(1, MaxReplicas).Draw(t, "n")
		with := newTestMap(t, tokens, 256, n, zone)
		changed := rapid.SampledFrom(with.Nodes()).Draw(t, "changed")
		without := newTestMap(t, slices.DeleteFunc(slices.Clone(tokens), func(t ring.Token) bool { return t.Node == changed }), 256, n, zone)
		for tab := range uint32(256) {
			in, out := with.Targets(tab), without.Targets(tab)
			if !slices.Contains(in, changed) {
				if diff := cmp.Diff(in, out); diff != "" {
					t.Fatalf("tablet %d changed without need (-with +without):\n%s", tab, diff)
				}
				continue
			}
			added := slices.DeleteFunc(slices.Clone(out), func(id ident.NodeID) bool { return slices.Contains(in, id) })
			if gone := len(in) - (len(out) - len(added)); gone != 1 || len(added) > 1 {
				t.Fatalf("tablet %d: %d targets gone and %d new when one node left", tab, gone, len(added))
			}
		}
	})
}

// Two nodes that learned of the tokens in another order must wish for the same places.
func TestOrderOfTokensDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens, zone := newTestRing(t)
		n := rapid.IntRange(1, MaxReplicas).Draw(t, "n")
		shape := Shape{Tablets: 128, Replicas: n, Zone: zone}
		shuffled := rapid.Permutation(tokens).Draw(t, "shuffled")
		a, b := newTestMap(t, tokens, 128, n, zone), newTestMap(t, shuffled, 128, n, zone)
		for tab := range uint32(128) {
			if diff := cmp.Diff(a.Targets(tab), b.Targets(tab)); diff != "" {
				t.Fatalf("tablet %d:\n%s", tab, diff)
			}
		}
		pub := key(1 << 50)
		one, err := Choose(pub, 8, tokens, shape)
		if err != nil {
			t.Fatal(err)
		}
		two, err := Choose(pub, 8, append(shuffled, Tokens(pub, one)...), shape)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(one, two); diff != "" {
			t.Fatalf("another choice from the same tokens:\n%s", diff)
		}
		if err := ValidIndices(one); err != nil {
			t.Fatalf("Choose picked what is not allowed: %v", err)
		}
	})
}

// The display's shares add up, and a node's load is what its tablets say.
func TestLoadCountsTheTargets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens, zone := newTestRing(t)
		m := newTestMap(t, tokens, 64, 3, zone)
		want := map[ident.NodeID]Load{}
		for _, tok := range tokens {
			l := want[tok.Node]
			l.Tokens++
			want[tok.Node] = l
		}
		for tab := range uint32(64) {
			for k, node := range m.Targets(tab) {
				l := want[node]
				l.Holds++
				if k == 0 {
					l.First++
				}
				want[node] = l
			}
		}
		sum := 0.0
		for node, l := range want {
			if got := m.Load(node); got != l {
				t.Fatalf("load %+v, want %+v", got, l)
			}
			sum += m.Share(node)
		}
		if sum < 0.999 || sum > 1.001 {
			t.Fatalf("shares sum to %v", sum)
		}
		if got := m.Load(ident.NodeID{1}); got != (Load{}) {
			t.Fatalf("a stranger's load: %+v", got)
		}
	})
}

// Impossible input gets an error that names it, not a panic in the reconcile loop.
func TestRefusals(t *testing.T) {
	twice := []ring.Token{{Node: ident.NodeID{1}}, {Node: ident.NodeID{2}}}
	for name, err := range map[string]error{
		"tablets 3":         second(NewMap(nil, 3, 3, nil)),
		"replicas 8":        second(NewMap(nil, 4, 8, nil)),
		"replicas 0":        second(NewMap(nil, 4, 0, nil)),
		"is held by":        second(NewMap(twice, 4, 3, nil)),
		"1025 tokens":       second(Choose(key(1), MaxTokens+1, nil, Shape{Tablets: 4, Replicas: 3})),
		"key of 3 bytes":    second(Choose(make([]byte, 3), 64, nil, Shape{Tablets: 4, Replicas: 3})),
		"tokens 16":         second(Count(16, 1)),
		"weight 0":          second(Count(64, 0)),
		"weight 17":         second(Count(64, 17)),
		"index 16 at":       ValidIndices([]uint32{16}),
		"index 15 at place": ValidIndices([]uint32{15, 15}),
		"0 tokens":          ValidIndices(nil),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %q", err, name)
		}
	}
	if got := newTestMap(t, nil, 4, 3, nil).Targets(0); len(got) != 0 {
		t.Errorf("an empty ring has targets %v", got)
	}
	if got := newTestMap(t, Tokens(key(1), []uint32{0}), 4, 3, nil).Targets(4); len(got) != 0 {
		t.Errorf("a tablet that does not exist has targets %v", got)
	}
	for weight, want := range map[float64]int{1: 64, 2: 128, 0.5: 32, 0.01: MinTokens, 16: MaxTokens} {
		if got, err := Count(64, weight); err != nil || got != want {
			t.Errorf("Count(64, %v) = %d, %v, want %d", weight, got, err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A disk that fills long before the others' do, or a node that leads twice its share, is the user's bottleneck. With
// 64 tokens a node and at least 64 tablets a node no node carries more than 1.25 times the mean. Run with -v for the
// figures of each size.
func TestBalance(t *testing.T) {
	const limit, seeds = 1.25, 5
	type worst struct{ first, holds float64 }
	joined := map[int]worst{}
	left := map[int]worst{}
	note := func(at map[int]worst, size int, f, h float64) {
		at[size] = worst{max(at[size].first, f), max(at[size].holds, h)}
	}
	for seed := range uint64(seeds) {
		tokens := grow(t, seed, 1024, 3, nil, slices.Repeat([]float64{1}, 16), func(tokens []ring.Token) {
			m := newTestMap(t, tokens, 1024, 3, nil)
			f, h := imbalance(m)
			note(joined, m.Len(), f, h)
		})
		rnd := rand.New(rand.NewPCG(seed, 1))
		for nodes := newTestMap(t, tokens, 1024, 3, nil).Nodes(); len(nodes) > 3; {
			gone := nodes[rnd.IntN(len(nodes))]
			tokens = slices.DeleteFunc(tokens, func(t ring.Token) bool { return t.Node == gone })
			m := newTestMap(t, tokens, 1024, 3, nil)
			nodes = m.Nodes()
			f, h := imbalance(m)
			note(left, m.Len(), f, h)
		}
	}
	for size := 2; size <= 16; size++ {
		j, l := joined[size], left[size]
		t.Logf("%2d nodes: max/mean of first targets %.3f, of replicas %.3f", size, j.first, j.holds)
		if l.first > 0 {
			t.Logf("   after departures from 16 nodes: %.3f, %.3f", l.first, l.holds)
		}
		if j.first > limit || j.holds > limit {
			t.Errorf("%d nodes: max/mean of first targets %.3f, of replicas %.3f, want at most %v", size, j.first, j.holds, limit)
		}
	}
}

// grow lets nodes join one after the other and shows the ring after each.
func grow(t testing.TB, seed uint64, tablets, replicas int, zone ZoneOf, weights []float64, show func([]ring.Token)) []ring.Token {
	t.Helper()
	var tokens []ring.Token
	for i, w := range weights {
		n, err := Count(64, w)
		if err != nil {
			t.Fatal(err)
		}
		pub := key(seed<<32 + uint64(i))
		indices, err := Choose(pub, n, tokens, Shape{Tablets: tablets, Replicas: replicas, Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, Tokens(pub, indices)...)
		show(tokens)
	}
	return tokens
}

// imbalance returns max/mean of what nodes are first targets of and of what they hold, relative to what each should.
func imbalance(m *Map) (first, holds float64) {
	counts := make([]float64, m.Len())
	for i, l := range m.load {
		counts[i] = float64(l.Tokens)
	}
	wantFirst, wantHolds := ideal(counts, m.tablets, 1), ideal(counts, m.tablets, m.width)
	for i, l := range m.load {
		first = max(first, float64(l.First)/wantFirst[i])
		holds = max(holds, float64(l.Holds)/wantHolds[i])
	}
	return first, holds
}

// A machine twice as large carries twice as much.
func TestBalanceOfWeights(t *testing.T) {
	for seed := range uint64(5) {
		weights := []float64{1, 2, 0.5, 1, 1, 2, 0.5, 1, 2, 1}
		grow(t, 100+seed, 1024, 3, nil, weights, func(tokens []ring.Token) {
			m := newTestMap(t, tokens, 1024, 3, nil)
			first, holds := imbalance(m)
			t.Logf("%2d nodes of weights %v: first targets %.3f, replicas %.3f of what they should be", m.Len(), weights[:m.Len()], first, holds)
			if first > 1.25 || (m.Len() > 5 && holds > 1.25) {
				t.Errorf("%d nodes: max/ideal of first targets %.3f, of replicas %.3f, want at most 1.25", m.Len(), first, holds)
			}
		})
	}
}

// Three racks of equal size: the zones change who holds what, not how evenly.
func TestBalanceOfZones(t *testing.T) {
	for seed := range uint64(3) {
		zones := map[ident.NodeID]string{}
		for i := range 12 {
			zones[ident.NodeOf(key((200+seed)<<32+uint64(i)))] = string(rune('a' + i%3))
		}
		zone := func(n ident.NodeID) string { return zones[n] }
		grow(t, 200+seed, 1024, 3, zone, slices.Repeat([]float64{1}, 12), func(tokens []ring.Token) {
			m := newTestMap(t, tokens, 1024, 3, zone)
			first, holds := imbalance(m)
			t.Logf("%2d nodes in 3 zones: first targets %.3f, replicas %.3f", m.Len(), first, holds)
			if m.Len()%3 == 0 && (first > 1.25 || holds > 1.25) {
				t.Errorf("%d nodes: max/mean of first targets %.3f, of replicas %.3f, want at most 1.25", m.Len(), first, holds)
			}
		})
	}
}

func BenchmarkChoose(b *testing.B) {
	tokens := grow(b, 1, 1024, 3, nil, slices.Repeat([]float64{1}, 15), func([]ring.Token) {})
	for b.Loop() {
		if _, err := Choose(key(7), 64, tokens, Shape{Tablets: 1024, Replicas: 3}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMap(b *testing.B) {
	tokens := grow(b, 1, 1024, 3, nil, slices.Repeat([]float64{1}, 16), func([]ring.Token) {})
	for b.Loop() {
		newTestMap(b, tokens, 1024, 3, nil)
	}
}

// A few nodes of thousands of tokens are the worst case of a choice: walks are long before they meet another node.
func BenchmarkChooseHeavy(b *testing.B) {
	var tokens []ring.Token
	for i := range uint64(4) {
		indices := make([]uint32, []int{17, MaxTokens, 17, 17}[i])
		for k := range indices {
			indices[k] = uint32(k) * Candidates
		}
		tokens = append(tokens, Tokens(key(i), indices)...)
	}
	for b.Loop() {
		if _, err := Choose(key(7), MaxTokens, tokens, Shape{Tablets: 16384, Replicas: 3}); err != nil {
			b.Fatal(err)
		}
	}
}

// Nodes that join at the same moment know only the ring before them; they must still not starve or flood anyone.
func TestBalanceOfSimultaneousJoins(t *testing.T) {
	const size = 5
	var tokens []ring.Token
	for i := range uint64(size) {
		first := tokens[:min(len(tokens), 64)]
		indices, err := Choose(key(300<<32+i), 64, first, Shape{Tablets: 1024, Replicas: 3})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, Tokens(key(300<<32+i), indices)...)
	}
	first, holds := imbalance(newTestMap(t, tokens, 1024, 3, nil))
	t.Logf("%d nodes, all but the first at once: max/mean of first targets %.3f, of replicas %.3f", size, first, holds)
	if first > 1.5 || holds > 1.5 {
		t.Errorf("max/mean of first targets %.3f, of replicas %.3f, want at most 1.5", first, holds)
	}
}
