package sim

import (
	"fmt"
	"strings"
	"time"
)

// maxChronicle bounds what is remembered for the account: the newest lines.
const maxChronicle = 20_000

// chronicle is what has happened, for people.
type chronicle struct {
	lines []line
	sink  func(at time.Duration, text string) // where it is also told at once; nil: nowhere
}

// line is one of the account; about is the group that it is about, -1 where it is about something else.
type line struct {
	at    time.Duration
	about int
	text  string
}

// tell adds a line to the chronicle.
func (w *World) tell(format string, args ...any) { w.tellOf(-1, format, args...) }

// tellOf adds one about a group.
func (w *World) tellOf(group int, format string, args ...any) {
	c := &w.chronicle
	if w.cfg.Quiet && c.sink == nil {
		return
	}
	l := line{w.now, group, fmt.Sprintf(format, args...)}
	if c.sink != nil {
		c.sink(l.at, l.text)
	}
	if len(c.lines) >= 2*maxChronicle {
		c.lines = append(c.lines[:0], c.lines[len(c.lines)-maxChronicle:]...)
	}
	c.lines = append(c.lines, l)
}

// between returns the lines from one moment to another: those about one group alone and about none, where group is not -1.
func (c *chronicle) between(from, to time.Duration, group int) []line {
	var found []line
	for _, l := range c.lines {
		if l.at >= from && l.at <= to && (group < 0 || l.about < 0 || l.about == group) {
			found = append(found, l)
		}
	}
	return found
}

// clock writes a moment as an account has it.
func clock(at time.Duration) string {
	ms := at.Milliseconds()
	return fmt.Sprintf("%3d:%02d.%03d", ms/60_000, ms/1000%60, ms%1000)
}

// plural writes 1 node, 2 nodes.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// attributes writes what an event of a core carries.
func attributes(attrs []any) string {
	var b strings.Builder
	for i := 0; i+1 < len(attrs); i += 2 {
		fmt.Fprintf(&b, " %v=%v", attrs[i], attrs[i+1])
	}
	return b.String()
}
