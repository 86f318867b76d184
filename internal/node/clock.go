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

func now() core.Now { return core.Now{Mono: monotonic(), Wall: time.Now().UnixMilli()} }
