package core

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

var damageSeeds = flag.Int("damage-seeds", 3, "how many worlds TestDamageAtRandom runs")

func storedKey(key string) []byte { return record.AppendKey(nil, []byte(key), nil) }

// flip damages what a node stores under a key.
func (n *node) flip(t testing.TB, key []byte, bit int) {
	t.Helper()
	if !n.store.(memDisk).Flip(key, bit) {
		t.Fatalf("node %d stores nothing under %q", n.index, key)
	}
}

func head(t uint32) []byte { return binary.BigEndian.AppendUint32([]byte{'m'}, t) }

// follower returns a node that holds a tablet and does not lead it.
func (w *world) follower(t uint32) *node {
	l := w.leader(t)
	for _, n := range w.running() {
		if p := n.core.place(t); n != l && p.group != nil {
			return n
		}
	}
	w.t.Fatalf("tablet %d has no follower", t)
	return nil
}

// whole waits until nothing is left to be mended and all replicas hold the same records, each of which can be read.
func (w *world) whole(limit time.Duration) {
	w.t.Helper()
	for end := w.now + limit; ; w.run(200 * time.Millisecond) {
		why := w.unwhole()
		if why == "" {
			return
		}
		if w.now > end {
			w.t.Fatalf("after %v %s\n%s", limit, why, w.describe())
		}
	}
}

// unwhole says what is not whole, or not equal, "" where all is.
func (w *world) unwhole() string {
	for _, n := range w.running() {
		if len(n.core.mends.of) > 0 {
			return fmt.Sprintf("node %d has %d replicas to be mended", n.index, len(n.core.mends.of))
		}
	}
	for tab := range uint32(worldTablets) {
		var first []byte
		for _, n := range w.running() {
			p := n.core.places[tab]
			if p.lost != nil || p.sink != nil {
				return fmt.Sprintf("tablet %d of node %d is being mended", tab, n.index)
			}
			if p.group == nil {
				continue
			}
			all := fmt.Appendf(nil, "%d:", p.group.Applied())
			lower, upper := record.Range(uint16(tab*16384/worldTablets), uint16((tab+1)*16384/worldTablets-1))
			var damaged error
			err := n.store.Scan(lower, upper, func(k, v []byte) bool {
				if _, err := record.Decode(k, v); err != nil {
					damaged = err
				}
				all = append(append(all, k...), v...)
				return true
			})
			if err = errors.Join(err, damaged); err != nil {
				return fmt.Sprintf("tablet %d of node %d cannot be read: %v", tab, n.index, err)
			}
			if first != nil && !bytes.Equal(all, first) {
				return fmt.Sprintf("tablet %d of node %d is not what others hold", tab, n.index)
			}
			first = all
		}
	}
	return ""
}

// A damaged record must never reach a client, wherever it lies and whatever asks for it; and it must not stay damaged.
func TestDamagedRecordIsMended(t *testing.T) {
	for name, c := range map[string]struct {
		leads bool
		touch []string // what meets the damage
		want  string   // what GET reads afterwards
	}{
		"read at the leader":     {true, []string{"GET", ""}, "value"},
		"changed at the leader":  {true, []string{"APPEND", "", "more"}, "valuemore"},
		"changed at a follower":  {false, []string{"APPEND", "", "more"}, "valuemore"},
		"replaced at a follower": {false, []string{"SET", "", "other"}, "other"},
		"replaced at the leader": {true, []string{"SET", "", "other"}, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRing(t, 1, 3)
			const tab = 5
			k := key(tab)
			w.must(w.nodes[0], "SET", k, "value")
			w.must(w.nodes[0], "SET", k+"{"+k+"}", "neighbour")
			w.run(time.Second)
			n := w.leader(tab)
			if !c.leads {
				n = w.follower(tab)
			}
			n.flip(t, storedKey(k), 77)
			args := append([]string{}, c.touch...)
			args[1] = k
			if reply := w.must(w.nodes[1], args...); strings.HasPrefix(reply, "-") {
				t.Fatalf("%q: %q", args, reply)
			}
			for _, o := range w.nodes {
				if got, want := w.must(o, "GET", k), fmt.Sprintf("$%d\r\n%s\r\n", len(c.want), c.want); got != want {
					t.Fatalf("node %d reads %q, want %q", o.index, got, want)
				}
			}
			w.whole(30 * time.Second)
			if f := n.core.Figures(); f.Found == 0 || f.Mended != 1 || f.Hurt != 0 {
				t.Errorf("figures: found %d, mended %d, hurt %d", f.Found, f.Mended, f.Hurt)
			}
			w.settled(30 * time.Second)
		})
	}
}

