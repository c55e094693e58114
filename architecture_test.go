package gaon_test

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gaon-ai/gaon/"

type layer struct {
	level  int
	purity string
}

// readLayers reads layers.txt, the one place that says what may import what.
func readLayers(t *testing.T) map[string]layer {
	t.Helper()
	file, err := os.Open("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	layers := map[string]layer{}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		level, err := strconv.Atoi(words[0])
		if err != nil || len(words) != 3 {
			t.Fatalf("layers.txt:%d: want LEVEL PACKAGE PURITY", n)
		}
		if _, twice := layers[words[1]]; twice {
			t.Fatalf("layers.txt:%d: %s is listed twice", n, words[1])
		}
		layers[words[1]] = layer{level, words[2]}
	}
	return layers
}

// source is one Go file of the project.
type source struct {
	path, pkg string
	file      *ast.File
	fset      *token.FileSet
	lines     int
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != "." || d.Name() == "testdata" || d.Name() == "gaon-data") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, data, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{p, path.Dir(filepath.ToSlash(p)), file, fset, strings.Count(string(data), "\n")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLayers: every import points down.
func TestLayers(t *testing.T) {
	layers := readLayers(t)
	for _, s := range sources(t) {
		if s.pkg == "." || strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		from, listed := layers[s.pkg]
		if !listed {
			t.Errorf("%s: package %s is not in layers.txt", s.path, s.pkg)
			continue
		}
		for _, spec := range s.file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			imported, ours := strings.CutPrefix(name, module)
			if !ours {
				continue
			}
			to, listed := layers[imported]
			if !listed || to.level >= from.level {
				t.Errorf("%s: %s (level %d) imports %s (level %d): imports point down", s.fset.Position(spec.Pos()), s.pkg, from.level, imported, to.level)
			}
			if from.purity == "workshop" && to.purity == "world" {
				t.Errorf("%s: the workshop knows nothing of the control plane, but imports %s", s.fset.Position(spec.Pos()), imported)
			}
		}
	}
}

// impure is what the pure half may not import: each is a clock, chance, disk,
// network or goroutine.
var impure = []string{"time", "os", "io/fs", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "sync", "sync/atomic",
	"context", "log", "log/slog", "runtime", "os/exec", "syscall", "path/filepath", "unsafe"}

// TestPurity: the pure half has no clock, no chance, no disk, no network, no
// goroutine and no floats.
func TestPurity(t *testing.T) {
	layers := readLayers(t)
	for _, s := range sources(t) {
		if layers[s.pkg].purity != "pure" || strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		for _, spec := range s.file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			for _, bad := range impure {
				if name == bad {
					t.Errorf("%s: %s is pure and may not import %s", s.fset.Position(spec.Pos()), s.pkg, name)
				}
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine in pure package %s", s.fset.Position(n.Pos()), s.pkg)
			case *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%s: a channel in pure package %s", s.fset.Position(n.Pos()), s.pkg)
			case *ast.Ident:
				if n.Name == "float64" || n.Name == "float32" {
					t.Errorf("%s: a float in pure package %s", s.fset.Position(n.Pos()), s.pkg)
				}
			case *ast.BasicLit:
				if n.Kind == token.FLOAT {
					t.Errorf("%s: a float in pure package %s", s.fset.Position(n.Pos()), s.pkg)
				}
			}
			return true
		})
	}
}

// Limits of what a person can hold in the head. TIGER_STYLE's 70 lines count
// the body; tests may be longer, they are read one row at a time.
const (
	functionLinesMax = 70
	fileLinesMax     = 800
)

// TestTidy: functions and files stay short, nothing unfinished is committed,
// and every package says what it is.
func TestTidy(t *testing.T) {
	documented := map[string]bool{}
	var packages []string
	for _, s := range sources(t) {
		if _, seen := documented[s.pkg]; !seen {
			documented[s.pkg] = false
			packages = append(packages, s.pkg)
		}
		documented[s.pkg] = documented[s.pkg] || s.file.Doc != nil
		if s.lines > fileLinesMax {
			t.Errorf("%s has %d lines, at most %d", s.path, s.lines, fileLinesMax)
		}
		for _, group := range s.file.Comments {
			for _, word := range []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"} {
				if strings.Contains(group.Text(), word) {
					t.Errorf("%s: %s in a comment: finish it or write the hole down as one", s.fset.Position(group.Pos()), word)
				}
			}
		}
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line; n > functionLinesMax {
					t.Errorf("%s: %s has %d lines, at most %d", s.fset.Position(f.Pos()), f.Name.Name, n, functionLinesMax)
				}
			}
		}
	}
	for _, name := range packages {
		if name != "." && !documented[name] {
			t.Errorf("package %s has no comment that says what it is", name)
		}
	}
}
