package freeport

import (
	"net"
	"strconv"
	"testing"
)

// What a test loses when this fails: its ports, to another node or to somebody else.
func TestTake(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port, err := Take([]string{"127.0.0.2"}, 1, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []int{port, port + 1, port + 1000} {
			if seen[p] {
				t.Errorf("%d was given out twice", p)
			}
			seen[p] = true
			l, err := net.Listen("tcp", "127.0.0.2:"+strconv.Itoa(p))
			if err != nil {
				t.Fatalf("%d is not free: %v", p, err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	port, err := Take(nil)
	if err != nil {
		t.Fatal(err)
	}
	if mark(port, []int{0}) {
		t.Error("a port that is taken can be taken again, as by another process")
	}
}

// A port on which somebody listens is none.
func TestInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if free([]string{"127.0.0.1", "127.0.0.2"}, l.Addr().(*net.TCPAddr).Port, []int{0}) {
		t.Error("it is called free")
	}
}
