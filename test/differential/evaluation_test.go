package differential

import (
	"bytes"
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/gen"
	"github.com/quorddb/quord/internal/command/memview"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/resp"
)

const maxValue = 1 << 20

var (
	seeds    = flag.Int("seeds", 4, "sequences of commands to compare")
	seed     = flag.Uint64("seed", 1, "the first seed")
	commands = flag.Int("commands", 6000, "commands of each sequence")
)

func newTestRedis(t *testing.T) *Redis {
	t.Helper()
	r, err := StartRedis(maxValue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func do(t *testing.T, r *Redis, args ...string) []byte {
	t.Helper()
	words := make([][]byte, len(args))
	for i, a := range args {
		words[i] = []byte(a)
	}
	reply, err := r.Do(words)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// A program written for Redis gets the replies, the errors and the data that it would get from Redis.
func TestEvaluationAgreesWithRedis(t *testing.T) {
	redis := newTestRedis(t)
	for s := *seed; s < *seed+uint64(*seeds); s++ {
		t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) { compare(t, redis, s, asIs) })
	}
}

// Most clients still speak RESP2: what they get is converted, and must be what Redis would have sent.
func TestEvaluationAgreesWithRedisInRESP2(t *testing.T) {
	redis := newTestRedis(t)
	do(t, redis, "HELLO", "2")
	compare(t, redis, *seed, func(reply []byte) []byte {
		down, err := resp.Downgrade(nil, reply)
		if err != nil {
			t.Fatalf("%q cannot be converted: %v", reply, err)
		}
		return down
	})
}

func asIs(reply []byte) []byte { return reply }

// compare gives Redis and evaluation the commands of one seed; convert is what happens to a reply on its way to the
// client.
func compare(t *testing.T, redis *Redis, seed uint64, convert func([]byte) []byte) {
	do(t, redis, "FLUSHALL")
	view := &memview.View{Max: maxValue}
	sequence := gen.New(gen.Config{Seed: seed, Now: time.Now().UnixMilli(), MaxValue: maxValue, Lists: true})
	var history [][][]byte
	for i := range *commands {
		args := sequence.Next()
		history = append(history, args)
		want, err := redis.Do(args)
		if err != nil {
			t.Fatalf("command %d, %s: %v", i, gen.Format(args), err)
		}
		view.Time = time.Now().UnixMilli()
		got := convert(evaluate(view, args))
		if !gen.Same(args, want, got) {
			t.Fatalf("command %d of seed %d differs from Redis:\n%s\nredis: %s\nquord: %s\nbefore that:\n%s",
				i, seed, gen.Format(args), shorten(want), shorten(got), concerning(history))
		}
	}
}

// evaluate is what a node does with a command on data, plus LPUSH, which makes a key that holds no string.
func evaluate(view *memview.View, args [][]byte) []byte {
	if bytes.EqualFold(args[0], []byte("lpush")) {
		return push(view, args)
	}
	spec, refusal := command.Check(args, nil)
	if spec == nil {
		return refusal
	}
	changes := view.Changes
	reply := command.Evaluate(view, args, nil)
	if !spec.IsWrite() && view.Changes != changes {
		return []byte("-a read has changed the data\r\n")
	}
	return reply
}

// push keeps the length of the list as the value of a record that is not a string.
func push(view *memview.View, args [][]byte) []byte {
	if len(args) < 3 {
		return []byte("-ERR wrong number of arguments for 'lpush' command\r\n")
	}
	r, found := view.Get(args[1])
	if found && r.Kind != record.List {
		return []byte("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
	}
	n, _ := strconv.Atoi(string(r.Value))
	r.Kind, r.Value = record.List, strconv.AppendInt(nil, int64(n+len(args)-2), 10)
	view.Put(args[1], r)
	return fmt.Appendf(nil, ":%s\r\n", r.Value)
}

// concerning lists the latest commands that share an argument with the last one.
func concerning(history [][][]byte) string {
	const most = 12
	last := history[len(history)-1]
	var lines []string
	for i := len(history) - 2; i >= 0 && len(lines) < most; i-- {
		if share(history[i], last) {
			lines = append(lines, gen.Format(history[i]))
		}
	}
	var out []byte
	for i := len(lines) - 1; i >= 0; i-- {
		out = append(append(out, lines[i]...), '\n')
	}
	return string(out)
}

func share(a, b [][]byte) bool {
	for _, x := range a[1:] {
		for _, y := range b[1:] {
			if bytes.Equal(x, y) {
				return true
			}
		}
	}
	return false
}

func shorten(b []byte) string {
	if len(b) > 300 {
		return fmt.Sprintf("%q...(%d bytes)", b[:300], len(b))
	}
	return fmt.Sprintf("%q", b)
}
