package tablet

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/request"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// What a decoder may allocate: so many bytes for each byte of its input, and a little. A frame that claims more than
// it holds must not be able to take a node's memory.
const (
	allocPerByte = 128
	allocAlways  = 128 << 10
)

// bounded calls decode and fails when it takes more memory than the input is worth.
func bounded(t testing.TB, size int, decode func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	decode()
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(allocPerByte*size+allocAlways) {
		t.Fatalf("%d bytes of input cost %d bytes of memory", size, took)
	}
}

func sealed(body []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
}

// A decoder must say no to bytes that were damaged on their way, and live on; what it takes, it must write again so
// that another node reads the same.
func FuzzMessage(f *testing.F) {
	for _, m := range someMessages() {
		f.Add(appendMessage(nil, m, beside{sent: time.Second}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m *message
		var err error
		bounded(t, len(b), func() { m, err = decodeMessage(b) })
		if err != nil {
			return
		}
		if to, from, err := Destination(b); err != nil || to != m.GetTo() || from != m.GetFrom() {
			t.Fatalf("to %d from %d (%v), the message says to %d from %d", to, from, err, m.GetTo(), m.GetFrom())
		}
		again, err := decodeMessage(appendMessage(nil, &m.Message, m.beside))
		if err != nil || !proto.Equal(&m.Message, &again.Message) || m.beside != again.beside {
			t.Fatalf("%v became %v: %v", m, again, err)
		}
	})
}

func FuzzEntry(f *testing.F) {
	e := entry{kind: entryCommands, origin: Origin{nodeID(1), 2, 300, 299}, time: worldStart, seed: 7, maxValue: 1 << 20}
	e.commands = []request.Command{words("SET", "a", "1"), words("INCR", "n")}
	f.Add(appendEntry(nil, &e))
	e.kind = entryExpire
	e.commands = []request.Command{words("a", "b")}
	f.Add(appendEntry(nil, &e))
	e.kind = entryDismiss
	e.commands = []request.Command{words("\x00\x00\x00\x00\x00\x00\x00\x09")}
	f.Add(appendEntry(nil, &e))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e entry
		var err error
		bounded(t, len(b), func() { e, err = decodeEntry(b, new(commandSpace)) })
		if err != nil {
			return
		}
		again, err := decodeEntry(appendEntry(nil, &e), new(commandSpace))
		if diff := cmp.Diff(e, again, cmp.AllowUnexported(entry{})); err != nil || diff != "" {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

func FuzzCommands(f *testing.F) {
	f.Add(AppendCommands(nil, []request.Command{words("SET", "a", ""), words("GET", "a")}))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var commands []request.Command
		var err error
		bounded(t, len(b), func() { commands, err = DecodeCommands(b) })
		if err != nil {
			return
		}
		again, err := DecodeCommands(AppendCommands(nil, commands))
		if diff := cmp.Diff(commands, again); err != nil || diff != "" {
			t.Fatalf("%v: %s", err, diff)
		}
		for _, c := range commands {
			if len(c) == 0 {
				t.Fatal("a command without a name")
			}
		}
	})
}

func FuzzReplies(f *testing.F) {
	f.Add(AppendReplies(nil, [][]byte{[]byte("+OK\r\n"), {}, []byte("$-1\r\n")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var replies [][]byte
		var err error
		bounded(t, len(b), func() { replies, err = DecodeReplies(b) })
		if err != nil {
			return
		}
		again, err := DecodeReplies(AppendReplies(nil, replies))
		if diff := cmp.Diff(replies, again); err != nil || diff != "" {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

func FuzzDescriptor(f *testing.F) {
	d := someDescriptor()
	f.Add(d.Append(nil))
	d.Joint = true
	f.Add(append(d.Append(nil), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Descriptor
		var rest []byte
		var err error
		bounded(t, len(b), func() { d, rest, err = DecodeDescriptor(b) })
		if err != nil {
			return
		}
		again, none, err := DecodeDescriptor(d.Append(nil))
		if diff := cmp.Diff(d, again); err != nil || diff != "" || len(none) != 0 {
			t.Fatalf("%v: %s", err, diff)
		}
		if !bytes.HasSuffix(b, rest) {
			t.Fatal("what follows is not what followed")
		}
	})
}

// The checksum is added to what the fuzzer makes, or it would never get past it.
func FuzzHead(f *testing.F) {
	h := someHead()
	b := h.append(nil)
	f.Add(b[:len(b)-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		var h *head
		var err error
		in := sealed(b)
		bounded(t, len(b), func() { h, err = decodeHead(in) })
		if err != nil {
			return
		}
		again, err := decodeHead(h.append(nil))
		if diff := diffHeads(h, again); err != nil || diff != "" {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

func FuzzChunk(f *testing.F) {
	f.Add([]byte{1, 2, 1, 'a', 1, 'b', 1, 'c', 0})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var ops []kv.Op
		var last bool
		var err error
		in := sealed(b)
		bounded(t, len(b), func() { ops, last, err = decodeChunk(in) })
		if err != nil {
			return
		}
		again := []byte{b2u(last)}
		again = binary.AppendUvarint(again, uint64(len(ops)))
		for _, op := range ops {
			again = appendBlob(appendBlob(again, op.Key), op.Value)
		}
		got, last2, err := decodeChunk(sealed(again))
		if diff := cmp.Diff(ops, got); err != nil || diff != "" || last != last2 {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

func someMessages() []*pb.Message {
	entries := []*pb.Entry{newEntry(8, 3, pb.EntryNormal, []byte("data")), newEntry(9, 3, pb.EntryConfChangeV2, nil)}
	var out []*pb.Message
	for _, kind := range []pb.MessageType{
		pb.MsgApp, pb.MsgAppResp, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote,
		pb.MsgPreVoteResp, pb.MsgTimeoutNow,
	} {
		m := newMessage()
		m.kind, m.from, m.to, m.term, m.logTerm, m.index, m.commit, m.rejHint = kind, 1, 2, 3, 3, 7, 300, 5
		m.reject = kind == pb.MsgAppResp
		if kind == pb.MsgApp {
			m.Entries = entries
		}
		if kind == pb.MsgVote {
			m.Context = []byte(campaignTransfer)
		}
		out = append(out, &m.Message)
	}
	return out
}

func someDescriptor() Descriptor {
	return Descriptor{Epoch: 9, NextID: 400, Replicas: []Replica{
		{1, nodeID(1), Voter}, {2, nodeID(2), Learner}, {300, nodeID(3), Outgoing}, {301, nodeID(4), Incoming}, {302, nodeID(5), Former},
	}}
}

func someHead() *head {
	return &head{
		applied: kv.Position{Index: 300, Term: 4}, time: worldStart, keys: 17, descriptor: someDescriptor(),
		windows: windows{origins: []origin{
			{node: nodeID(1), boot: 2, low: 3, used: 299, results: []result{{3, []byte("\x01\x05+OK\r\n")}, {4, nil}}},
			{node: nodeID(2), boot: 1},
		}},
	}
}

func diffHeads(a, b *head) string {
	return cmp.Diff(a, b, cmp.AllowUnexported(head{}, windows{}, origin{}, result{}))
}

// drawn values for the properties below.
var (
	drawBlob = rapid.SliceOfN(rapid.Byte(), 0, 40)
	drawNode = rapid.Custom(func(t *rapid.T) (id ident.NodeID) {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), ident.Size, ident.Size).Draw(t, "node"))
		return id
	})
	drawDescriptor = rapid.Custom(func(t *rapid.T) Descriptor {
		d := Descriptor{Epoch: rapid.Uint64().Draw(t, "epoch"), Joint: rapid.Bool().Draw(t, "joint"), NextID: 1}
		for range rapid.IntRange(0, maxReplicas).Draw(t, "replicas") {
			id := d.NextID + rapid.Uint64Range(0, 1000).Draw(t, "gap")
			role := Role(rapid.IntRange(int(Learner), int(Outgoing)).Draw(t, "role"))
			d.Replicas = append(d.Replicas, Replica{id, drawNode.Draw(t, "node"), role})
			d.NextID = id + 1
		}
		return d
	})
)

// What one node writes every other reads back the same: else replicas come apart, or a restart changes the past.
func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Run("message", func(t *testing.T) {
		kinds := someMessages()
		rapid.Check(t, func(t *rapid.T) {
			u := rapid.Uint64()
			m := newMessage()
			m.kind = kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")].GetType()
			m.from, m.to, m.term, m.logTerm = u.Draw(t, "from"), u.Draw(t, "to"), u.Draw(t, "term"), u.Draw(t, "log term")
			m.index, m.commit, m.rejHint = u.Draw(t, "index"), u.Draw(t, "commit"), u.Draw(t, "hint")
			m.reject = rapid.Bool().Draw(t, "reject")
			if c := drawBlob.Draw(t, "context"); len(c) > 0 {
				m.Context = c
			}
			if m.kind == pb.MsgApp {
				for i := range rapid.IntRange(0, 9).Draw(t, "entries") {
					data := drawBlob.Draw(t, "data")
					if len(data) == 0 {
						data = nil
					}
					kind := rapid.SampledFrom([]pb.EntryType{pb.EntryNormal, pb.EntryConfChangeV2}).Draw(t, "kind")
					m.Entries = append(m.Entries, newEntry(m.index+1+uint64(i), u.Draw(t, "entry term"), kind, data))
				}
			}
			m.beside.sent = time.Duration(rapid.Int64Min(0).Draw(t, "sent"))
			got, err := decodeMessage(appendMessage(nil, &m.Message, m.beside))
			if err != nil || !proto.Equal(&m.Message, &got.Message) || m.beside != got.beside {
				t.Fatalf("%v became %v: %v", &m.Message, got, err)
			}
		})
	})
	t.Run("entry", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			u := rapid.Uint64()
			e := entry{
				kind:   rapid.SampledFrom([]byte{entryCommands, entryExpire, entryDismiss}).Draw(t, "kind"),
				origin: Origin{drawNode.Draw(t, "node"), u.Draw(t, "boot"), u.Draw(t, "number"), u.Draw(t, "low")},
				time:   rapid.Int64().Draw(t, "time"), seed: u.Draw(t, "seed"), maxValue: u.Draw(t, "max"),
			}
			e.commands = drawCommands(t)
			got, err := decodeEntry(appendEntry(nil, &e), new(commandSpace))
			if diff := cmp.Diff(e, got, cmp.AllowUnexported(entry{})); err != nil || diff != "" {
				t.Fatalf("%v: %s", err, diff)
			}
		})
	})
	t.Run("replies", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			replies := rapid.SliceOf(drawBlob).Draw(t, "replies")
			got, err := DecodeReplies(AppendReplies(nil, replies))
			if diff := cmp.Diff(replies, got); err != nil || diff != "" {
				t.Fatalf("%v: %s", err, diff)
			}
		})
	})
	t.Run("head", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			u := rapid.Uint64()
			h := &head{
				applied: kv.Position{Index: u.Draw(t, "index"), Term: u.Draw(t, "term")}, time: rapid.Int64().Draw(t, "time"),
				keys: rapid.Int64().Draw(t, "keys"), descriptor: drawDescriptor.Draw(t, "descriptor"),
			}
			for range rapid.IntRange(0, 4).Draw(t, "origins") {
				o := origin{node: drawNode.Draw(t, "origin"), boot: u.Draw(t, "boot"), low: u.Draw(t, "low"), used: u.Draw(t, "used")}
				for range rapid.IntRange(0, 4).Draw(t, "results") {
					r := result{number: u.Draw(t, "number")}
					if b := drawBlob.Draw(t, "replies"); len(b) > 0 {
						r.replies = b
						h.windows.inline += len(b)
					}
					o.results = append(o.results, r)
				}
				h.windows.origins = append(h.windows.origins, o)
			}
			got, err := decodeHead(h.append(nil))
			if diff := diffHeads(h, got); err != nil || diff != "" {
				t.Fatalf("%v: %s", err, diff)
			}
		})
	})
}

