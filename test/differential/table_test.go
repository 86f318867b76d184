package differential

import (
	"slices"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/resp"
)

// newer are what Redis 7.2, whose commands Quord has, brought after the oracle's 7.0.
var newer = map[string]bool{"client|setinfo": true, "client|no-touch": true}

// A client that routes by COMMAND, and an administrator who writes ACL rules, find what they know from Redis.
func TestCommandInfoAgreesWithRedis(t *testing.T) {
	redis := newTestRedis(t)
	for _, spec := range command.List() {
		for _, s := range append([]*command.Spec{spec}, spec.Subcommands...) {
			name := s.FullName()
			if strings.HasPrefix(name, "quord.") || newer[name] {
				continue
			}
			t.Run(name, func(t *testing.T) {
				want := infoOf(t, do(t, redis, "COMMAND", "INFO", name))
				got := infoOf(t, command.AppendCommand(nil, [][]byte{[]byte("command"), []byte("info"), []byte(name)}))
				// The last element holds the subcommands; they are compared on their own.
				for i := range 9 {
					if want[i] != got[i] {
						t.Errorf("element %d of COMMAND INFO differs\nredis: %s\nquord: %s", i, want[i], got[i])
					}
				}
			})
		}
	}
}

// infoOf returns the ten elements of the only entry, their sets in order.
func infoOf(t *testing.T, reply []byte) []string {
	t.Helper()
	v, rest, err := resp.Parse(reply)
	if err != nil || len(rest) != 0 || len(v.Elems) != 1 || len(v.Elems[0].Elems) != 10 {
		t.Fatalf("%q is not one entry of ten elements: %v", reply, err)
	}
	elements := make([]string, 10)
	for i, e := range v.Elems[0].Elems {
		elements[i] = canonical(e)
	}
	return elements
}

// canonical writes a value so that sets and maps in another order are alike. Notes on key specifications are for
// people and left out.
func canonical(v resp.Value) string {
	if len(v.Elems) == 0 {
		return string(v.Kind) + v.String()
	}
	var parts []string
	for i := 0; i < len(v.Elems); i++ {
		part := canonical(v.Elems[i])
		if v.Kind == '%' {
			i++
			if strings.Contains(part, "notes") {
				continue
			}
			part += "=" + canonical(v.Elems[i])
		}
		parts = append(parts, part)
	}
	if v.Kind == '~' || v.Kind == '%' {
		slices.Sort(parts)
	}
	return string(v.Kind) + "[" + strings.Join(parts, " ") + "]"
}

// Tools that ask COMMAND about itself, or ask it nonsense, get the answers of Redis.
func TestCommandSubcommandsAgreeWithRedis(t *testing.T) {
	redis := newTestRedis(t)
	for _, line := range []string{
		"COMMAND GETKEYS mset a b c d", "COMMAND GETKEYS nosuch a b", "COMMAND GETKEYS ping b", "COMMAND GETKEYS ping",
		"COMMAND GETKEYS getrange a b", "COMMAND GETKEYS del a b c", "COMMAND GETKEYS set k v ex 10",
		"COMMAND INFO nosuch", "COMMAND INFO get|x", "COMMAND INFO config|nosuch", "COMMAND DOCS nosuch",
		"COMMAND LIST FILTERBY ACLCAT nosuch", "COMMAND LIST FILTERBY MODULE nosuch", "COMMAND LIST FILTERBY PATTERN getd*",
		"COMMAND LIST FILTERBY PATTERN CONFIG|G*", "COMMAND LIST FILTERBY x y", "COMMAND LIST x", "COMMAND LIST FILTERBY PATTERN",
		"COMMAND COUNT x", "COMMAND nosuch", "COMMAND HELP x", "CONFIG", "CONFIG nosuch", "CLIENT KILL", "CLIENT",
		"nosuch", "nosuch a b", "GET", "get a b", "MSET a", "MSET a b c", "msetnx a b c", "DEL", "_len", "_scan 0", "SELECT",
		"nosuch " + strings.Repeat("x", 100) + " " + strings.Repeat("y", 100) + " z", strings.Repeat("n", 200),
		"CLIENT " + strings.Repeat("n", 200),
	} {
		args := strings.Fields(line)
		words := make([][]byte, len(args))
		for i, a := range args {
			words[i] = []byte(a)
		}
		want := do(t, redis, args...)
		spec, got := command.Check(words, nil)
		if spec != nil && strings.EqualFold(args[0], "command") {
			got = command.AppendCommand(nil, words)
		}
		if string(want) != string(got) {
			t.Errorf("%s\nredis: %q\nquord: %q", line, want, got)
		}
	}
}
