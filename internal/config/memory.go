package config

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// fallbackMemory is taken for a quarter of a machine that does not say how large it is.
const fallbackMemory = GiB

// MachineQuarter is the default of --memory.
func MachineQuarter() Size { return quarterOfMachine(readFile) }

// quarterOfMachine returns a quarter of the memory that this process may use: of the machine's, or of its control
// group's where that is less, as it is in a container.
func quarterOfMachine(read func(string) ([]byte, error)) Size {
	total := Size(0)
	if b, err := read("/proc/meminfo"); err == nil {
		total = memTotal(b)
	}
	if b, err := read("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil && n > 0 && (total == 0 || Size(n) < total) {
			total = Size(n)
		}
	}
	if total == 0 {
		return fallbackMemory
	}
	return max(total/4, MinMemory)
}

// memTotal finds the line "MemTotal:  8123456 kB", whose kB are 1024 bytes.
func memTotal(meminfo []byte) Size {
	lines := bufio.NewScanner(bytes.NewReader(meminfo))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return Size(n) * KiB
			}
		}
	}
	return 0
}

func readFile(name string) ([]byte, error) { return os.ReadFile(name) }
