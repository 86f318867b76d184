package sim

import (
	"testing"
	"time"
)

func newChurn(t *testing.T, cfg Churn) *ChurnResult {
	t.Helper()
	res, err := RunChurn(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Nodes lose their power one after the other, far more often than any cluster should bear, and come back with their disks.
// When this fails, an acknowledged write is gone, or the cluster does not recover when the nodes stay;
// `quordsim sessions` tells how.
func TestChurn(t *testing.T) {
	cfg := Churn{
		Config: Config{Seed: 3, Tablets: 8, Replicas: 5, Quiet: true}, Nodes: 9, Median: 30 * time.Second, Away: 20 * time.Second,
		Length: 30 * time.Second, Clients: 6,
	}
	a := newChurn(t, cfg)
	for _, v := range a.Violations {
		t.Errorf("%v", v)
	}
	if a.Departures < 3 || a.Living > 8.5 || a.Asked < 500 || len(a.Replaced) == 0 || a.Missed > 0 {
		t.Errorf("%d departures, %.1f living, %d operations, %d replaced: such a world proves little",
			a.Departures, a.Living, a.Asked, len(a.Replaced))
	}
	if failed := a.Failed.Sum(); failed > a.Asked/4 {
		t.Errorf("%d of %d operations failed: %+v", failed, a.Asked, a.Failed)
	}
	if b := newChurn(t, cfg); b.Trace != a.Trace || b.Asked != a.Asked || b.Failed != a.Failed || b.Tablets != a.Tablets {
		t.Errorf("two runs with one seed differ: %x and %x", a.Trace, b.Trace)
	}
}

// A share of the time that is counted wrong makes a cluster look better than it is.
func TestSpells(t *testing.T) {
	var s spells
	for _, so := range []bool{true, false, true, true, true, false, true} {
		s.add(so)
	}
	if s.n != 3 || s.total != 5*majorityEvery || s.longest != 3*majorityEvery || s.present != majorityEvery {
		t.Errorf("%+v", s)
	}
}

// Sessions have the median that was asked for, and the tails that the papers' lifetimes have.
func TestSessionLengths(t *testing.T) {
	for _, c := range []struct {
		pareto     bool
		least, far time.Duration // none is shorter; this share is longer
		share      float64
	}{
		{false, 0, 1000 * time.Second, 0.00098},
		{true, 53 * time.Second, 1000 * time.Second, 0.0397},
	} {
		w := New(Config{Seed: 5})
		x := &churn{run: &run{w: w}, cfg: Churn{Median: 100 * time.Second, Pareto: c.pareto}, sessions: w.generator("sessions")}
		const n = 100_000
		below, far := 0, 0
		for range n {
			d := x.draw()
			if d < c.least {
				t.Fatalf("pareto %t: a session of %v", c.pareto, d)
			}
			if d < x.cfg.Median {
				below++
			}
			if d > c.far {
				far++
			}
		}
		if below < n*49/100 || below > n*51/100 {
			t.Errorf("pareto %t: %d of %d sessions are shorter than their median", c.pareto, below, n)
		}
		if got := float64(far) / n; got < c.share*0.8 || got > c.share*1.2 {
			t.Errorf("pareto %t: %.5f of all sessions last ten times the median, want %.5f", c.pareto, got, c.share)
		}
	}
}
