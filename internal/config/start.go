package config

import (
	"errors"
	"slices"
)

// Start is what a node does first.
type Start int

const (
	// Resume: the data directory belongs to a node already; --init means nothing to it, and --join only names
	// more addresses to look for its cluster.
	Resume Start = iota
	// Create: make a new cluster.
	Create
	// Join: become a member of the cluster that the addresses of --join belong to, and wait until one answers.
	Join
)

// String returns the name of s for logs.
func (s Start) String() string {
	switch s {
	case Resume:
		return "resume"
	case Create:
		return "create"
	case Join:
		return "join"
	}
	return "unknown"
}

// ErrUndecided is returned when an empty directory could become a new cluster or a new member and nobody said which.
var ErrUndecided = errors.New("the data directory is empty and neither --init nor --join was given: " +
	"--init makes a new cluster here, --join HOST:PORT (a member's peer address) joins one; " +
	"only a node whose addresses are all loopback makes a cluster unasked")

// Start says what a node with these settings does first; empty tells whether its data directory holds no node yet.
func (s Serve) Start(empty bool) (Start, error) {
	switch {
	case !empty:
		return Resume, nil
	case s.Init:
		return Create, nil
	case len(s.Join) > 0:
		own := []string{s.PeerAddr, s.Advertised(s.PeerAddr)}
		if !slices.ContainsFunc(s.Join, func(a string) bool { return !slices.Contains(own, a) }) {
			return 0, &Error{
				Key: "join", Value: joinList(s.Join),
				Want: "the peer address of at least one other node: this is only the node itself (--init makes a new cluster)",
			}
		}
		return Join, nil
	case s.Loopback():
		return Create, nil
	}
	return 0, ErrUndecided
}
