package e2e

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// report prints what a long test does as it does it, for a person to read. It goes to standard output (go test shows
// it with -v) and, where QUORD_REPORT names a file, into that too.
type report struct {
	out   io.Writer
	start time.Time
}

func newReport(t *testing.T) *report {
	t.Helper()
	r := &report{out: os.Stdout, start: time.Now()}
	if name := os.Getenv("QUORD_REPORT"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		r.out = io.MultiWriter(os.Stdout, f)
	}
	return r
}

// say prints one line with the time since the start.
func (r *report) say(format string, args ...any) {
	fmt.Fprintf(r.out, "%6.1f s  %s\n", time.Since(r.start).Seconds(), fmt.Sprintf(format, args...))
}

// took returns how long something took since from, rounded for reading.
func took(from time.Time) time.Duration { return time.Since(from).Round(10 * time.Millisecond) }
