//go:build !testclock

package node

// shiftable tells that this is the build whose wall clock a test can shift.
const shiftable = false

func wallShift() int64 { return 0 }