// Two replicas with different damaged records cannot mend each other while the third is away. They go on serving what they
// can, and do not hand the leadership over to each other again and again.
func TestTwoDamagedReplicasGoOn(t *testing.T) {
	w := newRing(t, 1, 3)
	const tab = 5
	k := key(tab)
	for _, name := range []string{"", "one", "other"} {
		w.must(w.nodes[0], "SET", name+"{"+k+"}", "value")
	}
	w.run(time.Second)
	l, f := w.leader(tab), w.follower(tab)
	var third *node
	for _, n := range w.nodes {
		if n != l && n != f {
			third = n
		}
	}
	w.kill(third, nil)
	w.run(time.Second)
	l.flip(t, storedKey("one{"+k+"}"), 77)
	f.flip(t, storedKey("other{"+k+"}"), 77)
	w.until(2*time.Minute, "the damage is found", func() bool {
		return l.core.places[tab].group.Hurt() != nil && f.core.places[tab].group.Hurt() != nil
	})
	w.run(5 * time.Second)
	term := l.core.places[tab].group.Term()
	for range 20 {
		w.run(time.Second)
		if got := w.must(f, "SET", "{"+k+"}", "new"); got != "+OK\r\n" {
			t.Fatalf("%q", got)
		}
	}
	if n := l.core.places[tab].group.Term() - term; n > 2 {
		t.Errorf("%d elections in 20 s", n)
	}
	w.start(third)
	w.whole(time.Minute)
}

// The only copy cannot be mended: the node says so to who needs the record, and serves everything else.
func TestOnlyCopyIsDamaged(t *testing.T) {
	w := newWorld(t, 1)
	n := w.found()
	w.settled(time.Minute)
	const tab = 3
	k := key(tab)
	other := "other{" + k + "}"
	w.must(n, "SET", k, "value")
	w.must(n, "SET", other, "fine")
	n.flip(t, storedKey(k), 99)
	for _, args := range [][]string{{"GET", k}, {"APPEND", k, "more"}, {"DEL", k}} {
		if reply := w.must(n, args...); !strings.HasPrefix(reply, "-ERR a stored record is damaged") {
			t.Fatalf("%q: %q", args, reply)
		}
	}
	if got := w.must(n, "GET", other); got != "$4\r\nfine\r\n" {
		t.Fatalf("another key: %q", got)
	}
	// Others join, and cannot be given what is damaged.
	w.start(w.add(), n)
	w.start(w.add(), n)
	w.run(30 * time.Second)
	if got := w.must(w.nodes[2], "GET", other); got != "$4\r\nfine\r\n" {
		t.Fatalf("another key, while others join: %q", got)
	}
	if reply := w.must(n, "GET", k); !strings.HasPrefix(reply, "-ERR a stored record is damaged") {
		t.Fatalf("while others join: %q", reply)
	}
	w.until(time.Minute, "the record can be replaced", func() bool {
		c := w.ask(n, "SET", k, "new")
		w.until(6*time.Second, "an answer", c.over)
		return c.reply() == "+OK\r\n"
	})
	w.settled(5 * time.Minute)
	w.whole(time.Minute)
	if got := w.must(w.nodes[2], "GET", k); got != "$3\r\nnew\r\n" {
		t.Fatalf("after it was replaced: %q", got)
	}
}

