package command_test

import (
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/command"
)

// everything returns all commands and subcommands that clients can name, and the internal ones.
func everything() []*command.Spec {
	var specs []*command.Spec
	for _, s := range command.List() {
		specs = append(append(specs, s), s.Subcommands...)
	}
	for _, name := range []string{"_len", "_scan", "_clear"} {
		specs = append(specs, command.Find([]byte(name)))
	}
	return specs
}

// Who adds a command and forgets a part of it would give clients half a command.
func TestTableIsComplete(t *testing.T) {
	for _, s := range everything() {
		name := s.FullName()
		if s.Summary == "" || s.Since == "" || s.Group == "" || s.Complexity == "" || s.Arity == 0 {
			t.Errorf("%s is not documented", name)
		}
		if name != strings.ToLower(name) {
			t.Errorf("%s is not in lower case", name)
		}
		if (s.Eval != nil) != (s.Where == command.Tablet) {
			t.Errorf("%s: Eval and its place do not go together", name)
		}
		write, read := s.IsWrite(), s.Flags&command.ReadOnly != 0
		if write && read || s.Eval != nil && !write && !read {
			t.Errorf("%s has to be either a write or a read", name)
		}
		if s.Eval != nil && s.Flags&command.Internal == 0 && s.First == 0 {
			t.Errorf("%s is for a tablet and has no key to find it by", name)
		}
		if (s.First > 0) != (s.Step > 0) || (s.First > 0) != (s.KeyFlags != "") {
			t.Errorf("%s: the description of its keys is half done", name)
		}
		if s.Split != command.None && s.Last >= 0 {
			t.Errorf("%s is to be split and has no list of keys", name)
		}
		if (s.ReplacedBy != "") != (s.DeprecatedSince != "") {
			t.Errorf("%s is half deprecated", name)
		}
		for _, reply := range [][]byte{command.AppendInfo(nil, s), command.AppendDocs(nil, s), command.AppendHelp(nil, s)} {
			if !oneReply(reply) {
				t.Errorf("%s is described by a malformed reply: %q", name, reply)
			}
		}
	}
}

// Clients write commands in any case.
func TestLookupTakesAnyCase(t *testing.T) {
	for _, name := range []string{"get", "GET", "gEt"} {
		if s := command.Lookup([]byte(name)); s == nil || s.Name != "get" {
			t.Errorf("Lookup(%q) = %v", name, s)
		}
	}
	for _, name := range []string{"", "ge", "getx", "get ", "get\x00", "client|list", strings.Repeat("x", 100)} {
		if s := command.Lookup([]byte(name)); s != nil {
			t.Errorf("Lookup(%q) = %s", name, s.Name)
		}
	}
}

// A client that could name an internal command could empty a tablet or look into others' keys.
func TestInternalCommandsAreNotForClients(t *testing.T) {
	for _, name := range []string{"_len", "_SCAN", "_Clear"} {
		if command.Find([]byte(name)) == nil {
			t.Errorf("%s does not exist", name)
		}
		if command.Lookup([]byte(name)) != nil {
			t.Errorf("a client can name %s", name)
		}
		spec, reply := command.Check(words(name+" 0"), nil)
		if want := "-ERR unknown command '" + name + "', with args beginning with: '0' \r\n"; spec != nil || string(reply) != want {
			t.Errorf("%s: %q", name, reply)
		}
	}
	for _, s := range command.List() {
		if s.Flags&command.Internal != 0 {
			t.Errorf("COMMAND shows %s", s.Name)
		}
	}
}

// A front end that finds the wrong keys sends a command to the wrong tablet.
func TestKeys(t *testing.T) {
	for line, want := range map[string]string{
		"get a": "a", "set a b ex 10": "a", "mget a b c": "a b c", "mset a 1 b 2": "a b", "del a a": "a a", "ping a": "",
		"scan 0": "", "msetnx a 1": "a", "quord.get k r 2": "k", "quord.del k": "k", "mget": "",
	} {
		args := words(line)
		if got := command.Lookup(args[0]).Keys(args); string(joined(got)) != want {
			t.Errorf("%s: keys %q, want %s", line, got, want)
		}
	}
}

func joined(list [][]byte) string {
	var parts []string
	for _, b := range list {
		parts = append(parts, string(b))
	}
	return strings.Join(parts, " ")
}

// A command without the right number of arguments must be refused before anything is made of it.
func TestCheckArity(t *testing.T) {
	for line, want := range map[string]bool{
		"get": false, "get a": true, "get a b": false, "mset a": false, "mset a b": true, "mset a b c": false,
		"mset a b c d": true, "del": false, "del a b c": true, "set a": false, "set a b": true, "set a b nx": true,
	} {
		args := words(line)
		if got := command.Lookup(args[0]).CheckArity(len(args)); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// Looking a command up happens for every command of every client: it costs no memory.
func TestLookupAndGetDoNotAllocate(t *testing.T) {
	view := newStory().view
	run(view, words("set key value"))
	args := words("GeT key")
	out := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		s := command.Lookup(args[0])
		if first, last, _ := s.KeyRange(len(args)); first != last || !s.CheckArity(len(args)) {
			t.Fatal("GET has one key")
		}
		out = s.Eval(view, args, out[:0])
	}); n != 0 || string(out) != "$5\r\nvalue\r\n" {
		t.Errorf("a GET allocates %v times and answers %q", n, out)
	}
}