func drawCommands(t *rapid.T) []request.Command {
	commands := []request.Command{}
	for range rapid.IntRange(0, 5).Draw(t, "commands") {
		var c request.Command
		for range rapid.IntRange(1, 5).Draw(t, "args") {
			c = append(c, drawBlob.Draw(t, "arg"))
		}
		commands = append(commands, c)
	}
	return commands
}

// Bytes too many or too few are damage, never a smaller truth.
func TestNothingFollowsAndNothingIsMissing(t *testing.T) {
	h := someHead().append(nil)
	d := someDescriptor()
	chunk := sealed([]byte{1, 2, 1, 'a', 1, 'b', 1, 'c', 0})
	e := entry{kind: entryCommands, origin: Origin{nodeID(1), 2, 300, 299}, commands: []request.Command{words("GET", "a")}}
	decoders := map[string]struct {
		whole  []byte
		decode func([]byte) error
	}{
		"message":  {appendMessage(nil, someMessages()[0], beside{sent: 1}), func(b []byte) error { _, err := decodeMessage(b); return err }},
		"commands": {AppendCommands(nil, []request.Command{words("GET", "a")}), func(b []byte) error { _, err := DecodeCommands(b); return err }},
		"entry":    {appendEntry(nil, &e), func(b []byte) error { _, err := decodeEntry(b, new(commandSpace)); return err }},
		"replies":  {AppendReplies(nil, [][]byte{[]byte("+OK\r\n")}), func(b []byte) error { _, err := DecodeReplies(b); return err }},
		"head":     {h, func(b []byte) error { _, err := decodeHead(b); return err }},
		"sealed head": {h[:len(h)-4], func(b []byte) error {
			_, err := decodeHead(sealed(b))
			return err
		}},
		"chunk":        {chunk, func(b []byte) error { _, _, err := decodeChunk(b); return err }},
		"sealed chunk": {chunk[:len(chunk)-4], func(b []byte) error { _, _, err := decodeChunk(sealed(b)); return err }},
		"descriptor": {d.Append(nil), func(b []byte) error {
			_, rest, err := DecodeDescriptor(b)
			if err == nil && len(rest) > 0 {
				return errDescriptor // whoever reads it last has to look
			}
			return err
		}},
	}
	for name, d := range decoders {
		if err := d.decode(d.whole); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range len(d.whole) {
			if d.decode(d.whole[:n]) == nil {
				t.Errorf("%s: %d of %d bytes were taken for all", name, n, len(d.whole))
			}
		}
		if d.decode(append(bytes.Clone(d.whole), 0)) == nil {
			t.Errorf("%s: a byte too many went unnoticed", name)
		}
	}
}

// Counts that promise more than there is cost nothing.
func TestLargePromisesCostNothing(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<40)
	for name, in := range map[string][]byte{
		"commands":  huge,
		"arguments": append([]byte{1}, huge...),
		"argument":  append([]byte{1, 1}, huge...),
		"many":      append(binary.AppendUvarint(nil, 60_000), bytes.Repeat([]byte{0xff}, 60_000)...),
	} {
		bounded(t, len(in), func() {
			if _, err := DecodeCommands(in); err == nil {
				t.Errorf("%s: was taken", name)
			}
			if _, err := DecodeReplies(in); err == nil && name != "argument" {
				t.Errorf("%s: was taken as replies", name)
			}
		})
	}
	m := appendMessage(nil, someMessages()[1], beside{})
	m = append(m[:len(m)-1], binary.AppendUvarint(nil, 1<<40)...)
	bounded(t, len(m), func() {
		if _, err := decodeMessage(m); err == nil {
			t.Error("a message with a trillion entries was taken")
		}
	})
}
