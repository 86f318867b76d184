package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/spf13/cobra"
)

const (
	dialWithin   = 5 * time.Second
	answerWithin = 30 * time.Second
)

// target is the node that a verb talks to, and how the verb prints.
type target struct {
	addr     string
	password string
	asJSON   bool
}

// talks gives cmd the flags of a verb that talks to a node.
func (a *app) talks(cmd *cobra.Command) *target {
	t := &target{}
	cmd.Flags().StringVar(&t.addr, "addr", "127.0.0.1:6379", "the node's address for Redis clients, `host:port`")
	cmd.Flags().StringVar(&t.password, "password", "", "the default user's password (default QUORD_PASSWORD)")
	jsonFlag(cmd, &t.asJSON)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if _, _, err := net.SplitHostPort(t.addr); err != nil {
			return usagef("--addr %q: want host:port", t.addr)
		}
		if !cmd.Flags().Changed("password") {
			t.password = a.variable("QUORD_PASSWORD")
		}
		return nil
	}
	return t
}

func (a *app) variable(name string) string {
	value := ""
	for _, e := range a.environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// client talks to one node.
type client struct {
	rdb  *redis.Client
	addr string
}

// quiet keeps the Redis library from writing to standard error: what went wrong is returned, and told once.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// dial prepares to talk; the connection is made when there is something to say. An answer may take as long as
// within; 0 is as long as it takes.
func (t *target) dial(within time.Duration) *client {
	redis.SetLogger(quiet{})
	if within == 0 {
		within = -1
	}
	return &client{addr: t.addr, rdb: redis.NewClient(&redis.Options{
		Addr:                     t.addr,
		Password:                 t.password,
		Protocol:                 3,
		DialTimeout:              dialWithin,
		DialerRetries:            1,
		ReadTimeout:              within,
		WriteTimeout:             answerWithin,
		MaxRetries:               -1, // a verb does once what it is asked to do
		PoolSize:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})}
}

func (c *client) close() { _ = c.rdb.Close() } // the answer is there already

// errAbsent is returned by do for a null reply.
var errAbsent = errors.New("no such key")

// do sends one command and returns its reply. Errors are for people. When ctx ends, so does the client: the library
// would go on waiting for the reply.
func (c *client) do(ctx context.Context, command ...any) (any, error) {
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	reply, err := c.rdb.Do(ctx, command...).Result()
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return reply, nil
}

// ask sends one command and decodes the map that it answers.
func (c *client) ask(ctx context.Context, into any, command ...any) error {
	reply, err := c.do(ctx, command...)
	if err != nil {
		return err
	}
	if err := decode(reply, into); err != nil {
		return fmt.Errorf("%s answered %v with something else than expected: %w", c.addr, command[0], err)
	}
	return nil
}

// explain says what an error means to somebody who looks after the node.
func (c *client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if errors.Is(err, redis.Nil) {
		return errAbsent
	}
	var answer redis.Error
	if errors.As(err, &answer) {
		text := answer.Error()
		switch {
		case strings.HasPrefix(text, "NOAUTH"):
			return fmt.Errorf("%s asks for a password: give --password or QUORD_PASSWORD (%s)", c.addr, text)
		case strings.HasPrefix(text, "WRONGPASS"):
			return fmt.Errorf("%s refuses the password (%s)", c.addr, text)
		case strings.HasPrefix(text, "ERR unknown command") && strings.Contains(strings.ToUpper(text), "QUORD."):
			return fmt.Errorf("%s is not a Quord node, or one too old for this (%s)", c.addr, text)
		}
		return fmt.Errorf("%s answered: %s", c.addr, text)
	}
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("cannot reach %s: no such host", c.addr)
	case errors.As(err, &dns):
		return fmt.Errorf("cannot reach %s: the name of its host is not resolved: %s", c.addr, dns.Err)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("cannot reach %s: %s; is a node running there? `quord serve` starts one", c.addr, cause(op))
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time", c.addr)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%s closed the connection before it had answered: %w", c.addr, errClosed)
	}
	return fmt.Errorf("talk to %s: %w; is that a Quord node?", c.addr, err)
}

// errClosed is wrapped where the node closed the connection before it had answered.
var errClosed = errors.New("connection closed")

// cause returns the innermost reason of a failed dial, without the addresses that are named already.
func cause(op *net.OpError) string {
	if op.Timeout() {
		return "no answer within " + dialWithin.String()
	}
	var errno syscall.Errno
	if errors.As(op.Err, &errno) {
		return errno.Error()
	}
	return op.Err.Error()
}

// decode fills into from a RESP3 reply, by the names that JSON has for its fields.
func decode(reply, into any) error {
	plain, err := plain(reply)
	if err != nil {
		return err
	}
	b, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// plain turns a reply's maps into ones that JSON can hold.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			name, ok := key.(string)
			if !ok {
				return nil, fmt.Errorf("a map with the key %v", key)
			}
			inner, err := plain(value)
			if err != nil {
				return nil, err
			}
			m[name] = inner
		}
		return m, nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			inner, err := plain(v[i])
			if err != nil {
				return nil, err
			}
			list[i] = inner
		}
		return list, nil
	case error:
		return nil, v
	}
	return v, nil
}
