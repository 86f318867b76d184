// Package storetest judges implementations of kv.Store: one suite for all of them, so that what was tested on one
// holds on the other.
//
// It owns the contract of package kv as tests, and a model: the plainest store that can be written, against which
// random histories with crashes are compared. It knows no implementation; a Harness opens one and cuts its power.
package storetest

import (
	"testing"

	"github.com/quorddb/quord/internal/kv"
)

// Harness is one disk under test, with the store that is open on it.
type Harness interface {
	// Store returns the open store.
	Store() kv.Store
	// Crash cuts the power and opens what is left: all that was durable, and as little else as the store allows.
	Crash(t testing.TB)
	// Exact reports whether a crash keeps nothing that was not synced, not even by chance.
	Exact() bool
	// Reopen closes the store in order and opens it again.
	Reopen(t testing.TB)
	// Fail makes every later sync of the disk fail.
	Fail()
	// Close ends the harness; errors of a store that failed do not matter.
	Close()
}

// Run judges the stores that open returns, each on an empty disk of its own.
func Run(t *testing.T, open func(t testing.TB) Harness) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, h Harness)
	}{
		{"Get", testGet},
		{"Scan", testScan},
		{"Snapshot", testSnapshot},
		{"DeleteRange", testDeleteRange},
		{"OrderWithinAWrite", testOrderWithinAWrite},
		{"WritesAreReused", testWritesAreReused},
		{"Log", testLog},
		{"LogIsLarge", testLogIsLarge},
		{"LogOrderWithinAnOp", testLogOrderWithinAnOp},
		{"LogRefusals", testLogRefusals},
		{"EntriesLimits", testEntriesLimits},
		{"Groups", testGroups},
		{"Durability", testDurability},
		{"EmptySync", testEmptySync},
		{"FailedSync", testFailedSync},
		{"Closed", testClosed},
		{"ReadersSeeNoOlderValue", testReadersSeeNoOlderValue},
		{"ReadersSeeWholeLogs", testReadersSeeWholeLogs},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			defer h.Close()
			c.test(t, h)
		})
	}
	t.Run("Model", func(t *testing.T) { testModel(t, open) })
}
