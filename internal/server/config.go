package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/quorddb/quord/internal/resp"
)

// Config holds the settings of a Server. Zero means the default.
type Config struct {
	// Password is what a client must show with AUTH or HELLO; empty lets everyone in.
	Password string
	// MaxClients is the most connections at one time; default 10,000. One more gets an error and is closed.
	MaxClients int
	// MaxValue is the longest value in bytes, default 32 MiB, and MaxKey the longest key, default 64 KiB. What is
	// longer is refused and the connection goes on; past 512 MiB it is a protocol error.
	MaxValue, MaxKey int
	// MaxBatch and MaxBatchBytes bound the commands that a session executes together; default 1024 and 1 MiB. One
	// command alone may be longer.
	MaxBatch, MaxBatchBytes int
	// MaxOutput is how many bytes of replies a session gathers before it writes; default 16 MiB. Commands whose turn
	// has not come by then wait until those before them have been taken by the client. One MGET over several tablets may
	// answer 16 times as much.
	MaxOutput int
	// MaxInput bounds what the input buffers of all connections may take together beyond 64 KiB each; default 1 GiB.
	// A connection that would pass it is dropped.
	MaxInput int64
	// WriteTimeout is how long a client may take none of what it is sent; default 30 s.
	WriteTimeout time.Duration
	// PartingTimeout is what WriteTimeout becomes when the server closes, where it is less; default 3 s.
	PartingTimeout time.Duration
	// AuthTimeout is how long a client may take to show the password; default 10 s. Without a password it plays no part.
	AuthTimeout time.Duration
	// AdminTimeout bounds the QUORD commands that ask other nodes, and how long FLUSHALL goes on once a tablet has
	// failed; default 10 s.
	AdminTimeout time.Duration
	// IdleTimeout closes a connection that has sent nothing for so long; 0 is never, as in Redis.
	IdleTimeout time.Duration

	// Now is the clock; default time.Now.
	Now func() time.Time `json:"-"`
	// Log receives what an operator should know; default slog.Default.
	Log *slog.Logger `json:"-"`
}

// maxSkip is the longest argument that is read past; Redis allows no longer one anywhere.
const maxSkip = 512 << 20

// Validate says what is wrong with which setting.
func (c Config) Validate() error {
	for name, n := range map[string]int64{
		"MaxClients": int64(c.MaxClients), "MaxValue": int64(c.MaxValue), "MaxKey": int64(c.MaxKey),
		"MaxBatch": int64(c.MaxBatch), "MaxBatchBytes": int64(c.MaxBatchBytes), "MaxOutput": int64(c.MaxOutput),
		"MaxInput": c.MaxInput, "WriteTimeout": int64(c.WriteTimeout), "PartingTimeout": int64(c.PartingTimeout), "AuthTimeout": int64(c.AuthTimeout),
		"AdminTimeout": int64(c.AdminTimeout), "IdleTimeout": int64(c.IdleTimeout),
	} {
		if n < 0 {
			return fmt.Errorf("server: %s is %d, it must not be negative", name, n)
		}
	}
	if c.MaxValue > maxSkip {
		return fmt.Errorf("server: MaxValue is %d, the protocol allows %d at most", c.MaxValue, maxSkip)
	}
	if d := c.withDefaults(); d.MaxInput < 2*int64(d.MaxValue) {
		return fmt.Errorf("server: MaxInput is %d, which does not hold two values of %d", d.MaxInput, d.MaxValue)
	}
	return nil
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxClients, 10_000)
	def(&c.MaxValue, 32<<20)
	def(&c.MaxKey, 64<<10)
	def(&c.MaxBatch, 1024)
	def(&c.MaxBatchBytes, 1<<20)
	def(&c.MaxOutput, 16<<20)
	if c.MaxInput == 0 {
		c.MaxInput = 1 << 30
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	dur(&c.WriteTimeout, 30*time.Second)
	dur(&c.PartingTimeout, 3*time.Second)
	c.PartingTimeout = min(c.PartingTimeout, c.WriteTimeout)
	dur(&c.AuthTimeout, 10*time.Second)
	dur(&c.AdminTimeout, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// limits are what a session reads by, before and after it has shown the password.
func (c *Config) limits(authenticated bool) resp.Limits {
	if !authenticated {
		return resp.BeforeAuth()
	}
	return resp.Limits{MaxBulk: c.MaxValue, MaxCommand: 2*c.MaxValue + c.MaxBatchBytes, MaxSkip: maxSkip}
}

// ErrClosed is returned by Serve after Close.
var ErrClosed = errors.New("server: closed")
