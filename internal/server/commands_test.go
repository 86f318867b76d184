package server

import (
	"math"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/internal/resp"
)

// What client libraries send when they connect must be answered as they expect, or nobody can connect.
func TestHandshakes(t *testing.T) {
	s := newTestServer(t, Config{}, newFakeNode(t, 16))
	c := s.dial()
	c.want(`"PONG"`, "PING")
	c.want(`"hi"`, "PING", "hi")
	c.want(`"x"`, "ECHO", "x")
	c.wantPrefix("(error) ERR wrong number of arguments for 'ping' command", "PING", "a", "b")
	c.wantPrefix("(error) ERR wrong number of arguments for 'echo' command", "ECHO")
	c.want(`["server" "redis" "version" "7.2.4" "proto" (integer) 2 "id" (integer) 1 "mode" "standalone" "role" "master" "modules" []]`,
		"HELLO")
	c.want(`(error) NOPROTO unsupported protocol version`, "HELLO", "4")
	c.want(`(error) ERR Protocol version is not an integer or out of range`, "HELLO", "x")
	c.want(`(error) ERR Syntax error in HELLO option 'what'`, "HELLO", "3", "what")
	c.raw("HELLO 3 SETNAME me\r\n", "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n"+
		"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n")
	c.want(`"me"`, "CLIENT", "GETNAME")
	c.raw("GET none\r\nHELLO 2\r\n", "_\r\n*14\r\n")
	if _, err := c.conn.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	c.raw("GET none\r\n", "$-1\r\n")
	c.want(`"OK"`, "SELECT", "0")
	c.want(`(error) ERR DB index is out of range`, "SELECT", "1")
	c.want(`(error) ERR value is not an integer or out of range`, "SELECT", "x")
	c.want(`"OK"`, "CLIENT", "SETINFO", "LIB-NAME", "go-redis")
	c.want(`"OK"`, "client", "setinfo", "lib-ver", "1.2.3")
	c.want(`(error) ERR Unrecognized option 'x'`, "CLIENT", "SETINFO", "x", "y")
	c.want(`(error) ERR lib-name cannot contain spaces, newlines or special characters.`, "CLIENT", "SETINFO", "LIB-NAME", "a b")
	c.want(`(error) ERR Client names cannot contain spaces, newlines or special characters.`, "CLIENT", "SETNAME", "a b")
	c.want(`"OK"`, "CLIENT", "NO-EVICT", "on")
	c.want(`"OK"`, "CLIENT", "NO-TOUCH", "off")
	c.want(`(error) ERR syntax error`, "CLIENT", "NO-TOUCH", "maybe")
	c.wantPrefix(`(error) ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.`, "CLIENT", "MAINT_NOTIFICATIONS", "ON")
	c.wantPrefix(`(error) ERR unknown command 'MULTI', with args beginning with: `, "MULTI")
	c.wantPrefix(`(error) ERR unknown command '_len', with args beginning with: `, "_len")
	c.want(`(integer) 1`, "CLIENT", "ID")
	c.want(`"RESET"`, "RESET")
	c.want(`(nil)`, "CLIENT", "GETNAME")
	c.want(`"OK"`, "QUIT")
	c.closed()
}

// Everything in the command table must be carried out by someone; a command without anyone is found when a server is made.
func TestEveryCommandIsCarriedOut(t *testing.T) {
	table, _, err := newTable()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, e := range table {
		names[e.name] = true
	}
	for name := range handlers {
		if !names[name] {
			t.Errorf("the server carries out %q, which the table does not know", name)
		}
	}
}

