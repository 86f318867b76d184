//go:build testclock

package node

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shiftable tells that this is the build whose wall clock a test can shift: only the tag testclock makes it, and a
// node says so when it starts.
const shiftable = true

// The first 8 bytes of the file that TESTCLOCK_SHIFT names, in the byte order of the machine, are how many milliseconds
// the wall clock is off. The file is mapped, so that a change is seen at once and reading it costs nothing.
var shift = mapShift(os.Getenv("TESTCLOCK_SHIFT"))

func wallShift() int64 { return shift.Load() }

func mapShift(path string) *atomic.Int64 {
	if path == "" {
		return new(atomic.Int64)
	}
	f, err := os.Open(path)
	if err != nil {
		panic("node: TESTCLOCK_SHIFT: " + err.Error())
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		panic(fmt.Sprintf("node: TESTCLOCK_SHIFT: map %s: %v", path, err))
	}
	return (*atomic.Int64)(unsafe.Pointer(&b[0])) // the start of a page is aligned
}
