package peer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Config holds the components of a Transport and its settings.
type Config struct {
	// Identity is the node's private key. Required.
	Identity ed25519.PrivateKey
	// Listener accepts the connections of other nodes; the Transport closes it. Required.
	Listener net.Listener
	// Dial opens a connection to an address. Nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Hello says what this node tells of itself in a handshake. It is called for each one, from any goroutine.
	// Required.
	Hello func() Hello
	// Check judges a node that has proved its identity, from any goroutine. The text of its error reaches the
	// other node too. Nil: everybody is welcome.
	Check func(hello Hello, remote ident.NodeID) error
	// Handler is told what happens. Required.
	Handler Handler
	// Logger takes connects, disconnects and refusals. Nil: no log.
	Logger *slog.Logger

	Settings
}

// Settings are the bounds and timings of a Transport. The zero value of a field means its default.
type Settings struct {
	// MaxFrame is the length of the longest payload in bytes, sent or received. Default 64 MiB, at most 256 MiB - 1.
	MaxFrame int
	// MaxQueue bounds what waits to be written to one peer, in bytes of frames. It must hold one frame of
	// MaxFrame. Default 64 MiB and one header.
	MaxQueue int
	// MaxPeers bounds the nodes that are connected or being kept connected. Default 4096.
	MaxPeers int
	// MaxHandshakes bounds the incoming connections that have not proved who they are; more are closed at once.
	// Default 128.
	MaxHandshakes int

	// DialTimeout bounds the opening of a connection. Default 1 s.
	DialTimeout time.Duration
	// HandshakeTimeout bounds the whole handshake. Default 3 s.
	HandshakeTimeout time.Duration
	// WriteTimeout ends a connection when the other side takes nothing for that long. Default 10 s.
	WriteTimeout time.Duration
	// PingEvery is how long nothing leaves on a connection before a keepalive frame does. Default 200 ms.
	PingEvery time.Duration
	// Silence ends a connection on which nothing arrives for that long; at least two PingEvery. Default 1 s.
	Silence time.Duration
	// BackoffMin is the longest wait before the first attempt to connect again; it doubles with each further
	// attempt up to BackoffMax. Defaults 10 ms and 1 s.
	BackoffMin, BackoffMax time.Duration
}

func (s *Settings) setDefaults() {
	orInt := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	orDuration := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	orInt(&s.MaxFrame, 64<<20)
	orInt(&s.MaxQueue, max(64<<20, s.MaxFrame)+frameHeader)
	orInt(&s.MaxPeers, 4096)
	orInt(&s.MaxHandshakes, 128)
	orDuration(&s.DialTimeout, time.Second)
	orDuration(&s.HandshakeTimeout, 3*time.Second)
	orDuration(&s.WriteTimeout, 10*time.Second)
	orDuration(&s.PingEvery, 200*time.Millisecond)
	orDuration(&s.Silence, max(time.Second, 2*s.PingEvery))
	orDuration(&s.BackoffMin, 10*time.Millisecond)
	orDuration(&s.BackoffMax, max(time.Second, s.BackoffMin))
}

// Validate says what is wrong with which value, after defaults have been filled in.
func (s *Settings) Validate() error {
	d := *s
	d.setDefaults()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(d.MaxFrame > 0 && d.MaxFrame <= frameLimit, "MaxFrame is %d, want 1 to %d", d.MaxFrame, frameLimit)
	check(d.MaxQueue >= d.MaxFrame+frameHeader,
		"MaxQueue is %d, want at least MaxFrame and a header, %d", d.MaxQueue, d.MaxFrame+frameHeader)
	check(d.MaxPeers > 0, "MaxPeers is %d, want at least 1", d.MaxPeers)
	check(d.MaxHandshakes > 0, "MaxHandshakes is %d, want at least 1", d.MaxHandshakes)
	check(d.DialTimeout > 0, "DialTimeout is %v, want more than 0", d.DialTimeout)
	check(d.HandshakeTimeout > 0, "HandshakeTimeout is %v, want more than 0", d.HandshakeTimeout)
	check(d.WriteTimeout > 0, "WriteTimeout is %v, want more than 0", d.WriteTimeout)
	check(d.PingEvery > 0, "PingEvery is %v, want more than 0", d.PingEvery)
	check(d.Silence >= 2*d.PingEvery, "Silence is %v, want at least two PingEvery, %v", d.Silence, 2*d.PingEvery)
	check(d.BackoffMin > 0 && d.BackoffMin <= d.BackoffMax,
		"BackoffMin is %v and BackoffMax %v, want 0 < BackoffMin <= BackoffMax", d.BackoffMin, d.BackoffMax)
	return errors.Join(errs...)
}

// Validate says what is missing or wrong.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Identity) != ed25519.PrivateKeySize {
		errs = append(errs, fmt.Errorf("the Identity has %d bytes, want an Ed25519 private key of %d",
			len(c.Identity), ed25519.PrivateKeySize))
	}
	if c.Listener == nil {
		errs = append(errs, errors.New("a Listener is missing"))
	}
	if c.Hello == nil {
		errs = append(errs, errors.New("a Hello is missing"))
	}
	if c.Handler == nil {
		errs = append(errs, errors.New("a Handler is missing"))
	}
	return errors.Join(append(errs, c.Settings.Validate())...)
}

// withDefaults returns the configuration with everything that may be left out filled in.
func (c Config) withDefaults() Config {
	c.setDefaults()
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	if c.Check == nil {
		c.Check = func(Hello, ident.NodeID) error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
