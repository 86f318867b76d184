package peer

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Network is what a node asks of its connections. Transport is one over sockets, memnet.Endpoint one in memory.
type Network interface {
	// Send queues a copy of payload for a node and never blocks. It returns ErrNoConnection, ErrQueueFull,
	// ErrTooLarge or ErrSelf; nil promises nothing about arrival.
	Send(to ident.NodeID, payload []byte) error
	// SetPeer keeps a connection to a node, at this address until another call says otherwise. The node's own id
	// is ignored, so that a list of members can be given whole.
	SetPeer(id ident.NodeID, addr string)
	// DropPeer stops keeping a connection and closes the one there is. A node that must not come back is for
	// Check to refuse.
	DropPeer(id ident.NodeID)
	// DialSeed connects to an address whose node is not known yet and says who it is. The connection then serves
	// like any other, but nobody makes it anew until SetPeer.
	DialSeed(ctx context.Context, addr string) (Peer, error)
	// Peers returns the nodes that are connected, in the order of their ids.
	Peers() []Peer
	// LastHeard returns when bytes last arrived from a node that is connected.
	LastHeard(id ident.NodeID) (time.Time, bool)
	// Metrics returns figures for observers.
	Metrics() Metrics
	// Close ends every connection and returns when no callback is running any more; none follows.
	Close() error
}

// Handler is told what happens on a Network. What concerns one node comes one call after the other: Connected,
// then Receive for each frame in the order of Send, then Disconnected, then perhaps Connected again. Calls that
// concern different nodes may run at the same time. A callback may use the Network, except Close and DialSeed; while
// it runs, nothing is read from that node, so it must not wait for anything that takes long.
type Handler interface {
	// Connected: frames can be sent to and come from p.ID.
	Connected(p Peer)
	// Disconnected: the connection is gone, and with it an unknown part of the frames last sent.
	Disconnected(id ident.NodeID, cause error)
	// Receive hands over one frame. The receiver owns payload.
	Receive(from ident.NodeID, payload []byte)
	// Refused: a handshake came to nothing because one side did not want the other. reason is a *RefusedError. It
	// is called from any goroutine and again for each attempt.
	Refused(addr string, id ident.NodeID, reason error)
}

// Peer is a node that is connected.
type Peer struct {
	ID ident.NodeID
	// Key is the public key that ID is derived from.
	Key ed25519.PublicKey
	// Hello is what the node said of itself when it connected.
	Hello Hello
	// Protocol is the version that both sides speak: the highest that both know.
	Protocol uint16
	// Remote is the address of the socket's other end.
	Remote string
	// Dialled: this node opened the connection.
	Dialled bool
}

// Hello is what a node says of itself in the handshake.
type Hello struct {
	// Cluster is zero in a node that has not joined one yet.
	Cluster ident.ClusterID
	// Boot names this process: it grows with each start of the node, and a copy of its directory draws another one.
	// Sequence is with how many synced writes the boot began: a node that begins with fewer than it had told of has
	// lost its memory.
	Boot, Sequence uint64
	// ProtocolMin to ProtocolMax are the versions of messages that the node speaks.
	ProtocolMin, ProtocolMax uint16
	// FormatMin to FormatMax are the versions of log entries and records that the node reads.
	FormatMin, FormatMax uint16
	// WallMillis is the node's wall clock, in milliseconds since 1970.
	WallMillis int64
	// Address is where other nodes reach this one. At most 255 bytes.
	Address string
}

// CommonProtocol returns the version that two nodes speak with each other, the highest that both know.
func CommonProtocol(mine, theirs Hello) (uint16, error) {
	version := min(mine.ProtocolMax, theirs.ProtocolMax)
	if version < max(mine.ProtocolMin, theirs.ProtocolMin) {
		return 0, fmt.Errorf("no common protocol version: %d to %d here, %d to %d there",
			mine.ProtocolMin, mine.ProtocolMax, theirs.ProtocolMin, theirs.ProtocolMax)
	}
	return version, nil
}
