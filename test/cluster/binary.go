package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Binary returns the path of the command quord, built with these build tags: without any, what the environment's
// QUORD_BINARY names, or else one that is built once in the life of this process. Cleanup removes what was built.
func Binary(tags ...string) (string, error) {
	if path := os.Getenv("QUORD_BINARY"); path != "" && len(tags) == 0 {
		return filepath.Abs(path)
	}
	built.mu.Lock()
	defer built.mu.Unlock()
	name := strings.Join(append([]string{"quord"}, tags...), "-")
	path := filepath.Join(built.dir, name)
	if built.names[name] {
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	if built.dir == "" {
		if built.dir, err = os.MkdirTemp("", "quord-binary-"); err != nil {
			return "", err
		}
		built.names = map[string]bool{}
		path = filepath.Join(built.dir, name)
	}
	// In the root's own directory, so that the versions are those of its go.mod and not of the tests'.
	cmd := exec.Command("go", "build", "-C", root, "-tags", strings.Join(tags, ","), "-o", path, "./cmd/quord")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build quord: %w\n%s", err, out)
	}
	built.names[name] = true
	return path, nil
}

var built struct {
	mu    sync.Mutex
	dir   string          // guarded by mu; "" until something has been built
	names map[string]bool // guarded by mu; what has been built in dir
}

// Root returns the directory of the module that holds the command.
func Root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/quorddb/quord").Output()
	if err != nil {
		return "", fmt.Errorf("find the root of the repository: %w", withStderr(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// Cleanup removes what Binary has built.
func Cleanup() error {
	built.mu.Lock()
	defer built.mu.Unlock()
	if built.dir == "" {
		return nil
	}
	dir := built.dir
	built.dir, built.names = "", nil
	return os.RemoveAll(dir)
}

func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

// environ returns the environment without the variables that are settings of a node: what somebody has set for
// themselves is no part of a test.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "QUORD_") })
}
