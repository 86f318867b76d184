package core

import (
	"fmt"
	"testing"
	"time"
)

// Three nodes started one after the other become one ring, and any of them serves any key.
func TestThreeNodes(t *testing.T) {
	w := newRing(t, 1, 3)
	for i := range 50 {
		k := fmt.Sprintf("k%d", i)
		if got := w.must(w.nodes[i%3], "SET", k, k); got != "+OK\r\n" {
			t.Fatalf("SET: %q", got)
		}
		for _, n := range w.nodes {
			if got, want := w.must(n, "GET", k), fmt.Sprintf("$%d\r\n%s\r\n", len(k), k); got != want {
				t.Fatalf("node %d answers %q, want %q", n.index, got, want)
			}
		}
	}
	w.run(time.Minute)
	if why := w.unsettled(); why != "" {
		t.Errorf("the ring does not stay settled: %s", why)
	}
}
