package quord_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A fuzz target without a corpus tests, in a run of all tests, little more than its author thought of.
func TestEveryFuzzTargetHasACorpus(t *testing.T) {
	targets := 0
	for _, root := range []string{"internal", "cmd"} {
		walk(t, root, func(name string) {
			if !strings.HasSuffix(name, "_test.go") {
				return
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
					continue
				}
				targets++
				dir := filepath.Join(filepath.Dir(name), "testdata", "fuzz", fn.Name.Name)
				if inputs, err := os.ReadDir(dir); err != nil || len(inputs) == 0 {
					t.Errorf("%s: %s has no inputs in %s: run it for a while and commit what it found", name, fn.Name.Name, dir)
				}
			}
		})
	}
	if targets < 30 {
		t.Errorf("%d fuzz targets were found", targets)
	}
}
