package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/tablet"
	"github.com/quorddb/quord/internal/wire"
)

// Two nodes cannot reach each other, and others reach both: every key stays available through every node, at once and
// for as long as the link is broken. Without a way around, each node would fail the keys that the other one leads.
func TestOneBrokenLink(t *testing.T) {
	for _, size := range []int{3, 5} {
		for seed := range uint64(*worlds) {
			w := newRing(t, 240+seed, size)
			load := w.load(0, 1, 2)
			a, b := w.nodes[0], w.nodes[1]
			w.sever(a, b)
			w.run(3 * time.Second)
			for range 2 {
				for tab := range uint32(worldTablets) {
					for _, n := range w.nodes {
						begun := w.now
						w.must(n, "SET", key(tab), "v")
						w.must(n, "GET", key(tab))
						if took := w.now - begun; took > 100*time.Millisecond {
							t.Errorf("%d nodes: node %d needs %v for tablet %d", size, n.index, took, tab)
						}
					}
				}
			}
			if n := len(a.core.relays.under) + len(b.core.relays.under); n > 0 {
				t.Errorf("%d relays wait at nodes that nobody asked to pass on", n)
			}
			w.run(5 * time.Second)
			w.heal()
			w.run(5 * time.Second)
			load.stop()
			w.settled(time.Minute)
			load.check()
			if load.uncertain+load.refused > 0 {
				t.Errorf("%d nodes, seed %d: %d ok, %d uncertain, %d refused", size, seed, load.ok, load.uncertain, load.refused)
			}
			for _, n := range w.nodes {
				if len(n.core.relays.under)+len(n.core.relays.order) > 0 {
					t.Errorf("node %d: %d relays are left", n.index, len(n.core.relays.under))
				}
			}
		}
	}
}

// The nodes fall into two parts, and one node reaches both: what either part can decide is to be had through every node, also
// through one that led it and does not know that it does so no more. That one would answer for as long as the cut lasts.
func TestABridgeReachesBothParts(t *testing.T) {
	led := 0
	for seed := range uint64(3 * *worlds) {
		w := newRing(t, 700+seed, 6)
		these, bridge, those := w.nodes[:2], w.nodes[2], w.nodes[3:]
		for _, a := range these {
			for _, b := range those {
				w.sever(a, b)
			}
		}
		w.run(6 * time.Second)
		for tab := range uint32(worldTablets) {
			for _, n := range []*node{bridge, these[0], these[1], those[0], those[1], those[2]} {
				if g := n.core.places[tab].group; g != nil && g.Leading() && w.leader(tab) != n {
					led++
				}
				for range 2 {
					w.must(n, "SET", key(tab), "v")
					begun := w.now
					w.must(n, "GET", key(tab))
					if took := w.now - begun; took > 200*time.Millisecond {
						t.Errorf("seed %d: node %d needs %v for tablet %d", seed, n.index, took, tab)
					}
				}
			}
		}
		w.heal()
		w.settled(time.Minute)
	}
	if led == 0 {
		t.Error("nobody leads who was replaced: this shows little")
	}
}

