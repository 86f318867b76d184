package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Body.String()
}

// An orchestrator restarts what is not alive and sends nothing to what is not ready: it must not mix them up.
func TestHealthAndReadiness(t *testing.T) {
	var why error
	h := Handler(Config{Ready: func() error { return why }})
	if code, body := get(t, h, "GET", "/readyz"); code != 200 || body != "ready\n" {
		t.Errorf("ready: %d %q", code, body)
	}
	why = errors.New("12 of 1024 tablets have not caught up")
	if code, body := get(t, h, "GET", "/readyz"); code != 503 || !strings.Contains(body, why.Error()) {
		t.Errorf("not ready: %d %q", code, body)
	}
	if code, _ := get(t, h, "GET", "/healthz"); code != 200 {
		t.Errorf("alive but not ready: /healthz answers %d", code)
	}
	if code, _ := get(t, h, "HEAD", "/healthz"); code != 200 {
		t.Errorf("HEAD /healthz answers %d", code)
	}
	if code, _ := get(t, h, "POST", "/healthz"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST /healthz answers %d", code)
	}
	if code, _ := get(t, h, "GET", "/nothing"); code != http.StatusNotFound {
		t.Errorf("GET /nothing answers %d", code)
	}
	if code, _ := get(t, Handler(Config{}), "GET", "/readyz"); code != 200 {
		t.Errorf("without Ready: %d", code)
	}
}

// Dashboards and alerts are written against these lines.
func TestMetrics(t *testing.T) {
	n := 0.0
	h := Handler(Config{
		Build: Build{Version: "v1", Commit: "abc"},
		Sources: []Source{
			func(e Emitter) {
				n++
				e.Counter("quord_scrapes_total", "Scrapes.", n)
				e.Gauge("quord_queue_bytes", "Queue.", 12, "peer", "a")
				e.Gauge("quord_queue_bytes", "Queue.", 13, "peer", "b\"\n")
			},
			func(e Emitter) {
				e.Histogram("quord_command_duration_seconds", "Time.", Histogram{Bounds: []float64{0.1, 1}, Counts: []uint64{2, 3, 4}, Sum: 7.5}, "command", "get")
			},
		},
	})
	_, _ = get(t, h, "GET", "/metrics")
	code, body := get(t, h, "GET", "/metrics")
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	for _, want := range []string{
		"# TYPE quord_scrapes_total counter\nquord_scrapes_total 2\n",
		"quord_queue_bytes{peer=\"a\"} 12\n", `quord_queue_bytes{peer="b\"\n"} 13`,
		`quord_command_duration_seconds_bucket{command="get",le="0.1"} 2`,
		`quord_command_duration_seconds_bucket{command="get",le="1"} 5`,
		`quord_command_duration_seconds_bucket{command="get",le="+Inf"} 9`,
		`quord_command_duration_seconds_sum{command="get"} 7.5`,
		`quord_build_info{commit="abc",go="go`,
		"quord_go_goroutines ", "quord_process_resident_memory_bytes ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "quord_") && !strings.HasPrefix(line, "# ") {
			t.Errorf("a line that is not ours: %q", line)
		}
	}
}

// One wrong figure must not take all the others from a dashboard, and must be told.
func TestWrongMetricsAreRefusedAlone(t *testing.T) {
	for _, wrong := range []Source{
		func(e Emitter) { e.Gauge("store_bytes", "No prefix.", 1) },
		func(e Emitter) { e.Gauge("quord_a b", "Not a name.", 1) },
		func(e Emitter) { e.Gauge("quord_a", "A label without a value.", 1, "x") },
		func(e Emitter) { e.Gauge("quord_a", "Twice the same.", 1); e.Gauge("quord_a", "Twice the same.", 2) },
		func(e Emitter) { e.Gauge("quord_a", "A value that is not UTF-8.", 1, "x", "\xff") },
		func(e Emitter) {
			e.Histogram("quord_a", "Too few counts.", Histogram{Bounds: []float64{1, 2}, Counts: []uint64{1}})
		},
		func(e Emitter) { e.Histogram("a", "No prefix.", Histogram{}) },
	} {
		var log bytes.Buffer
		h := Handler(Config{
			Log:     slog.New(slog.NewTextHandler(&log, nil)),
			Sources: []Source{wrong, func(e Emitter) { e.Gauge("quord_right", "Right.", 1) }},
		})
		code, body := get(t, h, "GET", "/metrics")
		if code != 200 || !strings.Contains(body, "quord_right 1") || !strings.Contains(log.String(), "metrics are incomplete") {
			t.Errorf("%d, log %q, body without the right one: %t", code, log.String(), !strings.Contains(body, "quord_right 1"))
		}
	}
}

// A node that is told to stop must not wait for monitoring that never hangs up.
func TestServerClosesWithOpenConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Open(l, Config{})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + s.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || !bytes.Contains(body, []byte("/metrics")) {
		t.Errorf("the index: %q, %v", body, err)
	}
	silent, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	// Shutdown gives a connection that has not said anything yet some seconds; a context that has ended gives none.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

// Many idle connections must not exhaust the node's file descriptors.
func TestConnectionsAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(l, 1)
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if len(b.free) != cap(b.free) {
		t.Fatal("the first connection takes no place")
	}
	_ = first.Close()
	_ = first.Close() // gives its place back once only
	second, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() { _, err := b.Accept(); waiting <- err }()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("who waited for a place when the listener closed: %v", err)
	}
	_ = second.Close()
}
