package tablet

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// What a replica holds beyond a bound is seen in bytes, whatever the counters say that the bound is kept with.
func TestFootprintCountsWhatIsThere(t *testing.T) {
	over := func(g *Group) (what []string) {
		for _, h := range g.Footprint() {
			if h.Now > h.Most {
				what = append(what, h.What)
			}
		}
		return what
	}
	entries := func(size int) []*pb.Entry {
		return []*pb.Entry{newEntry(1, 1, pb.EntryNormal, make([]byte, size)), newEntry(2, 1, pb.EntryNormal, nil)}
	}
	for want, g := range map[string]*Group{
		"": {log: &raftLog{tail: entries(tailBytes), last: 2}, head: &head{}},
		"bytes of applied entries in memory": func() *Group {
			g := &Group{log: &raftLog{tail: entries(tailBytes + 1), last: 2}, head: &head{}}
			g.head.applied.Index = 1
			return g
		}(),
		"bytes of entries in memory that are not applied": {log: &raftLog{tail: entries(2*maxUncommitted + 1), last: 2}, head: &head{}},
		"bytes of results in the head": {log: &raftLog{}, head: &head{windows: windows{origins: []origin{
			{results: []result{{replies: make([]byte, maxInline)}, {replies: []byte("x")}}},
		}}}},
		"results of one origin": {log: &raftLog{}, head: &head{windows: windows{origins: []origin{{results: make([]result, maxWindow+1)}}}}},
		"origins with results":  {log: &raftLog{}, head: &head{windows: windows{origins: make([]origin, maxOrigins+1)}}},
	} {
		if got := over(g); len(got) > 1 || len(got) == 1 != (want != "") || want != "" && got[0] != want {
			t.Errorf("want %q beyond its bound, got %q", want, got)
		}
	}
}
