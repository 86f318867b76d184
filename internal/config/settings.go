package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/quorddb/quord/internal/slot"
)

// Limits of settings. Past them a value is refused when the node starts.
const (
	minTokens, maxTokens     = 17, 1024 // at least the ring's r + 1 principals; at most what one node holds, whatever its weight
	minReplicas, maxReplicas = 1, 7
	maxJoin                  = 256
	maxZone                  = 64
	maxWeight                = 100
	minMaxValue, maxMaxValue = KiB, 48 * MiB // with its command it has to fit into one frame between nodes, 64 MiB
	maxMaxClients            = 1_000_000
	minReplaceAfter          = time.Second
	maxReplaceAfter          = 30 * 24 * time.Hour
	minRequestTimeout        = 10 * time.Millisecond
	maxRequestTimeout        = 10 * time.Minute
)

// MinMemory is the least that --memory may be.
const MinMemory = 64 * MiB

// A setting is one row of what a node can be told.
type setting struct {
	key    string
	kind   string // what the help calls the value; "bool" needs none
	def    string // as it would be written; unset where the default follows from something else
	unset  string // says what the default follows from
	usage  string
	secret bool // never shown in an error
	set    func(*Serve, string) error
}

// settings is every setting of serve, in the order of the help.
var settings = []setting{
	{
		key: "dir", kind: "DIR", def: "./quord-data", usage: "data directory; one process at a time",
		set: func(s *Serve, v string) error {
			if v == "" || strings.ContainsRune(v, 0) {
				return errors.New("want the path of a directory")
			}
			s.Dir = v
			return nil
		},
	},
	{
		key: "addr", kind: "HOST:PORT", def: "127.0.0.1:6379", usage: "where Redis clients connect; port 0 picks a free one",
		set: func(s *Serve, v string) error { return setAddr(&s.Addr, v) },
	},
	{
		key: "peer-addr", kind: "HOST:PORT", unset: "host of addr, port + 10000", usage: "where other nodes connect",
		set: func(s *Serve, v string) error { return setAddr(&s.PeerAddr, v) },
	},
	{
		key: "http-addr", kind: "HOST:PORT", unset: "host of addr, port + 1000", usage: `/metrics, /healthz and /readyz; "" switches it off`,
		set: func(s *Serve, v string) error {
			if v == "" {
				s.HTTPAddr = ""
				return nil
			}
			if setAddr(&s.HTTPAddr, v) != nil {
				return errors.New(`want host:port, or "" to switch it off`)
			}
			return nil
		},
	},
	{key: "advertise", kind: "HOST", unset: "the listen hosts", usage: "host that others are told", set: setAdvertise},
	{
		key: "init", kind: "bool", def: "false", usage: "make a new cluster in an empty directory",
		set: func(s *Serve, v string) error { return setBool(&s.Init, v) },
	},
	{key: "join", kind: "HOST:PORT,...", unset: "none", usage: "peer addresses of members; may contain its own", set: setJoin},
	{
		key: "zone", kind: "NAME", unset: "none", usage: "failure domain of this node (rack, availability zone)",
		set: func(s *Serve, v string) error {
			if len(v) > maxZone || strings.ContainsFunc(v, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
				return fmt.Errorf("want up to %d printable characters without spaces", maxZone)
			}
			s.Zone = v
			return nil
		},
	},
	{
		key: "weight", kind: "NUMBER", def: "1", usage: "share of the data in proportion to other nodes",
		set: func(s *Serve, v string) error {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || !(f > 0 && f <= maxWeight) {
				return fmt.Errorf("want a number above 0, up to %d", maxWeight)
			}
			s.Weight = f
			return nil
		},
	},
	{
		key: "tokens", kind: "N", def: "64", usage: "positions on the ring",
		set: func(s *Serve, v string) error { return setInt(&s.Tokens, v, minTokens, maxTokens) },
	},
	{
		key: "replicas", kind: "N", def: "3", usage: "nodes that keep each key; of a new cluster",
		set: func(s *Serve, v string) error { return setInt(&s.Replicas, v, minReplicas, maxReplicas) },
	},
	{
		key: "tablets", kind: "N", def: "1024", usage: "parts that the data is cut into; of a new cluster",
		set: func(s *Serve, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || !slot.ValidTablets(n) {
				return fmt.Errorf("want a power of two from 1 to %d", slot.Count)
			}
			s.Tablets = n
			return nil
		},
	},
	{
		key: "replace-after", kind: "DURATION", def: "5m", usage: "grace before a silent node's share is copied elsewhere; of a new cluster",
		set: func(s *Serve, v string) error {
			return setDuration(&s.ReplaceAfter, v, minReplaceAfter, maxReplaceAfter)
		},
	},
	{
		key: "request-timeout", kind: "DURATION", def: "5s", usage: "how long a request that cannot be served yet is held",
		set: func(s *Serve, v string) error {
			return setDuration(&s.RequestTimeout, v, minRequestTimeout, maxRequestTimeout)
		},
	},
	{
		key: "max-value", kind: "SIZE", def: "32MiB", usage: "largest value (and argument) that is accepted",
		set: func(s *Serve, v string) error { return setSize(&s.MaxValue, v, minMaxValue, maxMaxValue) },
	},
	{
		key: "max-clients", kind: "N", def: "10000", usage: "connections of clients",
		set: func(s *Serve, v string) error { return setInt(&s.MaxClients, v, 1, maxMaxClients) },
	},
	{
		key: "memory", kind: "SIZE", unset: "a quarter of the machine", usage: "memory for caches and buffers; the process takes more: what comes on top grows with clients and tablets",
		set: func(s *Serve, v string) error { return setSize(&s.Memory, v, MinMemory, 0) },
	},
	{
		key: "password", kind: "TEXT", unset: "none", secret: true,
		usage: "password of the default user at addr; it does not guard peer-addr (a flag can be seen by others on this machine: better QUORD_PASSWORD or the file)",
		set: func(s *Serve, v string) error {
			if len(v) > 512 {
				return errors.New("want up to 512 bytes")
			}
			s.Password = v
			return nil
		},
	},
	{
		key: "insecure", kind: "bool", def: "false", usage: "accept addresses that are not loopback without a password",
		set: func(s *Serve, v string) error { return setBool(&s.Insecure, v) },
	},
	{
		key: "log-format", kind: "FORMAT", unset: "text on a terminal, else json", usage: "text or json",
		set: func(s *Serve, v string) error {
			if v != "text" && v != "json" {
				return errors.New("want text or json")
			}
			s.LogFormat = v
			return nil
		},
	},
	{
		key: "log-level", kind: "LEVEL", def: "info", usage: "debug, info, warn or error",
		set: func(s *Serve, v string) error {
			switch v {
			case "debug":
				s.LogLevel = slog.LevelDebug
			case "info":
				s.LogLevel = slog.LevelInfo
			case "warn":
				s.LogLevel = slog.LevelWarn
			case "error":
				s.LogLevel = slog.LevelError
			default:
				return errors.New("want debug, info, warn or error")
			}
			return nil
		},
	},
}

