package node

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/console"
)

// Dashboards and alerts need to see how long commands take, and each queue beside its bound; a page that cannot be parsed
// shows nothing at all.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start("--init", "--password", "secret")
	c := m.client()
	c.must("-WRONGPASS invalid username-password pair or user is disabled.", "AUTH", "wrong")
	c.must("+OK", "AUTH", "secret")
	c.must("+OK", "SET", "k", "v")
	c.must("-ERR value is not an integer or out of range", "INCR", "k")
	c.must("+OK", "MSET", "a", "1", "b", "2", "c", "3", "d", "4")

	w := httptest.NewRecorder()
	console.Handler(m.node.consoleConfig()).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	page := w.Body.String()
	line := regexp.MustCompile(`^(# (HELP|TYPE) quord_\w+ .+|quord_\w+(\{(\w+="[^"]*",?)+\})? [-+.0-9eE]+)\n$`)
	for l := range strings.Lines(page) {
		if !line.MatchString(l) {
			t.Errorf("not a line of the text format: %q", l)
		}
	}
	for _, want := range []string{
		"# TYPE quord_command_seconds histogram\n",
		`quord_command_seconds_bucket{command="set",outcome="ok",le="4.096e-06"} `,
		`quord_command_seconds_bucket{command="set",outcome="ok",le="+Inf"} 1` + "\n",
		`quord_command_seconds_count{command="incr",outcome="failed"} 1` + "\n",
		`quord_command_seconds_sum{command="set",outcome="ok"} `,
		"quord_client_input_bytes 0\n", "quord_client_input_limit_bytes ",
		"quord_peer_queue_limit_bytes 6.7", "quord_auth_failures_total 1\n",
		"quord_commands_oversize_total 0\n", "quord_commands_split_total 1\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}
