package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quorddb/quord/internal/ident"
)

// Three nodes that know each other's addresses must end up with one connection for each pair and all frames in order,
// or replication stands still.
func TestThreeNodesTalk(t *testing.T) {
	keys := testKeys(3)
	var nodes []*node
	for _, key := range keys {
		nodes = append(nodes, open(t, key, listen(t)))
	}
	for _, a := range nodes {
		for _, b := range nodes {
			a.SetPeer(b.ID(), b.addr) // its own id among them: ignored
		}
	}
	for _, n := range nodes {
		n.next(t, "connected")
		n.next(t, "connected")
		if got := len(n.Peers()); got != 2 {
			t.Errorf("node %s has %d peers, want 2", n.ID().Short(), got)
		}
	}
	const frames = 200
	for i := range frames {
		for _, a := range nodes {
			for _, b := range nodes {
				if a != b {
					mustSend(t, a, b.ID(), "%d", i)
				}
			}
		}
	}
	for _, n := range nodes {
		next := map[ident.NodeID]int{}
		for range 2 * frames {
			e := n.next(t, "receive")
			if got, want := string(e.payload), fmt.Sprint(next[e.id]); got != want {
				t.Fatalf("node %s got frame %s from %s, want %s", n.ID().Short(), got, e.id.Short(), want)
			}
			next[e.id]++
		}
		n.quiet(t)
	}
}

