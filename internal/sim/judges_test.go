package sim

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/tablet"
)

// harmed is a world without faults in which something is done, ten seconds after its clients have begun, that the product
// would never do.
func harmed(t *testing.T, harm func(*run)) []Violation {
	t.Helper()
	opts := Options{Config: Config{Seed: 5, Tablets: 4, Quiet: true}, Nodes: 3, Length: 15 * sec}.withDefaults()
	r := prepare(opts)
	r.w.after(10*sec, func() { harm(r) })
	var settled time.Duration
	if err := r.live(t.Context(), nil, &settled); err != nil {
		t.Fatal(err)
	}
	if r.load == nil || r.load.ok == 0 {
		t.Fatal("nobody used this world")
	}
	return r.w.violations
}

// inPhase waits for the end of the faults, or for the judging.
func inPhase(r *run, phase string, fn func()) {
	if r.phase == phase {
		fn()
		return
	}
	r.w.after(10*ms, func() { inPhase(r, phase, fn) })
}

// put writes to a machine's disk past its node.
func put(r *run, m *Machine, ops ...kv.Op) {
	if _, err := m.dir.disk.Apply(&kv.Write{State: ops}, false); err != nil {
		r.w.violate("the test cannot write: %v", err)
	}
}

// forget deletes the records of some keys from a machine's disk.
func forget(r *run, m *Machine, which func(key []byte) bool) {
	var ops []kv.Op
	if err := m.dir.disk.Scan([]byte(recordKeys), []byte{recordKeys[0] + 1}, func(k, _ []byte) bool {
		if which(k) {
			ops = append(ops, kv.Op{Kind: kv.Delete, Key: bytes.Clone(k)})
		}
		return true
	}); err != nil {
		r.w.violate("the test cannot read: %v", err)
	}
	put(r, m, ops...)
}

