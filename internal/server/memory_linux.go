package server

import (
	"bytes"
	"os"
	"strconv"
)

// resident returns what the process occupies in memory, and the most that it ever did; 0 is unknown.
func resident() (now, peak uint64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return heapMapped(), 0
	}
	if now, peak = statusBytes(b, "VmRSS:"), statusBytes(b, "VmHWM:"); now == 0 {
		now = heapMapped()
	}
	return now, peak
}

// statusBytes finds a line such as "VmRSS:	  1234 kB" of /proc/self/status (proc(5)).
func statusBytes(status []byte, name string) uint64 {
	for line := range bytes.Lines(status) {
		value, found := bytes.CutPrefix(line, []byte(name))
		if !found {
			continue
		}
		number, isKB := bytes.CutSuffix(bytes.TrimSpace(value), []byte(" kB"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(number)), 10, 54)
		if err != nil || !isKB {
			return 0
		}
		return n << 10
	}
	return 0
}
