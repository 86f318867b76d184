package readme

import (
	"fmt"
	"regexp"
	"strings"
)

// Command is one line after a prompt, and what it must print.
type Command struct {
	Line       int // in the document, from 1
	Text       string
	Want       []string
	Background bool // runs on beside those that follow it
	Skip       bool
}

// prompt begins a line that is typed.
const prompt = "$ "

// Parse returns the commands of all console blocks of a Markdown document.
func Parse(document string) ([]Command, error) {
	var commands []Command
	var info string // of the block that the line is in; "" outside
	for i, line := range strings.Split(document, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && info == "":
			if info = strings.TrimSpace(fence); info == "" {
				info = "text"
			}
		case isFence:
			info = ""
		case !strings.HasPrefix(info, "console"):
		case strings.HasPrefix(line, prompt):
			commands = append(commands, Command{
				Line: i + 1, Text: strings.TrimPrefix(line, prompt),
				Background: strings.Contains(info, "background"), Skip: strings.Contains(info, "skip"),
			})
		case len(commands) == 0:
			return nil, fmt.Errorf("line %d: output without a command before it: %q", i+1, line)
		default:
			last := &commands[len(commands)-1]
			last.Want = append(last.Want, line)
		}
	}
	return commands, nil
}

// What differs from one run to the next, in the order in which it is taken out.
var variable = []struct {
	pattern *regexp.Regexp
	becomes string
}{
	{regexp.MustCompile(`\b[0-9a-f]{8,}(…|\b)`), "ID"},
	{regexp.MustCompile(`/tmp/[^\s'"]+`), "DIR"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+\b`), "TIME"},
	{regexp.MustCompile(`\d+(\.\d+)?`), "N"},
	{regexp.MustCompile(`\b(N \w+?)s?\b`), "$1"}, // 1 hop, 2 hops
	{regexp.MustCompile(`[─━═-]{3,}`), "---"},
	{regexp.MustCompile(`\s+`), " "},
}

// Shape returns a line without what differs from one run to the next.
func Shape(line string) string {
	for _, v := range variable {
		line = v.pattern.ReplaceAllString(line, v.becomes)
	}
	return strings.TrimSpace(line)
}

// Match reports whether output has the shape that a document shows. Blank lines do not count.
func Match(want, got []string) bool { return match(shapes(want), shapes(got)) }

func shapes(lines []string) []string {
	var all []string
	for _, line := range lines {
		if s := Shape(line); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func match(want, got []string) bool {
	for len(want) > 0 {
		if want[0] == "..." {
			for skip := range len(got) + 1 {
				if match(want[1:], got[skip:]) {
					return true
				}
			}
			return false
		}
		if len(got) == 0 || want[0] != got[0] {
			return false
		}
		want, got = want[1:], got[1:]
	}
	return len(got) == 0
}
