package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/memview"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/resp"
	"pgregory.net/rapid"
)

// A pipeline over many tablets, wherever it is cut and however the node answers, must give what one Redis gives that
// executes command after command.
func TestPipelinesAnswerAsOneRedis(t *testing.T) {
	for name, set := range map[string]func(n *fakeNode){
		"local reads":  func(*fakeNode) {},
		"remote reads": func(n *fakeNode) { n.remote = func(uint32) bool { return true } },
		"mixed":        func(n *fakeNode) { n.remote = func(t uint32) bool { return t%2 == 0 }; n.async = true },
		"asynchronous": func(n *fakeNode) { n.async = true },
		"two at most":  func(n *fakeNode) { n.atMost = 2 },
		"mixed, one at most": func(n *fakeNode) {
			n.remote = func(t uint32) bool { return t%2 == 0 }
			n.async, n.atMost = true, 1
		},
	} {
		for _, tablets := range []int{1, 16, 1024} {
			t.Run(fmt.Sprintf("%s, %d tablets", name, tablets), func(t *testing.T) {
				node := newFakeNode(t, tablets)
				node.alone = true
				set(node)
				s := newTestServer(t, Config{MaxBatch: 50, MaxBatchBytes: 2000}, node)
				rapid.Check(t, func(rt *rapid.T) { checkPipeline(rt, s) })
			})
		}
	}
}

