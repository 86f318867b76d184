// Package freeport hands out TCP ports to tests that start servers, stop them and start them again on the same port.
//
// A port that was found free by listening on it for a moment may be given to somebody else in the next: to another test of
// the process, to one of another process, or by the system to an outgoing connection. So ports are taken from below the range
// of the last, and each is marked until the process ends by a UDP socket on the same number, which nobody else here uses.
//
// Concurrency: Take may be called by any goroutine.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports lie in [first, last): Linux gives outgoing connections those from 32768 on.
const (
	first = 12000
	last  = 32000
	tries = 2000
)

const loopback = "127.0.0.1"

// marks keeps the sockets that mark ports as taken.
var marks struct {
	mu      sync.Mutex
	sockets []net.PacketConn // guarded by mu
}

// Take returns a port such that nobody listens on it, nor on it plus one of the offsets, on loopback or one of the hosts. No
// other call returns any of these, in this process or in another one, until this process ends.
func Take(hosts []string, offsets ...int) (int, error) {
	offsets = append([]int{0}, offsets...)
	widest := 0
	for _, o := range offsets {
		widest = max(widest, o)
	}
	for range tries {
		port := first + rand.IntN(last-first-widest)
		if mark(port, offsets) && free(append([]string{loopback}, hosts...), port, offsets) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port on loopback between %d and %d in %d tries", first, last, tries)
}

// Addr returns an address of loopback with a port that was taken.
func Addr() (string, error) {
	port, err := Take(nil)
	return net.JoinHostPort(loopback, strconv.Itoa(port)), err
}

// mark marks ports as taken, all or none.
func mark(port int, offsets []int) bool {
	var got []net.PacketConn
	for _, o := range offsets {
		l, err := net.ListenPacket("udp", net.JoinHostPort(loopback, strconv.Itoa(port+o)))
		if err != nil {
			for _, g := range got {
				_ = g.Close() // nothing was sent
			}
			return false
		}
		got = append(got, l)
	}
	marks.mu.Lock()
	defer marks.mu.Unlock()
	marks.sockets = append(marks.sockets, got...)
	return true
}

func free(hosts []string, port int, offsets []int) bool {
	for _, host := range hosts {
		for _, o := range offsets {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port+o)))
			if err = errors.Join(err, closed(l)); err != nil {
				return false
			}
		}
	}
	return true
}

func closed(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}
