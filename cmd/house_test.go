// Package cmd_test keeps the house in order: it checks what no compiler does
// and every reviewer forgets. ARCHITECTURE.md explains rooms and floors.
package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/quorate/quorate/"

// floors says on which floor each room stands. A room may import only rooms on
// floors below its own, so two rooms on one floor never know each other.
var floors = map[string]int{
	"clock": 0, "golden": 0, "histogram": 0, "mutant": 0, "virtual": 0, "shard/jsonop": 0, "wire/bin": 0, "wire/pb": 0, "wire/leanpb": 0,
	"wire": 1, "raftlog": 1,
	"raftnet": 2, "shard/state": 2, "transport": 2,
	"shard": 3, "shard/state/statetest": 3, "cluster": 3, "transport/mux": 3, "node/where": 3, "node/leandoc": 3,
	"client": 4, "node/auth": 4, "node/route": 4, "node/tail": 4, "node/leansign": 4, "node/columns": 4,
	"node/native": 5, "node/ask": 5,
	"node/session": 6, "node/door": 6,
	"node/leanmessage": 7, "node/leanrest": 7,
	"node":       8,
	"bench/lean": 5, "bench": 9,
	"cmd/quorate":     10,
	"e2e":             10,
	"e2e/sim/overlay": 0, "e2e/sim": 10, "e2e/sim/mutants": 10, "e2e/sim/run": 10,
	"e2e/sim/history": 4, "e2e/sim/check": 5, "e2e/sim/load": 9,
}

// landlords says which rooms may use a library that is not ours to shape. The
// fewer rooms know it, the cheaper it is to change.
var landlords = map[string][]string{
	"github.com/hashicorp/raft":         {"raftlog", "raftnet", "shard", "cluster"},
	"github.com/hashicorp/raft-boltdb":  {"cluster"},
	"github.com/cockroachdb/pebble":     {"raftlog", "shard", "shard/state", "shard/state/statetest", "node"},
	"github.com/hashicorp/memberlist":   {"cluster"},
	"github.com/quic-go/quic-go":        {"transport"},
	"github.com/gorilla/websocket":      {"transport"},
	"github.com/golang-jwt/jwt":         {"node/auth", "client"},
	"github.com/alecthomas/kong":        {"cmd/quorate"},
	"github.com/BurntSushi/toml":        {"cmd/quorate"},
	"github.com/google/btree":           {"node/columns"},
	"github.com/anishathalye/porcupine": {"e2e/sim/check"},
}

const (
	maxFields  = 20 // of a struct
	maxMethods = 30 // of a type
)

func TestFloors(t *testing.T) {
	for room, files := range rooms(t) {
		floor, ok := floors[room]
		if !ok {
			t.Errorf("%s stands on no floor: give it one", room)
		}
		for _, f := range files {
			for _, imp := range f.Imports {
				below, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module)
				if ours && floors[below] >= floor {
					t.Errorf("%s, on floor %d, imports %s, on floor %d", room, floor, below, floors[below])
				}
			}
		}
	}
}

func TestLandlords(t *testing.T) {
	for room, files := range rooms(t) {
		for _, f := range files {
			for _, imp := range f.Imports {
				library, allowed := landlord(strings.Trim(imp.Path.Value, `"`))
				if library != "" && !slices.Contains(allowed, room) {
					t.Errorf("%s imports %s, which is for %v", room, library, allowed)
				}
			}
		}
	}
}

// landlord finds the library of an import with the longest name, so that a
// module inside another one's path can have rooms of its own.
func landlord(path string) (library string, allowed []string) {
	for name, rooms := range landlords {
		if strings.HasPrefix(path, name) && len(name) > len(library) {
			library, allowed = name, rooms
		}
	}
	return library, allowed
}

func TestEveryRoomHasOneDoor(t *testing.T) {
	for room, files := range rooms(t) {
		doors := 0
		for _, f := range files {
			if f.Doc != nil {
				doors++
			}
		}
		if doors != 1 {
			t.Errorf("%s has %d package comments, want 1", room, doors)
		}
	}
}

func TestBudgets(t *testing.T) {
	for room, files := range rooms(t) {
		methods := map[string]int{}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Recv != nil {
						methods[receiver(n)]++
					}
				case *ast.TypeSpec:
					if s, ok := n.Type.(*ast.StructType); ok && s.Fields.NumFields() > maxFields {
						t.Errorf("%s.%s has %d fields, want at most %d", room, n.Name, s.Fields.NumFields(), maxFields)
					}
				}
				return true
			})
		}
		for name, n := range methods {
			if n > maxMethods {
				t.Errorf("%s.%s has %d methods, want at most %d", room, name, n, maxMethods)
			}
		}
	}
}

func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	switch generic := typ.(type) {
	case *ast.IndexExpr:
		typ = generic.X
	case *ast.IndexListExpr:
		typ = generic.X
	}
	return typ.(*ast.Ident).Name
}

// rooms parses the module's own packages, by their path below the module. It
// reads the files itself, and does not ask go list, so that go test knows what
// the result depends on and never serves a stale one from its cache.
func rooms(t *testing.T) map[string][]*ast.File {
	t.Helper()
	rooms := map[string][]*ast.File{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".git") || anotherModule(path)) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", filepath.Dir(path))
		if err != nil || ast.IsGenerated(f) {
			return err
		}
		room := filepath.ToSlash(rel)
		rooms[room] = append(rooms[room], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rooms
}

// anotherModule tells whether a directory is the root of a module inside this
// one, which has a house of its own.
func anotherModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil && dir != ".."
}
