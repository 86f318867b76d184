package memnet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/peer"
)

// story is a Handler that writes what all nodes hear into one list.
type story struct {
	name  string
	names map[ident.NodeID]string
	lines *[]string
}

func (s *story) say(format string, args ...any) {
	*s.lines = append(*s.lines, s.name+" "+fmt.Sprintf(format, args...))
}
func (s *story) Connected(p peer.Peer) { s.say("connected %s", s.names[p.ID]) }
func (s *story) Disconnected(id ident.NodeID, cause error) {
	s.say("disconnected %s: %v", s.names[id], cause)
}
func (s *story) Receive(from ident.NodeID, b []byte) { s.say("from %s: %s", s.names[from], b) }
func (s *story) Refused(_ string, id ident.NodeID, reason error) {
	s.say("%s: %v", s.names[id], reason)
}

// cast is a network of named nodes that all want each other.
type cast struct {
	*Net
	t     *testing.T
	ends  []*Endpoint
	names map[ident.NodeID]string
	lines []string
}

func newCast(t *testing.T, names string) *cast {
	c := &cast{Net: New(Options{MaxQueue: 64 << 10}), t: t, names: map[ident.NodeID]string{}}
	for i, key := range testKeys(len(names)) {
		c.names[idOf(key)] = names[i : i+1]
	}
	for i := range names {
		c.ends = append(c.ends, nil)
		c.join(i)
	}
	return c
}