// checkPipeline sends drawn commands in drawn pieces and compares all replies with those of one view.
func checkPipeline(t *rapid.T, s *testServer) {
	c := s.dial()
	defer c.conn.Close()
	c.want(`"OK"`, "FLUSHALL")
	model := &memview.View{Time: 1}
	var stream, want []byte
	key := rapid.SampledFrom([]string{"a", "b", "c", "d", "{a}1", "{a}2", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"})
	value := rapid.SampledFrom([]string{"", "1", "x", "17", strings.Repeat("v", 300)})
	for range rapid.IntRange(1, 120).Draw(t, "commands") {
		var words []string
		switch rapid.IntRange(0, 11).Draw(t, "command") {
		case 0, 1:
			words = []string{"SET", key.Draw(t, "k"), value.Draw(t, "v")}
		case 2, 3:
			words = []string{"GET", key.Draw(t, "k")}
		case 4:
			words = []string{"INCR", key.Draw(t, "k")}
		case 5:
			words = append([]string{"MGET"}, rapid.SliceOfN(key, 1, 20).Draw(t, "keys")...)
		case 6:
			words = []string{"MSET"}
			for _, k := range rapid.SliceOfN(key, 1, 6).Draw(t, "keys") {
				words = append(words, k, value.Draw(t, "v"))
			}
		case 7:
			words = append([]string{"DEL"}, rapid.SliceOfN(key, 1, 6).Draw(t, "keys")...)
		case 8:
			words = append([]string{"EXISTS"}, rapid.SliceOfN(key, 1, 20).Draw(t, "keys")...)
		case 9:
			words = []string{"APPEND", key.Draw(t, "k"), value.Draw(t, "v")}
		case 10:
			words = []string{"DBSIZE"}
		case 11:
			words = []string{"GETDEL", key.Draw(t, "k")}
		}
		stream = resp.AppendCommand(stream, words...)
		var reply []byte
		if words[0] == "DBSIZE" {
			reply = resp.AppendInt(nil, model.Len())
		} else {
			args := make([][]byte, len(words))
			for i, w := range words {
				args[i] = []byte(w)
			}
			reply = command.Evaluate(model, args, nil)
		}
		var err error
		if want, err = resp.Downgrade(want, reply); err != nil {
			t.Fatal(err)
		}
	}
	sent := make(chan struct{})
	cuts := rapid.SliceOfN(rapid.IntRange(1, 500), 1, 20).Draw(t, "pieces")
	go func() {
		defer close(sent)
		for i := 0; len(stream) > 0; i++ {
			n := min(cuts[i%len(cuts)], len(stream))
			if _, err := c.conn.Write(stream[:n]); err != nil {
				return
			}
			stream = stream[n:]
		}
	}()
	got := make([]byte, 0, len(want))
	for buf := make([]byte, 4096); len(got) < len(want); {
		n, err := c.conn.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			t.Fatalf("%v after %q", err, got)
		}
	}
	<-sent
	if !bytes.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// A long pipeline must not cost one round of the replicas for each command: what is of one tablet goes together.
func TestRunsOfOneTabletAreOneRequest(t *testing.T) {
	node := newFakeNode(t, 16)
	node.record = true
	s := newTestServer(t, Config{}, node)
	c := s.dial()
	var stream []byte
	for i := range 20 {
		stream = resp.AppendCommand(stream, "SET", fmt.Sprintf("{t}%d", i), "v")
	}
	stream = resp.AppendCommand(stream, "GET", "{t}1")
	stream = resp.AppendCommand(stream, "SET", "{t}1", "w")
	stream = resp.AppendCommand(stream, "SET", "{u}1", "w")
	stream = resp.AppendCommand(stream, "GET", "{t}1")
	c.send(stream)
	var got []string
	for range 24 {
		got = append(got, c.reply())
	}
	if got[20] != `"v"` || got[23] != `"w"` {
		t.Errorf("the reads gave %s and %s", got[20], got[23])
	}
	if node.requests != 3 || node.submits != 2 {
		t.Errorf("%d requests in %d submissions, want 3 in 2: two runs of writes of t, the one of u with the first", node.requests, node.submits)
	}
	if len(node.seen) != 24 {
		t.Errorf("%d commands were executed", len(node.seen))
	}
}

// Of a write over several tablets a client must never be told that nothing happened when a part of it did.
func TestSplitWritesTellTheTruth(t *testing.T) {
	keys := []string{"a", "b", "c", "d", "e"}
	var mset []string
	for _, k := range keys {
		mset = append(mset, k, "1")
	}
	for _, test := range []struct {
		name string
		fail func(n int) *request.Failure
		want string
	}{
		{"no part was applied", func(int) *request.Failure {
			return &request.Failure{Code: request.ClusterDown, Message: "no majority"}
		}, "(error) CLUSTERDOWN no majority"},
		{"some parts were applied", func(n int) *request.Failure {
			if n > 1 {
				return &request.Failure{Code: request.TryAgain, Message: "no leader"}
			}
			return nil
		}, "(error) UNCERTAIN the keys lie in 5 tablets, of which 2 have been written; the first of the others answered: TRYAGAIN no leader"},
		{"parts may have been applied", func(n int) *request.Failure {
			if n == 4 {
				return &request.Failure{Code: request.Uncertain, Message: "timeout"}
			}
			return &request.Failure{Code: request.TryAgain, Message: "no leader"}
		}, "(error) UNCERTAIN the keys lie in 5 tablets, of which 0 have been written; the first of the others answered: TRYAGAIN no leader"},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := newFakeNode(t, 16384)
			s := newTestServer(t, Config{}, node)
			c := s.dial()
			n := 0
			node.fail = func(*request.Request) *request.Failure { n++; return test.fail(n - 1) }
			c.want(test.want, append([]string{"MSET"}, mset...)...)
			n = 0
			c.wantPrefix(test.want[:17], append([]string{"DEL"}, keys...)...)
			// A command on one key repeats what its tablet says.
			n = 4
			if f := test.fail(4); f != nil {
				c.want("(error) "+f.Error(), "SET", "a", "1")
			}
		})
	}
	node := newFakeNode(t, 16384)
	node.remote = func(uint32) bool { return true }
	node.fail = func(r *request.Request) *request.Failure {
		if r.Tablet%2 == 0 {
			return &request.Failure{Code: request.TryAgain, Message: "no leader"}
		}
		return nil
	}
	c := newTestServer(t, Config{}, node).dial()
	c.want("(error) TRYAGAIN no leader", append([]string{"MGET"}, keys...)...)
}

