package command_test

import (
	"bytes"
	"testing"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/memview"
	"github.com/quorddb/quord/internal/record"
)

// FuzzEvaluate: whatever words a log entry holds, evaluating it answers exactly one reply and does not take the
// node down with it, because it would take down every replica.
func FuzzEvaluate(f *testing.F) {
	for _, line := range []string{
		"set k v ex 10 nx", "get k", "incrbyfloat k 1e5000", "getrange k -1 9223372036854775807", "setrange k 9223372036854775807 x",
		"expire k 9223372036854775807 gt", "_scan 0 count 5 match [", "mset a b c", "_clear", "nonsense", "ping",
	} {
		f.Add(bytes.ReplaceAll([]byte(line), []byte(" "), []byte("\n")), []byte("12"), int64(0))
	}
	f.Fuzz(func(t *testing.T, line, value []byte, expireAt int64) {
		args := bytes.Split(line, []byte("\n"))
		before := bytes.Clone(line)
		v := &memview.View{Time: 1000, Max: 1 << 16}
		v.Put([]byte("k"), record.Record{Kind: record.String, Value: value, ExpireAt: max(expireAt, 0)})
		v.Put([]byte("l"), record.Record{Kind: record.List})
		if reply := command.Evaluate(v, args, []byte("+before\r\n")); !bytes.HasPrefix(reply, []byte("+before\r\n")) ||
			!oneReply(reply[len("+before\r\n"):]) {
			t.Errorf("%q answers %q", args, reply)
		}
		if spec, reply := command.Check(args, nil); spec == nil && !oneReply(reply) {
			t.Errorf("%q is refused with %q", args, reply)
		}
		if bytes.EqualFold(args[0], []byte("command")) {
			if spec, _ := command.Check(args, nil); spec != nil && !oneReply(command.AppendCommand(nil, args)) {
				t.Errorf("%q answers no reply", args)
			}
		}
		if !bytes.Equal(line, before) {
			t.Errorf("%q has changed its arguments", before)
		}
	})
}
