package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
	"pgregory.net/rapid"
)

func nodeID(i int) (id ident.NodeID) {
	binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x0101010101010101)
	return id
}

// someMessages holds one message of each kind but Raft.
func someMessages() []Message {
	return []Message{
		&Request{ID: 300, Tablet: 7, Write: true, Boot: 2, Number: 9, Low: 8, Commands: []byte("commands")},
		&Request{ID: 301, Tablet: 1<<32 - 1, Commands: []byte{}},
		&Request{ID: 302, Tablet: 8, PassOn: true, Commands: []byte{}},
		&Request{ID: 303, Tablet: 9, Write: true, For: ident.NodeID{7}, Boot: 1, Number: 2, Low: 1, Commands: []byte("c")},
		&Response{ID: 300, Status: Done, Leader: nodeID(1), Epoch: 4, Replies: []byte("replies")},
		&Response{ID: 301, Status: Rejected, Text: "why"},
		Ring{&ring.Message{Kind: 1, Seq: 300}},
		&Pulse{Wall: 1_700_000_000_000, Revision: 1, Sequence: 2, Leads: 3, Holds: 4, Lacking: 5, Moving: 6, Keys: 700, Closing: true, Tight: true, Hurt: 8, Misses: []ident.NodeID{{1}, {2}}},
		&Mend{Tablet: 1023, Index: 1 << 40},
		Ask{},
		&Registry{Encoded: []byte("registry")},
		&Who{Tablet: 5},
		&Where{Tablet: 5, Leader: nodeID(2), Applied: 300, Descriptor: []byte("descriptor")},
		&Offer{Transfer: 1 << 40, Tablet: 5, Replica: 3, Head: []byte("head")},
		&Chunk{Transfer: 1 << 40, Seq: 1, Data: []byte("data")},
		&Verdict{Transfer: 1 << 40, Seq: 1, State: Receiving},
	}
}

// framed returns a frame that holds the messages, as an outbox makes it.
func framed(messages ...any) []byte {
	o := NewOutbox()
	for _, m := range messages {
		if r, ok := m.(Raft); ok {
			o.Raft(nodeID(0), r.Tablet, false, r.Body)
			continue
		}
		o.Add(nodeID(0), false, m.(Message))
	}
	var frame []byte
	o.Early(func(_ ident.NodeID, f []byte) { frame = append(frame, f...) })
	return frame
}

// apart takes a frame apart and copies what it held.
func apart(frame []byte) (messages []any, err error) {
	err = Each(frame, func(m any) error {
		messages = append(messages, m)
		return nil
	})
	return messages, err
}

// A frame of another node, damaged or made up, is refused and nothing else: no panic, no memory beyond what arrived;
// and what is understood, this node would write so that it is understood the same.
func FuzzEach(f *testing.F) {
	for _, m := range someMessages() {
		f.Add(framed(m))
	}
	f.Add(framed(Raft{Tablet: 3, Body: []byte("raft")}, Ask{}, &Who{Tablet: 1}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := Each(frame, func(any) error { return nil })
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(128*len(frame)+128<<10) {
			t.Fatalf("%d bytes cost %d bytes of memory", len(frame), took)
		}
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		messages, _ := apart(frame)
		again, err := apart(framed(messages...))
		if diff := cmp.Diff(messages, again); err != nil || diff != "" {
			t.Fatalf("%v: %s", err, diff)
		}
	})
}

// Every message arrives as it was sent.
func TestEveryKindArrives(t *testing.T) {
	var sent []any
	for _, m := range someMessages() {
		sent = append(sent, m)
	}
	sent = append(sent, Raft{Tablet: 1<<32 - 1, Body: []byte("raft")})
	got, err := apart(framed(sent...))
	if diff := cmp.Diff(sent, got); err != nil || diff != "" {
		t.Fatalf("%v: %s", err, diff)
	}
}

