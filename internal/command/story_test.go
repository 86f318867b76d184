package command_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/command/memview"
	"github.com/quorddb/quord/internal/record"
)

var update = flag.Bool("update", false, "write the replies into the stories instead of comparing them")

// story is a script: each line is a command, the indented line after it the reply. "at N" sets the tablet's time in
// milliseconds, "max N" the limit of values, "sweep N" removes at most N keys whose time has passed, "make KIND KEY"
// makes a key that holds no string, "data" shows what the tablet holds. Arguments may be quoted as in Go.
type story struct{ view *memview.View }

func newStory() *story { return &story{&memview.View{Time: 1_000_000}} }

func (s *story) tell(t *testing.T, line string) string {
	t.Helper()
	args := split(t, line)
	switch string(args[0]) {
	case "at":
		s.view.Time = number(t, args[1])
		return ""
	case "sweep":
		sweep(s.view, int(number(t, args[1])))
		return ""
	case "max":
		s.view.Max = int(number(t, args[1]))
		return ""
	case "make":
		kinds := map[string]record.Kind{"list": record.List, "set": record.Set, "zset": record.SortedSet, "hash": record.Hash}
		s.view.Put(args[2], record.Record{Kind: kinds[string(args[1])]})
		return ""
	case "data":
		return strings.ReplaceAll(strings.TrimSuffix(dump(s.view), "\n"), "\n", "\n  ")
	}
	var reply []byte
	if args[0][0] == '_' {
		reply = command.Evaluate(s.view, args, nil)
	} else {
		reply = []byte(run(s.view, args))
	}
	if !oneReply(reply) {
		t.Errorf("%s answers %q, which is not one reply", line, reply)
	}
	q := strconv.Quote(string(reply))
	return q[1 : len(q)-1]
}

func number(t *testing.T, b []byte) int64 {
	t.Helper()
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// split cuts a line at spaces, outside quotes.
func split(t *testing.T, line string) [][]byte {
	t.Helper()
	var args [][]byte
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " ") {
		if rest[0] == '"' {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			word, _ := strconv.Unquote(quoted)
			args, rest = append(args, []byte(word)), rest[len(quoted):]
			continue
		}
		word, after, _ := strings.Cut(rest, " ")
		args, rest = append(args, []byte(word)), after
	}
	return args
}

// The stories say what each command does, and what it says when it cannot: the first line of each names what a
// user loses when it no longer holds.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			told := retell(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(told), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, got := strings.Split(string(text), "\n"), strings.Split(told, "\n")
			for i := range max(len(want), len(got)) {
				if i >= len(want) || i >= len(got) || want[i] != got[i] {
					t.Fatalf("%s:%d: the story goes otherwise:\n%s", file, i+1, strings.Join(got[max(0, i-2):min(i+2, len(got))], "\n"))
				}
			}
		})
	}
}

func retell(t *testing.T, text string) string {
	s := newStory()
	var b strings.Builder
	for line := range strings.Lines(text) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "  "):
			continue // a reply, told anew
		case trimmed == "" || trimmed[0] == '#':
			b.WriteString(line)
			continue
		default:
			b.WriteString(trimmed + "\n")
			if reply := s.tell(t, trimmed); reply != "" {
				b.WriteString("  " + reply + "\n")
			}
		}
	}
	return b.String()
}
