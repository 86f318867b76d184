package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func jsonFlag(cmd *cobra.Command, into *bool) {
	cmd.Flags().BoolVar(into, "json", false, "print JSON")
}

// printJSON writes v as one line. Angle brackets stay as they are: this is not going into a web page.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table writes rows of columns aligned for reading; the first row is the heading.
func table(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// printable returns data as it stands in a table or a message: quoted where it would upset a terminal.
func printable(data string) string {
	if data == "" || !utf8.ValidString(data) || strings.ContainsFunc(data, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
		return fmt.Sprintf("%q", data)
	}
	return data
}

// short is enough of an id for people; verbs that take an id accept it.
func short(id string) string { return id[:min(8, len(id))] }

// orDash fills an empty cell.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// plural writes 1 node, 2 nodes.
func plural[N int | int64](n N, what string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// A progress is one line on a terminal that is written again and again; elsewhere it is silent. Whole lines that go
// through it as a Writer stand above that line. It is safe for use by several goroutines.
type progress struct {
	live bool

	mu   sync.Mutex
	w    io.Writer
	line string // as it stands on the terminal
}

func newProgress(w io.Writer) *progress { return &progress{w: w, live: isTerminal(w)} }

// show replaces the line; "" takes it away, to make room for what is printed after it.
func (p *progress) show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live && line != p.line {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.line = line
	}
}

// Write writes whole lines above the line of progress.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line == "" {
		return p.w.Write(b)
	}
	if _, err := fmt.Fprintf(p.w, "\r\x1b[K%s%s", b, p.line); err != nil {
		return 0, err
	}
	return len(b), nil
}

// bytesPerSecond writes a rate for people.
func bytesPerSecond(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB/s", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB/s", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB/s", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B/s", n)
}

// seconds writes a span that is known to the second.
func seconds(n int64) string { return (time.Duration(n) * time.Second).String() }
