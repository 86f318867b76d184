package config

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What an empty directory becomes: guessing wrong makes a second cluster, and writes go astray.
func TestStart(t *testing.T) {
	loopback := Serve{Addr: "127.0.0.1:1", PeerAddr: "127.0.0.1:2"}
	reachable := Serve{Addr: "10.0.0.1:1", PeerAddr: "10.0.0.1:2"}
	with := func(s Serve, init bool, join ...string) Serve { s.Init, s.Join = init, join; return s }
	for _, c := range []struct {
		name  string
		s     Serve
		empty bool
		want  Start
		err   string
	}{
		{"a laptop", loopback, true, Create, ""},
		{"asked to create", with(reachable, true), true, Create, ""},
		{"asked to join", with(reachable, false, "10.0.0.2:2"), true, Join, ""},
		{"a shared list", with(reachable, false, "10.0.0.1:2", "10.0.0.2:2"), true, Join, ""},
		{"only itself", with(reachable, false, "10.0.0.1:2"), true, 0, "only the node itself"},
		{"nobody said", reachable, true, 0, "neither --init nor --join"},
		{"a used directory and --init", with(reachable, true), false, Resume, ""},
		{"a used directory and --join", with(reachable, false, "10.0.0.1:2"), false, Resume, ""},
		{"a used directory", reachable, false, Resume, ""},
	} {
		got, err := c.s.Start(c.empty)
		if got != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v; want %v, %q", c.name, got, err, c.want, c.err)
		}
	}
	if _, err := reachable.Start(true); !errors.Is(err, ErrUndecided) {
		t.Errorf("undecided: %v", err)
	}
}

// A wrong answer here opens a database without a password to the network.
func TestIsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.8.9.10:1": true, "[::1]:1": true, "localhost:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "localhost.example.org:1": false, "127.0.0.1": false,
	} {
		if got := IsLoopback(addr); got != want {
			t.Errorf("IsLoopback(%q) = %v", addr, got)
		}
	}
}

// Other nodes and clients connect to what they are told.
func TestAdvertised(t *testing.T) {
	for _, c := range []struct{ advertise, addr, want string }{
		{"", "10.0.0.1:7", "10.0.0.1:7"},
		{"db1", "0.0.0.0:7", "db1:7"},
		{"::1", "127.0.0.1:7", "[::1]:7"},
		{"", "0.0.0.0:7", "10.0.0.9:7"},
		{"db1", "", ""},
	} {
		s := Serve{Advertise: c.advertise, PeerAddr: "10.0.0.9:1"}
		if got := s.Advertised(c.addr); got != c.want {
			t.Errorf("advertise %q: %q becomes %q, want %q", c.advertise, c.addr, got, c.want)
		}
	}
}

func TestExposed(t *testing.T) {
	s := Serve{Addr: "127.0.0.1:1", PeerAddr: "127.0.0.1:2", HTTPAddr: "0.0.0.0:3"}
	if !s.Exposed() || s.Loopback() {
		t.Error("a console open to all counts as closed")
	}
	s.Password = "p"
	if s.Exposed() {
		t.Error("a node with a password counts as open")
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "32MiB": 32 << 20, "1GB": 1e9, "1gb": 1e9, "1.5GiB": 3 << 29, "2 KiB": 2048, "7B": 7, "1TiB": 1 << 40, "3TB": 3e12,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "1K", "1M", "-1", "+1", "1.5", "1e3", "0x10", "1..2KB", "1_000", "9223372036854775808", "9000000TiB", "9000000.5TiB", "MiB1"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

// What a node says about a limit can be pasted into its settings.
func TestSizeReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Size(rapid.Int64Min(0).Draw(t, "size"))
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Fatalf("%d is written %s, which reads as %d, %v", s, s, got, err)
		}
	})
}

// In a container the limit is the container's, not the machine's: else the kernel kills the node.
func TestQuarterOfMachine(t *testing.T) {
	mem := "MemFree: 1 kB\nMemTotal: 16777216 kB\n"
	for _, c := range []struct {
		name string
		m    machine
		want Size
	}{
		{"a machine", machine{"/proc/meminfo": mem}, 4 * GiB},
		{"a container", machine{"/proc/meminfo": mem, "/sys/fs/cgroup/memory.max": "4294967296\n"}, GiB},
		{"a container without a limit", machine{"/proc/meminfo": mem, "/sys/fs/cgroup/memory.max": "max\n"}, 4 * GiB},
		{"a tiny one", machine{"/proc/meminfo": "MemTotal: 1024 kB"}, MinMemory},
		{"silence", machine{}, fallbackMemory},
	} {
		if got := quarterOfMachine(c.m.read); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
