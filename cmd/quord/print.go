package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
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

// A progress is one line on a terminal that is written again and again; elsewhere it is silent.
type progress struct {
	w    io.Writer
	live bool
	last string
}

func newProgress(w io.Writer) *progress { return &progress{w: w, live: isTerminal(w)} }

func (p *progress) show(line string) {
	if p.live && line != p.last {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.last = line
	}
}

// clear makes room for what is printed after it.
func (p *progress) clear() {
	if p.live && p.last != "" {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.last = ""
	}
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
