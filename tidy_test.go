package foz_test

// Tidy holds the walls of the house and the size of its rooms.
//
// How: every file of the repository is read once, and Go files are parsed (syntax only).
// Each rule walks what it cares about and reports findings, "<rule> <where>: <what>".
// A finding named in exceptions passes; an exception that finds nothing fails, so the list
// can only shrink. TestTidyFinds plants a violation of every rule in a made-up tree: a rule
// that cannot fail is no rule.

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const module = "github.com/fozlog/foz"

// walls says which rooms a room may import. A room is a top-level folder with everything
// below it; "." is the root package. A room may import itself. A room without a line here
// does not exist.
var walls = map[string][]string{
	".":           {},
	"segment":     {"."},
	"objectstore": {}, // does not know what a log is
	"bus":         {"."},
	"client":      {".", "segment"},
	"jsonscan":    {}, // text and nothing else
	"schema":      {".", "jsonscan"},
	"filter":      {".", "schema"},

	// The roles never import each other: they meet in cmd and sim.
	"ingest":    {".", "segment", "objectstore"},
	"reader":    {".", "filter", "schema", "segment", "objectstore"},
	"compactor": {".", "schema", "segment", "objectstore"},
	"metadata":  {".", "objectstore"}, // never opens a segment
	"httpapi":   {".", "filter", "jsonscan", "schema", "segment", "objectstore"},
	"flight":    {".", "segment"}, // asks httpapi by HTTP: all it knows of it is the contract

	"infra": {}, // deployments; its tests read them

	"verify": everything,
	"bench":  everything,
	"sim":    everything,
	"cmd":    everything,
}

var everything = []string{
	".", "jsonscan", "schema", "filter", "segment", "objectstore", "bus",
	"client", "ingest", "reader", "compactor",
	"metadata", "httpapi", "flight", "verify", "bench", "sim",
}

// testWalls is what tests may import beyond walls.
var testWalls = map[string][]string{
	"bus":       {"verify"}, // its free addresses
	"ingest":    {"bus"},
	"reader":    {"bus"},
	"compactor": {"bus"},
	"metadata":  {"segment", "bus"},
	"httpapi":   {"bus"},
	"infra":     {"objectstore", "verify"},
}

// doors are the only packages (each with what lies below it) that may import a module of
// the outside world. One outside world, one door. First match counts.
var doors = []struct {
	imports string // a path, or the beginning of one
	rooms   []string
	tests   []string // whose tests may, too
}{
	{"github.com/aws/", []string{"objectstore/s3"}, nil},
	{"github.com/minio/minio-go/", []string{"objectstore/minio"}, nil},
	{"github.com/nats-io/", []string{"bus"}, nil},
	{"github.com/apache/arrow/go/v15", nil, []string{"segment"}}, // the foreign reader
	// The strangers that tests talk to: grpc-go, and what arrow-go generates for it.
	{module + "/flight/flighttest", nil, []string{"flight", "cmd"}},
	{"google.golang.org/grpc", []string{"flight/flighttest"}, nil},
	{"github.com/apache/arrow-go/v18/arrow/flight", []string{"flight/flighttest"}, nil},
	// httpapi's tests read answers as a stranger would.
	{"github.com/apache/arrow-go/", []string{"segment"}, []string{"httpapi"}},
	{"github.com/google/flatbuffers", []string{"segment"}, nil},
	{"github.com/parquet-go/", []string{"segment"}, nil},
	{"github.com/spf13/", []string{"cmd"}, nil},
	{"go.yaml.in/yaml/", nil, []string{"infra"}},
	{"flag", []string{"cmd"}, []string{"sim"}},
}

// refused are standard packages that a room does without, in its own code (not its tests).
var refused = map[string][]string{
	"segment": {"context", "net", "os"},
}

// Sizes of the house style.
const (
	functionLinesMax    = 70
	fileLinesMax        = 500
	lineCharsMax        = 100 // a tab counts one
	interfaceMethodsMax = 5
	constructorArgsMax  = 4
)

// exceptions are the findings we live with, each with its reason.
var exceptions = map[string]string{}

// rules read code first, then words (tidy_docs_test.go).
var rules = []func(*tree){
	checkWalls, checkDoors, checkExit, checkNames, checkPackageComments, checkSizes,
	checkInterfaces, checkConstructors, checkLinks, checkStray, checkDependencies,
}

