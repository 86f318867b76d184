package gen_test

import (
	"testing"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/gen"
)

// A failure that cannot be repeated from its seed cannot be mended.
func TestSequencesRepeat(t *testing.T) {
	cfg := gen.Config{Seed: 7, Now: 1000, Tag: "t"}
	a, b := gen.New(cfg), gen.New(cfg)
	cfg.Seed++
	other, differs := gen.New(cfg), false
	for range 1000 {
		x := gen.Format(a.Next())
		if y := gen.Format(b.Next()); x != y {
			t.Fatalf("%s and %s from the same seed", x, y)
		}
		differs = differs || x != gen.Format(other.Next())
	}
	if !differs {
		t.Error("another seed makes up the same commands")
	}
}

// A command on data that is never made up is never compared with Redis.
func TestEveryDataCommandIsMadeUp(t *testing.T) {
	made := map[string]bool{}
	for _, name := range gen.Commands() {
		made[name] = true
	}
	for _, s := range command.List() {
		if s.Where == command.Tablet && s.Group != "module" && !made[s.Name] {
			t.Errorf("%s is missing", s.Name)
		}
	}
}

// Only restricts, and Same forgives times but nothing else.
func TestOnlyAndSame(t *testing.T) {
	s := gen.New(gen.Config{Seed: 1, Only: []string{"get"}})
	for range 50 {
		if args := s.Next(); len(args[0]) != 3 {
			t.Fatalf("%s, where only GET was wanted", gen.Format(args))
		}
	}
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"ttl", ":100\r\n", ":101\r\n", true},
		{"pTTL", ":100000\r\n", ":100900\r\n", true},
		{"ttl", ":100\r\n", ":200\r\n", false},
		{"ttl", ":-1\r\n", ":1\r\n", false},
		{"ttl", ":1\r\n", "-ERR\r\n", false},
		{"incr", ":100\r\n", ":101\r\n", false},
		{"get", "_\r\n", "_\r\n", true},
	} {
		if got := gen.Same([][]byte{[]byte(c.name)}, []byte(c.a), []byte(c.b)); got != c.same {
			t.Errorf("%s: %q and %q are the same: %v", c.name, c.a, c.b, got)
		}
	}
}
