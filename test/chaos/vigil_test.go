package main

import "testing"

// A round ends early for what no fault has done, and for nothing else.
func TestWhoMayHaveEnded(t *testing.T) {
	for _, c := range []struct {
		claimed, small bool
		code           int
		want           bool
	}{
		{true, false, -1, true}, // killed
		{true, false, 0, true},  // told to stop, or has left
		{true, true, 1, true},   // its disk is full
		{true, false, 1, false},
		{true, false, 2, false}, // it panicked while it was harmed
		{false, false, -1, false},
		{false, false, 0, false},
		{false, true, 1, false},
	} {
		if got := excused(c.claimed, c.small, c.code); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
