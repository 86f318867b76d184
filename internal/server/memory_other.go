//go:build !linux

package server

// resident returns what the process occupies in memory, as far as Go knows, and the most that it ever did, which is
// unknown here: 0.
func resident() (now, peak uint64) { return heapMapped(), 0 }
