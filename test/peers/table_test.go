package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a reader loses when this fails: the right row. The median round counts, and a goal is judged by it.
func TestTable(t *testing.T) {
	r := newResults()
	for _, perSecond := range []float64{100, 900, 500} {
		r.add(quordOne, load{"GET", 1}, measurement{perSecond: perSecond, p50: time.Millisecond, cpu: 2})
		r.add(redisSync, load{"GET", 1}, measurement{perSecond: perSecond * 1.5})
	}
	var out strings.Builder
	write(&out, options{rounds: 3}, r, []gap{{node: "n1", led: 4, longest: 1500 * time.Millisecond}})
	for _, want := range []string{
		"| Quord, 1 node | GET P1 | 500 | 1ms | 0s | 0s | 2.0 |",
		"| GET P1: Quord, 1 node / Redis, appendfsync always | 0.67 | 0.5 | reached |",
		"| kill -9 of n1: longest time without a successful write, 4 keys it led | 1.5s | 1s | missed |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no row %q in\n%s", want, out.String())
		}
	}
}

// What a reader loses when this fails: the words around the figures, or the figures.
func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("before\n"+figuresBegin+"old\n"+figuresEnd+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, figures := range []string{"| 1 |\n", "| 2 |\n"} {
		if err := update(path, figures); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if want := "before\n" + figuresBegin + "\n" + figures + "\n" + figuresEnd + "after\n"; err != nil || string(got) != want {
			t.Errorf("the document is %q, %v; want %q", got, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("no place\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := update(path, "x"); err == nil {
		t.Error("no complaint about a document without a place for figures")
	}
}
