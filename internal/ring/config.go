package ring

import (
	"fmt"
	"time"
)

// Bounds that no configuration may exceed.
const (
	// MaxTokens is the most tokens that one node may hold.
	MaxTokens = 1024
	// MaxList is the most tokens that a successor list, and with it a message, may carry.
	MaxList = 128
)

// Config says how a ring keeps itself together. The zero value of a field stands for LAN's value. All nodes of
// a ring share Bits and Successors; the other fields may differ from node to node.
type Config struct {
	// Bits is m, the width of an identifier: 1 to 256. Default 256.
	Bits int
	// Successors is r, the least length of a successor list: 1 to MaxSuccessors. A ring survives while of any
	// r successive tokens one lives, and it wants r+1 principals: the first node needs that many tokens. Default 16.
	Successors int
	// DistinctNodes is how many other nodes a successor list reaches, where the ring has as many, even when
	// it then grows beyond Successors: a list of tokens of one machine protects from nothing. It should be at
	// least the number of replicas. Default 4.
	DistinctNodes int
	// MaxSuccessors bounds a successor list: at most MaxList. Default 4 times Successors, at most MaxList.
	MaxSuccessors int
	// Proximity is s: among so many successors of the ideal finger the one with the lowest measured round trip
	// becomes the finger. 1 is plain Chord. At most MaxList. Default 16.
	Proximity int

	// StabilizeEvery is the pause between two rounds of stabilization of one token. A node spreads its tokens
	// over the interval in a few groups, so that it wakes seldom. Default 1 s.
	StabilizeEvery time.Duration
	// QueryTimeout is how long an answer to one message of a protocol step may take. Default 500 ms.
	QueryTimeout time.Duration
	// Attempts is how often a query is sent before the token asked counts as dead. Default 3.
	Attempts int
	// SuspectTimeout takes the place of QueryTimeout times Attempts for a node whose connection is known to be
	// down. Default 150 ms.
	SuspectTimeout time.Duration
	// Nudge is how soon a token stabilizes once its successor has told it that its list has changed, so that news
	// travels back along the ring faster than one token per interval. With StabilizeEvery or more, nobody tells:
	// plain Chord. Default StabilizeEvery/32.
	Nudge time.Duration
	// Settle is for how long, after a predecessor's death, nobody owns what the dead one owned: other tokens
	// between the new predecessor and this one may live that have not yet found the dead one dead, and they
	// come first. Default StabilizeEvery plus Attempts+1 times QueryTimeout.
	Settle time.Duration
	// DeadFor is how long lookups go around a node that did not answer. Any message from it ends that. Default
	// StabilizeEvery.
	DeadFor time.Duration
	// Backoff is the longest pause, drawn at random, after a token answered Busy, and the pause before a
	// failed join is tried again. Default 100 ms.
	Backoff time.Duration

	// MergeEvery is the mean pause between two nodes that are asked whether they stand in this ring; see Acquaint.
	// Default 4 times StabilizeEvery.
	MergeEvery time.Duration

	// HopTimeout is how long one hop of an iterative lookup may take before the lookup goes around it.
	// Default 500 ms.
	HopTimeout time.Duration
	// LookupTimeout is when a lookup that has no answer ends in an error, unless the caller says otherwise.
	// It should outlast the discovery of a death and Settle. Default 10 s.
	LookupTimeout time.Duration
	// HopLimit is how many messages to other nodes one attempt of a lookup may take: 1 to 255. Default 64.
	HopLimit int
	// MaxLookups bounds the lookups in flight at one node. Default 1024.
	MaxLookups int
}

// Local returns the preset for nodes on one machine.
func Local() Config {
	return Config{
		QueryTimeout: 300 * time.Millisecond, Attempts: 3, SuspectTimeout: 50 * time.Millisecond,
		Backoff: 50 * time.Millisecond, HopTimeout: 250 * time.Millisecond, LookupTimeout: 6 * time.Second,
		Proximity: 1,
	}.withDefaults()
}

// LAN returns the preset for nodes of one data centre, which is the default.
func LAN() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	set(&c.Bits, MaxBits)
	set(&c.Successors, 16)
	set(&c.DistinctNodes, 4)
	set(&c.MaxSuccessors, min(4*c.Successors, MaxList))
	set(&c.Proximity, 16)
	set(&c.StabilizeEvery, time.Second)
	set(&c.QueryTimeout, 500*time.Millisecond)
	set(&c.Attempts, 3)
	set(&c.SuspectTimeout, 150*time.Millisecond)
	set(&c.Nudge, c.StabilizeEvery/32)
	set(&c.Settle, c.StabilizeEvery+time.Duration(c.Attempts+1)*c.QueryTimeout)
	set(&c.DeadFor, c.StabilizeEvery)
	set(&c.Backoff, 100*time.Millisecond)
	set(&c.MergeEvery, 4*c.StabilizeEvery)
	set(&c.HopTimeout, 500*time.Millisecond)
	set(&c.LookupTimeout, 10*time.Second)
	set(&c.HopLimit, 64)
	set(&c.MaxLookups, 1024)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate says which field has a value that cannot work, and what is allowed. Zero fields are fine.
func (c Config) Validate() error {
	c = c.withDefaults()
	for _, f := range []struct {
		name           string
		value, low, hi int
	}{
		{"Bits", c.Bits, 1, MaxBits},
		{"Successors", c.Successors, 1, MaxList},
		{"DistinctNodes", c.DistinctNodes, 1, MaxList},
		{"MaxSuccessors", c.MaxSuccessors, c.Successors, MaxList},
		{"Proximity", c.Proximity, 1, MaxList},
		{"Attempts", c.Attempts, 1, 10},
		{"HopLimit", c.HopLimit, 1, 255},
		{"MaxLookups", c.MaxLookups, 1, 1 << 20},
	} {
		if f.value < f.low || f.value > f.hi {
			return fmt.Errorf("ring: %s is %d: want %d to %d", f.name, f.value, f.low, f.hi)
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"StabilizeEvery", c.StabilizeEvery},
		{"QueryTimeout", c.QueryTimeout},
		{"SuspectTimeout", c.SuspectTimeout},
		{"Nudge", c.Nudge},
		{"Settle", c.Settle},
		{"DeadFor", c.DeadFor},
		{"Backoff", c.Backoff},
		{"MergeEvery", c.MergeEvery},
		{"HopTimeout", c.HopTimeout},
		{"LookupTimeout", c.LookupTimeout},
	} {
		if f.value < time.Millisecond || f.value > time.Hour {
			return fmt.Errorf("ring: %s is %v: want 1ms to 1h", f.name, f.value)
		}
	}
	return nil
}
