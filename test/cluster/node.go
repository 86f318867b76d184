package cluster

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// How often something that cannot be waited for is asked again: a page, and a status, which costs a process.
const (
	pollEvery   = 50 * time.Millisecond
	statusEvery = 250 * time.Millisecond
)

// Node is one `quord serve`, running or not. Its directory and addresses outlive its processes.
type Node struct {
	Name     string
	Dir      string // data directory
	Log      string // everything that its processes printed, one after another
	Addr     string // Redis protocol
	PeerAddr string // where others reach it
	HTTPAddr string
	Env      []string // variables of its environment besides those of the test

	listen string // where it listens for peers; "" is PeerAddr
	binary string
	flags  []string
	run    *process
	starts atomic.Int32
}

// process is one life of a Node.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and its output is in the log
	err  error         // valid after done: what exec.Cmd.Wait returned
}

// Args returns the arguments that Start gives to the binary.
func (n *Node) Args() []string {
	return append([]string{
		"serve", "--dir", n.Dir, "--addr", n.Addr, "--peer-addr", cmp.Or(n.listen, n.PeerAddr), "--http-addr", n.HTTPAddr,
		"--log-format", "json",
	}, n.flags...)
}

// Start runs the node's process and returns at once; WaitReady waits until it serves.
func (n *Node) Start() error {
	if n.Running() {
		return fmt.Errorf("%s runs already", n.Name)
	}
	log, err := os.OpenFile(n.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- start %d: %s %s\n", n.starts.Add(1), n.binary, strings.Join(n.Args(), " "))
	cmd := exec.Command(n.binary, n.Args()...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(environ(), n.Env...), log, log
	// A node in a group of its own does not see the Ctrl-C of whoever runs the test, and dies with the test itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	n.run = p
	return nil
}

// Running reports whether the node's process has been started and has not ended.
func (n *Node) Running() bool {
	if n.run == nil {
		return false
	}
	select {
	case <-n.run.done:
		return false
	default:
		return true
	}
}

// ExitCode returns how the node's last process has ended, -1 when a signal ended it, or when none has ended.
func (n *Node) ExitCode() int {
	if n.run == nil || n.Running() {
		return -1
	}
	return n.run.cmd.ProcessState.ExitCode()
}

// PID returns the id of the node's process, 0 when it does not run.
func (n *Node) PID() int {
	if !n.Running() {
		return 0
	}
	return n.run.cmd.Process.Pid
}

// Kill ends the process as a power cut would (SIGKILL) and waits until it is gone.
func (n *Node) Kill() error {
	if !n.Running() {
		return fmt.Errorf("kill %s: it does not run", n.Name)
	}
	if err := n.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-n.run.done
	return nil
}

// Pause stops the process's threads (SIGSTOP), as a long pause of a virtual machine would.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on (SIGCONT).
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

// Terminate asks the process to stop (SIGTERM) and waits for it; an exit code other than 0 is an error.
func (n *Node) Terminate(ctx context.Context) error {
	if err := n.signal(syscall.SIGTERM); err != nil {
		return err
	}
	code, err := n.WaitExit(ctx)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("%s ended with exit code %d after SIGTERM\n%s", n.Name, code, n.Tail(20))
	}
	return nil
}

// WaitExit waits until the process has ended and returns its exit code, -1 when a signal ended it.
func (n *Node) WaitExit(ctx context.Context) (int, error) {
	if n.run == nil {
		return 0, fmt.Errorf("%s was never started", n.Name)
	}
	select {
	case <-n.run.done:
		return n.run.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%s has not ended: %w\n%s", n.Name, context.Cause(ctx), n.Tail(20))
	}
}

func (n *Node) signal(s syscall.Signal) error {
	if !n.Running() {
		return fmt.Errorf("signal %s: it does not run", n.Name)
	}
	if err := n.run.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", n.Name, err)
	}
	return nil
}

// WaitReady waits until /readyz answers 200. It fails as soon as the process ends.
func (n *Node) WaitReady(ctx context.Context) error {
	why := "no answer yet"
	for {
		body, code, err := n.HTTP(ctx, "/readyz")
		switch {
		case err == nil && code == http.StatusOK:
			return nil
		case err == nil:
			why = strings.TrimSpace(string(body))
		}
		if err := n.pause(ctx, pollEvery); err != nil {
			return fmt.Errorf("%s is not ready (%s): %w\n%s", n.Name, why, err, n.Tail(20))
		}
	}
}

// pause waits for the next time to ask, and fails when there is no use in asking.
func (n *Node) pause(ctx context.Context, d time.Duration) error {
	if n.run == nil {
		return errors.New("it was never started")
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-n.run.done:
		return fmt.Errorf("its process has ended with exit code %d", n.run.cmd.ProcessState.ExitCode())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// HTTP fetches one of the node's pages.
func (n *Node) HTTP(ctx context.Context, path string) (body []byte, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTPAddr+path, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return body, resp.StatusCode, err
}

// Tail returns the last lines of the node's log.
func (n *Node) Tail(lines int) string {
	b, err := os.ReadFile(n.Log)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(b, "\n"), []byte("\n"))
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return fmt.Sprintf("the last lines of %s:\n  %s", n.Log, bytes.Join(all, []byte("\n  ")))
}

// brokenPattern finds what no log may hold, whatever a test did to its node.
var brokenPattern = regexp.MustCompile(`(?m)^(panic:|fatal error:|WARNING: DATA RACE|goroutine \d+ \[).*$`)

// Broken returns the first line of the node's log that no log may hold, "" when there is none.
func (n *Node) Broken() string {
	log, err := os.ReadFile(n.Log)
	if err != nil {
		return "" // it was never started
	}
	return string(brokenPattern.Find(log))
}

// PublicKey returns the key by which other nodes know the node, once it has made one.
func (n *Node) PublicKey() (ed25519.PublicKey, error) {
	b, err := os.ReadFile(filepath.Join(n.Dir, "node.key"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block in node.key", n.Name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: node.key holds a %T", n.Name, key)
	}
	return private.Public().(ed25519.PublicKey), nil
}

// CPU returns the processor time that the node's process has used so far.
func (n *Node) CPU() (time.Duration, error) {
	pid := n.PID()
	if pid == 0 {
		return 0, fmt.Errorf("%s does not run", n.Name)
	}
	return ProcessCPU(pid)
}

// ProcessCPU returns the processor time that a process and its threads have used so far (proc(5): utime and stime,
// in hundredths of a second).
func ProcessCPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses, which may hold anything; the fields are counted after it.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("process %d: cannot read its stat", pid)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		v, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		ticks += v
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// Join makes the node one that joins the members at peers when it is started next with an empty directory, and that
// makes no cluster.
func (n *Node) Join(peers ...string) {
	var flags []string
	for i := 0; i < len(n.flags); i++ {
		switch n.flags[i] {
		case "--init":
		case "--join":
			i++
		default:
			flags = append(flags, n.flags[i])
		}
	}
	n.flags = append(flags, "--join", strings.Join(peers, ","))
}

// Joining returns a node with the same directory, log and addresses that is told to join the members at peers, and
// that makes no cluster.
func (n *Node) Joining(peers ...string) *Node {
	return &Node{
		Name: n.Name, Dir: n.Dir, Log: n.Log, Addr: n.Addr, PeerAddr: n.PeerAddr, HTTPAddr: n.HTTPAddr, binary: n.binary,
		flags: []string{"--join", strings.Join(peers, ",")},
	}
}