// Two nodes that start together dial each other at the same moment. If they chose different connections, or one after
// the other, requests in flight would be lost at every start.
func TestSimultaneousDialKeepsOneConnection(t *testing.T) {
	keys := testKeys(2)
	for round := range 30 {
		// Both Dial functions wait for each other, so both sides certainly open a connection.
		var both sync.WaitGroup
		both.Add(2)
		rendezvous := func(cfg *Config) {
			var once sync.Once
			cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
				once.Do(func() { both.Done(); both.Wait() })
				return nc, err
			}
		}
		a, b := open(t, keys[0], listen(t), rendezvous), open(t, keys[1], listen(t), rendezvous)
		a.SetPeer(b.ID(), b.addr)
		b.SetPeer(a.ID(), a.addr)
		pa, pb := a.next(t, "connected").peer, b.next(t, "connected").peer
		if pa.Dialled == pb.Dialled {
			t.Fatalf("round %d: the two sides kept different connections", round)
		}
		mustSend(t, a, b.ID(), "to b")
		mustSend(t, b, a.ID(), "to a")
		a.next(t, "receive")
		b.next(t, "receive")
		for _, n := range []*node{a, b} {
			m := n.Metrics()
			if m.Peers[0].Connects != 1 {
				t.Fatalf("round %d: %d connections have served, want 1", round, m.Peers[0].Connects)
			}
			n.quiet(t)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// A joining node knows only an address. It must learn who answers, and of which cluster.
func TestDialSeedSaysWhoAnswered(t *testing.T) {
	keys := testKeys(2)
	hello := Hello{
		Cluster: ident.ClusterID{7}, Boot: 3, Sequence: 99, ProtocolMin: 1, ProtocolMax: 4, FormatMin: 2, FormatMax: 5,
		WallMillis: 1234567890123, Address: "db1.example:17001",
	}
	a := open(t, keys[0], listen(t), func(cfg *Config) { cfg.Hello = func() Hello { return hello } })
	b := open(t, keys[1], listen(t), func(cfg *Config) {
		cfg.Hello = func() Hello { return Hello{ProtocolMin: 2, ProtocolMax: 3} }
	})
	p, err := b.DialSeed(t.Context(), a.addr)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hello, p.Hello); diff != "" {
		t.Errorf("Hello (-said +heard):\n%s", diff)
	}
	if p.ID != a.ID() || p.Protocol != 3 || !p.Dialled || ident.NodeOf(p.Key) != a.ID() {
		t.Errorf("the peer is %+v, want node %s and protocol 3", p, a.ID())
	}
	if got := a.next(t, "connected").peer; got.ID != b.ID() || got.Dialled || got.Protocol != 3 {
		t.Errorf("the other side saw %+v", got)
	}
	b.next(t, "connected")
	again, err := b.DialSeed(t.Context(), a.addr)
	if err != nil || again.ID != a.ID() {
		t.Errorf("a second seed at the same node: %+v, %v; want the connection there is", again, err)
	}
	back, err := a.DialSeed(t.Context(), b.addr)
	if err != nil || back.ID != b.ID() {
		t.Errorf("a seed from the other side: %+v, %v; want the connection there is", back, err)
	}
	a.quiet(t)
	b.quiet(t)
}

// --join may list the node's own address: it has to be told from an answer.
func TestDialSeedFindsItself(t *testing.T) {
	a := open(t, testKeys(1)[0], listen(t))
	if _, err := a.DialSeed(t.Context(), a.addr); !errors.Is(err, ErrSelf) {
		t.Errorf("dialling oneself: %v, want ErrSelf", err)
	}
	if err := a.Send(a.ID(), nil); !errors.Is(err, ErrSelf) {
		t.Errorf("sending to oneself: %v, want ErrSelf", err)
	}
}

// An operator who points a node at the wrong cluster must find the reason in the logs of both.
func TestRefusalReachesBothSides(t *testing.T) {
	wrong := errors.New("this node belongs to another cluster")
	keys := testKeys(2)
	for _, refuser := range []int{0, 1} {
		for _, dials := range []int{0, 1} {
			t.Run(fmt.Sprintf("node %d refuses, node %d dials", refuser, dials), func(t *testing.T) {
				var nodes [2]*node
				for i := range nodes {
					nodes[i] = open(t, keys[i], listen(t), func(cfg *Config) {
						if i == refuser {
							cfg.Check = func(Hello, ident.NodeID) error { return wrong }
						}
					})
				}
				_, err := nodes[dials].DialSeed(t.Context(), nodes[1-dials].addr)
				refusal, ok := errors.AsType[*RefusedError](err)
				if !ok || refusal.ByPeer != (dials != refuser) || refusal.Reason != wrong.Error() {
					t.Fatalf("the dialler got %v", err)
				}
				if refuser == dials && !errors.Is(err, wrong) {
					t.Errorf("%v does not wrap what Check returned", err)
				}
				for i, n := range nodes {
					e := n.next(t, "refused")
					heard, ok := errors.AsType[*RefusedError](e.err)
					if !ok || heard.Reason != wrong.Error() || heard.ByPeer != (i != refuser) || e.id != nodes[1-i].ID() {
						t.Errorf("node %d heard %v of %s", i, e.err, e.id)
					}
					n.quiet(t)
				}
			})
		}
	}
}

// An address that was given to another machine must not stand in for the node that had it.
func TestAnotherNodeAtTheAddress(t *testing.T) {
	keys := testKeys(3)
	a, b := open(t, keys[0], listen(t)), open(t, keys[1], listen(t))
	a.SetPeer(idOf(keys[2]), b.addr)
	for _, n := range []*node{a, b} {
		if e := n.next(t, "refused"); !errors.As(e.err, new(*RefusedError)) {
			t.Errorf("heard %v", e.err)
		}
	}
	if got := a.Peers(); len(got) != 0 {
		t.Errorf("connected to %v", got)
	}
}

// Nodes of versions that have nothing in common must say so, not misread each other.
func TestNoCommonProtocol(t *testing.T) {
	keys := testKeys(2)
	old := func(cfg *Config) { cfg.Hello = func() Hello { return Hello{ProtocolMin: 1, ProtocolMax: 2} } }
	recent := func(cfg *Config) { cfg.Hello = func() Hello { return Hello{ProtocolMin: 3, ProtocolMax: 5} } }
	a, b := open(t, keys[0], listen(t), old), open(t, keys[1], listen(t), recent)
	_, err := a.DialSeed(t.Context(), b.addr)
	refusal, ok := errors.AsType[*RefusedError](err)
	if want := "no common protocol version: 1 to 2 here, 3 to 5 there"; !ok || refusal.Reason != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// When a process is killed its socket closes; leaders are replaced in a fraction of a second only if that is noticed
// at once, and not when the connection has been silent for long enough.
func TestDeathIsReportedAtOnceAndRepaired(t *testing.T) {
	keys := testKeys(2)
	slow := func(cfg *Config) { cfg.Silence = time.Hour }
	a, b := open(t, keys[0], listen(t), slow), open(t, keys[1], listen(t), slow)
	a.SetPeer(b.ID(), b.addr)
	a.next(t, "connected")
	b.next(t, "connected")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if e := b.next(t, "disconnected"); !errors.Is(e.err, ErrClosed) {
		t.Errorf("the node that closed heard %v, want ErrClosed", e.err)
	}
	if e := a.next(t, "disconnected"); !errors.Is(e.err, ErrHungUp) {
		t.Errorf("the cause is %v, want ErrHungUp", e.err)
	}
	if err := a.Send(b.ID(), []byte("x")); !errors.Is(err, ErrNoConnection) {
		t.Errorf("sending to a dead node: %v, want ErrNoConnection", err)
	}
	// The same node comes back at another address.
	back := open(t, keys[1], listen(t))
	a.SetPeer(back.ID(), back.addr)
	a.next(t, "connected")
	back.next(t, "connected")
	mustSend(t, a, back.ID(), "welcome")
	back.next(t, "receive")
}

// A node that was removed must be let go, and one that is not known must not be waited for.
func TestDropPeer(t *testing.T) {
	keys := testKeys(2)
	a, b := open(t, keys[0], listen(t)), open(t, keys[1], listen(t))
	a.DropPeer(b.ID()) // nothing to drop
	a.SetPeer(b.ID(), b.addr)
	a.next(t, "connected")
	b.next(t, "connected")
	a.DropPeer(b.ID())
	if e := a.next(t, "disconnected"); !errors.Is(e.err, ErrDropped) {
		t.Errorf("the cause is %v, want ErrDropped", e.err)
	}
	if e := b.next(t, "disconnected"); !errors.Is(e.err, ErrHungUp) {
		t.Errorf("the other side's cause is %v, want ErrHungUp", e.err)
	}
	if err := a.Send(b.ID(), nil); !errors.Is(err, ErrNoConnection) {
		t.Errorf("sending to a dropped node: %v, want ErrNoConnection", err)
	}
}

// A peer that does not keep up must cost bounded memory and a fast refusal, not the connection.
func TestSlowReceiverFillsTheQueue(t *testing.T) {
	keys := testKeys(2)
	const bound = 1 << 20
	small := func(cfg *Config) { cfg.MaxFrame, cfg.MaxQueue = 64<<10, bound }
	a, b := open(t, keys[0], listen(t), small), open(t, keys[1], listen(t), small)
	a.SetPeer(b.ID(), b.addr)
	a.next(t, "connected")
	b.next(t, "connected")
	if err := a.Send(b.ID(), make([]byte, 64<<10+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a payload past MaxFrame: %v, want ErrTooLarge", err)
	}
	mustSend(t, a, b.ID(), "block")
	payload := make([]byte, 32<<10)
	sent := 0
	for {
		err := a.Send(b.ID(), payload)
		if errors.Is(err, ErrQueueFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if sent++; sent > 1<<15 {
			t.Fatalf("%d frames of 32 KiB were taken, though nobody reads", sent)
		}
	}
	m := a.Metrics().Peers[0]
	if m.QueueBytes > bound || m.QueueFull != 1 {
		t.Errorf("%d bytes wait, %d refusals; want at most %d, and 1", m.QueueBytes, m.QueueFull, bound)
	}
	close(b.unblock)
	b.next(t, "receive")
	for range sent {
		if e := b.next(t, "receive"); len(e.payload) != len(payload) {
			t.Fatalf("a frame of %d bytes arrived, want %d", len(e.payload), len(payload))
		}
	}
	a.quiet(t)
}

// Close must not leave a goroutine behind, whatever is going on; TestMain looks for leaks.
func TestCloseInTheMiddle(t *testing.T) {
	keys := testKeys(2)
	a, b := open(t, keys[0], listen(t)), open(t, keys[1], listen(t))
	silent := listen(t)
	defer silent.Close()
	a.SetPeer(b.ID(), silent.Addr().String()) // a handshake that nobody answers
	dialled := make(chan error)
	go func() {
		_, err := a.DialSeed(context.Background(), silent.Addr().String())
		dialled <- err
	}()
	stranger, err := net.Dial("tcp", a.addr) // one that never speaks
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for range 2 { // both handshakes of a have begun
		nc, err := silent.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-dialled; !errors.Is(err, ErrClosed) {
		t.Errorf("DialSeed ended with %v, want ErrClosed", err)
	}
	if err := a.Send(b.ID(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v, want ErrClosed", err)
	}
	if _, err := a.DialSeed(t.Context(), b.addr); !errors.Is(err, ErrClosed) {
		t.Errorf("DialSeed after Close: %v, want ErrClosed", err)
	}
	a.SetPeer(b.ID(), b.addr)
	if err := a.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	b.quiet(t)
}

// Strangers that connect and say nothing must not take all the places for good.
func TestTooManyStrangers(t *testing.T) {
	keys := testKeys(2)
	a := open(t, keys[0], listen(t), func(cfg *Config) { cfg.MaxHandshakes = 1 })
	b := open(t, keys[1], listen(t))
	first, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	second, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := second.Read(make([]byte, 1)); err == nil {
		t.Errorf("the second stranger read %d bytes, want a closed connection", n)
	}
	if got := a.Metrics().Overrun; got != 1 {
		t.Errorf("%d connections were turned away, want 1", got)
	}
	second.Close()
	first.Close() // makes room
	b.SetPeer(a.ID(), a.addr)
	b.next(t, "connected")
}

// The bound on nodes must hold, and say what it is.
func TestTooManyPeers(t *testing.T) {
	keys := testKeys(3)
	a := open(t, keys[0], listen(t), func(cfg *Config) { cfg.MaxPeers = 1 })
	b, c := open(t, keys[1], listen(t)), open(t, keys[2], listen(t))
	if _, err := b.DialSeed(t.Context(), a.addr); err != nil {
		t.Fatal(err)
	}
	_, err := c.DialSeed(t.Context(), a.addr)
	refusal, ok := errors.AsType[*RefusedError](err)
	if !ok || !refusal.ByPeer || refusal.Reason != "already connected to 1 nodes, at most 1 are allowed" {
		t.Errorf("got %v", err)
	}
}

// Send lies on the path of every write: it must not allocate once buffers have grown.
func TestSendDoesNotAllocate(t *testing.T) {
	o := newOutbox()
	payload := make([]byte, 150)
	if got := testing.AllocsPerRun(1000, func() {
		for range 10 {
			if err := o.add(payload, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		_, data, _, _ := o.take(nil)
		o.written(data)
	}); got != 0 {
		t.Errorf("ten frames and a flush allocate %v times", got)
	}
}

// A configuration that cannot work must be named before anything starts.
func TestConfigIsChecked(t *testing.T) {
	if _, err := Open(Config{}); err == nil {
		t.Error("Open took an empty Config")
	}
	for name, s := range map[string]Settings{
		"MaxFrame": {MaxFrame: 1 << 28}, "MaxQueue": {MaxQueue: 1024}, "MaxPeers": {MaxPeers: -1},
		"MaxHandshakes": {MaxHandshakes: -1}, "DialTimeout": {DialTimeout: -1},
		"HandshakeTimeout": {HandshakeTimeout: -1}, "WriteTimeout": {WriteTimeout: -1}, "PingEvery": {PingEvery: -1},
		"Silence": {Silence: time.Millisecond}, "BackoffMin": {BackoffMin: 2, BackoffMax: 1},
	} {
		if err := s.Validate(); err == nil {
			t.Errorf("a bad %s was taken", name)
		}
	}
	if err := new(Settings).Validate(); err != nil {
		t.Errorf("the defaults are wrong: %v", err)
	}
}
