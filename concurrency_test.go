package quord_test

import (
	"go/ast"
	"os"
	"strings"
	"testing"
)

// A goroutine that nobody has written down is one that nobody ends. Each place where one is started stands in
// doc/concurrency.md as `package: Function`, where Function is the one that holds the go statement.
func TestEveryGoroutineIsListed(t *testing.T) {
	page, err := os.ReadFile("doc/concurrency.md")
	if err != nil {
		t.Fatal(err)
	}
	started := map[string]bool{}
	for dir, pkg := range packages(t, "internal", "cmd") {
		if layout[dir].kind == support {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(dir, "internal/"), "cmd/")
		for file, parsed := range pkg.files {
			for _, decl := range parsed.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || !startsGoroutine(fn) {
					continue
				}
				key := "`" + name + ": " + funcName(fn) + "`"
				started[key] = true
				if !strings.Contains(string(page), key) {
					t.Errorf("%s: doc/concurrency.md does not list the goroutine that %s starts", file, key)
				}
			}
		}
	}
	for line := range strings.Lines(string(page)) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if strings.HasPrefix(cell, "`") && strings.Contains(cell, ": ") && !started[cell] {
			t.Errorf("doc/concurrency.md lists %s, which starts no goroutine", cell)
		}
	}
}

// startsGoroutine reports whether a function holds a go statement, or calls a method Go with a function (sync.WaitGroup
// and errgroup).
func startsGoroutine(fn *ast.FuncDecl) (starts bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			starts = true
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			starts = starts || ok && sel.Sel.Name == "Go" && len(n.Args) == 1
		}
		return !starts
	})
	return starts
}

// funcName returns the name of a function as people write it: Type.Method for a method.
func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "." + fn.Name.Name
	}
	return fn.Name.Name
}
