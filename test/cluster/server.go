package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Server is a process of another make on loopback, to compare with: it has an address and can be killed.
type Server struct {
	Addr string
	Name string
	cmd  *exec.Cmd
	done chan struct{}
}

// StartServer runs a command whose server will listen on addr, with its output in log, and waits until it accepts
// connections there.
func StartServer(ctx context.Context, addr, log, name string, args ...string) (*Server, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s := &Server{Addr: addr, Name: name, cmd: exec.Command(name, args...), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // killed, so this is an error always
	}()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return s, conn.Close()
		}
		select {
		case <-tick.C:
		case <-s.done:
			return nil, fmt.Errorf("%s has ended: see %s", name, log)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not listen on %s: %w", name, addr, context.Cause(ctx)), s.Kill())
		}
	}
}

// PID returns the id of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the process with SIGKILL and waits until it is gone.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.done
	return nil
}

// StartRedis runs Debian's redis-server in a directory that exists, on addr, with more arguments of its own.
func StartRedis(ctx context.Context, addr, dir string, args ...string) (*Server, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	args = append([]string{"--bind", host, "--port", port, "--dir", dir, "--save", "", "--daemonize", "no"}, args...)
	return StartServer(ctx, addr, filepath.Join(dir, "redis-"+port+".log"), "redis-server", args...)
}
