package differential

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/quorddb/quord/internal/freeport"
)

const (
	startTimeout = 10 * time.Second
	replyTimeout = 30 * time.Second
	// startTries bounds the attempts with another port where one was taken just before redis-server took it.
	startTries = 3
)

// Redis is a redis-server of our own and a connection to it, which begins in RESP3.
type Redis struct {
	cmd  *exec.Cmd
	conn net.Conn
	r    *bufio.Reader
	out  []byte
}

// StartRedis starts a redis-server that refuses strings beyond maxValue bytes, at least 1 MiB.
func StartRedis(maxValue int) (*Redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("the oracle is missing (Debian's package redis-server): %w", err)
	}
	for try := 1; ; try++ {
		r, err := start(path, maxValue)
		if err == nil || try == startTries {
			return r, err
		}
	}
}

func start(path string, maxValue int) (*Redis, error) {
	addr, err := freeport.Addr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--proto-max-bulk-len", strconv.Itoa(maxValue), "--dir", "/tmp")
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	r := &Redis{cmd: cmd}
	deadline := time.Now().Add(startTimeout)
	for {
		if r.conn, err = net.Dial("tcp", addr); err == nil {
			break
		}
		if time.Now().After(deadline) {
			r.Close()
			return nil, fmt.Errorf("redis-server does not answer: %w; it said:\n%s", err, said.Bytes())
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.r = bufio.NewReaderSize(r.conn, 1<<16)
	if _, err := r.Do([][]byte{[]byte("HELLO"), []byte("3")}); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close ends the connection and the server.
func (r *Redis) Close() {
	if r.conn != nil {
		r.conn.Close()
	}
	// It keeps nothing, so there is nothing to lose by killing it.
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// Do sends a command and returns the bytes of its reply.
func (r *Redis) Do(args [][]byte) ([]byte, error) {
	if err := r.conn.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return nil, err
	}
	r.out = fmt.Appendf(r.out[:0], "*%d\r\n", len(args))
	for _, a := range args {
		r.out = fmt.Appendf(r.out, "$%d\r\n", len(a))
		r.out = append(append(r.out, a...), "\r\n"...)
	}
	if _, err := r.conn.Write(r.out); err != nil {
		return nil, fmt.Errorf("send to redis-server: %w", err)
	}
	reply, err := readReply(r.r, nil)
	if err != nil {
		return nil, fmt.Errorf("read from redis-server: %w", err)
	}
	return reply, nil
}

// readReply appends one whole reply, nested ones included, as it came over the wire.
func readReply(r *bufio.Reader, out []byte) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	out = append(out, line...)
	if len(line) < 3 {
		return nil, errors.New("a line is too short")
	}
	n, numErr := strconv.Atoi(string(line[1 : len(line)-2]))
	switch line[0] {
	case '$', '=':
		if numErr != nil {
			return nil, numErr
		}
		if n < 0 {
			return out, nil // the null of RESP2
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, err
		}
		return append(out, body...), nil
	case '*', '~', '%':
		if numErr != nil {
			return nil, numErr
		}
		if line[0] == '%' {
			n *= 2
		}
		for range n {
			if out, err = readReply(r, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
