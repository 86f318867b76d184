package placement

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/slot"
)

const (
	// MinTokens is the fewest tokens of a node: the first one's must make a ring with successor lists of 16 alone.
	MinTokens = 17
	// MaxTokens is the most tokens of a node, whatever its weight: as many as its part of the ring holds.
	MaxTokens = ring.MaxTokens
	// maxListed is the most that a registry may name of a node: an earlier build admitted nodes with so many.
	maxListed = 4096
	// Candidates is how many hashes are tried for each token.
	Candidates = 16
	// MaxReplicas is the most replicas that a tablet has.
	MaxReplicas = 7
	// MaxNodes and MaxRing bound what a Map is made of: nodes, and tokens of all of them.
	MaxNodes, MaxRing = 1 << 12, 1 << 18
)

// domain separates the hashes of tokens from all others that are made of a public key. It is a format: another
// value would move every node of every cluster.
const domain = "quord token 1\x00"

// Point returns the identifier where tablet t of T stands: t * 2^256 / T. T is a power of two (slot.ValidTablets).
func Point(t uint32, tablets int) ring.ID {
	var id ring.ID
	if tablets > 1 {
		binary.BigEndian.PutUint64(id[:], uint64(t)<<(64-log2(tablets)))
	}
	return id
}

// TokenOf returns the place of a node's token with the given index: SHA-256 over a domain, the public key and the
// index as four bytes, big-endian.
func TokenOf(pub ed25519.PublicKey, index uint32) ring.ID {
	b := make([]byte, 0, len(domain)+ed25519.PublicKeySize+4)
	b = append(b, domain...)
	b = append(b, pub...)
	b = binary.BigEndian.AppendUint32(b, index)
	return sha256.Sum256(b)
}

// Tokens returns the tokens of a node in the order of its indices.
func Tokens(pub ed25519.PublicKey, indices []uint32) []ring.Token {
	node := ident.NodeOf(pub)
	tokens := make([]ring.Token, len(indices))
	for i, index := range indices {
		tokens[i] = ring.Token{ID: TokenOf(pub, index), Node: node}
	}
	return tokens
}

// Count returns how many tokens a node of the given weight has where one of weight 1 has perWeight: in proportion,
// but at least MinTokens. It says which of the two is impossible, and what is allowed.
func Count(perWeight int, weight float64) (int, error) {
	if perWeight < MinTokens || perWeight > MaxTokens {
		return 0, fmt.Errorf("tokens %d: want %d to %d", perWeight, MinTokens, MaxTokens)
	}
	if !(weight > 0) || math.IsInf(weight, 0) {
		return 0, fmt.Errorf("weight %v: want a number above 0", weight)
	}
	n := math.Round(float64(perWeight) * weight)
	if n > MaxTokens {
		return 0, fmt.Errorf("weight %v: %.0f tokens at %d for a weight of 1, want at most %d", weight, n, perWeight, MaxTokens)
	}
	return max(int(n), MinTokens), nil
}

// ValidIndices says what is wrong with a list of token indices: the one at place k, counted from 0, must lie in
// [k*Candidates, (k+1)*Candidates), as Choose picks them. So indices ascend, none occurs twice, and nobody gains by
// hashing on until a place pleases.
func ValidIndices(indices []uint32) error {
	if len(indices) < 1 || len(indices) > maxListed {
		return fmt.Errorf("%d tokens: want 1 to %d", len(indices), maxListed)
	}
	for k, index := range indices {
		if low := uint32(k) * Candidates; index < low || index >= low+Candidates {
			return fmt.Errorf("token index %d at place %d: want %d to %d", index, k, low, low+Candidates-1)
		}
	}
	return nil
}

// points returns how many tablets stand in (a, b], clockwise; the whole ring when a equals b.
func points(a, b ring.ID, tablets int) int {
	n := cell(b, tablets) - cell(a, tablets)
	if a.Compare(b) >= 0 {
		n += tablets
	}
	return n
}

// cell returns the last tablet whose point is at or before id.
func cell(id ring.ID, tablets int) int {
	return int(binary.BigEndian.Uint64(id[:]) >> (64 - log2(tablets)))
}

func log2(tablets int) int { return bits.Len(uint(tablets)) - 1 }

func checkShape(tablets, replicas int) error {
	if !slot.ValidTablets(tablets) {
		return fmt.Errorf("tablets %d: want a power of two from 1 to %d", tablets, slot.Count)
	}
	if replicas < 1 || replicas > MaxReplicas {
		return fmt.Errorf("replicas %d: want 1 to %d", replicas, MaxReplicas)
	}
	return nil
}