// join starts node i, again if need be.
func (c *cast) join(i int) {
	c.t.Helper()
	key := testKeys(len(c.names))[i]
	e, err := c.Join(Config{
		Key: public(key), Addr: c.names[idOf(key)], Handler: &story{c.names[idOf(key)], c.names, &c.lines},
		Hello: func() peer.Hello { return peer.Hello{ProtocolMax: 1} },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.ends[i] = e
	for id, name := range c.names {
		e.SetPeer(id, name)
	}
}

// tells fails unless the nodes have heard exactly this since the last time, after everything has happened.
func (c *cast) tells(want ...string) {
	c.t.Helper()
	if !c.Drain(10000) {
		c.t.Fatal("events without end")
	}
	if diff := cmp.Diff(want, c.lines); diff != "" {
		c.t.Fatalf("(-want +told):\n%s", diff)
	}
	c.lines = nil
}

// A test that partitions a cluster must see what a real partition does: both sides lose each other, what was on its
// way is gone, and they find each other when it is over.
func TestPartitionAndHeal(t *testing.T) {
	c := newCast(t, "ABC")
	c.Drain(1000)
	c.lines = nil
	a, b, x := c.ends[0], c.ends[1], c.ends[2]
	if err := a.Send(x.ID(), []byte("lost")); err != nil {
		t.Fatal(err)
	}
	if err := a.Send(b.ID(), []byte("arrives")); err != nil {
		t.Fatal(err)
	}
	c.Partition([]ident.NodeID{a.ID(), b.ID()}, []ident.NodeID{x.ID()})
	if err := a.Send(x.ID(), nil); !errors.Is(err, peer.ErrNoConnection) {
		t.Errorf("across the cut: %v", err)
	}
	silent := peer.ErrSilent.Error()
	c.tells("B from A: arrives",
		"A disconnected C: "+silent, "C disconnected A: "+silent, "B disconnected C: "+silent, "C disconnected B: "+silent)
	c.Retry()
	c.tells()
	if _, err := a.DialSeed(t.Context(), "C"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a seed across the cut: %v, want ErrUnreachable", err)
	}
	c.Mend(x.ID(), a.ID())
	c.tells("A connected C", "C connected A")
	c.Heal()
	c.tells("B connected C", "C connected B")
	c.Break(a.ID(), b.ID())
	hung := peer.ErrHungUp.Error()
	c.tells("A disconnected B: "+hung, "B disconnected A: "+hung, "A connected B", "B connected A")
}

// A crashed process says nothing more; the others notice, and take it back when it has been started again.
func TestCrashAndRestart(t *testing.T) {
	c := newCast(t, "AB")
	c.Drain(1000)
	c.lines = nil
	if err := c.ends[0].Send(c.ends[1].ID(), []byte("lost")); err != nil {
		t.Fatal(err)
	}
	c.ends[0].Crash()
	c.tells("B disconnected A: " + peer.ErrHungUp.Error())
	c.Retry()
	c.tells()
	c.join(0)
	c.Drain(1000)
	told := strings.Join(c.lines, ", ")
	if told != "B connected A, A connected B" && told != "A connected B, B connected A" {
		t.Errorf("after the restart: %s", told)
	}
}

// Frames that are lost while the connection stays up are what a sender cannot see.
func TestDropLosesFramesOnly(t *testing.T) {
	c := newCast(t, "AB")
	c.Drain(1000)
	c.lines = nil
	c.Net.Drop(func(_, _ ident.NodeID, payload []byte) bool { return string(payload) == "lost" })
	for _, word := range []string{"one", "lost", "two"} {
		if err := c.ends[0].Send(c.ends[1].ID(), []byte(word)); err != nil {
			t.Fatal(err)
		}
	}
	c.tells("B from A: one", "B from A: two")
}

// The bound on what is on its way must hold here too, or code that ignores ErrQueueFull would pass its tests.
func TestQueueIsBounded(t *testing.T) {
	c := newCast(t, "AB")
	c.Drain(1000)
	a, b := c.ends[0], c.ends[1]
	half := make([]byte, 32<<10)
	if err := errors.Join(a.Send(b.ID(), half), a.Send(b.ID(), half)); err != nil {
		t.Fatal(err)
	}
	if err := a.Send(b.ID(), []byte("x")); !errors.Is(err, peer.ErrQueueFull) {
		t.Errorf("got %v, want ErrQueueFull", err)
	}
	if m := a.Metrics().Peers[0]; m.QueueBytes != 64<<10 || m.QueueFull != 1 {
		t.Errorf("the metrics are %+v", m)
	}
	c.Drain(10)
	if err := a.Send(b.ID(), []byte("x")); err != nil {
		t.Errorf("after the queue was emptied: %v", err)
	}
}

// Tests with goroutines let Run deliver, and may send from anywhere.
func TestRun(t *testing.T) {
	n := New(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	defer running.Wait()
	defer cancel()
	keys := testKeys(2)
	var ends []*Endpoint
	heard := &recorder{lines: make(chan string, 1000)}
	for i, key := range keys {
		r := heard
		if i == 0 {
			r = &recorder{lines: make(chan string, 1000)}
		}
		e, err := n.Join(Config{
			Key: public(key), Addr: fmt.Sprint(i), Handler: r, Hello: func() peer.Hello { return peer.Hello{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, e)
	}
	if _, err := ends[0].DialSeed(ctx, "1"); err != nil {
		t.Fatal(err)
	}
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 50 {
				if err := ends[0].Send(ends[1].ID(), []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	b := &node{ends[1], ends[1].ID(), "1", heard, func() {}}
	b.hears(t, "connected "+ends[0].ID().Short()+" protocol 0 dialled false")
	for range 200 {
		b.hears(t, "from "+ends[0].ID().Short()+": x")
	}
}

// A mistake in a test's set-up must be an error and not a network that behaves oddly.
func TestJoinIsChecked(t *testing.T) {
	n := New(Options{})
	if _, err := n.Join(Config{}); err == nil {
		t.Error("an empty Config was taken")
	}
	cfg := Config{
		Key: public(testKeys(1)[0]), Addr: "a", Handler: &recorder{}, Hello: func() peer.Hello { return peer.Hello{} },
	}
	if _, err := n.Join(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Join(cfg); err == nil {
		t.Error("the same node joined twice")
	}
}
