package server

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/resp"
)

// leaveState is the leaving of this node, which is asked for once.
type leaveState struct {
	mu          sync.Mutex
	active      bool
	done, total int64
}

// consult runs fn within AdminTimeout and appends what it returned, or its error.
func consult[T any](c *session, out []byte, fn func(ctx context.Context) (T, error)) []byte {
	ctx, cancel := context.WithTimeout(c.srv.ctx, c.srv.cfg.AdminTimeout)
	defer cancel()
	v, err := fn(ctx)
	if err != nil {
		return c.appendFailure(out, err)
	}
	return appendTree(out, v)
}

// appendFailure appends an error of the backend.
func (c *session) appendFailure(out []byte, err error) []byte {
	var f *request.Failure
	switch {
	case errors.As(err, &f):
		return resp.AppendError(out, f.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return resp.AppendError(out, fmt.Sprintf("%s no answer within %s: %v", request.TryAgain, c.srv.cfg.AdminTimeout, err))
	case errors.Is(err, context.Canceled):
		return resp.AppendError(out, fmt.Sprintf("%s this node is stopping", request.TryAgain))
	}
	return resp.AppendError(out, fmt.Sprintf("%s %v", request.Err, err))
}

func (c *session) quordLookup(args [][]byte, out []byte) []byte {
	mode := "iterative"
	switch {
	case len(args) == 2:
	case len(args) == 3 && is(args[2], "iterative"):
	case len(args) == 3 && is(args[2], "recursive"):
		mode = "recursive"
	default:
		return resp.AppendError(out, errSyntax+": QUORD.LOOKUP key [ITERATIVE|RECURSIVE]")
	}
	return consult(c, out, func(ctx context.Context) (any, error) { return c.srv.backend.Lookup(ctx, args[1], mode) })
}

func (c *session) quordRing(_ [][]byte, out []byte) []byte {
	return consult(c, out, c.srv.backend.Ring)
}

func (c *session) quordStatus(_ [][]byte, out []byte) []byte {
	return consult(c, out, c.srv.backend.Status)
}

func (c *session) quordRemove(args [][]byte, out []byte) []byte {
	return c.onNode(args, out, c.srv.backend.Remove)
}

func (c *session) quordReplace(args [][]byte, out []byte) []byte {
	return c.onNode(args, out, c.srv.backend.Replace)
}

// onNode is COMMAND node [DRYRUN].
func (c *session) onNode(args [][]byte, out []byte, fn func(context.Context, string, bool) (string, error)) []byte {
	if len(args) > 3 || len(args) == 3 && !is(args[2], "dryrun") {
		return resp.AppendError(out, fmt.Sprintf("%s: %s node [DRYRUN]", errSyntax, args[0]))
	}
	return consult(c, out, func(ctx context.Context) (string, error) {
		return fn(ctx, string(args[1]), len(args) == 3)
	})
}

// quordLeave answers when everything has been handed over, however long that takes, or when the node is told to stop;
// QUORD.STATUS shows how far it is. A client that goes away does not stop it.
func (c *session) quordLeave(args [][]byte, out []byte) []byte {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "dryrun") {
		return resp.AppendError(out, errSyntax+": QUORD.LEAVE [DRYRUN]")
	}
	if len(args) == 2 {
		return consult(c, out, c.leaveDryRun)
	}
	l := &c.srv.leaving
	l.mu.Lock()
	if l.active {
		defer l.mu.Unlock()
		return resp.AppendError(out, fmt.Sprintf("ERR this node is leaving already: %d of %d done", l.done, l.total))
	}
	l.active, l.done, l.total = true, 0, 0
	l.mu.Unlock()
	err := c.srv.backend.Leave(c.srv.stopping, func(done, total int64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.done, l.total = done, total
	})
	if err != nil {
		l.mu.Lock()
		l.active = false
		l.mu.Unlock()
		return c.appendFailure(out, err)
	}
	return append(out, okReply...)
}

func (c *session) leaveDryRun(ctx context.Context) (string, error) {
	ring, err := c.srv.backend.Ring(ctx)
	if err != nil {
		return "", err
	}
	id := c.srv.backend.Identity().NodeID
	for _, n := range ring.Nodes {
		if n.ID == id {
			return fmt.Sprintf("node %s would hand over its replicas of %d tablets, of which it leads %d, and stop%s",
				id, n.Holds, n.Leads, afterLeaving(ring, id)), nil
		}
	}
	return "", fmt.Errorf("the ring does not know this node, %s", id)
}

// afterLeaving says what leaving costs where the nodes that remain are too few for all copies that are wanted.
func afterLeaving(ring admin.Ring, id string) string {
	remain := 0
	for _, n := range ring.Nodes {
		if n.ID != id && (n.State == "up" || n.State == "suspect" || n.State == "joining") {
			remain++
		}
	}
	switch {
	case remain >= ring.Replicas:
		return ""
	case remain == 0:
		return "; but no other node is up, so it would be refused"
	case remain == 1:
		return fmt.Sprintf("; 1 node would remain, and each tablet have 1 copy instead of %d", ring.Replicas)
	}
	return fmt.Sprintf("; %d nodes would remain, and each tablet have %d copies instead of %d", remain, remain, ring.Replicas)
}
