package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stopWithin is how long children may take to stop in an orderly way before they are killed.
const stopWithin = closeWithin + 5*time.Second

// family is a set of processes of this binary that end with their parent. Its methods are for one goroutine, which
// must be the one that the caller has locked to its thread.
type family struct {
	log      io.Writer // for several goroutines; each Write is whole lines
	binary   string
	environ  []string
	children []*child
	// ended tells each child's end, once; it holds as many as there can be children.
	ended chan *child
}

// child is one process. how is valid once done is closed.
type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
}

func newFamily(log io.Writer, binary string, environ []string) *family {
	return &family{log: log, binary: binary, environ: environ, ended: make(chan *child, maxDevNodes)}
}

// start starts a child and returns its process id.
func (f *family) start(name string, line []string) (int, error) {
	cmd := exec.Command(f.binary, line...)
	cmd.Env = f.environ
	out := &prefixer{to: f.log, prefix: name + " | "}
	cmd.Stdout, cmd.Stderr = out, out // one pipe, so one goroutine writes to out
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, done: make(chan struct{})}
	f.children = append(f.children, c)
	go func() {
		_ = cmd.Wait() // how it ended stands in ProcessState
		out.flush()
		close(c.done)
		f.ended <- c
	}()
	return cmd.Process.Pid, nil
}

// how says how a child ended.
func (c *child) how() string {
	if c.cmd.ProcessState == nil {
		return "unknown"
	}
	return c.cmd.ProcessState.String()
}

// watch tells of children that end, until ctx ends or all have. One that has ended by then is told too.
func (f *family) watch(ctx context.Context) error {
	for alive := len(f.children); alive > 0; {
		var c *child
		select {
		case c = <-f.ended:
		case <-ctx.Done():
			select {
			case c = <-f.ended:
			default:
				return nil
			}
		}
		alive--
		fmt.Fprintf(f.log, "quord: %s (pid %d) has ended: %s; %s left\n", c.name, c.cmd.Process.Pid, c.how(), plural(alive, "node"))
	}
	return errors.New("all nodes have ended")
}

// stop asks all children to stop, waits, and kills those that have not when time is up.
func (f *family) stop() {
	for _, c := range f.children {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	}
	up := time.NewTimer(stopWithin)
	defer up.Stop()
	for _, c := range f.children {
		select {
		case <-c.done:
			continue
		case <-up.C:
		}
		for _, late := range f.children {
			select {
			case <-late.done:
			default:
				fmt.Fprintf(f.log, "quord: %s (pid %d) did not stop within %s: killed\n", late.name, late.cmd.Process.Pid, stopWithin)
				_ = late.cmd.Process.Signal(os.Kill) // it may have ended by itself meanwhile
				<-late.done
			}
		}
		return
	}
}