// Commands that are atomic over their keys must be refused where they could not be.
func TestCrossSlot(t *testing.T) {
	c := newTestServer(t, Config{}, newFakeNode(t, 1)).dial()
	c.want("(error) CROSSSLOT Keys in request don't hash to the same slot", "MSETNX", "a", "1", "b", "2")
	c.want("(integer) 1", "MSETNX", "{t}a", "1", "{t}b", "2")
	c.want("(integer) 0", "MSETNX", "{t}a", "1", "{t}c", "2")
	c.want(`["1" "2" (nil)]`, "MGET", "{t}a", "{t}b", "x")
	c.want("(error) ERR wrong number of arguments for 'mset' command", "MSET", "a", "1", "b")
}

// An MGET of thousands of keys gives each its own value.
func TestSplitOverAllTablets(t *testing.T) {
	s := newTestServer(t, Config{}, newFakeNode(t, 1024))
	c := s.dial()
	mset, mget, want := []string{"MSET"}, []string{"MGET"}, []string{}
	for i := range 5000 {
		k := fmt.Sprintf("key:%d", i)
		mset = append(mset, k, fmt.Sprint(i))
		mget = append(mget, k)
		want = append(want, fmt.Sprintf("%q", fmt.Sprint(i)))
	}
	c.want(`"OK"`, mset...)
	c.want("["+strings.Join(want, " ")+"]", mget...)
	c.want("(integer) 5000", append([]string{"EXISTS"}, mget[1:]...)...)
	c.want("(integer) 5000", "DBSIZE")
	c.want("(integer) 2", "UNLINK", "key:1", "key:2", "nothing")
	c.want("(integer) 1", "TOUCH", "key:1", "key:3")
}

// SCAN must find every key that is there throughout, for any COUNT and any number of tablets, and come to an end.
func TestScanFindsAllKeys(t *testing.T) {
	for _, tablets := range []int{1, 16, 1024} {
		for _, keys := range []int{0, 3, 3000} {
			node := newFakeNode(t, tablets)
			node.remote = func(t uint32) bool { return t%3 == 0 }
			s := newTestServer(t, Config{}, node)
			c := s.dial()
			var want []string
			var stream []byte
			for i := range keys {
				want = append(want, fmt.Sprintf("key:%d", i))
				stream = resp.AppendCommand(stream, "SET", want[i], "v")
			}
			go c.conn.Write(stream)
			for range want {
				if got := c.reply(); got != `"OK"` {
					t.Fatal(got)
				}
			}
			slices.Sort(want)
			for _, options := range [][]string{nil, {"COUNT", "1000"}, {"COUNT", "1"}, {"MATCH", "key:1*"}, {"TYPE", "string", "COUNT", "77"}} {
				got, calls := scanAll(t, c, options)
				expected := want
				if len(options) > 0 && options[0] == "MATCH" {
					expected = slices.DeleteFunc(slices.Clone(want), func(k string) bool { return !strings.HasPrefix(k, "key:1") })
				}
				if !slices.Equal(got, expected) {
					t.Errorf("%d tablets, %d keys, %v: found %d keys, want %d", tablets, keys, options, len(got), len(expected))
				}
				if bound := keys + tablets/scanTabletBound + 1; calls > bound {
					t.Errorf("%d tablets, %d keys, %v: %d calls, want at most %d", tablets, keys, options, calls, bound)
				}
			}
			c.send(resp.AppendCommand(nil, "KEYS", "key:*"))
			v, err := c.in.Read()
			if err != nil || len(v.Elems) != keys {
				t.Errorf("KEYS found %d of %d, %v", len(v.Elems), keys, err)
			}
		}
	}
	c := newTestServer(t, Config{}, newFakeNode(t, 16)).dial()
	c.want("(error) ERR invalid cursor", "SCAN", "x")
	c.want("(error) ERR syntax error", "SCAN", "0", "COUNT", "0")
	c.want(`["0" []]`, "SCAN", "18446744073709551615")
}

