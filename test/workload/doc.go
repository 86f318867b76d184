// Package workload is what the end-to-end tests do to a cluster while it is being harmed, and how they judge it:
//
//   - Files stores real files, remembers what was acknowledged, and compares it byte for byte;
//   - Counters increments counters through random nodes: no increment lost, none counted twice, no read goes back;
//   - History records operations on registers and counters and has porcupine judge whether they are linearizable.
//
// All three sort what a client learns into three outcomes (Outcome) and rely on nothing more than Quord promises:
// an acknowledged write is there, a refused one is not, an uncertain one may be either. A reply that fits none of
// these is a failure of the test. The types may be used from many goroutines.
package workload
