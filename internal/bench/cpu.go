package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of CPU times in /proc, which is the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// processCPU returns the CPU time that a process has used so far, in user mode and in the kernel, all threads
// together.
func processCPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return parseStat(b)
}

// parseStat reads utime and stime, the fields 14 and 15 of /proc/PID/stat (proc(5)). The second field is the
// process's name in parentheses, which may itself hold blanks and parentheses.
func parseStat(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("process statistics %q: too few fields", clip(stat))
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("process statistics %q: no CPU times", clip(stat))
	}
	return time.Duration(user+system) * tick, nil
}
