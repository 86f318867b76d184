package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	readBuffer = 64 << 10
	// maxUnread is how much is written before replies are read: less than what the sockets between are sure to
	// hold, or else both sides could wait for each other.
	maxUnread = 64 << 10
	maxDepth  = 8
)

// errProtocol is wrapped where a server does not answer as the Redis protocol would have it.
var errProtocol = errors.New("not the Redis protocol")

// conn is one connection; for one goroutine.
type conn struct {
	net.Conn
	addr string
	r    *bufio.Reader
}

// connect dials and authenticates.
func connect(ctx context.Context, c *Config, addr string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	nc, err := c.Dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	k := &conn{Conn: nc, addr: addr, r: bufio.NewReaderSize(nc, readBuffer)}
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
	r, err := k.reply()
	if err != nil {
		return err
	}
	if r.kind == '-' {
		return fmt.Errorf("refused: %s", r.text)
	}
	return nil
}

// send writes batch and calls each for every of its n replies, in order. When it returns an error the connection is
// of no use any more.
func (k *conn) send(batch []byte, n int, deadline time.Time, each func(i int, r reply)) error {
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
		r, err := k.reply()
		if err != nil {
			_ = k.Close() // so that a writer that still waits ends
			return errors.Join(err, <-written)
		}
		each(i, r)
	}
	return <-written
}

// reply is what is kept of one: its kind (RESP's first byte), whether it was null, and the text of an error.
type reply struct {
	kind byte
	null bool
	text string
}

// code returns the first word of an error, which is what programs go by.
func (r reply) code() string {
	word, _, _ := strings.Cut(r.text, " ")
	return word[:min(len(word), maxCode)]
}

// reply reads one reply and forgets its data.
func (k *conn) reply() (reply, error) { return k.replyAt(0) }

func (k *conn) replyAt(depth int) (reply, error) {
	line, err := k.r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return reply{}, fmt.Errorf("%w: a line longer than %d bytes", errProtocol, readBuffer)
		}
		return reply{}, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return reply{}, fmt.Errorf("%w: a line %q", errProtocol, clip(line))
	}
	r, rest := reply{kind: line[0]}, line[1:len(line)-2]
	switch r.kind {
	case '+', ':', ',', '#', '(':
		return r, nil
	case '_':
		r.null = true
		return r, nil
	case '-':
		r.text = string(rest[:min(len(rest), maxText)])
		return r, nil
	case '$', '=', '!', '*', '~', '>', '%', '|':
	default:
		return reply{}, fmt.Errorf("%w: a reply that begins with %q", errProtocol, clip(line))
	}
	n, err := strconv.Atoi(string(rest))
	if err != nil || n < -1 || n > maxLength {
		return reply{}, fmt.Errorf("%w: a length %q", errProtocol, clip(rest))
	}
	if n == -1 {
		r.null = true
		return r, nil
	}
	switch r.kind {
	case '$', '=':
		_, err = k.r.Discard(n + 2)
		return r, err
	case '!':
		text := make([]byte, min(n, maxText))
		if _, err := io.ReadFull(k.r, text); err != nil {
			return reply{}, err
		}
		_, err = k.r.Discard(n - len(text) + 2)
		r.kind, r.text = '-', string(text)
		return r, err
	}
	if depth == maxDepth {
		return reply{}, fmt.Errorf("%w: replies nested deeper than %d", errProtocol, maxDepth)
	}
	if r.kind == '%' || r.kind == '|' {
		n *= 2
	}
	for range n {
		if _, err := k.replyAt(depth + 1); err != nil {
			return reply{}, err
		}
	}
	if r.kind == '|' || r.kind == '>' {
		return k.replyAt(depth) // attributes and pushes come before or between replies
	}
	return r, nil
}

// maxLength bounds what a reply may announce; nobody stores more under a key.
const maxLength = 1 << 40

// What is kept of an error, and of its first word.
const (
	maxText = 120
	maxCode = 32
)

func clip(b []byte) []byte { return b[:min(len(b), maxCode)] }