// A client goes on changing the damaged record of the only copy while others join. They might have the record whole one day, so
// its entry must not be refused; but it must not get into the log either before they can help: there it stopped the tablet for
// ever.
func TestOnlyCopyIsChangedWhileOthersJoin(t *testing.T) {
	w := newWorld(t, 1)
	n := w.found()
	w.settled(time.Minute)
	const tab = 3
	k := key(tab)
	other := "other{" + k + "}"
	w.must(n, "SET", k, "value")
	w.must(n, "SET", other, "fine")
	n.flip(t, storedKey(k), 99)
	w.start(w.add(), n)
	w.start(w.add(), n)
	for end := w.now + 40*time.Second; w.now < end; w.run(5 * time.Millisecond) {
		c := w.ask(n, "APPEND", k, "more")
		w.until(6*time.Second, "an answer", c.over)
	}
	if n.core.places[tab].group.Descriptor().NextID == 2 {
		t.Fatal("nobody was added: this shows nothing")
	}
	if got := w.must(n, "GET", other); got != "$4\r\nfine\r\n" {
		t.Fatalf("another key: %q", got)
	}
	w.until(time.Minute, "the record can be replaced", func() bool {
		c := w.ask(n, "SET", k, "new")
		w.until(6*time.Second, "an answer", c.over)
		return c.reply() == "+OK\r\n"
	})
	w.settled(5 * time.Minute)
	w.whole(time.Minute)
}

// A node whose replica cannot be opened starts all the same, and has it mended.
func TestDamagedHeadIsMended(t *testing.T) {
	w := newRing(t, 3, 3)
	for tab := range uint32(worldTablets) {
		w.must(w.nodes[0], "SET", key(tab), "value")
	}
	for _, tab := range []uint32{7, System} {
		n := w.leader(tab)
		w.kill(n, nil)
		n.flip(t, head(tab), 50)
		w.run(3 * time.Second)
		w.start(n)
		w.run(time.Second)
		w.must(n, "SET", key(7), "other")
		w.whole(time.Minute)
		w.settled(time.Minute)
		if n.core.mends.done != 1 {
			t.Errorf("%d replicas were mended", n.core.mends.done)
		}
	}
}

// Who says that a damaged replica is none may know less than it did: that it was not one yet. What it has acknowledged must
// stay until somebody says so who knows at least as much.
func TestADamagedReplicaIsForgottenByWhoKnows(t *testing.T) {
	w := newRing(t, 3, 3)
	const tab = 7
	k := key(tab)
	w.must(w.nodes[0], "SET", k, "value")
	w.run(time.Second)
	n := w.follower(tab)
	p := func() *place { return n.core.place(tab) }
	id := p().group.Replica()
	w.kill(n, nil)
	n.flip(t, head(tab), 50)
	w.start(n)
	var others []tablet.Replica
	for _, o := range w.nodes {
		if o != n {
			others = append(others, tablet.Replica{ID: uint64(1 + len(others)), Node: o.id, Role: tablet.Voter})
		}
	}
	stale := tablet.Descriptor{Epoch: 1, NextID: 3, Replicas: others}
	log := p().lost.Log()
	n.event(func() {
		n.core.where(&wire.Where{Tablet: tab, Applied: log.Start.Index - 1, Descriptor: stale.Append(nil)})
	})
	if p().lost == nil {
		t.Fatal("it is forgotten")
	}
	w.whole(time.Minute)
	if g := p().group; g == nil || g.Replica() != id || g.Applied() < log.Start.Index {
		t.Fatal("the replica is not what it was")
	}
	w.must(n, "SET", k, "other")
}

