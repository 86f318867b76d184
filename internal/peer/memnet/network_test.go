package memnet

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds the wait for an event; only a failing test spends it.
const patience = 20 * time.Second

// testKeys returns n identities in the order of their node ids.
func testKeys(n int) []ed25519.PrivateKey {
	keys := make([]ed25519.PrivateKey, n)
	for i := range keys {
		keys[i] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
	}
	slices.SortFunc(keys, func(a, b ed25519.PrivateKey) int { return idOf(a).Compare(idOf(b)) })
	return keys
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func idOf(key ed25519.PrivateKey) ident.NodeID { return ident.NodeOf(public(key)) }

// recorder is a Handler that keeps what it is told as lines.
type recorder struct{ lines chan string }

func (r *recorder) Connected(p peer.Peer) {
	r.lines <- fmt.Sprintf("connected %s protocol %d dialled %v", p.ID.Short(), p.Protocol, p.Dialled)
}

func (r *recorder) Disconnected(id ident.NodeID, cause error) {
	r.lines <- fmt.Sprintf("disconnected %s: %v", id.Short(), cause)
}

func (r *recorder) Receive(from ident.NodeID, payload []byte) {
	r.lines <- fmt.Sprintf("from %s: %s", from.Short(), payload)
}

func (r *recorder) Refused(_ string, _ ident.NodeID, reason error) { r.lines <- reason.Error() }

// node is a Network under test.
type node struct {
	peer.Network
	id   ident.NodeID
	addr string
	*recorder
	settle func() // lets everything happen that is under way, where that is up to the test
}

// hears fails unless the handler is told exactly these lines next.
func (n *node) hears(t *testing.T, lines ...string) {
	t.Helper()
	n.settle()
	for _, want := range lines {
		timeout := time.NewTimer(patience)
		defer timeout.Stop()
		select {
		case got := <-n.lines:
			if got != want {
				t.Fatalf("node %s heard %q, want %q", n.id.Short(), got, want)
			}
		case <-timeout.C:
			t.Fatalf("node %s heard nothing, want %q", n.id.Short(), want)
		}
	}
}

type (
	check = func(peer.Hello, ident.NodeID) error
	// opener starts a node in a world.
	opener = func(key ed25519.PrivateKey, c check) *node
)

// The suite that judges every Network: what the rest of a node is tested with must behave as what it runs on.
func TestNetworks(t *testing.T) {
	for name, world := range map[string]func(t *testing.T) opener{
		"sockets": sockets, "memory": memory,
	} {
		t.Run(name, func(t *testing.T) {
			for name, scene := range map[string]func(t *testing.T, open opener){
				"frames arrive in order": inOrder, "a seed": seed, "refusal": refusing, "drop": drop,
				"another node at the address": stranger, "close": closing,
			} {
				t.Run(name, func(t *testing.T) { scene(t, world(t)) })
			}
		})
	}
}

func sockets(t *testing.T) opener {
	return func(key ed25519.PrivateKey, c check) *node {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{lines: make(chan string, 1000)}
		tr, err := peer.Open(peer.Config{
			Identity: key, Listener: l, Handler: r, Check: c,
			Hello:    func() peer.Hello { return peer.Hello{ProtocolMin: 1, ProtocolMax: 1} },
			Settings: peer.Settings{MaxFrame: 1 << 16, MaxQueue: 1 << 20},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		})
		return &node{tr, tr.ID(), l.Addr().String(), r, func() {}}
	}
}

func memory(t *testing.T) opener {
	n := New(Options{MaxFrame: 1 << 16, MaxQueue: 1 << 20})
	return func(key ed25519.PrivateKey, c check) *node {
		t.Helper()
		r := &recorder{lines: make(chan string, 1000)}
		e, err := n.Join(Config{
			Key: public(key), Addr: "addr-" + idOf(key).Short(), Handler: r, Check: c,
			Hello: func() peer.Hello { return peer.Hello{ProtocolMin: 1, ProtocolMax: 1} },
		})
		if err != nil {
			t.Fatal(err)
		}
		return &node{e, e.ID(), "addr-" + e.ID().Short(), r, func() {
			if !n.Drain(10000) {
				t.Fatal("events without end")
			}
		}}
	}
}

func inOrder(t *testing.T, open opener) {
	keys := testKeys(2)
	a, b := open(keys[0], nil), open(keys[1], nil)
	if err := a.Send(b.id, nil); !errors.Is(err, peer.ErrNoConnection) {
		t.Errorf("before there is a connection: %v, want ErrNoConnection", err)
	}
	a.SetPeer(a.id, a.addr) // ignored
	a.SetPeer(b.id, b.addr)
	a.hears(t, "connected "+b.id.Short()+" protocol 1 dialled true")
	b.hears(t, "connected "+a.id.Short()+" protocol 1 dialled false")
	payload := []byte("first")
	for _, word := range []string{"first", "again", "third"} {
		copy(payload, word)
		if err := a.Send(b.id, payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Send(b.id, make([]byte, 1<<16+1)); !errors.Is(err, peer.ErrTooLarge) {
		t.Errorf("a payload past the bound: %v, want ErrTooLarge", err)
	}
	if err := a.Send(a.id, nil); !errors.Is(err, peer.ErrSelf) {
		t.Errorf("to oneself: %v, want ErrSelf", err)
	}
	from := "from " + a.id.Short() + ": "
	b.hears(t, from+"first", from+"again", from+"third")
	if heard, ok := b.LastHeard(a.id); !ok || time.Since(heard) > time.Minute {
		t.Errorf("last heard at %v, %v", heard, ok)
	}
	if p := b.Peers(); len(p) != 1 || p[0].ID != a.id || ident.NodeOf(p[0].Key) != a.id {
		t.Errorf("the peers are %+v", p)
	}
	if m := b.Metrics().Peers; len(m) != 1 || !m[0].Connected || m[0].FramesIn != 3 || m[0].Connects != 1 {
		t.Errorf("the metrics are %+v", m)
	}
}

func seed(t *testing.T, open opener) {
	keys := testKeys(2)
	a, b := open(keys[0], nil), open(keys[1], nil)
	for range 2 { // the second finds the connection of the first
		if p, err := b.DialSeed(t.Context(), a.addr); err != nil || p.ID != a.id {
			t.Fatalf("the seed is %+v, %v", p, err)
		}
	}
	if _, err := b.DialSeed(t.Context(), b.addr); !errors.Is(err, peer.ErrSelf) {
		t.Errorf("one's own address: %v, want ErrSelf", err)
	}
	a.hears(t, "connected "+b.id.Short()+" protocol 1 dialled false")
	b.hears(t, "connected "+a.id.Short()+" protocol 1 dialled true")
}

func refusing(t *testing.T, open opener) {
	keys := testKeys(2)
	removed := errors.New("node was removed")
	a := open(keys[0], func(_ peer.Hello, id ident.NodeID) error {
		if id == idOf(keys[1]) {
			return removed
		}
		return nil
	})
	b := open(keys[1], nil)
	_, err := b.DialSeed(t.Context(), a.addr)
	if r, ok := errors.AsType[*peer.RefusedError](err); !ok || !r.ByPeer || r.Reason != "node was removed" {
		t.Errorf("the refused node got %v", err)
	}
	if _, err := a.DialSeed(t.Context(), b.addr); !errors.Is(err, removed) {
		t.Errorf("the refusing node got %v, want what Check returned", err)
	}
	for range 2 {
		a.hears(t, "refused node "+b.id.Short()+": node was removed")
		b.hears(t, "refused by node "+a.id.Short()+": node was removed")
	}
}

func stranger(t *testing.T, open opener) {
	keys := testKeys(3)
	a, b := open(keys[0], nil), open(keys[1], nil)
	a.SetPeer(idOf(keys[2]), b.addr)
	why := fmt.Sprintf("this address was to be that of node %s, and is that of node %s", idOf(keys[2]), b.id)
	a.hears(t, "refused node "+b.id.Short()+": "+why)
	b.hears(t, "refused by node "+a.id.Short()+": "+why)
}

func drop(t *testing.T, open opener) {
	keys := testKeys(2)
	a, b := open(keys[0], nil), open(keys[1], nil)
	a.SetPeer(b.id, b.addr)
	a.hears(t, "connected "+b.id.Short()+" protocol 1 dialled true")
	b.hears(t, "connected "+a.id.Short()+" protocol 1 dialled false")
	a.DropPeer(b.id)
	a.hears(t, "disconnected "+b.id.Short()+": "+peer.ErrDropped.Error())
	b.hears(t, "disconnected "+a.id.Short()+": "+peer.ErrHungUp.Error())
	if err := b.Send(a.id, nil); !errors.Is(err, peer.ErrNoConnection) {
		t.Errorf("after the drop: %v, want ErrNoConnection", err)
	}
	a.SetPeer(b.id, b.addr)
	a.hears(t, "connected "+b.id.Short()+" protocol 1 dialled true")
}

func closing(t *testing.T, open opener) {
	keys := testKeys(2)
	a, b := open(keys[0], nil), open(keys[1], nil)
	b.SetPeer(a.id, a.addr)
	a.hears(t, "connected "+b.id.Short()+" protocol 1 dialled false")
	b.hears(t, "connected "+a.id.Short()+" protocol 1 dialled true")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a.hears(t, "disconnected "+b.id.Short()+": "+peer.ErrClosed.Error())
	b.hears(t, "disconnected "+a.id.Short()+": "+peer.ErrHungUp.Error())
	if err := a.Send(b.id, nil); !errors.Is(err, peer.ErrClosed) {
		t.Errorf("Send after Close: %v, want ErrClosed", err)
	}
	if _, err := a.DialSeed(t.Context(), b.addr); !errors.Is(err, peer.ErrClosed) {
		t.Errorf("DialSeed after Close: %v, want ErrClosed", err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}
