package sim

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden stories")

// The stories that design and users care about most, told by the nodes themselves. When one reads differently, somebody
// sees something else than before: a write that is gone, an answer that takes longer, a ring that stays in two.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".golden"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := string(b)
			got := retell(t, want)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("the story goes otherwise; -update rewrites it. It is now:\n%s", got)
			}
		})
	}
}

// retell carries out the commands of a story (lines with >) and puts what there is to see below each.
func retell(t *testing.T, text string) string {
	t.Helper()
	var s Story
	var b strings.Builder
	for line := range strings.Lines(text) {
		command, isCommand := strings.CutPrefix(strings.TrimRight(line, "\n"), "> ")
		switch {
		case isCommand:
			b.WriteString(line)
			out, err := s.Do(command)
			if err != nil {
				t.Fatalf("%s: %v\n%s", command, err, b.String())
			}
			if out != "" {
				b.WriteString(out + "\n")
			}
		case strings.HasPrefix(line, "#") || line == "\n":
			b.WriteString(line)
		}
	}
	return b.String()
}
