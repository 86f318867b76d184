package core

import (
	"testing"
	"time"
)

// An operator who waits for a node to be filled sees how fast it goes, and 0 once nothing goes any more.
func TestPace(t *testing.T) {
	var p pace
	now := time.Hour
	if got := p.at(now); got != 0 {
		t.Errorf("before anything: %d", got)
	}
	near := func(when string, want int64) {
		t.Helper()
		if got := p.at(now); got < want*8/10 || got > want*12/10 {
			t.Errorf("%s: %d bytes a second, want about %d", when, got, want)
		}
	}
	pass := func(d time.Duration, perSecond int) {
		for end := now + d; now < end; now += 10 * time.Millisecond {
			p.add(now, perSecond/100)
		}
	}
	pass(time.Second, 1<<20)
	near("after a second", 1<<20)
	pass(9*time.Second, 1<<20)
	near("after ten seconds", 1<<20)
	pass(5*time.Second, 10<<20)
	near("ten times as fast", 10<<20)
	now += 3 * paceOver
	if got := p.at(now); got != 0 {
		t.Errorf("when nothing goes any more: %d", got)
	}
}