// A password must keep everybody out who does not have it, and tell nobody more than that.
func TestPassword(t *testing.T) {
	s := newTestServer(t, Config{Password: "secret"}, newFakeNode(t, 16))
	c := s.dial()
	c.want(`(error) NOAUTH Authentication required.`, "GET", "a")
	c.want(`(error) NOAUTH Authentication required.`, "PING")
	c.want(`(error) NOAUTH Authentication required.`, "QUORD.LEAVE")
	c.wantPrefix(`(error) NOAUTH HELLO must be called`, "HELLO", "3")
	c.want(`(error) WRONGPASS invalid username-password pair or user is disabled.`, "AUTH", "wrong")
	c.want(`(error) WRONGPASS invalid username-password pair or user is disabled.`, "AUTH", "someone", "secret")
	c.want(`(error) WRONGPASS invalid username-password pair or user is disabled.`, "HELLO", "3", "AUTH", "default", "x")
	c.want(`(error) ERR syntax error`, "AUTH", "a", "b", "c")
	c.want(`"OK"`, "AUTH", "secret")
	c.want(`"OK"`, "SET", "a", strings.Repeat("x", 100_000))
	c.want(`"RESET"`, "RESET")
	c.want(`(error) NOAUTH Authentication required.`, "GET", "a")
	c.wantPrefix(`["server"`, "HELLO", "3", "AUTH", "default", "secret", "SETNAME", "x")
	c.want(`(integer) 100000`, "STRLEN", "a")

	c = s.dial()
	// AUTH and what follows may come in one packet; the limits change in between.
	c.send(resp.AppendCommand(resp.AppendCommand(nil, "AUTH", "default", "secret"), "SET", "a", strings.Repeat("x", 100_000)))
	if a, b := c.reply(), c.reply(); a != `"OK"` || b != `"OK"` {
		t.Errorf("got %s, %s", a, b)
	}
	c = s.dial()
	c.send([]byte("*2\r\n$4\r\nAUTH\r\n$20000\r\n"))
	if got := c.reply(); got != "(error) ERR Protocol error: unauthenticated bulk length" {
		t.Errorf("got %s", got)
	}
	c.closed()
	if m := s.Metrics(); m.AuthFailed != 3 || m.Dropped["protocol_error"] != 1 {
		t.Errorf("%d failed, %v dropped", m.AuthFailed, m.Dropped)
	}

	open := newTestServer(t, Config{}, newFakeNode(t, 16)).dial()
	open.wantPrefix(`(error) ERR AUTH <password> called without any password`, "AUTH", "x")
	open.want(`"OK"`, "AUTH", "default", "anything")
	open.wantPrefix(`(error) WRONGPASS`, "AUTH", "someone", "x")
}

// An operator finds connections and ends them.
func TestClientListAndKill(t *testing.T) {
	s := newTestServer(t, Config{}, newFakeNode(t, 16))
	a, b := s.dial(), s.dial()
	a.want(`"OK"`, "CLIENT", "SETNAME", "first")
	b.want(`"OK"`, "CLIENT", "SETNAME", "second")
	list := a.do("CLIENT", "LIST")
	for _, want := range []string{`id=1 addr=127\.0\.0\.1:\d+ laddr=`, `name=first`, `name=second`, `cmd=client\|setname`, `lib-name= lib-ver=`} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("CLIENT LIST lacks %s: %s", want, list)
		}
	}
	if info := b.do("CLIENT", "INFO"); !strings.Contains(info, "id=2 ") || strings.Contains(info, "id=1 ") {
		t.Errorf("CLIENT INFO is %s", info)
	}
	a.want(`""`, "CLIENT", "LIST", "TYPE", "pubsub")
	a.want("(error) ERR Unknown client type 'x'", "CLIENT", "LIST", "TYPE", "x")
	if one := a.do("CLIENT", "LIST", "ID", "2"); !strings.Contains(one, "id=2 ") || strings.Contains(one, "id=1 ") {
		t.Errorf("CLIENT LIST ID 2 is %s", one)
	}
	a.want("(error) ERR Invalid client ID", "CLIENT", "LIST", "ID", "x")
	a.want("(error) ERR No such client", "CLIENT", "KILL", "1.2.3.4:5")
	a.want("(error) ERR syntax error", "CLIENT", "KILL", "ID", "1", "x")
	a.want("(integer) 0", "CLIENT", "KILL", "ID", "99")
	a.want("(integer) 0", "CLIENT", "KILL", "MAXAGE", "1000")
	a.want("(integer) 1", "CLIENT", "KILL", "TYPE", "normal", "ID", "2")
	if n := s.Metrics().Dropped["killed"]; n != 1 {
		t.Errorf("%d killed as the answer arrives", n)
	}
	b.closed()
	c := s.dial()
	c.want(`"PONG"`, "PING") // the server has taken the connection by now
	a.want(`"OK"`, "CLIENT", "KILL", c.conn.LocalAddr().String())
	c.closed()
	a.want("(integer) 1", "CLIENT", "KILL", "ID", "1", "SKIPME", "no")
	a.closed()
	if n := s.Metrics().Dropped["killed"]; n != 2 {
		t.Errorf("%d killed", n)
	}
}

