package quord_test

import (
	"bufio"
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/quorddb/quord"

// kind says which side of the line between protocol and I/O a package stands on.
type kind int

const (
	// pure packages are functions of what they are given: no clock, no randomness of their own, no files, no
	// sockets, no goroutines, no logging. They run in production and in a simulator alike.
	pure kind = iota + 1
	// shell packages do the I/O.
	shell
	// support packages exist for tests and may do either.
	support
)

// layout is the import graph: each package, its kind, and the packages of this module that it may import. A package
// below may not know one above it; adding a line here is a decision, not a formality.
var layout = map[string]struct {
	kind kind
	may  string
}{
	// Words that everything else is said in.
	"internal/ident":   {pure, ""},
	"internal/slot":    {pure, ""},
	"internal/kv":      {pure, ""},
	"internal/admin":   {pure, ""},
	"internal/request": {pure, ""},
	"internal/record":  {pure, "slot"},

	// Protocols and meanings, each a value of its own.
	"internal/ring":            {pure, "ident"},
	"internal/placement":       {pure, "ident ring slot"},
	"internal/registry":        {pure, "ident placement ring slot"},
	"internal/tabletime":       {pure, "ident"},
	"internal/resp":            {pure, ""},
	"internal/command":         {pure, "record slot"},
	"internal/command/memview": {pure, "command record slot"},
	"internal/command/gen":     {pure, "command"},
	"internal/tablet":          {pure, "command ident kv record registry request slot tabletime"},
	"internal/wire":            {pure, "ident record registry request ring tablet"},
	"internal/core": {pure, "admin command ident kv placement record registry request ring slot tablet " +
		"tabletime wire"},
	"internal/store/memstore": {pure, "kv"},
	"internal/sim":            {pure, "command core ident kv placement registry request ring slot store/memstore tablet"},

	// The laboratory: the protocols at the sizes of the papers.
	"internal/ring/original": {pure, ""}, // the published rules, which are wrong: for nothing but comparison
	"internal/lab":           {pure, "ident placement ring ring/original"},
	"internal/lab/chart":     {pure, ""},

	// What touches the disk, the network and the clock.
	"internal/store":         {shell, "kv store/journal"},
	"internal/store/journal": {shell, ""},
	"internal/peer":          {shell, "ident"},
	"internal/server":        {shell, "admin command ident record request resp slot"},
	"internal/console":       {shell, ""},
	"internal/config":        {shell, "slot"},
	"internal/bench":         {shell, "resp"},
	"internal/node": {shell, "admin command config console core ident kv peer placement record registry " +
		"request resp ring server slot store tablet tabletime wire"},

	// What tests stand on.
	"internal/store/storetest": {support, "kv"},
	"internal/peer/memnet":     {support, "ident peer"},
	"internal/freeport":        {support, ""},
}

// commands may import any package of the module but the ones for tests.
var commands = []string{"cmd/quord", "cmd/quordsim"}

// confined names the dependencies that only these packages may import, so that each can be replaced in one place.
var confined = map[string][]string{
	"github.com/cockroachdb/pebble":       {"internal/store", "internal/store/journal"}, // the journal: its file systems
	"go.etcd.io/raft":                     {"internal/tablet"},
	"github.com/knadh/koanf":              {"internal/config"},
	"github.com/spf13":                    {"internal/config", "cmd/quord", "cmd/quordsim"},
	"github.com/prometheus/client_golang": {"internal/console"},
	"github.com/redis/go-redis":           {"cmd/quord"},
}

// maxLines is the length past which a file certainly holds a second idea.
const maxLines = 800

// A package that grows a dependency it should not have makes every package above it harder to test and to move.
func TestImportGraph(t *testing.T) {
	for dir, pkg := range packages(t, "internal", "cmd") {
		entry, listed := layout[dir]
		isCommand := slices.Contains(commands, dir)
		if !listed && !isCommand {
			t.Errorf("%s is not in the layout: say in layout_test.go what it is and what it may import", dir)
			continue
		}
		for file, imported := range pkg.imports(dir) {
			inside, ok := strings.CutPrefix(imported, module+"/")
			if !ok {
				continue
			}
			if isCommand {
				if layout[inside].kind == support {
					t.Errorf("%s: %s is for tests", file, inside)
				}
				continue
			}
			if !slices.Contains(strings.Fields(entry.may), strings.TrimPrefix(inside, "internal/")) {
				t.Errorf("%s: %s may not import %s (layout_test.go lists what it may)", file, dir, inside)
			}
		}
	}
}

// A layout that lists what is not there misleads whoever reads it first.
func TestLayoutNamesOnlyWhatExists(t *testing.T) {
	there := packages(t, "internal", "cmd")
	for _, dir := range slices.Sorted(maps.Keys(layout)) {
		if there[dir] == nil {
			t.Errorf("the layout lists %s, which does not exist", dir)
		}
		for _, name := range strings.Fields(layout[dir].may) {
			if _, ok := layout["internal/"+name]; !ok {
				t.Errorf("the layout lets %s import %s, which it does not list", dir, name)
			}
		}
	}
}

// A dependency used in two places cannot be replaced in one.
func TestDependenciesStayConfined(t *testing.T) {
	for dir, pkg := range packages(t, "internal", "cmd", "client") {
		for file, imported := range pkg.imports(dir) {
			for dependency, where := range confined {
				if imported != dependency && !strings.HasPrefix(imported, dependency+"/") {
					continue
				}
				if !slices.Contains(where, dir) {
					t.Errorf("%s imports %s; only %s may", file, imported, strings.Join(where, ", "))
				}
			}
		}
	}
}

// A protocol with a clock or a socket inside cannot be replayed from a seed, so its rare failures stay unexplained.
func TestPurePackagesArePure(t *testing.T) {
	for dir, pkg := range packages(t, "internal") {
		if layout[dir].kind != pure {
			continue
		}
		for name, file := range pkg.files {
			for _, complaint := range impurities(file) {
				pos := pkg.set.Position(complaint.at)
				t.Errorf("%s:%d: %s is pure and must not %s", name, pos.Line, dir, complaint.does)
			}
		}
	}
}

// A reader who opens a package finds one place that says what it owns and what it refuses.
func TestOnePackageCommentEach(t *testing.T) {
	for dir, pkg := range packages(t, ".") {
		var with []string
		for name, file := range pkg.files {
			if file.Doc != nil {
				with = append(with, name)
			}
		}
		slices.Sort(with)
		if len(pkg.files) > 0 && len(with) != 1 {
			t.Errorf("%s has %d package comments %v, want exactly one", dir, len(with), with)
		}
	}
}

// A file that holds two ideas hides one of them.
func TestFilesStayShort(t *testing.T) {
	walk(t, ".", func(name string) {
		if n := lines(t, name); n > maxLines {
			t.Errorf("%s has %d lines; past %d a second idea has moved in", name, n, maxLines)
		}
	})
}

// complaint is something that a pure package does and must not do.
type complaint struct {
	at   token.Pos
	does string
}

// forbidden lists what pure packages may not import; a trailing slash covers what lies below.
var forbidden = []string{
	"net", "net/", "os", "os/", "log", "log/", "syscall", "crypto/rand", "io/ioutil", "testing",
	"golang.org/x/sys/", "path/filepath",
}

// clockFuncs are the functions of package time that look at, or wait for, the machine's clock.
var clockFuncs = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// seededRand are the names of math/rand and math/rand/v2 that do not draw from the process's own source.
var seededRand = []string{"New", "NewPCG", "NewChaCha8", "NewSource", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}

func impurities(file *ast.File) (found []complaint) {
	names := map[string]string{} // the name in this file -> import path
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has accepted it, so this cannot be
		}
		for _, f := range forbidden {
			if imported == f || strings.HasSuffix(f, "/") && strings.HasPrefix(imported, f) {
				found = append(found, complaint{spec.Pos(), "import " + imported})
			}
		}
		name := path.Base(strings.TrimSuffix(imported, "/v2"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, complaint{n.Pos(), "start a goroutine"})
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			switch names[x.Name] {
			case "time":
				if slices.Contains(clockFuncs, n.Sel.Name) {
					found = append(found, complaint{n.Pos(), "use time." + n.Sel.Name})
				}
			case "math/rand", "math/rand/v2":
				if !slices.Contains(seededRand, n.Sel.Name) {
					found = append(found, complaint{n.Pos(), "draw from the process's randomness with rand." + n.Sel.Name})
				}
			}
		}
		return true
	})
	slices.SortFunc(found, func(a, b complaint) int { return cmp.Compare(a.at, b.at) })
	return found
}

