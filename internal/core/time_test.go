package core

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/slot"
)

// A cluster that was off knows it before it takes the first write. What is set with a TTL in the moment between an
// election and the next look at the tablet, while the disk is awaited, lives for as long as was asked.
func TestAWriteAtAnElectionLives(t *testing.T) {
	w := newRing(t, 254, 3)
	for _, n := range w.nodes {
		w.kill(n, nil)
	}
	w.run(time.Hour)
	calls := map[string]*call{}
	for _, n := range w.nodes {
		w.start(n)
		n.waiting = func() {
			for _, p := range n.core.places {
				if p.group == nil || !p.group.Leading() || p.led {
					continue
				}
				k := fmt.Sprintf("{%s}%d", key(p.tablet), len(calls))
				c := &call{n: n, begun: w.now}
				c.req = request.Request{
					Tablet: slot.Tablet(slot.Of([]byte(k)), worldTablets), Write: true, Owner: c,
					Commands: []request.Command{{[]byte("SET"), []byte(k), []byte("v"), []byte("PX"), []byte("60000")}},
				}
				n.calls[c], calls[k] = true, c
				n.core.Submit([]*request.Request{&c.req})
			}
		}
	}
	w.settled(time.Minute)
	done := 0
	for _, k := range slices.Sorted(maps.Keys(calls)) { // the same order in every run
		c := calls[k]
		if c.code() != "" {
			continue
		}
		done++
		if got := w.must(w.nodes[0], "GET", k); got != "$1\r\nv\r\n" {
			t.Errorf("%s was to live for a minute and is gone within seconds: %q", k, got)
		}
	}
	if done == 0 {
		t.Error("nothing was written in such a moment")
	}
}
