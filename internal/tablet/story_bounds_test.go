package tablet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/request"
)

// part is told how the first commands of a run ended.
type part struct {
	told
	replies [][]byte
}

func (p *part) Done(replies [][]byte) { p.done++; p.replies = replies }

// A short command can write a long value anew. If a run of them became one Write, a few hundred bytes of a client would
// end every replica, again and again, for the entry stays in the log.
func TestWhatAnEntryChangesIsBounded(t *testing.T) {
	const size, appends = maxEntryBytes / 4, 11
	w := grown(t, 1, 3, 3)
	o := Origin{Node: nodeID(50), Boot: 1, Number: 1, Low: 1}
	w.ask(w.nodes[0], o, "SET", key("a"), strings.Repeat("x", size))
	var run []request.Command
	for range appends {
		run = append(run, words("APPEND", key("a"), "y"))
	}
	length, requests := size, 0
	for len(run) > 0 {
		var p *part
		for range 2 { // whoever asks again is answered the same
			again := &part{}
			w.nodes[0].do(func() {
				o.Number, o.Low = uint64(2+requests), uint64(2+requests)
				if r := w.nodes[0].group.Write(w.now, o, run, again); r != Taken {
					w.fatalf("refused: %d", r)
				}
			})
			w.until("the write is answered", func() bool { return again.done > 0 })
			if p != nil && fmt.Sprintf("%q", again.replies) != fmt.Sprintf("%q", p.replies) {
				t.Fatalf("answered %q, and then %q", p.replies, again.replies)
			}
			p = again
		}
		requests++
		for _, reply := range p.replies {
			if length++; string(reply) != fmt.Sprintf(":%d\r\n", length) {
				t.Fatalf("the value has %d bytes, the answer is %q", length, reply)
			}
		}
		if len(p.replies) > 4 {
			t.Errorf("one entry did %d commands", len(p.replies))
		}
		run = run[len(p.replies):]
	}
	if requests != 3 {
		t.Errorf("%d commands took %d requests", appends, requests)
	}
	w.mustAgree()
}

// Entries that change much, all committed at once, are applied in several Writes.
func TestWhatOneTurnAppliesIsBounded(t *testing.T) {
	const size, entries = maxStateBytes / 2, 7
	w := grown(t, 1, 1, 1)
	n := w.nodes[0]
	w.ask(n, Origin{Node: nodeID(50), Boot: 1, Number: 1, Low: 1}, "SET", key("a"), strings.Repeat("x", size))
	n.chunks = nil
	asked := [entries]told{}
	n.do(func() {
		for i := range asked {
			o := Origin{Node: nodeID(50), Boot: 1, Number: uint64(2 + i), Low: 2}
			if r := n.group.Write(w.now, o, []request.Command{words("APPEND", key("a"), "y")}, &asked[i]); r != Taken {
				w.fatalf("refused: %d", r)
			}
		}
	})
	w.until("all are answered", func() bool { return asked[entries-1].done > 0 })
	for i := range asked {
		if want := fmt.Sprintf(":%d\r\n", size+i+1); asked[i].reply != want {
			t.Errorf("entry %d: %q, want %q", i, asked[i].reply, want)
		}
	}
	if len(n.chunks) < 3 {
		t.Errorf("applied in Writes of %d bytes", n.chunks)
	}
	for _, c := range n.chunks {
		if c > 2*maxStateBytes {
			t.Errorf("one Write has %d bytes", c)
		}
	}
	w.pass(0)
	n.crash()
	n.restart()
	w.mustAgree()
}

// Reads with long replies are answered in parts, or one pipeline takes all memory.
func TestWhatOneReadAnswersIsBounded(t *testing.T) {
	w := grown(t, 1, 1, 1)
	n := w.nodes[0]
	w.ask(n, Origin{Node: nodeID(50), Boot: 1, Number: 1, Low: 1}, "SET", key("a"), strings.Repeat("x", maxReplyBytes/4))
	var run []request.Command
	for range 100 {
		run = append(run, words("GET", key("a")))
	}
	p := &part{}
	n.do(func() {
		if r := n.group.Read(w.now, run, p); r != Taken {
			w.fatalf("refused: %d", r)
		}
	})
	w.until("the read is answered", func() bool { return p.done > 0 })
	if len(p.replies) != 4 {
		t.Errorf("%d replies of %d bytes", len(p.replies), len(p.replies[0]))
	}
}
