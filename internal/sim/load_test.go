package sim

import (
	"testing"
	"time"
)

// With long values and a network that takes its time, a snapshot is on its way in several chunks while other things happen. In
// the usual world it is one chunk, and no fault ever finds it half done.
func TestLongValues(t *testing.T) {
	t.Parallel()
	opts := Options{
		Config: Config{Seed: 11, Tablets: 2, Bandwidth: 8 << 20, Quiet: true}, Nodes: 4, Length: 3 * time.Minute, Fill: 4 << 20,
		Mix: newMix(t, "join,replace,midway,power"), ValueBytes: 500_000,
	}.withDefaults()
	r := prepare(opts)
	halves, looks := 0, 0
	var look func()
	look = func() {
		looks++
		for _, m := range r.w.running() {
			if m.staged() > 0 {
				halves++
			}
		}
		r.w.after(100*ms, look)
	}
	look()
	var settled time.Duration
	if err := r.live(t.Context(), Draw(opts), &settled); err != nil {
		t.Fatal(err)
	}
	if len(r.w.violations) > 0 {
		t.Errorf("%v", r.w.violations)
	}
	if halves == 0 {
		t.Errorf("in %d looks no snapshot was ever half there", looks)
	}
	t.Logf("half a snapshot in %d of %d looks at all machines", halves, looks)
}
