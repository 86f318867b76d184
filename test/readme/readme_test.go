package readme

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/freeport"
	"github.com/quorddb/quord/test/cluster"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := cluster.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// A page that is not compared protects nobody: the comparison must tell what differs from what varies.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"OK", "OK", true},
		{"OK", "ERR no", false},
		{"OK", "OK\nmore", false},
		{"node 3f2a9c1e: 12 tablets in 3.4s", "node 00ff00ff: 7 tablets in 120ms", true},
		{"node 3f2a9c1e: 12 tablets", "node 00ff00ff: 7 keys", false},
		{"first\n...\nlast", "first\na\nb\nlast", true},
		{"first\n...\nlast", "first\nlast", true},
		{"first\n...\nlast", "first\na\nb", false},
		{"found in 1 hop, iterative", "found in 2 hops, iterative", true},
		{"a   b", "a b", true},
		{"x\n\ny", "x\ny", true},
	} {
		if got := Match(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")); got != c.ok {
			t.Errorf("Match(%q, %q) = %v", c.want, c.got, got)
		}
	}
}

// What a user loses when this fails: the first five minutes, to a page that shows what does not happen.
func TestReadme(t *testing.T) {
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands, err := Parse(string(document))
	if err != nil {
		t.Fatal(err)
	}
	if len(commands) == 0 {
		t.Fatal("README.md shows no command")
	}
	sh := newShell(t, root)
	for _, c := range commands {
		switch {
		case c.Skip:
			t.Logf("README.md:%d is shown and not run: %s", c.Line, c.Text)
		case c.Background:
			sh.background(t, c)
		default:
			got := sh.run(t, c)
			if !Match(c.Want, got) {
				t.Fatalf("README.md:%d: $ %s\nprints\n  %s\nbut the page shows\n  %s", c.Line, c.Text,
					strings.Join(got, "\n  "), strings.Join(c.Want, "\n  "))
			}
		}
	}
}

// The page has its ring at the ports at which `make run` starts one, from pagePort up. A ring that runs there must not be in
// the way, so the commands are run with other ports in their place.
const (
	pagePort  = 7001
	pageNodes = 3
)

// shell runs commands in one directory, with quord in the PATH.
type shell struct {
	dir     string
	env     []string
	replace *strings.Replacer // the page's ports, and how its ring is started
}

func newShell(t *testing.T, root string) *shell {
	t.Helper()
	binary, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	offsets := []int{}
	for i := range pageNodes {
		offsets = append(offsets, i, i+1000, i+10000)
	}
	port, err := freeport.Take(nil, offsets[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	// On a fresh clone `make run` builds and then runs `quord dev`; here the binary is built already.
	words := []string{"make run", fmt.Sprintf("quord dev --port %d", port)}
	for i := range pageNodes {
		words = append(words, strconv.Itoa(pagePort+i), strconv.Itoa(port+i))
	}
	path := filepath.Dir(binary) + string(os.PathListSeparator) + os.Getenv("PATH")
	return &shell{dir: root, env: append(os.Environ(), "PATH="+path, "TMPDIR="+t.TempDir()), replace: strings.NewReplacer(words...)}
}

func (s *shell) command(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", s.replace.Replace(text))
	cmd.Dir, cmd.Env = s.dir, s.env
	// What a command starts is in its group and ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func (s *shell) run(t *testing.T, c Command) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := s.command(ctx, c.Text).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("README.md:%d: $ %s: %v\n%s", c.Line, c.Text, err, out)
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
}

// background starts a command, waits until it has printed what the page shows, and interrupts it at the end, as
// Ctrl-C would.
func (s *shell) background(t *testing.T, c Command) {
	t.Helper()
	// Not t.Context(): that ends before the cleanup, and would kill what the cleanup interrupts.
	cmd := s.command(context.WithoutCancel(t.Context()), "exec "+c.Text)
	out := filepath.Join(t.TempDir(), "background")
	file, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Errorf("interrupt %s: %v", c.Text, err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("README.md:%d: $ %s ends with %v after Ctrl-C", c.Line, c.Text, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("README.md:%d: $ %s does not end after Ctrl-C", c.Line, c.Text)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may end meanwhile
		}
	})
	deadline, tick := time.After(time.Minute), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		// The nodes' own lines may follow what the page shows.
		if Match(append(c.Want, "..."), strings.Split(string(bytes.TrimRight(got, "\n")), "\n")) {
			return
		}
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- err
			t.Fatalf("README.md:%d: $ %s has ended: %v\n%s", c.Line, c.Text, err, got)
		case <-deadline:
			t.Fatalf("README.md:%d: $ %s prints\n%s\nbut the page shows\n%s", c.Line, c.Text, got,
				strings.Join(c.Want, "\n"))
		}
	}
}