// That a damaged replica was removed is heard while the disk writes the snapshot that mends it: what is then opened must not
// be erased in the next moment, or it would vote and keep a log that is not on the disk.
func TestADamagedReplicaIsNotForgottenWhileItIsMended(t *testing.T) {
	w := newRing(t, 3, 3)
	const tab = 7
	k := key(tab)
	w.must(w.nodes[0], "SET", k, "value")
	w.run(time.Second)
	n := w.follower(tab)
	w.kill(n, nil)
	n.flip(t, head(tab), 50)
	w.start(n)
	d := w.leader(tab).core.place(tab).group.Descriptor().Clone()
	d.Epoch++
	d.Replicas = slices.DeleteFunc(d.Replicas, func(r tablet.Replica) bool { return r.Node == n.id })
	heard := false
	n.waiting = func() {
		if p := n.core.place(tab); !heard && p.lost != nil && p.sink != nil && p.sink.installing {
			heard = true
			n.core.where(&wire.Where{Tablet: tab, Applied: p.sink.sink.Position().Index, Descriptor: d.Append(nil)})
		}
	}
	w.whole(time.Minute)
	if !heard {
		t.Fatal("the disk was never waited for: this shows nothing")
	}
	w.must(n, "SET", k, "other")
	w.run(time.Second)
	if _, err := n.store.Get(head(tab)); err != nil || n.core.place(tab).group == nil {
		t.Errorf("the replica is gone: %v", err)
	}
}

// With one node dead and the head of another damaged nothing of the tablet can be decided; but what is needed to mend
// it is there, and must be enough.
func TestDamagedHeadIsMendedWithoutALeader(t *testing.T) {
	w := newRing(t, 4, 3)
	k := key(9)
	w.must(w.nodes[0], "SET", k, "value")
	w.run(time.Second)
	w.kill(w.nodes[2], nil)
	n := w.nodes[1]
	w.kill(n, nil)
	n.flip(t, head(9), 50)
	w.start(n)
	if got := w.must(w.nodes[0], "GET", k); got != "$5\r\nvalue\r\n" {
		t.Fatalf("reads %q", got)
	}
	w.must(w.nodes[0], "SET", k, "other")
	w.start(w.nodes[2])
	w.whole(time.Minute)
}

// A registry that cannot be read must not keep a node from its cluster, nor be taken for none.
func TestDamagedRegistry(t *testing.T) {
	w := newRing(t, 5, 3)
	for _, k := range [][]byte{registryKey, cachedKey} {
		n := w.nodes[1]
		w.kill(n, nil)
		n.flip(t, k, 200)
		w.start(n)
		w.settled(time.Minute)
		w.whole(time.Minute)
	}
	n := w.nodes[2]
	w.kill(n, nil)
	n.flip(t, registryKey, 200)
	n.flip(t, cachedKey, 201)
	n.boot++
	n.seeds = nil // nobody whom it could ask
	if _, err := New(n.config(), n.time()); err == nil || !strings.Contains(err.Error(), "no longer knows its cluster") {
		t.Fatalf("without any registry: %v", err)
	}
	// Nor is anybody asked where it does not say whose store it is; that --join would help is not said where it was given.
	n.seeds = w.nodes[:2]
	w.write(n, &kv.Write{State: []kv.Op{{Kind: kv.Delete, Key: ownerKey}}})
	if _, err := New(n.config(), n.time()); err == nil || !strings.Contains(err.Error(), "nor can others be asked") || strings.Contains(err.Error(), "--join") {
		t.Fatalf("without an owner: %v", err)
	}
}

// An entry of the log that cannot be read is not sent, and not lost either.
func TestDamagedLogEntries(t *testing.T) {
	w := newRing(t, 6, 3)
	const tab = 4
	k := key(tab)
	group := func(n *node) (g kv.Group) {
		_ = n.store.Groups(func(s kv.Group) error {
			if s.ID == tab {
				g = s
			}
			return nil
		})
		return g
	}
	away := w.follower(tab)
	w.kill(away, nil)
	for i := range 30 {
		w.must(w.leader(tab), "SET", k, fmt.Sprint(i))
	}
	w.run(time.Second)
	// All that the follower lacks lies on disk alone once the leader has started anew, and can be read nowhere.
	for _, n := range w.running() {
		w.kill(n, nil)
		for i := group(n).Start.Index + 1; i <= group(n).Last; i++ {
			n.store.(memDisk).FlipEntry(tab, i)
		}
		w.start(n)
		w.run(5 * time.Second)
	}
	w.start(away)
	w.settled(time.Minute)
	w.whole(time.Minute)
	if got := w.must(away, "GET", k); got != "$2\r\n29\r\n" {
		t.Fatalf("reads %q", got)
	}
}