func TestTidy(t *testing.T) {
	house, err := readTree(".")
	if err != nil {
		t.Fatal(err)
	}
	found := house.check()
	for key, reason := range exceptions {
		if _, needed := found[key]; !needed {
			t.Errorf("exception %q (%s) is no longer needed: remove it", key, reason)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if _, excepted := exceptions[key]; !excepted {
			t.Errorf("%s: %s", key, found[key])
		}
	}
}

func TestTidyFinds(t *testing.T) {
	const doc = "// Package p knows nothing.\npackage p\n"
	long := strings.Repeat("\n", functionLinesMax)
	for _, c := range []struct{ path, text, want string }{
		{"ingest/a.go", doc + `import "` + module + `/reader"`, "wall ingest/a.go reader"},
		{"ingest/a_test.go", doc + `import "` + module + `/cmd/x"`, "wall ingest/a_test.go cmd"},
		{"metadata/a.go", doc + `import "` + module + `/segment"`, "wall metadata/a.go segment"},
		{"objectstore/s3/a.go", doc + `import "` + module + `"`, "wall objectstore/s3/a.go ."},
		{"nowhere/a.go", doc, "wall nowhere/a.go unknown"},
		{"a.go", doc + `import "golang.org/x/sync/errgroup"`,
			"door a.go golang.org/x/sync/errgroup"},
		{"objectstore/a.go", doc + `import "github.com/minio/minio-go/v7"`,
			"door objectstore/a.go github.com/minio/minio-go/v7"},
		{"reader/a_test.go", doc + `import "github.com/nats-io/nats.go"`,
			"door reader/a_test.go github.com/nats-io/nats.go"},
		{"segment/a.go", doc + `import "net/http"`, "door segment/a.go net/http"},
		{"bus/a.go", doc + "func f() { os.Exit(1) }", "exit bus/a.go os.Exit"},
		{"bus/util/a.go", "// Package util is a heap.\npackage util", "name bus/util util"},
		{"bus/a.go", "package bus", "comment bus missing"},
		{"bus/a.go", doc + "func (s *T[K]) F() {" + long + "}", "size bus/a.go T.F"},
		{"bus/a.go", doc + strings.Repeat("\n", fileLinesMax), "size bus/a.go lines"},
		{"bus/a.go", doc + "//" + strings.Repeat("é", lineCharsMax-1), "size bus/a.go chars"},
		{"bus/a.go", doc + "type I interface { A(); B(); C(); D(); E(); F() }",
			"interface bus/a.go I"},
		{"bus/a.go", doc + "func NewT(a, b, c int, d, e string) {}", "constructor bus/a.go NewT"},
		{"bus/a.go", doc + "func OpenT() { go func() {}() }", "constructor bus/a.go OpenT"},
		{"a.md", "[b](b.md)", "link a.md b.md"},
		{"a.md", "# One two\n[b](#one-two)\n[c](#three)", "link a.md #three"},
		{"a.txt", "see /" + "work/x", "stray a.txt /" + "work/"},
		{"bus/a.go", doc + `import "example.org/x"`, "dependency example.org/x unexplained"},
		{dependenciesPage, "| `example.org/y` | why |", "dependency example.org/y unused"},
	} {
		made := &tree{}
		made.add(c.path, c.text)
		if found := made.check(); found[c.want] == "" {
			t.Errorf("%s with %q: found %v, want %q", c.path, c.text, found, c.want)
		}
	}
}

// tree is a repository: its files in order of path, and what the rules found.
type tree struct {
	files []*file
	found map[string]string // "<rule> <where>" -> what
}

type file struct {
	path   string // from the root, with slashes
	text   string // "" if it is not text
	syntax *ast.File
	set    *token.FileSet
}

func (f *file) room() string    { return cmp.Or(strings.Split(f.dir(), "/")[0], ".") }
func (f *file) dir() string     { return path.Dir(f.path) }
func (f *file) test() bool      { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) generated() bool { return strings.HasSuffix(f.path, ".pb.go") }
func (f *file) lines(n ast.Node) int {
	return f.set.Position(n.End()).Line - f.set.Position(n.Pos()).Line + 1
}

// readTree reads the files below root, but for what git ignores and modules of their own.
func readTree(root string) (*tree, error) {
	house := &tree{}
	skipped := []string{".git", "bin", "foz-data"}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skipped, d.Name()):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !utf8.Valid(text) || slices.Contains(text, 0) {
			text = nil
		}
		house.add(filepath.ToSlash(name), string(text))
		return nil
	})
	return house, err
}

func (t *tree) add(name, text string) {
	f := &file{path: name, text: text, set: token.NewFileSet()}
	other := strings.HasPrefix(name, "tools/") || strings.Contains(name, "testdata/")
	if strings.HasSuffix(name, ".go") && !other {
		f.syntax, _ = parser.ParseFile(f.set, name, text, parser.ParseComments)
	}
	t.files = append(t.files, f)
}

func (t *tree) check() map[string]string {
	t.found = map[string]string{}
	for _, rule := range rules {
		rule(t)
	}
	return t.found
}

// report keeps one finding; the key has no line number, so that exceptions last.
func (t *tree) report(rule, where, thing, format string, args ...any) {
	t.found[strings.TrimSpace(rule+" "+where+" "+thing)] = fmt.Sprintf(format, args...)
}

// goFiles are the parsed files; written ones only, if asked.
func (t *tree) goFiles(generatedToo bool) []*file {
	return slices.DeleteFunc(slices.Clone(t.files), func(f *file) bool {
		return f.syntax == nil || f.generated() && !generatedToo
	})
}

