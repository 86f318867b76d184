package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// mutation is one way to break the product.
type mutation struct {
	file  string // its own
	name  string
	why   string
	world []string // arguments of quordsim world
	seed  uint64   // one that shows it; 0: none is recorded
	edits []edit
}

// edit is one place in the code.
type edit struct{ path, old, new string }

// readMutation reads a file of testdata.
func readMutation(path string) (*mutation, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &mutation{file: path}
	head, rest, _ := strings.Cut(string(b), "\n--- ")
	for i, l := range strings.Split(head, "\n") {
		world, isWorld := strings.CutPrefix(l, "world: ")
		seed, isSeed := strings.CutPrefix(l, "seed: ")
		switch {
		case i == 0:
			m.name = l
		case isWorld:
			m.world = strings.Fields(world)
		case isSeed:
			if m.seed, err = strconv.ParseUint(seed, 10, 64); err != nil {
				return nil, fmt.Errorf("%s: the seed %q is no number", path, seed)
			}
		default:
			m.why = strings.TrimSpace(m.why + " " + l)
		}
	}
	for _, part := range strings.Split(rest, "\n--- ") {
		file, texts, ok1 := strings.Cut(part, "\n")
		from, to, ok2 := strings.Cut(texts, "\n+++\n")
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s: want `--- file`, what stands there, `+++`, and what takes its place", path)
		}
		// The last line may end anywhere, so that a text can stop in the midst of a line.
		m.edits = append(m.edits, edit{file, from, strings.TrimSuffix(to, "\n")})
	}
	if m.name == "" || m.why == "" || len(m.world) == 0 {
		return nil, fmt.Errorf("%s: want a name, a reason and `world:`", path)
	}
	return m, nil
}

// short is the name of the file.
func (m *mutation) short() string { return strings.TrimSuffix(filepath.Base(m.file), ".txt") }

// build makes the broken quordsim in a directory, and returns its path.
func (m *mutation) build(root, dir string) (string, error) {
	replace := map[string]string{}
	texts := map[string]string{}
	for _, e := range m.edits {
		path := filepath.Join(root, e.path)
		if _, ok := texts[path]; !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return "", fmt.Errorf("%s: %w", m.short(), err)
			}
			texts[path] = string(b)
		}
		if n := strings.Count(texts[path], e.old); n != 1 {
			return "", fmt.Errorf("%s: %s holds this %d times, want once:\n%s", m.short(), e.path, n, e.old)
		}
		texts[path] = strings.Replace(texts[path], e.old, e.new, 1)
	}
	for path, text := range texts {
		mutated := filepath.Join(dir, fmt.Sprintf("%s-%s", m.short(), filepath.Base(path)))
		if err := os.WriteFile(mutated, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = mutated
	}
	overlay := filepath.Join(dir, m.short()+".json")
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		return "", err
	}
	return buildSim(root, filepath.Join(dir, "quordsim-"+m.short()), "-overlay", overlay)
}

// buildSim builds quordsim.
func buildSim(root, binary string, flags ...string) (string, error) {
	cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false"}, flags...), "-o", binary, "./cmd/quordsim")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: build quordsim: %w\n%s", filepath.Base(binary), err, out)
	}
	return binary, nil
}

// outcome is what a run of seeds came to.
type outcome struct {
	seeds  int    // that were run, the one that failed included
	caught string // how; "" where all passed
	seed   uint64 // that failed
}

// run runs a number of seeds until one fails.
func (m *mutation) run(binary string, first uint64, seeds int) (outcome, error) {
	args := append([]string{"world", "--json", "--shrink=false", "--stop-at-first"}, m.world...)
	args = append(args, "--seed", strconv.FormatUint(first, 10), "--seeds", strconv.Itoa(seeds))
	cmd := exec.Command(binary, args...)
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return outcome{}, err
	}
	var o outcome
	for l := range strings.Lines(string(out)) {
		var s struct {
			Seed       uint64   `json:"seed"`
			Violations []string `json:"violations"`
		}
		if err := json.Unmarshal([]byte(l), &s); err != nil {
			return o, fmt.Errorf("quordsim prints %q: %w", l, err)
		}
		o.seeds++
		if len(s.Violations) > 0 {
			o.seed, o.caught = s.Seed, s.Violations[0]
		}
	}
	if err == nil || o.caught != "" {
		return o, nil
	}
	// A process that ends by itself is caught as well.
	if _, text, found := strings.Cut(told.String(), "panic: "); found {
		text, _, _ = strings.Cut(text, "\n")
		o.seed, o.caught = first+uint64(o.seeds), "a node panics: "+text
		o.seeds++
		return o, nil
	}
	return o, fmt.Errorf("quordsim world: %w\n%s", err, told.String())
}

var seedLine = regexp.MustCompile(`(?m)^seed: .*$`)

// record writes the seed that shows the mutation into its file.
func (m *mutation) record(seed uint64) error {
	b, err := os.ReadFile(m.file)
	if err != nil {
		return err
	}
	if !seedLine.Match(b) {
		return fmt.Errorf("%s: there is no line `seed: N` to write the seed to", m.file)
	}
	return os.WriteFile(m.file, seedLine.ReplaceAll(b, []byte("seed: "+strconv.FormatUint(seed, 10))), 0o644)
}