func scanAll(t *testing.T, c *client, options []string) (keys []string, calls int) {
	cursor := "0"
	for {
		c.send(resp.AppendCommand(nil, append([]string{"SCAN", cursor}, options...)...))
		v, err := c.in.Read()
		if err != nil || len(v.Elems) != 2 {
			t.Fatal(v, err)
		}
		for _, k := range v.Elems[1].Elems {
			keys = append(keys, string(k.Text))
		}
		calls++
		if cursor = string(v.Elems[0].Text); cursor == "0" {
			break
		}
		if calls > 100_000 {
			t.Fatal("the scan does not end")
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys), calls
}

// A tablet that cannot answer must not hide what the others have said, nor be passed over.
func TestScanStopsAtATabletThatIsDown(t *testing.T) {
	node := newFakeNode(t, 16)
	s := newTestServer(t, Config{}, node)
	c := s.dial()
	for i := range 100 {
		c.want(`"OK"`, "SET", fmt.Sprint(i), "v")
	}
	node.remote = func(t uint32) bool { return t == 9 }
	node.fail = func(*request.Request) *request.Failure {
		return &request.Failure{Code: request.ClusterDown, Message: "no majority"}
	}
	c.send(resp.AppendCommand(nil, "SCAN", "0", "COUNT", "1000"))
	v, err := c.in.Read()
	if err != nil || len(v.Elems) != 2 || len(v.Elems[1].Elems) == 0 {
		t.Fatal(v, err)
	}
	cursor := string(v.Elems[0].Text)
	c.want("(error) CLUSTERDOWN no majority", "SCAN", cursor)
	c.want("(error) CLUSTERDOWN no majority", "DBSIZE")
	c.want("(error) CLUSTERDOWN no majority", "KEYS", "*")
	c.want("(error) CLUSTERDOWN no majority", "FLUSHALL")
	node.fail = func(r *request.Request) *request.Failure {
		if r.Tablet == 9 {
			return &request.Failure{Code: request.TryAgain, Message: "no leader"}
		}
		return nil
	}
	c.want("(error) UNCERTAIN 15 of 16 tablets have been emptied; the first of the others answered: TRYAGAIN no leader", "FLUSHALL", "ASYNC")
	c.want("(error) ERR syntax error", "FLUSHALL", "now")
	node.fail, node.remote = nil, nil
	c.want(`"OK"`, "FLUSHDB")
	c.want("(integer) 0", "DBSIZE")
}

// With half of the tablets out of reach FLUSHALL would wait for one request timeout after the other, minutes in all; a
// keyspace that is merely large must be emptied whole, however long that takes.
func TestFlushAllEndsInTime(t *testing.T) {
	node := newFakeNode(t, 256)
	start := time.Now()
	var passed atomic.Int64
	s := newTestServer(t, Config{
		AdminTimeout: 10 * time.Second,
		Now:          func() time.Time { return start.Add(time.Duration(passed.Load())) },
	}, node)
	c := s.dial()
	slow := func(failing func(tablet uint32) bool) {
		node.mu.Lock()
		defer node.mu.Unlock()
		node.requests = 0
		node.fail = func(r *request.Request) *request.Failure {
			if r.Tablet%inFlight == 0 {
				passed.Add(int64(6 * time.Second)) // for each lot
			}
			if failing(r.Tablet) {
				return &request.Failure{Code: request.TryAgain, Message: "no leader"}
			}
			return nil
		}
	}
	asked := func() int {
		node.mu.Lock()
		defer node.mu.Unlock()
		return node.requests
	}

	slow(func(t uint32) bool { return t%2 == 1 })
	c.want("(error) UNCERTAIN 64 of 256 tablets have been emptied; the first of the others answered: TRYAGAIN no leader", "FLUSHALL")
	if n := asked(); n != 2*inFlight {
		t.Errorf("%d tablets were asked, want the two lots that begin within the deadline, %d", n, 2*inFlight)
	}
	slow(func(uint32) bool { return true })
	c.want("(error) TRYAGAIN no leader", "FLUSHALL")
	slow(func(uint32) bool { return false })
	c.want(`"OK"`, "FLUSHALL")
	if n := asked(); n != 256 {
		t.Errorf("%d of 256 tablets were emptied", n)
	}
}

// Many clients at once on a few keys: no increment may be lost or answered twice the same.
func TestConcurrentClients(t *testing.T) {
	node := newFakeNode(t, 16)
	node.async = true
	s := newTestServer(t, Config{}, node)
	node.violation = func(string) {} // two sessions may well have requests of one tablet in flight
	const clients, rounds = 8, 50
	done := make(chan map[string]int, clients)
	for i := range clients {
		c := s.dial()
		go func() {
			seen := map[string]int{}
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range rounds {
				var stream []byte
				keys := make([]string, 1+r.IntN(20))
				for j := range keys {
					keys[j] = fmt.Sprint("counter", r.IntN(3))
					stream = resp.AppendCommand(stream, "INCR", keys[j])
				}
				if _, err := c.conn.Write(stream); err != nil {
					break
				}
				for _, k := range keys {
					v, err := c.in.Read()
					if err != nil {
						break
					}
					seen[k+" "+string(v.Text)]++
				}
			}
			done <- seen
		}()
	}
	total := map[string]int{}
	for range clients {
		for k, n := range <-done {
			total[k] += n
		}
	}
	sum := 0
	c := s.dial()
	for i := range 3 {
		c.send(resp.AppendCommand(nil, "GET", fmt.Sprint("counter", i)))
		v, err := c.in.Read()
		if err != nil {
			t.Fatal(err)
		}
		n, _ := v.Int()
		sum += int(n)
	}
	if sum != len(total) {
		t.Errorf("%d increments, %d different answers", sum, len(total))
	}
	for k, n := range total {
		if n != 1 {
			t.Errorf("%s was answered %d times", k, n)
		}
	}
}

// A read that was given up at its timeout may still stand in a queue of the node. When its turn comes there, it must
// find the command that it was, or the node evaluates rubbish.
func TestFailedRequestsAreNotUsedAgain(t *testing.T) {
	node := newFakeNode(t, 16)
	node.remote = func(uint32) bool { return true }
	s := newTestServer(t, Config{}, node)
	type kept struct {
		r    *request.Request
		want string
	}
	show := func(r *request.Request) string { return fmt.Sprintf("%d %v %q", r.Tablet, r.Write, r.Commands) }
	var all []kept
	node.fail = func(r *request.Request) *request.Failure {
		all = append(all, kept{r, show(r)})
		return &request.Failure{Code: request.TryAgain, Message: "timeout"}
	}
	c := s.dial()
	for i := range 50 {
		var stream []byte
		for j := range 10 {
			stream = resp.AppendCommand(stream, "GET", fmt.Sprintf("key:%d:%d", i, j))
		}
		stream = resp.AppendCommand(stream, "KEYS", fmt.Sprintf("key:%d*", i))
		stream = resp.AppendCommand(stream, "SCAN", "0", "MATCH", fmt.Sprintf("key:%d*", i))
		c.send(stream)
		for range 12 {
			if got := c.reply(); got != "(error) TRYAGAIN timeout" {
				t.Fatal(got)
			}
		}
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	for _, k := range all {
		if got := show(k.r); got != k.want {
			t.Fatalf("%s became %s", k.want, got)
		}
	}
}
