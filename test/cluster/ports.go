package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken from below the range from which Linux gives outgoing connections theirs: a node that is down for a
// while must find its port free when it comes back.
const (
	firstPort = 15000
	lastPort  = 32000
	maxTries  = 2000
)

var taken struct {
	mu    sync.Mutex
	ports map[int]bool // guarded by mu
}

// FreeAddr returns a loopback address where nobody listens and that no other call in this process has returned.
func FreeAddr() (string, error) {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	if taken.ports == nil {
		taken.ports = map[int]bool{}
	}
	for range maxTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if taken.ports[port] {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return "", err
		}
		taken.ports[port] = true
		return addr, nil
	}
	return "", fmt.Errorf("no free port on loopback between %d and %d in %d tries", firstPort, lastPort, maxTries)
}
