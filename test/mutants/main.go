package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	seeds := flag.Int("seeds", 300, "how many fresh seeds each mutation is looked for in")
	first := flag.Uint64("first", uint64(time.Now().Unix()), "the first of them")
	only := flag.String("run", "", "only mutations whose file's name holds this")
	record := flag.Bool("record", false, "write the seed that was found into the mutation's file")
	flag.Parse()
	missed, err := hunt("..", *only, *first, *seeds, *record)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	if len(missed) > 0 {
		fmt.Fprintf(os.Stderr, "mutants: not caught within %d seeds: %s\n", *seeds, strings.Join(missed, ", "))
		os.Exit(1)
	}
}

// mutations reads all that there are.
func mutations(only string) ([]*mutation, error) {
	files, err := filepath.Glob(filepath.Join("mutants", "testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		if files, err = filepath.Glob(filepath.Join("testdata", "*.txt")); err != nil || len(files) == 0 {
			return nil, fmt.Errorf("no mutations found: run it in test/ (%w)", err)
		}
	}
	slices.Sort(files)
	var all []*mutation
	for _, f := range files {
		m, err := readMutation(f)
		if err != nil {
			return nil, err
		}
		if strings.Contains(m.short(), only) {
			all = append(all, m)
		}
	}
	return all, nil
}

// hunt looks for each mutation in fresh seeds, and returns those that were not found.
func hunt(root, only string, first uint64, seeds int, record bool) (missed []string, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	all, err := mutations(only)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	fmt.Printf("first seed %d\n", first)
	for _, m := range all {
		begun := time.Now()
		binary, err := m.build(root, dir)
		if err != nil {
			return nil, err
		}
		o, err := m.run(binary, first, seeds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.short(), err)
		}
		if o.caught == "" {
			fmt.Printf("%-16s NOT CAUGHT in %d seeds, %v: %s\n", m.short(), o.seeds, time.Since(begun).Round(time.Second), m.name)
			missed = append(missed, m.short())
			continue
		}
		fmt.Printf("%-16s caught by seed %d of %d, %v: %s: %s\n", m.short(), o.seeds, seeds, time.Since(begun).Round(time.Second), m.name, o.caught)
		if record {
			if err := m.record(o.seed); err != nil {
				return nil, err
			}
		}
	}
	return missed, nil
}
