package node

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/quorddb/quord/internal/core"
)

// monotonic returns the time since the machine started, the time that it was suspended included: a lease that was
// given before a suspension must not seem young after it.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("node: the machine has no CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// wallMillis returns the wall clock, in milliseconds since 1970. Whatever the core and other nodes are told of it comes
// from here, so that the build for tests of jumping clocks (wall_shifted.go) shifts all of it.
func wallMillis() int64 { return time.Now().UnixMilli() + wallShift() }

func now() core.Now { return core.Now{Mono: monotonic(), Wall: wallMillis()} }
