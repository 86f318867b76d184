package ring

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorddb/quord/internal/ident"
)

func drawToken(t *rapid.T, label string) Token {
	return Token{ID: drawID(Space{MaxBits}).Draw(t, label), Node: nodeID(rapid.IntRange(1, 99).Draw(t, label+" node"))}
}

// drawMessage draws a message with those fields that its kind carries.
func drawMessage(t *rapid.T) Message {
	id := drawID(Space{MaxBits})
	m := Message{
		Kind: Kind(rapid.IntRange(1, int(lastKind)).Draw(t, "kind")), Seq: rapid.Uint64().Draw(t, "seq"),
		Claim: rapid.Bool().Draw(t, "claim"), Joining: rapid.Bool().Draw(t, "joining"), Ceded: rapid.Bool().Draw(t, "ceded"),
	}
	if m.Kind == Route || m.Kind == Found {
		m.Verdict = Verdict(rapid.IntRange(1, int(lastVerd)).Draw(t, "verdict"))
	}
	has := parts[m.Kind]
	if has&hasEpoch != 0 {
		m.Epoch = rapid.Uint64().Draw(t, "epoch")
	}
	if has&hasTo != 0 {
		m.To = id.Draw(t, "to")
	}
	if has&hasFrom != 0 {
		m.From = id.Draw(t, "from")
	}
	if has&hasTarget != 0 {
		m.Target = id.Draw(t, "target")
	}
	if has&hasFloor != 0 {
		m.Floor = id.Draw(t, "floor")
	}
	if has&hasOrigin != 0 {
		m.Origin = nodeID(rapid.IntRange(1, 99).Draw(t, "origin"))
	}
	if has&hasPred != 0 && rapid.Bool().Draw(t, "has pred") {
		m.Pred = drawToken(t, "pred")
	}
	if has&hasHops != 0 {
		m.Hops, m.Limit = rapid.Byte().Draw(t, "hops"), rapid.Byte().Draw(t, "limit")
	}
	if has&hasList != 0 {
		for range rapid.IntRange(0, MaxList).Draw(t, "length") {
			m.List = append(m.List, drawToken(t, "list"))
		}
	}
	return m
}

// A message that arrives as another one than was sent can bend pointers; one that is cut must be refused.
func TestMessageComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b := m.Append([]byte("before"))[len("before"):]
		got, err := DecodeMessage(b)
		if err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatal(diff)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := DecodeMessage(b[:cut]); !errors.Is(err, ErrMessage) {
			t.Fatalf("cut to %d of %d bytes: %v", cut, len(b), err)
		}
		if _, err := DecodeMessage(append(b, 0)); !errors.Is(err, ErrMessage) {
			t.Fatalf("a byte too many: %v", err)
		}
	})
}

// What this version does not know must be refused with a reason, not read as something else.
func TestUnknownMessagesAreRefused(t *testing.T) {
	good := (&Message{Kind: Ping, Seq: 1}).Append(nil)
	for what, change := range map[string]func(b []byte){
		"version": func(b []byte) { b[0] = Version + 1 },
		"kind":    func(b []byte) { b[1] = byte(lastKind) + 1 },
		"zero":    func(b []byte) { b[1] = 0 },
		"flags":   func(b []byte) { b[2] = 8 },
		"verdict": func(b []byte) { b[2] = 1 << 4 },
	} {
		b := append([]byte(nil), good...)
		change(b)
		if _, err := DecodeMessage(b); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", what, err)
		}
	}
	m := Message{Kind: Leave, List: []Token{{Node: ident.NodeID{}}}}
	if _, err := DecodeMessage(m.Append(nil)); !errors.Is(err, ErrMessage) {
		t.Errorf("a token of no node: %v", err)
	}
}

// Whatever a broken or hostile peer sends, a node must neither fall over nor take memory beyond the bounds.
func FuzzDecodeMessage(f *testing.F) {
	for k := Kind(1); k <= lastKind; k++ {
		m := Message{Kind: k, Seq: 300, From: Space{6}.Of(8), To: Space{6}.Of(4), List: []Token{{ID: Space{6}.Of(15), Node: nodeID(15)}}}
		if k == Route || k == Found {
			m.Verdict = Final
		}
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if len(m.List) > MaxList {
			t.Fatalf("%d tokens", len(m.List))
		}
		again, err := DecodeMessage(m.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Whatever well-formed message arrives, at whatever time, a ring must neither panic nor hang, and keep its
// lists in order.
func FuzzStep(f *testing.F) {
	for k := Kind(1); k <= lastKind; k++ {
		m := Message{Kind: k, Seq: 1, From: Space{6}.Of(15), To: Space{6}.Of(8), Target: Space{6}.Of(10), List: []Token{{ID: Space{6}.Of(20), Node: nodeID(20)}}}
		if k == Route || k == Found {
			m.Verdict = Final
		}
		f.Add(uint8(15), m.Append(nil), uint16(1000))
	}
	f.Fuzz(func(t *testing.T, from uint8, b []byte, late uint16) {
		m, err := DecodeMessage(b)
		if err != nil {
			return
		}
		w := newWorld(t, Config{Bits: 6, Successors: 2}, 1)
		w.ring(4, 8, 15, 20, 32, 35, 44, 58)
		r := w.rings[nodeID(8)]
		r.Lookup(0, Space{6}.Of(50), Iterative, 0)
		r.Tick(r.Next())
		for _, m.Seq = range []uint64{m.Seq, r.seq, r.seq - 1} {
			now := max(r.now, 0)
			r.Step(now, nodeID(int(from)), &m)
			r.Tick(now + time.Duration(late)*time.Millisecond)
			r.Take()
		}
		for _, ts := range r.State().Tokens {
			if !inOrder(ts.ID, ts.Successors) {
				t.Fatalf("token %v has successors %v", ts.ID.Short(), ts.Successors)
			}
		}
	})
}
