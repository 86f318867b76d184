package main

import (
	"fmt"
	"os"
	"strings"
)

// The lines between which a document holds the latest figures.
const (
	figuresBegin = "<!-- figures: written by make bench ARGS=-doc -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// update puts figures into a document in the place of those that it holds.
func update(path, figures string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(b), figuresBegin)
	_, after, ok2 := strings.Cut(rest, figuresEnd)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for figures: want the lines %q and %q", path, figuresBegin, figuresEnd)
	}
	return os.WriteFile(path, []byte(before+figuresBegin+"\n"+figures+"\n"+figuresEnd+after), 0o644)
}
