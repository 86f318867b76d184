// Package ident holds the names of things that outlive a process and an address: nodes and clusters.
//
// A node is its key: its identifier is derived from the Ed25519 public key in its data directory, so an
// identifier cannot be chosen, and it stays the same when the node comes back at another address. A cluster
// identifier is drawn once, when the cluster is made. Both are values, comparable, and printed as hex.
// The package is pure and holds no state.
package ident

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Size is the length of an identifier in bytes.
const Size = 16

// NodeID names a node: the first 16 bytes of SHA-256 over its Ed25519 public key. The zero value is "no node".
type NodeID [Size]byte

// ClusterID names a cluster: 16 random bytes. The zero value is "no cluster".
type ClusterID [Size]byte

// NodeOf returns the identifier of the node that holds the private half of key.
func NodeOf(key ed25519.PublicKey) NodeID {
	sum := sha256.Sum256(key)
	return NodeID(sum[:Size])
}

// ParseNode reads what NodeID.String wrote.
func ParseNode(s string) (NodeID, error) {
	var id NodeID
	err := parse(id[:], s, "node")
	return id, err
}

// ParseCluster reads what ClusterID.String wrote.
func ParseCluster(s string) (ClusterID, error) {
	var id ClusterID
	err := parse(id[:], s, "cluster")
	return id, err
}

func parse(into []byte, s, what string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != Size {
		return fmt.Errorf("%s id %q: want %d hexadecimal digits", what, s, 2*Size)
	}
	copy(into, b)
	return nil
}

// String returns the 32 hexadecimal digits of the identifier.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first 8 hexadecimal digits, for logs that people read.
func (id NodeID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero reports whether the identifier names no node.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// Compare orders identifiers as byte strings.
func (id NodeID) Compare(other NodeID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText writes the identifier as String does.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *NodeID) UnmarshalText(b []byte) (err error) { *id, err = ParseNode(string(b)); return err }

// String returns the 32 hexadecimal digits of the identifier.
func (id ClusterID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the identifier names no cluster.
func (id ClusterID) IsZero() bool { return id == ClusterID{} }

// MarshalText writes the identifier as String does.
func (id ClusterID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ClusterID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseCluster(string(b))
	return err
}