func (f *file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

func checkWalls(t *tree) {
	for _, f := range t.goFiles(true) {
		allowed, known := walls[f.room()]
		if !known {
			t.report("wall", f.path, "unknown", "room %s has no line in walls", f.room())
			continue
		}
		allowed = append([]string{f.room()}, allowed...)
		if f.test() {
			allowed = append(allowed, testWalls[f.room()]...)
		}
		for _, p := range f.imports() {
			rest, ours := strings.CutPrefix(p+"/", module+"/")
			room := cmp.Or(strings.Split(rest, "/")[0], ".")
			if ours && !slices.Contains(allowed, room) {
				t.report("wall", f.path, room, "%s may not import %s", f.room(), p)
			}
		}
	}
}

func checkDoors(t *tree) {
	for _, f := range t.goFiles(true) {
		for _, p := range f.imports() {
			if why := f.refuses(p); why != "" {
				t.report("door", f.path, p, "%s", why)
			}
		}
	}
}

// foreign says whether the import is neither of the standard library nor ours.
func foreign(p string) bool {
	return strings.Contains(strings.Split(p, "/")[0], ".") && !strings.HasPrefix(p, module)
}

// refuses says why f may not import p, or nothing.
func (f *file) refuses(p string) string {
	within := func(room string) bool { return strings.HasPrefix(f.dir()+"/", room+"/") }
	below := func(std string) bool { return p == std || strings.HasPrefix(p, std+"/") }
	if !f.test() && slices.ContainsFunc(refused[f.room()], below) {
		return f.room() + " does without it"
	}
	if foreign(p) && !f.test() && f.room() == "." {
		return "the root package imports the standard library only"
	}
	for _, door := range doors {
		if p != door.imports && (!foreign(p) || !strings.HasPrefix(p, door.imports)) {
			continue
		}
		rooms := door.rooms
		if f.test() {
			rooms = append(slices.Clone(rooms), door.tests...)
		}
		if !slices.ContainsFunc(rooms, within) {
			return fmt.Sprintf("only %v may import it", rooms)
		}
		return ""
	}
	return ""
}

// checkExit: only cmd ends the process.
func checkExit(t *tree) {
	for _, f := range t.goFiles(true) {
		if f.room() == "cmd" || f.test() {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok {
				name := fmt.Sprint(call.X, ".", call.Sel)
				if name == "os.Exit" || strings.HasPrefix(name, "log.Fatal") {
					t.report("exit", f.path, name, "only cmd ends the process")
				}
			}
			return true
		})
	}
}

// checkNames: no package is a heap of things that had no name.
func checkNames(t *tree) {
	heaps := []string{"util", "utils", "common", "types", "helpers", "pkg", "misc"}
	for _, f := range t.goFiles(true) {
		for _, name := range []string{f.syntax.Name.Name, path.Base(f.dir())} {
			if slices.Contains(heaps, name) {
				t.report("name", f.dir(), name, "says nothing about what is inside")
			}
		}
	}
}

func checkPackageComments(t *tree) {
	commented := map[string]bool{}
	for _, f := range t.goFiles(true) {
		if !f.test() {
			commented[f.dir()] = commented[f.dir()] || f.syntax.Doc != nil
		}
	}
	for dir, ok := range commented {
		if !ok {
			t.report("comment", dir, "missing", "say what it knows and what it refuses to know")
		}
	}
}

func checkSizes(t *tree) {
	for _, f := range t.goFiles(false) {
		lines := strings.Split(strings.TrimSuffix(f.text, "\n"), "\n")
		if len(lines) > fileLinesMax {
			t.report("size", f.path, "lines", "%d, at most %d", len(lines), fileLinesMax)
		}
		for i, line := range lines {
			if n := utf8.RuneCountInString(line); n > lineCharsMax {
				t.report("size", f.path, "chars", "line %d has %d, at most %d", i+1, n, lineCharsMax)
			}
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.lines(fn) > functionLinesMax {
				t.report("size", f.path, functionName(fn),
					"%d lines, at most %d", f.lines(fn), functionLinesMax)
			}
		}
	}
}

// functionName is F, or T.F for a method.
func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	name := ""
	ast.Inspect(fn.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name + "."
		}
		return true
	})
	return name + fn.Name.Name
}

func checkInterfaces(t *tree) {
	for _, f := range t.goFiles(false) {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if i, ok := spec.Type.(*ast.InterfaceType); ok {
				if count := i.Methods.NumFields(); count > interfaceMethodsMax {
					t.report("interface", f.path, spec.Name.Name,
						"%d methods, at most %d", count, interfaceMethodsMax)
				}
			}
			return true
		})
	}
}

// checkConstructors: New takes few arguments and starts nothing.
func checkConstructors(t *tree) {
	constructor := regexp.MustCompile(`^(New|Open)([A-Z]|$)`)
	for _, f := range t.goFiles(false) {
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !constructor.MatchString(fn.Name.Name) {
				continue
			}
			if n := fn.Type.Params.NumFields(); n > constructorArgsMax {
				t.report("constructor", f.path, fn.Name.Name,
					"%d arguments, at most %d", n, constructorArgsMax)
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if _, ok := n.(*ast.GoStmt); ok {
					t.report("constructor", f.path, fn.Name.Name, "starts a goroutine; Run does")
				}
				return true
			})
		}
	}
}