// A loader that switches replies off must get none, and its next answer must be the one it waits for.
func TestClientReply(t *testing.T) {
	c := newTestServer(t, Config{}, newFakeNode(t, 16)).dial()
	c.raw("CLIENT REPLY OFF\r\nSET a 1\r\nGET a\r\nNONSENSE\r\nPING\r\nCLIENT REPLY ON\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n")
	c.raw("CLIENT REPLY SKIP\r\nSET a 2\r\nGET a\r\n", "$1\r\n2\r\n")
	c.raw("CLIENT REPLY SKIP\r\nPING\r\nPING\r\n", "+PONG\r\n")
	c.raw("CLIENT REPLY SKIP\r\nDBSIZE\r\nPING\r\n", "+PONG\r\n")
	c.want("(error) ERR syntax error", "CLIENT", "REPLY", "x")
}

// Exporters, consoles and libraries read INFO line by line.
func TestInfo(t *testing.T) {
	c := newTestServer(t, Config{}, newFakeNode(t, 16)).dial()
	c.want(`"OK"`, "SET", "a", "1")
	c.wantPrefix("(error)", "INCR", "a", "b")
	text := func(words ...string) string {
		c.send(resp.AppendCommand(nil, words...))
		v, err := c.in.Read()
		if err != nil {
			t.Fatal(err)
		}
		return string(v.Text)
	}
	all := text("INFO", "everything")
	for _, line := range []string{
		"# Server", "redis_version:7.2.4", "redis_mode:standalone", "loading:0", "role:master", "cluster_enabled:0",
		"connected_clients:1", "db0:keys=1,expires=0,avg_ttl=0", "# Commandstats", "errorstat_ERR:count=1", "maxmemory:0",
		"durability:an acknowledged write is on the disks (fsync) of a majority of the replicas of its tablet",
	} {
		if !strings.Contains("\r\n"+all, "\r\n"+line+"\r\n") {
			t.Errorf("INFO everything lacks the line %q", line)
		}
	}
	for _, re := range []string{`cmdstat_set:calls=1,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=0,failed_calls=0`, `cmdstat_incr:calls=0,.*rejected_calls=1`, `used_memory:\d+`, `run_id:[0-9a-f]{40}\r`, `used_cpu_user:\d+\.\d+`} {
		if !regexp.MustCompile(re).MatchString(all) {
			t.Errorf("INFO everything lacks %s", re)
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(all, "\r\n"), "\r\n") {
		if line != "" && line[0] != '#' && !strings.Contains(line, ":") || strings.ContainsAny(line, "\r\n") {
			t.Errorf("not a line of INFO: %q", line)
		}
	}
	if s := text("INFO", "server", "replication"); !strings.HasPrefix(s, "# Server\r\n") || !strings.Contains(s, "\r\n\r\n# Replication\r\n") || strings.Contains(s, "# Memory") {
		t.Errorf("INFO server replication is %q", s)
	}
	if s := text("INFO"); strings.Contains(s, "# Commandstats") || !strings.Contains(s, "# Quord") {
		t.Error("INFO shows other sections than by default")
	}
	if s := text("INFO", "nothing"); s != "" {
		t.Errorf("INFO nothing is %q", s)
	}
	c.want(`"OK"`, "CONFIG", "RESETSTAT")
	if s := text("INFO", "commandstats"); strings.Contains(s, "cmdstat_set") {
		t.Error("CONFIG RESETSTAT left counters")
	}
}

// Tools ask for settings before they start; what cannot be changed must say so.
func TestConfig(t *testing.T) {
	c := newTestServer(t, Config{}, newFakeNode(t, 16)).dial()
	c.want(`["save" ""]`, "CONFIG", "GET", "save")
	c.want(`["appendonly" "yes" "databases" "1"]`, "CONFIG", "GET", "DATABASES", "append??l[xy]")
	c.want(`["maxmemory" "0" "maxmemory-policy" "noeviction"]`, "config", "get", "maxmemory*")
	c.want(`[]`, "CONFIG", "GET", "nothing")
	c.wantPrefix("(error) ERR CONFIG SET failed - can't set 'maxmemory' in a running node", "CONFIG", "SET", "maxmemory", "1")
	c.want("(error) ERR Unknown option or number of arguments for CONFIG SET - 'x'", "CONFIG", "SET", "x", "1")
	c.want("(error) ERR syntax error", "CONFIG", "SET", "maxmemory", "1", "x")
	c.wantPrefix("(error) ERR", "CONFIG", "REWRITE")
	c.want(`"OK"`, "CONFIG", "RESETSTAT")
	c.wantPrefix(`["CONFIG <subcommand>`, "CONFIG", "HELP")
	c.wantPrefix(`(error) ERR unknown subcommand 'X'. Try CONFIG HELP.`, "CONFIG", "X")
	c.wantPrefix(`(error) ERR wrong number of arguments for 'config' command`, "CONFIG")
}

// The small commands that programs rely on.
func TestTimeWaitClusterCommand(t *testing.T) {
	c := newTestServer(t, Config{}, newFakeNode(t, 16)).dial()
	if got := c.do("TIME"); !regexp.MustCompile(`^\["\d{10}" "\d{1,6}"\]$`).MatchString(got) {
		t.Errorf("TIME is %s", got)
	}
	c.want("(integer) 1", "WAIT", "2", "100")
	c.want("(error) ERR timeout is negative", "WAIT", "2", "-1")
	c.want("(error) ERR value is not an integer or out of range", "WAIT", "x", "1")
	c.want("(integer) 12182", "CLUSTER", "KEYSLOT", "foo")
	c.wantPrefix("(error) ERR This instance has cluster support disabled", "CLUSTER", "INFO")
	c.wantPrefix("(error) ERR This instance has cluster support disabled", "CLUSTER", "SLOTS")
	c.wantPrefix(`["CLUSTER <subcommand>`, "CLUSTER", "HELP")
	c.wantPrefix("(integer) ", "COMMAND", "COUNT")
	c.wantPrefix(`[["get" (integer) 2 `, "COMMAND", "INFO", "get")
	c.wantPrefix(`["k"]`, "COMMAND", "GETKEYS", "get", "k")
	if all := c.do("COMMAND"); !strings.Contains(all, `["get" (integer) 2 `) {
		t.Error("COMMAND does not describe GET")
	}
	if docs := c.do("COMMAND", "DOCS", "set"); !strings.Contains(docs, `"summary"`) {
		t.Errorf("COMMAND DOCS set is %s", docs)
	}
}

// The verbs of the command line read these shapes.
func TestQuordCommands(t *testing.T) {
	node := newFakeNode(t, 16)
	c := newTestServer(t, Config{}, node).dial()
	c.wantPrefix(`["key" "k" "slot" (integer) 12182 "tablet" (integer) 0 "id" "" "model" "" "epoch" (integer) 0 `+
		`"leader" ["id" "a" "addr" "b"] "replicas" [] `, "QUORD.LOOKUP", "k")
	c.wantPrefix(`["key" "k"`, "QUORD.LOOKUP", "k", "iterative")
	c.wantPrefix(`["key" "k"`, "QUORD.LOOKUP", "k", "recursive")
	c.wantPrefix("(error) ERR syntax error", "QUORD.LOOKUP", "k", "x")
	if want := []string{"iterative", "iterative", "recursive"}; !slices.Equal(node.lookups, want) {
		t.Errorf("lookups were %v, want %v", node.lookups, want)
	}
	c.raw("QUORD.STATUS\r\n", "*10\r\n$7\r\nhealthy\r\n:1\r\n$3\r\nwhy\r\n*0\r\n$5\r\nnodes\r\n*6\r\n$2\r\nup\r\n:0\r\n$7\r\nsuspect\r\n:0\r\n$4\r\ndown\r\n:0\r\n"+
		"$7\r\ntablets\r\n*8\r\n$5\r\ntotal\r\n:0\r\n$16\r\nunder_replicated\r\n:0\r\n$11\r\nunavailable\r\n:0\r\n$6\r\nmoving\r\n:0\r\n$7\r\nworkers\r\n*0\r\n")
	c.wantPrefix(`["server"`, "HELLO", "3")
	c.raw("QUORD.STATUS\r\n", "%5\r\n$7\r\nhealthy\r\n#t\r\n")
	c.conn.Close()

	c = newTestServer(t, Config{}, node).dial()
	c.wantPrefix(`["cluster" "c" "replicas" (integer) 3 "tablets" (integer) 16 "nodes" [["id" "node-1"`, "QUORD.RING")
	c.want(`"removed dead, dry run true"`, "QUORD.REMOVE", "dead", "DRYRUN")
	c.want(`"removed dead, dry run false"`, "QUORD.REMOVE", "dead")
	c.want(`(error) ERR no node "x"`, "QUORD.REMOVE", "x")
	c.wantPrefix("(error) ERR syntax error", "QUORD.REMOVE", "dead", "x")
	c.want("(error) TRYAGAIN later", "QUORD.REPLACE", "dead")
	c.wantPrefix(`"node node-1 would hand over its replicas of 16 tablets`, "QUORD.LEAVE", "DRYRUN")
	c.want(`"OK"`, "QUORD.LEAVE")
	c.want(`(error) ERR this node is leaving already: 1 of 2 done`, "QUORD.LEAVE")
}

// Who plans the size of a machine reads the memory of the process, which must be neither what was once reserved nor less
// than what is in use; who watches run_id must notice a restart.
func TestInfoMeasures(t *testing.T) {
	section := func(name string) map[string]string {
		c := newTestServer(t, Config{}, newFakeNode(t, 16)).dial()
		c.send(resp.AppendCommand(nil, "INFO", name))
		v, err := c.in.Read()
		if err != nil {
			t.Fatal(err)
		}
		lines := map[string]string{}
		for line := range strings.Lines(string(v.Text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			lines[key] = value
		}
		return lines
	}
	if a, b := section("server")["run_id"], section("server")["run_id"]; a == b {
		t.Errorf("two servers have the run_id %q", a)
	}

	const size = 64 << 20
	ballast := make([]byte, size)
	for i := range ballast {
		ballast[i] = 1 // so that it is resident
	}
	number := func(lines map[string]string, key string) uint64 {
		n, err := strconv.ParseUint(lines[key], 10, 64)
		if err != nil {
			t.Errorf("%s:%s is no number", key, lines[key])
		}
		return n
	}
	with := section("memory")
	runtime.KeepAlive(ballast)
	ballast = nil
	debug.FreeOSMemory()
	without := section("memory")
	rss, later := number(with, "used_memory_rss"), number(without, "used_memory_rss")
	if rss < size || later > rss-size/2 {
		t.Errorf("used_memory_rss is %d with %d bytes in use, and %d after they were given back", rss, size, later)
	}
	if runtime.GOOS == "linux" {
		if peak := number(without, "used_memory_peak"); peak+1<<20 < rss { // the kernel counts by CPU, and is this exact
			t.Errorf("used_memory_peak is %d, and %d were resident before", peak, rss)
		}
	}
	ratio, err := strconv.ParseFloat(with["mem_fragmentation_ratio"], 64)
	if want := float64(rss) / float64(number(with, "used_memory")); err != nil || math.Abs(ratio-want) > 0.01 {
		t.Errorf("mem_fragmentation_ratio is %s, want %.2f", with["mem_fragmentation_ratio"], want)
	}
}

// Who lets a node go must hear beforehand that the data will have fewer copies than the cluster is set to keep.
func TestAfterLeaving(t *testing.T) {
	ring := func(others ...string) admin.Ring {
		r := admin.Ring{Replicas: 3, Nodes: []admin.Node{{ID: "self", State: "up"}}}
		for _, state := range others {
			r.Nodes = append(r.Nodes, admin.Node{ID: "other", State: state})
		}
		return r
	}
	for _, c := range []struct {
		ring admin.Ring
		want string
	}{
		{ring("up", "suspect", "joining"), ""},
		{ring("up", "up", "down", "leaving"), "; 2 nodes would remain, and each tablet have 2 copies instead of 3"},
		{ring("up", "down"), "; 1 node would remain, and each tablet have 1 copy instead of 3"},
		{ring(), "; but no other node is up, so it would be refused"},
	} {
		if got := afterLeaving(c.ring, "self"); got != c.want {
			t.Errorf("%+v: %q, want %q", c.ring.Nodes, got, c.want)
		}
	}
}