// Whatever is damaged on one node at a time, while clients write and nodes are killed: no client sees it, and in the end
// all is whole.
func TestDamageAtRandom(t *testing.T) {
	for seed := range uint64(*damageSeeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { damageAtRandom(t, 100+seed) })
	}
}

func damageAtRandom(t *testing.T, seed uint64) {
	w := newRing(t, seed, 3)
	rng := rand.New(rand.NewPCG(seed, 2))
	var sum [8]int // what has certainly been added to each counter
	for round := range 12 {
		for range 10 {
			i := rng.IntN(len(sum))
			c := w.ask(w.nodes[rng.IntN(3)], "INCR", fmt.Sprint("counter", i))
			w.until(6*time.Second, "an answer", c.over)
			if c.code() != "" {
				t.Fatalf("INCR: %s\n%s", c.reply(), w.describe())
			}
			sum[i]++
			if got, want := c.reply(), fmt.Sprintf(":%d\r\n", sum[i]); got != want {
				t.Fatalf("counter %d: %q, want %q", i, got, want)
			}
		}
		w.whole(2 * time.Minute)
		w.settled(2 * time.Minute)
		n := w.nodes[rng.IntN(3)]
		damaged := n.damageSome(rng, round%3 == 2)
		if round%3 > 0 {
			w.kill(n, nil)
			w.run(time.Duration(rng.IntN(4000)) * time.Millisecond)
			w.start(n)
			w.run(500 * time.Millisecond)
		}
		t.Logf("round %d: node %d: %s", round, n.index, damaged)
	}
}

// damageSome flips bits in some of what a node stores, and says where. Heads are read only when a node starts.
func (n *node) damageSome(rng *rand.Rand, heads bool) string {
	var keys [][]byte
	_ = n.store.Scan(nil, nil, func(k, v []byte) bool {
		if (k[0] == 'd' || heads && k[0] == 'm') && len(v) > 0 {
			keys = append(keys, bytes.Clone(k))
		}
		return true
	})
	out := ""
	for range 1 + rng.IntN(3) {
		k := keys[rng.IntN(len(keys))]
		n.store.(memDisk).Flip(k, rng.IntN(1<<12))
		out += fmt.Sprintf("%q ", k)
	}
	return out
}

// A node that leaves may hold a replica that is damaged and nothing else any more. The tablet counts it, and cannot move it
// while another one is away: it must wait.
func TestLeavingWaitsForDamagedReplicas(t *testing.T) {
	w := newRing(t, 7, 4)
	const tab = 7
	w.must(w.nodes[0], "SET", key(tab), "value")
	w.run(time.Second)
	n, leader := w.follower(tab), w.leader(tab)
	var away *node
	for _, o := range w.nodes {
		if o != n && o != leader && o.core.place(tab).group != nil {
			away = o
		}
	}
	w.kill(n, nil)
	n.flip(t, head(tab), 50)
	w.start(n)
	n.core.mends.of[tab].askedAt = w.now + time.Hour // nobody can be asked
	w.until(30*time.Second, "it is up", func() bool { return n.core.Ready() == nil })
	w.kill(away, nil)
	n.event(func() { n.core.Leave(func(error) {}) })
	w.until(time.Minute, "all else is handed over", func() bool {
		if n.core == nil {
			t.Fatal("it has left, and the tablet counts it")
		}
		for _, p := range append(n.core.places[:worldTablets:worldTablets], n.core.system) {
			if p.group != nil {
				return false
			}
		}
		return true
	})
	w.run(5 * time.Second)
	if n.core == nil {
		t.Fatal("it has left, and the tablet counts it")
	}
	w.start(away)
	w.until(3*time.Minute, "it has left", func() bool { return n.core == nil })
	if got := w.must(away, "GET", key(tab)); got != "$5\r\nvalue\r\n" {
		t.Fatalf("reads %q", got)
	}
	w.settled(time.Minute)
}