// Each judge sees what it is there for, in a world that is sound otherwise. A judge that is never asked, or says yes to
// everything, lets all that follows from its seeds go through unnoticed. What the mutations of test/mutants break is seen
// by these same judges.
func TestJudgesNotice(t *testing.T) {
	stranger := ident.NodeID{1}
	for name, c := range map[string]struct {
		harm func(*run)
		want string
	}{
		"two leaders of one term": {func(r *run) { // as if another had led in all the next terms
			for i := range r.w.watch.groups {
				g := &r.w.watch.groups[i]
				for term := g.top + 1; term < g.top+50; term++ {
					g.leaders[term] = stranger
				}
			}
			r.w.leader(0).Kill()
		}, "two leaders of"},
		"a lease beside a later leader": {func(r *run) {
			for i := range r.w.watch.groups {
				r.w.watch.groups[i].top++
			}
		}, "still has a lease"},
		"two descriptors of one epoch": {func(r *run) {
			for i := range r.w.watch.groups {
				g := &r.w.watch.groups[i]
				g.descriptors = append(g.descriptors, 42)
			}
			r.join(Fault{})
		}, "two descriptors of"},
		"a change of replicas that is applied again": {func(r *run) { // as if those that there are had been replaced since
			for _, m := range r.w.machines {
				for i := range r.w.watch.groups {
					r.w.watch.seen[m.proc].groups[i].epoch += 3
				}
			}
		}, "it goes back from epoch"},
		"another entry at the same place": {func(r *run) {
			for i := range r.w.watch.groups {
				g := &r.w.watch.groups[i]
				for range 50 {
					g.entries = append(g.entries, entryMark{1, 1})
				}
			}
		}, "applies another entry"},
		"a ring that one death breaks": {func(r *run) { // one whose lists name others than are there
			r.w.machines[0].dir.id, r.w.machines[1].dir.id = ident.NodeID{2}, stranger
			r.w.ring.assumed, r.w.ring.death = true, 0
			r.w.machines[2].Kill()
		}, "the ring: one death breaks it"},
		"a ring out of order": {func(r *run) {
			if r.w.ring.checks == 0 {
				r.w.violate("nobody has looked at the ring")
			}
			r.w.machines[1].dir.id = stranger
		}, "the ring: "},
		"a log without end": {func(r *run) {
			entries := make([]kv.Entry, maxLog+2)
			for i := range entries {
				entries[i] = kv.Entry{Index: uint64(i + 1), Term: 1}
			}
			w := kv.Write{Log: []kv.LogOp{{Group: 1000, Append: entries}}}
			if _, err := r.w.machines[0].dir.disk.Apply(&w, false); err != nil {
				r.w.violate("the test cannot write: %v", err)
			}
		}, "the bound is"},
		"a node that holds more than it may": {func(r *run) {
			r.w.watch.footprint = func(p *Process) []tablet.Held {
				held := p.core.Footprint()
				for i := range held {
					if held[i].What == "bytes of snapshots that wait to be written" {
						held[i].Now += held[i].Most + 1
					}
				}
				return held
			}
		}, "bytes of snapshots that wait to be written; the bound is"},
		"bytes on a connection without end": {func(r *run) { // one way is held, and its node goes on to send
			n := &r.w.network
			n.cut(r.w.machines[0], r.w.machines[1])
			frame := make([]byte, 1<<20)
			for range maxUnsent>>20 + 1 {
				n.send(r.w.machines[0].proc, r.w.machines[1].dir.id, frame)
			}
			r.w.watch.bounds()
		}, "bytes that are sent and have not arrived for"},
		"replicas that differ": {func(r *run) {
			inPhase(r, "judging", func() {
				for _, m := range r.w.machines {
					if m != r.w.leader(0) {
						forget(r, m, func([]byte) bool { return true })
						return
					}
				}
			})
		}, "hold different data"},
		"acknowledged writes that are gone": {func(r *run) {
			for _, k := range r.load.histories {
				if last := k.ops[len(k.ops)-1]; k.kind != register || k.busy > 0 || r.w.now-last.ret < 100*ms {
					continue // not every replica may have applied what was written last
				}
				for _, m := range r.w.machines {
					forget(r, m, func(key []byte) bool { return bytes.HasSuffix(key, []byte(k.name)) })
				}
			}
		}, "is not linearizable"},
		"a leftover of a snapshot": {func(r *run) {
			put(r, r.w.machines[1], kv.Op{Kind: kv.Set, Key: []byte("Sx"), Value: []byte("x")})
		}, "of snapshots that never arrived"},
		"damage that nobody mends": {func(r *run) {
			m, key := r.w.machines[1], []byte("zz")
			put(r, m, kv.Op{Kind: kv.Set, Key: key, Value: []byte("x")})
			r.w.flips = append(r.w.flips, flipped{m, m.dir.id, key, []byte("x")})
		}, "stores a damaged value"},
		"a disk that refuses for no reason": {func(r *run) {
			r.w.machines[1].dir.disk.Fail(errors.New("no reason"))
		}, "refuses a write"},
		"a node that does not come back": {func(r *run) {
			r.w.machines[1].Kill()
			cutOff := func() { r.w.network.split(func(m *Machine) bool { return m.index == 1 }) }
			r.finally(time.Hour, func() { r.w.after(ms, cutOff) }) // when all faults have ended
		}, "not settled"},
		"requests that fail when all is well": {func(r *run) {
			inPhase(r, "judging", func() { r.w.network.split(func(m *Machine) bool { return m.index == 1 }) })
		}, "failed after the cluster had settled"},
		"a request without an end": {func(r *run) { // what reached its node in some seconds is forgotten
			p := r.w.machines[1].proc
			p.paused = true
			r.w.after(3*sec, func() { p.paused, p.inbox = false, nil })
		}, "a request has no end"},
		"a request that ends twice": {func(r *run) {
			c := r.w.machines[1].Ask(nil, "GET", "k")
			r.w.Until(patience, c.Over)
			c.Ended(&c.req)
		}, "a request ended 2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := harmed(t, c.harm)
			if len(v) == 0 || !strings.Contains(v[0].Text, c.want) {
				t.Errorf("want %q, the judges say: %v", c.want, v)
			}
		})
	}
	if v := harmed(t, func(*run) {}); len(v) > 0 {
		t.Errorf("nothing was done to this world, and the judges say: %v", v)
	}
}