// A message that is cut short is damage, wherever it is cut, and not a smaller message.
func TestCutShort(t *testing.T) {
	for _, m := range someMessages() {
		frame := framed(m)
		for n := 1; n < len(frame); n++ {
			if _, err := apart(frame[:n]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%T: %d of %d bytes: %v", m, n, len(frame), err)
			}
		}
	}
	// Those whose body ends with a number miss it where only the body is cut.
	for _, m := range []Message{&Pulse{}, &Who{}, &Verdict{}, &Where{}, &Offer{}, &Chunk{}, &Request{}, &Response{}} {
		whole := m.append(nil)
		cut := append([]byte{byte(m.kind()), byte(len(whole) - 1)}, whole[:len(whole)-1]...)
		if _, err := apart(cut); !errors.Is(err, ErrDamaged) {
			t.Errorf("%T: a body without its end: %v", m, err)
		}
	}
}

// A newer node may say more: of kinds that this one does not know, and behind what this one knows of a kind. Neither
// may end the connection, or two versions could not run side by side.
func TestANewerNodeMaySayMore(t *testing.T) {
	frame := append([]byte{200, 3, 'n', 'e', 'w'}, framed(&Who{Tablet: 9})...)
	for _, m := range []Message{&Pulse{Keys: 1}, Ask{}, &Who{Tablet: 1}, &Verdict{Seq: 2}} {
		body := append(m.append(nil), "more"...)
		frame = append(append(frame, byte(m.kind()), byte(len(body))), body...)
	}
	got, err := apart(frame)
	want := []any{&Who{Tablet: 9}, &Pulse{Keys: 1}, Ask{}, &Who{Tablet: 1}, &Verdict{Seq: 2}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v: %s", err, diff)
	}
}

// An error of the one who hears ends the frame at once.
func TestEachStops(t *testing.T) {
	stop, heard := errors.New("stop"), 0
	err := Each(framed(Ask{}, Ask{}, Ask{}), func(any) error { heard++; return stop })
	if heard != 1 || !errors.Is(err, stop) {
		t.Fatalf("heard %d, %v", heard, err)
	}
}

// Whatever is put into an outbox, in whatever order and whenever it is emptied, each node gets its own messages once
// and in order, the late ones never before Late, and no frame is larger than its bound and one message.
func TestOutbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const nodes = 3
		o := NewOutbox()
		var want, got [nodes][2][]uint64
		number := uint64(0)
		take := func(part int) func(ident.NodeID, []byte) {
			return func(to ident.NodeID, frame []byte) {
				messages, err := apart(bytes.Clone(frame))
				if err != nil || len(messages) == 0 {
					t.Fatalf("a frame of %d bytes: %v", len(frame), err)
				}
				for i := range nodes {
					if nodeID(i) != to {
						continue
					}
					for _, m := range messages {
						switch m := m.(type) {
						case *Chunk:
							got[i][part] = append(got[i][part], m.Seq)
						case Raft:
							got[i][part] = append(got[i][part], uint64(m.Tablet))
						}
					}
				}
				if limit := FrameSize + 3<<20 + 64; len(frame) > limit {
					t.Fatalf("a frame of %d bytes, the bound is %d", len(frame), limit)
				}
			}
		}
		big := make([]byte, 3<<20)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				to, late := rapid.IntRange(0, nodes-1).Draw(t, "to"), rapid.Bool().Draw(t, "late")
				data := big[:rapid.SampledFrom([]int{0, 1, 100, 3 << 20}).Draw(t, "size")]
				number++
				if rapid.Bool().Draw(t, "raft") {
					o.Raft(nodeID(to), uint32(number), late, data)
				} else {
					o.Add(nodeID(to), late, &Chunk{Seq: number, Data: data})
				}
				part := 0
				if late {
					part = 1
				}
				want[to][part] = append(want[to][part], number)
			},
			"early": func(*rapid.T) { o.Early(take(0)) },
			"late":  func(*rapid.T) { o.Late(take(1)) },
			"retain": func(t *rapid.T) {
				gone := nodeID(rapid.IntRange(0, nodes-1).Draw(t, "gone"))
				o.Retain(func(n ident.NodeID) bool { return n != gone })
			},
		})
		o.Early(take(0))
		o.Late(take(1))
		if n := o.Retain(func(ident.NodeID) bool { return false }); n != 0 {
			t.Fatalf("buffers of %d nodes are kept for nothing", n)
		}
		if o.Pending() {
			t.Fatal("an outbox that was emptied has something")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}
