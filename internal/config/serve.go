package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"time"
)

// Distances from the port of --addr to the ports of the addresses that are not given.
const (
	peerPortOffset = 10000
	httpPortOffset = 1000
)

// Serve holds the settings of one node. Load returns it complete and valid: addresses that follow from --addr and
// the memory limit have been filled in. Byte sizes are in bytes.
type Serve struct {
	// Dir is the data directory; one process at a time.
	Dir string
	// Addr is where Redis clients connect, host:port. Port 0 picks a free one.
	Addr string
	// PeerAddr is where other nodes connect, host:port.
	PeerAddr string
	// HTTPAddr is where /metrics, /healthz and /readyz answer, host:port; "" is off.
	HTTPAddr string
	// Advertise is the host that others are told instead of the hosts above; "" tells those.
	Advertise string
	// Init makes a new cluster when Dir is empty.
	Init bool
	// Join lists peer addresses of members, host:port; it may contain this node's own.
	Join []string
	// Zone is the failure domain; nodes of one zone avoid sharing tablets. "" is a zone like any other.
	Zone string
	// Weight scales this node's share of the data; 1 is ordinary.
	Weight float64
	// Tokens is the number of positions on the ring of a node of weight 1.
	Tokens int
	// Replicas is how many nodes keep each tablet. A setting of the cluster: read when it is made.
	Replicas int
	// Tablets is the number of tablets, a power of two. A setting of the cluster: read when it is made.
	Tablets int
	// ReplaceAfter is how long a node may be silent before its share is copied elsewhere. A setting of the cluster:
	// read when it is made.
	ReplaceAfter time.Duration
	// RequestTimeout is how long a request that cannot be served yet is held.
	RequestTimeout time.Duration
	// MaxValue bounds one argument of a request, and so one value.
	MaxValue Size
	// MaxClients bounds the connections of clients.
	MaxClients int
	// Memory sizes the caches and buffers: a quarter is for blocks of tables, a quarter for hot values, an eighth each for
	// what waits for the worker and for what clients are sending, and a thirty-second part (at most 128 MiB) calls for a
	// checkpoint of what lies in memory, of which there may be four times as much. It is not a bound of the process:
	// connections, the ends of logs and the heads of tablets, and Go's own overhead come on top.
	Memory Size
	// Password of the default user; "" asks for none.
	Password string
	// Insecure allows addresses that are not loopback without a password.
	Insecure bool
	// LogFormat is "text", "json", or "" for text on a terminal and json elsewhere.
	LogFormat string
	// LogLevel is the least level that is logged.
	LogLevel slog.Level
	// Config is the file that the settings were read from; "" if there was none.
	Config string
}

// complete fills in the addresses that follow from Addr.
func (s *Serve) complete(given func(key string) bool) error {
	var errs []error
	derive := func(key string, into *string, offset int) {
		if given(key) {
			return
		}
		addr, err := shiftPort(s.Addr, offset)
		if err != nil {
			errs = append(errs, &Error{
				Key: key, Source: "derived from addr " + s.Addr,
				Want: fmt.Sprintf("the port of addr plus %d is above 65535: set %s, or take a port up to %d for addr", offset, key, 65535-offset),
			})
			return
		}
		*into = addr
	}
	derive("peer-addr", &s.PeerAddr, peerPortOffset)
	derive("http-addr", &s.HTTPAddr, httpPortOffset)
	return errors.Join(errs...)
}

// shiftPort adds offset to the port of addr; port 0 (any free one) stays 0.
func shiftPort(addr string, offset int) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return "", err
	}
	if n != 0 {
		n += offset
	}
	if n > 65535 {
		return "", fmt.Errorf("port %d is above 65535", n)
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

// Validate checks what concerns more than one setting; Load calls it. Each error is an *Error.
func (s Serve) Validate() error {
	var errs []error
	bad := func(key, value, want string) {
		errs = append(errs, &Error{Key: key, Value: value, Want: want})
	}
	if s.Init && len(s.Join) > 0 {
		bad("init", "true", "either --init, which makes a new cluster, or --join, which never does")
	}
	taken := map[string]string{}
	for _, a := range s.addresses() {
		if other, ok := taken[a.value]; ok && !hasPortZero(a.value) {
			bad(a.key, a.value, "an address of its own: "+other+" has this one already")
		}
		taken[a.value] = a.key
		if !s.Insecure && s.Password == "" && !IsLoopback(a.value) {
			bad(a.key, a.value, "without a password only loopback addresses (127.0.0.1, [::1], localhost) are accepted: "+
				"set a password (--password, QUORD_PASSWORD or the file), or --insecure to let anybody in who reaches this address")
		}
	}
	if math.Round(float64(s.Tokens)*s.Weight) > maxTokens {
		bad("weight", strconv.FormatFloat(s.Weight, 'g', -1, 64), fmt.Sprintf(
			"at most %g where a node of weight 1 has %d tokens: one node has %d at most", float64(maxTokens)/float64(s.Tokens), s.Tokens, maxTokens))
	}
	if s.Advertise == "" {
		for _, a := range s.addresses() {
			if a.key != "http-addr" && isUnspecified(a.value) {
				bad("advertise", "", fmt.Sprintf("a host that others can reach, since %s %s listens on every interface: give --advertise HOST", a.key, a.value))
				break
			}
		}
	}
	return errors.Join(errs...)
}

type address struct{ key, value string }

// addresses lists those that the node listens on.
func (s Serve) addresses() []address {
	list := []address{{"addr", s.Addr}, {"peer-addr", s.PeerAddr}}
	if s.HTTPAddr != "" {
		list = append(list, address{"http-addr", s.HTTPAddr})
	}
	return list
}

// Advertised returns what others are told about a listener at addr (host:port, the port as it was really bound):
// the same port at the advertised host. "" stays "".
func (s Serve) Advertised(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch {
	case s.Advertise != "":
		host = s.Advertise
	case isUnspecified(addr):
		// Only http-addr may get here (Validate): it is reached where peers are.
		host, _, _ = net.SplitHostPort(s.PeerAddr)
	}
	return net.JoinHostPort(host, port)
}

// Loopback reports whether the node can be reached from its own machine only.
func (s Serve) Loopback() bool {
	for _, a := range s.addresses() {
		if !IsLoopback(a.value) {
			return false
		}
	}
	return true
}

// Exposed reports whether anybody who reaches the node's addresses may use it, which deserves a warning at each start.
func (s Serve) Exposed() bool { return s.Password == "" && !s.Loopback() }

// IsLoopback reports whether host:port can be reached from this machine only. Names other than localhost are not
// resolved, since what they resolve to can change: they count as reachable.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// isUnspecified reports whether host:port means every interface.
func isUnspecified(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func hasPortZero(addr string) bool {
	_, port, _ := net.SplitHostPort(addr)
	return port == "0"
}
