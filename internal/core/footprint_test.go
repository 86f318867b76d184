package core

import "testing"

// What a node holds of snapshots and of requests beyond a bound is seen in bytes, whatever its counters say.
func TestFootprintCountsWhatIsThere(t *testing.T) {
	for want, c := range map[string]*Core{
		"":                               {},
		"bytes of one request under way": {router: router{pending: map[uint64]*pending{1: {commands: make([]byte, maxRequest+1)}}}},
		"bytes of one snapshot on their way": {moves: moves{out: map[uint64]*outgoing{
			1: {ends: []chunkEnd{{size: windowBytes}, {size: 1}, {size: 1}}},
		}}},
		"bytes of snapshots that wait to be written": {moves: moves{in: map[inKey]*incoming{
			{transfer: 1}: {queue: [][]byte{make([]byte, maxQueued), {1}}},
		}}},
		"bytes of snapshots that count as waiting": {moves: moves{queued: maxQueued + 1}},
	} {
		var got []string
		for _, h := range c.Footprint() {
			if h.Now > h.Most {
				got = append(got, h.What)
			}
		}
		if len(got) > 1 || len(got) == 1 != (want != "") || want != "" && got[0] != want {
			t.Errorf("want %q beyond its bound, got %q", want, got)
		}
	}
}