// The leader dies while requests go around a broken link to it: the node in between says so at once, and they end as
// soon as another leads, each increment done once.
func TestLeaderDiesBehindABrokenLink(t *testing.T) {
	for seed := range uint64(2 * *worlds) {
		w := newRing(t, 500+seed, 5)
		taker := w.nodes[0]
		victim := leaderElsewhere(w, taker)
		for tab := range uint32(worldTablets) {
			w.must(taker, "SET", key(tab), "0")
		}
		w.sever(taker, victim)
		w.run(3 * time.Second)
		for tab := range uint32(worldTablets) {
			w.must(taker, "INCR", key(tab))
		}
		var calls []*call
		for range 8 {
			for tab := range uint32(worldTablets) {
				calls = append(calls, w.ask(taker, "INCR", key(tab)), w.ask(taker, "GET", key(tab)))
			}
			w.run(200 * time.Microsecond)
		}
		killed := w.now
		w.kill(victim, nil)
		w.until(10*time.Second, "the end of all requests", func() bool { return len(taker.calls) == 0 })
		t.Logf("the last request ended %v after the leader's death", w.now-killed)
		if took := w.now - killed; took > 900*time.Millisecond {
			t.Errorf("seed %d: the last request ended %v after the leader's death", seed, took)
		}
		for _, c := range calls {
			if c.code() != "" {
				t.Errorf("seed %d: %s on tablet %d: %s", seed, c.req.Commands[0][0], c.req.Tablet, c.reply())
			}
		}
		for tab := range uint32(worldTablets) {
			if got := number(w.must(taker, "GET", key(tab))); got != 9 {
				t.Errorf("seed %d: tablet %d: %d after 9 increments", seed, tab, got)
			}
		}
	}
}

// A request is passed on once. Nodes that take each other for the leader would otherwise send it around for ever.
func TestRelaysMakeNoLoops(t *testing.T) {
	w := newRing(t, 510, 6)
	tab := uint32(2)
	var bystanders []*node
	for _, n := range w.nodes {
		if n.core.places[tab].group == nil {
			bystanders = append(bystanders, n)
		}
	}
	a, b, c := bystanders[0], bystanders[1], bystanders[2]
	a.core.places[tab].leader, b.core.places[tab].leader, c.core.places[tab].leader = b.id, c.id, a.id
	commands := tablet.AppendCommands(nil, []request.Command{{[]byte("SET"), []byte(key(tab)), []byte("v")}})
	m := &wire.Request{ID: 1, Tablet: tab, Write: true, PassOn: true, Boot: 1, Number: 1, Low: 1, Commands: commands}
	asker := w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return !slices.Contains(bystanders, n) })]
	a.event(func() { a.core.request(asker.id, m) })
	if len(a.core.relays.under) != 1 {
		t.Fatalf("node %d passes on %d requests, want 1", a.index, len(a.core.relays.under))
	}
	w.run(10 * time.Millisecond)
	if n := len(a.core.relays.under) + len(b.core.relays.under) + len(c.core.relays.under); n != 0 {
		t.Errorf("%d requests are still passed around", n)
	}
	// What cannot be remembered is refused, not forgotten.
	for range maxRelays + 10 {
		a.core.places[tab].leader = b.id
		a.core.passOn(a.core.places[tab], asker.id, m)
	}
	if n := len(a.core.relays.under); n != maxRelays {
		t.Errorf("%d relays wait, want %d", n, maxRelays)
	}
	w.run(attemptTimeout + time.Second)
	if n := len(a.core.relays.under) + len(a.core.relays.order); n != 0 {
		t.Errorf("%d relays wait for ever", n)
	}
}