// source is one package's files without its tests.
type source struct {
	set   *token.FileSet
	files map[string]*ast.File
}

// imports yields each file of the package with each of its imports.
func (s *source) imports(dir string) func(yield func(file, imported string) bool) {
	return func(yield func(file, imported string) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.files)) {
			for _, spec := range s.files[name].Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err == nil && imported != module+"/"+dir && !yield(name, imported) {
					return
				}
			}
		}
	}
}

// packages parses all packages below the given directories; the keys are slash-separated and relative to the root.
func packages(t *testing.T, roots ...string) map[string]*source {
	t.Helper()
	found := map[string]*source{}
	for _, root := range roots {
		walk(t, root, func(name string) {
			if strings.HasSuffix(name, "_test.go") {
				return
			}
			dir := path.Dir(name)
			if found[dir] == nil {
				found[dir] = &source{set: token.NewFileSet(), files: map[string]*ast.File{}}
			}
			file, err := parser.ParseFile(found[dir].set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			found[dir].files[name] = file
		})
	}
	return found
}

// walk calls fn with each Go file below root that belongs to the repository.
func walk(t *testing.T, root string, fn func(name string)) {
	t.Helper()
	if _, err := os.Stat(root); os.IsNotExist(err) {
		return
	}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "bin"):
			return filepath.SkipDir
		case !entry.IsDir() && strings.HasSuffix(name, ".go"):
			fn(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, name string) int {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		n++
	}
	if err := scanner.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
