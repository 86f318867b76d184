package workload

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What is lost when this fails: the hours of whoever has to find out from thousands of operations which one is wrong.
func TestWrongHistoryIsExplained(t *testing.T) {
	op := func(call, ret int64, v verb, value string, out output) porcupine.Operation {
		return porcupine.Operation{Input: input{key: "k", verb: v, value: value, via: "n1"}, Call: call, Output: out, Return: ret}
	}
	ops := []porcupine.Operation{op(0, math.MaxInt64, del, "", output{unknown: true})}
	at := int64(1)
	for ; at < 100; at += 2 {
		ops = append(ops, op(at, at+1, set, "7", output{}))
	}
	ops = append(ops, op(at, at+1, set, "8", output{}), op(at+2, at+3, get, "", output{value: "7"}))
	for at += 4; at < 200; at += 2 {
		ops = append(ops, op(at, at+1, get, "", output{value: "8"}))
	}
	picture := filepath.Join(t.TempDir(), "history.html")
	h := &History{ops: map[string][]porcupine.Operation{"k": ops}}
	err := h.Check(10*time.Second, picture)
	if err == nil {
		t.Fatal("a read that went back passes")
	}
	said := strings.TrimSpace(err.Error())
	if last := said[strings.LastIndexByte(said, '\n')+1:]; !strings.Contains(last, "GET k -> 7   <-- cannot") {
		t.Errorf("the last line is not the stale read:\n%s", said)
	}
	if lines := strings.Count(said, "\n"); lines > shownBefore+3 {
		t.Errorf("%d lines, want few:\n%s", lines, said)
	}
	for _, name := range []string{picture, picture + ".txt"} {
		if info, err := os.Stat(name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is lost when this fails: the truth about how long a key could not be written.
func TestGapOfAProbe(t *testing.T) {
	p := NewProbes(nil, 0, "k")
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	p.acked[0] = []time.Time{at(0), at(10), at(400), at(410), at(1000)}
	for _, c := range []struct{ from, to, longest, down int }{
		{0, 1000, 590, 980},
		{5, 20, 10, 0},
		{20, 380, 360, 360},
		{405, 420, 10, 0},
		{900, 2000, 1000, 1000},
	} {
		longest, down := p.Gap(0, at(c.from), at(c.to), 100*time.Millisecond)
		if longest != at(c.longest).Sub(start) || down != at(c.down).Sub(start) {
			t.Errorf("from %d to %d: %s, %s; want %d, %d", c.from, c.to, longest, down, c.longest, c.down)
		}
	}
}

// A round that fails in another way than by a wrong history is understood from what clients saw all the same.
func TestHistoryIsKept(t *testing.T) {
	get7 := porcupine.Operation{Input: input{key: "a", verb: get, via: "n1"}, Call: 1, Return: 2, Output: output{value: "7"}}
	lost := porcupine.Operation{Input: input{key: "b", verb: incr, via: "n2"}, Call: 3, Return: math.MaxInt64, Output: output{unknown: true}}
	h := &History{ops: map[string][]porcupine.Operation{"a": {get7}, "b": {lost}}}
	file := filepath.Join(t.TempDir(), "history.txt")
	if err := h.Keep(file); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"at n1: GET a -> 7\n", "at n2: INCR b -> ?\n"} {
		if !strings.Contains(string(kept), want) {
			t.Errorf("the file lacks %q:\n%s", want, kept)
		}
	}
	if strings.Contains(string(kept), "explained") {
		t.Errorf("nothing is wrong here, and something is marked:\n%s", kept)
	}
}

// A history that takes too long to judge has not been found right: that it passes would hide what is wrong.
func TestWhatCannotBeJudgedFails(t *testing.T) {
	var ops []porcupine.Operation
	for i := range int64(40) { // all at once, in any order, and an answer that fits into none
		ops = append(ops, porcupine.Operation{ClientId: int(i), Input: input{key: "k", verb: incr, value: "1"}, Call: i, Return: 100 + i, Output: output{unknown: true}})
	}
	ops = append(ops, porcupine.Operation{ClientId: 40, Input: input{key: "k", verb: get}, Call: 200, Return: 201, Output: output{value: "41"}})
	h := &History{ops: map[string][]porcupine.Operation{"k": ops}}
	err := h.Check(time.Millisecond, filepath.Join(t.TempDir(), "history.html"))
	if err == nil || !strings.Contains(err.Error(), "could not be judged") {
		t.Errorf("after a millisecond the judge says: %v", err)
	}
}