// A node that is no member may not have others ask in a member's name: the log would take the write for the member's.
func TestStrangerAsksInNobodysName(t *testing.T) {
	w := newRing(t, 511, 3)
	at := w.leader(System)
	b, err := (&registry.Command{Remove: &registry.Remove{ID: w.nodes[1].id, Force: true}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	remove := tablet.AppendCommands(nil, []request.Command{{[]byte(systemCommand), b}})
	at.event(func() {
		at.core.request(ident.NodeID{0xee}, &wire.Request{
			ID: 2, Tablet: System, Write: true, For: w.nodes[1].id, Boot: 1 << 40, Number: 1, Low: 1, Commands: remove,
		})
	})
	w.run(time.Second)
	if s := w.state(w.nodes[1]); s != registry.Up {
		t.Errorf("in the name of a member a stranger made it %s", s)
	}
}

// The leader of the system group cannot reach a node that others reach: nobody is called down, and the registry does
// not change at all. A node that went down and up in turn would have its share copied around and its clients stopped.
func TestRegistryDoesNotFlap(t *testing.T) {
	for _, size := range []int{3, 5} {
		w := newRing(t, 270, size)
		lead := w.leader(System)
		other := w.nodes[0]
		if other == lead {
			other = w.nodes[1]
		}
		before := lead.core.registry.Revision()
		w.sever(lead, other)
		w.run(30 * time.Second)
		if n := w.leader(System).core.registry.Revision() - before; n > 0 {
			t.Errorf("%d nodes: the registry changed %d times in 30 s", size, n)
		}
		// When it dies nobody sees it, and it is called down as soon as any other.
		w.kill(other, nil)
		w.until(5*time.Second, "the dead node is called down", func() bool { return w.state(other) == registry.Down })
		// Behind the broken link it is up again although the leader still cannot reach it.
		w.start(other)
		w.until(10*time.Second, "the node that is back is called up", func() bool { return w.state(other) == registry.Up })
		w.heal()
		w.settled(time.Minute)
	}
}

// Whose pulse is old, or older than the members it should know, is no witness: a node that hangs must not keep a dead
// one alive.
func TestWitness(t *testing.T) {
	w := newRing(t, 512, 4)
	c := w.nodes[0].core
	w.sever(w.nodes[0], w.nodes[1])
	w.run(3 * time.Second)
	for _, n := range w.nodes[2:] {
		if p := c.peers[n.id]; !c.witness(p) || len(p.pulse.Misses) != 0 {
			t.Fatalf("node %d: witness %t, misses %v", n.index, c.witness(p), shorts(p.pulse.Misses))
		}
	}
	for i, spoil := range []func(p *peer){
		func(p *peer) { p.heard = w.now - witnessAge - 1 },
		func(p *peer) { p.heard = 0 },
		func(p *peer) { p.pulse.Revision = c.registry.Ring() - 1 },
		func(p *peer) { p.pulse.Misses = []ident.NodeID{w.nodes[1].id} },
		func(p *peer) { p.up = false },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			kept := map[*peer]peer{}
			for _, n := range w.nodes[2:] {
				p := c.peers[n.id]
				kept[p] = *p
				spoil(p)
			}
			c.peers[w.nodes[1].id].seen = 0
			c.lookAround()
			if c.peers[w.nodes[1].id].seen != 0 {
				t.Error("a witness that does not count was believed")
			}
			for p, was := range kept {
				*p = was
			}
			c.lookAround()
			if c.peers[w.nodes[1].id].seen == 0 {
				t.Error("witnesses were not believed")
			}
		})
	}
}

// A node that has just become a member asks through another one, and the leader does not know of it yet: its client waits a
// moment and has its answer, not an error that nobody can act upon.
func TestRelayForMemberUnknownYet(t *testing.T) {
	w := newRing(t, 513, 3)
	tab := uint32(1)
	lead := w.leader(tab)
	via := w.nodes[0]
	if via == lead {
		via = w.nodes[1]
	}
	cmd := tablet.AppendCommands(nil, []request.Command{{[]byte("INCR"), []byte(key(tab))}})
	out := wire.NewOutbox()
	out.Add(lead.id, false, &wire.Request{ID: 1, Tablet: tab, Write: true, For: ident.NodeID{0xee}, Boot: 1, Number: 1, Low: 1, Commands: cmd})
	var got []wire.Response
	out.Early(func(_ ident.NodeID, f []byte) {
		lead.event(func() {
			if err := lead.core.Receive(via.id, slices.Clone(f)); err != nil {
				t.Error(err)
			}
			lead.core.out.Early(func(to ident.NodeID, f []byte) {
				if err := wire.Each(slices.Clone(f), func(m any) error {
					if r, ok := m.(*wire.Response); ok && to == via.id {
						got = append(got, *r)
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		})
	})
	if len(got) != 1 || got[0].Status != wire.Busy {
		t.Errorf("the leader answers %+v, want Busy", got)
	}
}