func setBool(into *bool, v string) error {
	switch v {
	case "true":
		*into = true
	case "false":
		*into = false
	default:
		return errors.New("want true or false")
	}
	return nil
}

func setInt(into *int, v string, lo, hi int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < lo || n > hi {
		return fmt.Errorf("want a whole number from %d to %d", lo, hi)
	}
	*into = n
	return nil
}

func setDuration(into *time.Duration, v string, lo, hi time.Duration) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < lo || d > hi {
		return fmt.Errorf("want a duration from %s to %s, such as 1500ms, 30s or 5m", lo, hi)
	}
	*into = d
	return nil
}

// setSize reads a size; hi 0 is no upper limit.
func setSize(into *Size, v string, lo, hi Size) error {
	n, err := ParseSize(v)
	switch {
	case err != nil:
		return errors.New("want " + sizeWant)
	case hi == 0 && n < lo:
		return fmt.Errorf("want a size of at least %s", lo)
	case hi != 0 && (n < lo || n > hi):
		return fmt.Errorf("want a size from %s to %s", lo, hi)
	}
	*into = n
	return nil
}

func setAddr(into *string, v string) error {
	host, port, err := net.SplitHostPort(v)
	if err != nil || strings.ContainsFunc(host, unicode.IsSpace) {
		return errors.New("want host:port, such as 127.0.0.1:6379 or [::1]:6379")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return errors.New("want host:port with a port from 0 to 65535")
	}
	*into = net.JoinHostPort(host, strconv.FormatUint(n, 10))
	return nil
}

func setAdvertise(s *Serve, v string) error {
	host := strings.TrimSuffix(strings.TrimPrefix(v, "["), "]")
	ip := net.ParseIP(host)
	switch {
	case ip != nil && ip.IsUnspecified():
		return errors.New("want a host that others can reach; this one means every interface")
	case ip == nil && strings.ContainsAny(host, ":/ \t"):
		return errors.New("want a host name or an IP address, without a port")
	}
	s.Advertise = host
	return nil
}

func setJoin(s *Serve, v string) error {
	s.Join = nil
	for _, part := range strings.Split(v, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		var addr string
		if err := setAddr(&addr, part); err != nil || hasPortZero(addr) || strings.HasPrefix(addr, ":") {
			return fmt.Errorf("want peer addresses host:port separated by commas; %q is none", part)
		}
		s.Join = append(s.Join, addr)
	}
	if len(s.Join) > maxJoin {
		return fmt.Errorf("want up to %d addresses", maxJoin)
	}
	return nil
}

func joinList(list []string) string { return strings.Join(list, ",") }
