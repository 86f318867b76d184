package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/command"
)

// Server serves clients on any number of listeners.
type Server struct {
	cfg     Config
	backend Backend
	table   map[*command.Spec]*entry
	unknown *entry // stands for what is not in the table
	batches sync.Pool
	tablets int
	started time.Time
	runID   string // drawn at each start: who watches it notices a restart

	password [sha256.Size]byte // of cfg.Password
	open     bool              // no password is asked for

	// ctx lives as long as the server; it ends the commands that wait for other nodes when Close loses its patience.
	ctx    context.Context
	cancel context.CancelFunc
	// stopping ends with the beginning of Close, for what may take hours.
	stopping context.Context
	stop     context.CancelFunc

	nextID  atomic.Int64
	input   atomic.Int64 // bytes that input buffers take beyond what each connection may keep
	counted counters
	errors  errorCounts
	keys    keyCount
	leaving leaveState

	mu        sync.Mutex
	closing   bool                      // guarded by mu
	listeners map[net.Listener]struct{} // guarded by mu
	sessions  map[int64]*session        // guarded by mu
	running   sync.WaitGroup            // sessions and the counting of keys; Add only under mu while not closing
}

// New returns a Server of backend, which must know its number of tablets by now. It starts nothing.
func New(cfg Config, backend Backend) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, backend: backend, tablets: backend.Tablets(), started: cfg.Now(),
		password: sha256.Sum256([]byte(cfg.Password)), open: cfg.Password == "",
		listeners: map[net.Listener]struct{}{}, sessions: map[int64]*session{},
	}
	s.runID = newRunID()
	var err error
	if s.table, s.unknown, err = newTable(); err != nil {
		return nil, err
	}
	s.batches.New = func() any { return newBatch(s) }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.stopping, s.stop = context.WithCancel(s.ctx)
	return s, nil
}

// newRunID returns 40 random hexadecimal digits, as Redis names a process.
func newRunID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Serve accepts connections until the listener fails or Close is called; then it returns ErrClosed. It closes l.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.track(l, true) {
		return ErrClosed
	}
	defer s.track(l, false)
	var pause time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.admit(conn)
			continue
		case s.isClosing():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept clients: %w", err)
		}
		// Out of descriptors, most likely. It passes when connections close.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.counted.acceptErrors.Add(1)
		s.cfg.Log.Warn("cannot accept a client", "error", err, "retry_in", pause)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return ErrClosed
		}
	}
}

// track adds or removes a listener; it reports whether the server is open.
func (s *Server) track(l net.Listener, add bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !add {
		delete(s.listeners, l)
		return true
	}
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// admit starts a session for conn, or refuses it.
func (s *Server) admit(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Failures mean that the connection is gone; the session will notice.
		_ = tcp.SetNoDelay(true) // both only make a connection better; one that is gone shows with the first read
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: true, Idle: time.Minute, Interval: 20 * time.Second, Count: 3,
		})
	}
	s.counted.accepted.Add(1)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		conn.Close()
		return
	}
	if len(s.sessions) >= s.cfg.MaxClients {
		s.mu.Unlock()
		s.counted.rejected.Add(1)
		// A fresh socket takes one line at once; the deadline is for the one that does not.
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // fails only on a closed connection, which needs no answer
		_, _ = conn.Write([]byte("-ERR max number of clients reached\r\n"))
		conn.Close()
		return
	}
	c := newSession(s, conn, s.nextID.Add(1))
	s.sessions[c.id] = c
	s.running.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.running.Done()
		c.serve()
		s.mu.Lock()
		delete(s.sessions, c.id)
		s.mu.Unlock()
	}()
}

// Close stops accepting, lets every session finish and answer the batch in flight, and closes the connections: a client
// must take its replies within PartingTimeout, and who waits for a leave waits no longer. When ctx ends first it cuts them
// off and returns an error; sessions that wait for the Backend end when it has answered.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	for _, c := range s.sessions {
		c.drain()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	defer s.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	n := len(s.sessions)
	for _, c := range s.sessions {
		c.conn.Close()
	}
	s.mu.Unlock()
	return fmt.Errorf("close server: %d sessions were still at work: %w", n, context.Cause(ctx))
}

// all returns the sessions, ordered by id.
func (s *Server) all() []*session {
	s.mu.Lock()
	list := make([]*session, 0, len(s.sessions))
	for _, c := range s.sessions {
		list = append(list, c)
	}
	s.mu.Unlock()
	sortSessions(list)
	return list
}

// reserve is asked before an input buffer grows by n bytes, and told with a negative n when it has shrunk.
func (s *Server) reserve(n int) bool {
	if s.input.Add(int64(n)) > s.cfg.MaxInput && n > 0 {
		s.input.Add(-int64(n))
		return false
	}
	return true
}

// checkPassword compares in a time that says nothing about the password.
func (s *Server) checkPassword(user, password []byte) bool {
	sum := sha256.Sum256(password)
	right := subtle.ConstantTimeCompare(sum[:], s.password[:]) == 1 || s.open
	return string(user) == "default" && right
}
