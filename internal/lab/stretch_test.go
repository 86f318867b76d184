package lab

import (
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ring"
)

// ToN 2003, table IV, on a smaller ring: recursive lookups take about half of the time of iterative ones, and fingers
// that are near take much of the rest away. Both are what a client on another continent waits for.
func TestToNTableIV(t *testing.T) {
	measure := func(s Stretch) Percentiles {
		t.Helper()
		s.Nodes, s.Lookups, s.Seed = 2048, 500, 1
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		return s.Result(each(t, 1, s.Run)).Stretch
	}
	plain := measure(Stretch{Proximity: 1})
	recursive := measure(Stretch{Proximity: 1, Mode: ring.Recursive})
	near16 := measure(Stretch{Proximity: 16})
	// 5.4 nodes lie between asker and owner at this size, and each costs a round trip.
	near(t, "median of plain, iterative lookups", plain.P50, 5.4, 0.6)
	near(t, "recursive over iterative", recursive.P50/plain.P50, 4.5/7.8, 0.05)
	if gain := plain.P50 / near16.P50; gain < 7.8/3.4 {
		t.Errorf("16 candidates make the median %.2f times as good, published %.2f", gain, 7.8/3.4)
	}
}

// Proximity in the production ring: rings that begin with plain fingers ping the candidates and come to choose near
// ones. A finger is kept while none is half as far, for measurements vary; so near means at most twice as far as the
// nearest. Without that, every lookup of a wide ring pays for far fingers.
func TestRingsMeasureAndChooseNearFingers(t *testing.T) {
	s := Stretch{Nodes: 64, Proximity: 8, Lookups: 1, Live: true, Seed: 3}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	rng := random(s.Seed, 0)
	at, err := s.Preset.places(s.Nodes, 1, rng)
	if err != nil {
		t.Fatal(err)
	}
	where := newSpace(s.Nodes, rng)
	cfg := s.config()
	w := &world{delay: where.delay, ticking: true}
	c, err := w.settle(cfg, at, rng, nil)
	if err != nil {
		t.Fatal(err)
	}
	count := func() (right, all int) {
		for i, token := range c.tokens {
			want := c.state(i, &cfg, where.rtt).Fingers
			got := w.rings[number(token.Node)].State().Tokens[0].Fingers
			for k, f := range want {
				if f.IsZero() {
					continue
				}
				all++
				if k < len(got) && !got[k].IsZero() && where.rtt(token.Node, got[k].Node) <= 2*where.rtt(token.Node, f.Node) {
					right++
				}
			}
		}
		return right, all
	}
	before, all := count()
	for w.step(40 * time.Second) {
	}
	right, _ := count()
	t.Logf("of %d fingers %d were near at first, %d after 40 s", all, before, right)
	if before > all*3/4 || right < all*9/10 {
		t.Errorf("of %d fingers %d were near at first, %d after 40 s", all, before, right)
	}
}
