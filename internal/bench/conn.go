package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/quorddb/quord/internal/resp"
)

const (
	// maxUnread is how much is written before replies are read: less than what the sockets between are sure to
	// hold, or else both sides could wait for each other.
	maxUnread = 64 << 10
	// maxReply is the longest reply that is taken: a value and what stands around it.
	maxReply = maxSize + 4096
)

// conn is one connection; for one goroutine.
type conn struct {
	net.Conn
	addr string
	r    *resp.ReplyReader
}

// connect dials and authenticates.
func connect(ctx context.Context, c *Config, addr string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	nc, err := c.Dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	k := &conn{Conn: nc, addr: addr, r: resp.NewReplyReader(nc, maxReply)}
	if c.Password == "" {
		return k, nil
	}
	if err := k.auth(c); err != nil {
		_ = nc.Close() // the error that led here is the one to tell
		return nil, fmt.Errorf("authenticate with %s: %w", addr, err)
	}
	return k, nil
}

func (k *conn) auth(c *Config) error {
	if err := k.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
	if _, err := k.Write(appendBulk([]byte("*2\r\n$4\r\nAUTH\r\n"), []byte(c.Password))); err != nil {
		return err
	}
	r, err := k.r.Read()
	if err != nil {
		return err
	}
	if failed(r) {
		return fmt.Errorf("refused: %.*s", maxText, r.Text)
	}
	return nil
}

// send writes batch and calls each for every of its n replies, in order; a reply is gone when the next one comes. When it returns an error the connection is
// of no use any more.
func (k *conn) send(batch []byte, n int, deadline time.Time, each func(i int, r resp.Value)) error {
	if err := k.SetDeadline(deadline); err != nil {
		return err
	}
	written := make(chan error, 1)
	if len(batch) <= maxUnread {
		_, err := k.Write(batch)
		written <- err
	} else {
		go func() {
			_, err := k.Write(batch)
			written <- err
		}()
	}
	for i := range n {
		r, err := k.r.Read()
		if err != nil {
			_ = k.Close() // so that a writer that still waits ends
			return errors.Join(err, <-written)
		}
		each(i, r)
	}
	return <-written
}

// failed reports whether a reply is an error.
func failed(v resp.Value) bool { return v.Kind == '-' || v.Kind == '!' }

// code returns the first word of an error, which is what programs go by.
func code(v resp.Value) string {
	word, _, _ := bytes.Cut(v.Text, []byte(" "))
	return string(clip(word))
}

// What is shown of an error, and of its first word.
const (
	maxText = 120
	maxCode = 32
)

func clip(b []byte) []byte { return b[:min(len(b), maxCode)] }
