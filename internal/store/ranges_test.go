package store

import (
	"fmt"
	"testing"

	"github.com/quorddb/quord/internal/kv"
)

// What was cleared elsewhere costs a scan nothing, and what is cleared over and over is remembered once: a node that has
// received the snapshots of thousands of tablets reads as fast as any other.
func TestClearedRangesDoNotAddUp(t *testing.T) {
	l := &layer{}
	wipe := func(at int, write uint64) {
		l.apply([]kv.Op{{Kind: kv.DeleteRange, Key: fmt.Appendf(nil, "%04d", at), Value: fmt.Appendf(nil, "%04d", at+1)}}, write, 0)
	}
	for i := range 1000 {
		wipe(i, uint64(2*i+1))
		wipe(i, uint64(2*i+2))
	}
	if n := len(l.deleted()); n != 1000 {
		t.Errorf("%d ranges are remembered, want 1000", n)
	}
	c := layers{l}.between([]byte("0500"), []byte("0502"), now)
	if n := len(c.cursors[0].ranges); n != 2 {
		t.Errorf("a scan looks at %d ranges, want 2", n)
	}
	for at, want := range map[string]bool{"0500": true, "0501x": true, "0502": false} {
		if c.hides([]byte(at)) != want {
			t.Errorf("key %s is hidden: %t", at, !want)
		}
	}
}
