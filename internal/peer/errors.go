package peer

import (
	"errors"
	"fmt"

	"github.com/quorddb/quord/internal/ident"
)

var (
	// ErrNoConnection is returned by Send when there is no connection to that node at the moment.
	ErrNoConnection = errors.New("no connection to this node")
	// ErrQueueFull is returned by Send when the connection's queue has no room for the frame.
	ErrQueueFull = errors.New("queue to this node is full")
	// ErrTooLarge is returned by Send for a payload longer than Settings.MaxFrame.
	ErrTooLarge = errors.New("payload exceeds the largest frame")
	// ErrSelf is returned by DialSeed when the address is this node's own, and by Send to oneself.
	ErrSelf = errors.New("the other end is this node itself")
	// ErrClosed is returned by everything after Close, and is the cause of what Close ends.
	ErrClosed = errors.New("transport is closed")
	// ErrUnsettled is returned by DialSeed when another connection to the same node is still being made.
	ErrUnsettled = errors.New("another connection to this node is being made")

	// ErrHungUp is the cause of a connection that the other side closed; a killed process looks like that.
	ErrHungUp = errors.New("the other side closed the connection")
	// ErrSilent is the cause of a connection on which nothing arrived for Settings.Silence.
	ErrSilent = errors.New("nothing heard from the other side for too long")
	// ErrStalled is the cause of a connection on which the other side took nothing for Settings.WriteTimeout.
	ErrStalled = errors.New("the other side takes no data")
	// ErrReplaced is the cause of a connection that the other side had lost and has made anew.
	ErrReplaced = errors.New("replaced by a newer connection")
	// ErrDropped is the cause of a connection that DropPeer ended.
	ErrDropped = errors.New("peer dropped")

	// ErrHandshake is wrapped by errors about a handshake that is not one, or not an honest one.
	ErrHandshake = errors.New("handshake failed")
	// ErrFrame is wrapped by errors about bytes that are not a frame.
	ErrFrame = errors.New("damaged frame")
)

// RefusedError says that one of two nodes does not want to talk to the other, and why.
type RefusedError struct {
	// ID is the node at the other end.
	ID ident.NodeID
	// ByPeer: the other node refused this one; otherwise this node refused the other.
	ByPeer bool
	// Reason is what the refusing node said, printable and at most 1024 bytes long.
	Reason string
	// Cause is what Config.Check returned here; nil when the other node refused.
	Cause error
}

// Error names who refused whom, and the reason.
func (e *RefusedError) Error() string {
	if e.ByPeer {
		return fmt.Sprintf("refused by node %s: %s", e.ID.Short(), e.Reason)
	}
	return fmt.Sprintf("refused node %s: %s", e.ID.Short(), e.Reason)
}

// Unwrap returns Cause.
func (e *RefusedError) Unwrap() error { return e.Cause }
