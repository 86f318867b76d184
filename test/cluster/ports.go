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

const loopback = "127.0.0.1"

// FreeAddr returns a loopback address where nobody listens and that no other call in this process has returned.
func FreeAddr() (string, error) { return freeAddr(loopback) }

// freeAddr is FreeAddr on one of the hosts that nodes listen on; the port is free on both.
func freeAddr(host string) (string, error) {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	if taken.ports == nil {
		taken.ports = map[int]bool{}
	}
	for range maxTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if taken.ports[port] || !isFree(loopback, port) || !isFree(linkedHost, port) {
			continue
		}
		taken.ports[port] = true
		return net.JoinHostPort(host, strconv.Itoa(port)), nil
	}
	return "", fmt.Errorf("no free port on loopback between %d and %d in %d tries", firstPort, lastPort, maxTries)
}

func isFree(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}
