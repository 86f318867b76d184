package workload

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
)

// replyError is an error reply as go-redis hands it over.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

var _ redis.Error = replyError("")

// A client that takes an uncertain write for a refused one would call a correct cluster wrong, or a wrong one correct.
func TestOutcomeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Outcome
	}{
		{nil, Done},
		{redis.Nil, Done},
		{replyError("TRYAGAIN no leader yet"), NotApplied},
		{replyError("CLUSTERDOWN a majority is out of reach"), NotApplied},
		{replyError("OOM the disk is almost full; nothing was applied"), NotApplied},
		{replyError("UNCERTAIN it may have been applied"), Unknown},
		{replyError("ERR unknown command"), Unexpected},
		{io.EOF, Unknown},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, Unknown},
		{fmt.Errorf("get a connection: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), NotApplied},
	} {
		if got := OutcomeOf(c.err); got != c.want {
			t.Errorf("OutcomeOf(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

// A check of counters that cannot fail protects nobody: each kind of loss must be noticed.
func TestCountersNoticeLoss(t *testing.T) {
	newCounter := func() *counter { return &counter{key: "c", seen: map[int64]struct{}{}} }
	t.Run("the same number twice", func(t *testing.T) {
		c := newCounter()
		if err := errors.Join(c.incremented(1, 0), c.incremented(2, 0)); err != nil {
			t.Fatal(err)
		}
		if err := c.incremented(2, 0); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("no complaint about a number answered twice: %v", err)
		}
	})
	t.Run("back to a smaller number", func(t *testing.T) {
		if err := newCounter().incremented(5, 7); err == nil {
			t.Error("no complaint about an increment below what had been answered")
		}
		if err := newCounter().read(6, 7); err == nil {
			t.Error("no complaint about a read below what had been answered")
		}
	})
}

// A history that is not linearizable must be called so, or kills could lose writes unnoticed.
func TestHistoryIsJudged(t *testing.T) {
	op := func(client int, call, ret int64, v verb, value string, out output) porcupine.Operation {
		return porcupine.Operation{
			ClientId: client, Input: input{key: "k", verb: v, value: value}, Call: call, Output: out, Return: ret,
		}
	}
	for _, c := range []struct {
		name string
		ops  []porcupine.Operation
		ok   bool
	}{
		{"a read sees the last write", []porcupine.Operation{
			op(0, 0, 1, set, "1", output{}), op(1, 2, 3, get, "", output{value: "1"}),
		}, true},
		{"a stale read", []porcupine.Operation{
			op(0, 0, 1, set, "1", output{}), op(0, 2, 3, set, "2", output{}), op(1, 4, 5, get, "", output{value: "1"}),
		}, false},
		{"a lost write", []porcupine.Operation{
			op(0, 0, 1, set, "1", output{}), op(1, 2, 3, get, "", output{absent: true}),
		}, false},
		{"an unknown write that shows later", []porcupine.Operation{
			op(0, 0, math.MaxInt64, set, "1", output{unknown: true}),
			op(1, 2, 3, get, "", output{absent: true}), op(1, 4, 5, get, "", output{value: "1"}),
		}, true},
		{"an unknown increment counted twice", []porcupine.Operation{
			op(0, 0, math.MaxInt64, incr, "", output{unknown: true}), op(1, 2, 3, get, "", output{value: "2"}),
		}, false},
		{"a key set anew where one is", []porcupine.Operation{
			op(0, 0, 1, set, "1", output{}), op(0, 2, 3, swapNew, "2", output{value: "1"}),
			op(1, 4, 5, get, "", output{value: "2"}),
		}, false},
		{"a key taken twice", []porcupine.Operation{
			op(0, 0, 1, set, "1", output{}), op(0, 2, 3, take, "", output{value: "1"}),
			op(1, 4, 5, take, "", output{value: "1"}),
		}, false},
		{"a deleted key that comes back", []porcupine.Operation{
			op(0, 0, 1, swap, "1", output{absent: true}), op(0, 2, 3, del, "", output{value: "1"}),
			op(1, 4, 5, get, "", output{value: "1"}),
		}, false},
		{"two keys set at once", []porcupine.Operation{
			op(0, 0, 1, setBoth, "1", output{}), op(1, 2, 3, getBoth, "", output{value: "1", second: half{"1", true}}),
			op(0, 4, 5, take, "", output{value: "1"}), op(1, 6, 7, getBoth, "", output{absent: true, second: half{"1", true}}),
			op(0, 8, 9, newBoth, "2", output{value: "0"}), op(0, 10, 11, delBoth, "", output{value: "1"}),
			op(0, 12, 13, newBoth, "2", output{value: "1"}), op(1, 14, 15, getBoth, "", output{value: "2", second: half{"2", true}}),
		}, true},
		{"half a write that is under way", []porcupine.Operation{
			op(0, 0, 1, setBoth, "1", output{}), op(0, 2, 9, setBoth, "2", output{}),
			op(1, 4, 5, getBoth, "", output{value: "2", second: half{"1", true}}),
		}, false},
		{"half of a write with unknown outcome", []porcupine.Operation{
			op(0, 0, math.MaxInt64, setBoth, "1", output{unknown: true}), op(1, 2, 3, getBoth, "", output{value: "1"}),
		}, false},
		{"half a removal", []porcupine.Operation{
			op(0, 0, 1, setBoth, "1", output{}), op(0, 2, 3, delBoth, "", output{value: "1"}),
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &History{ops: map[string][]porcupine.Operation{"k": c.ops}}
			err := h.Check(10*time.Second, filepath.Join(t.TempDir(), "history.html"))
			if (err == nil) != c.ok {
				t.Errorf("linearizable: %v, want %v (%v)", err == nil, c.ok, err)
			}
		})
	}
}
