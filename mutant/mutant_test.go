package mutant_test

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/quorate/quorate/mutant"
)

func TestNamesAndNumbers(t *testing.T) {
	all := mutant.All()
	if !slices.IsSorted(all) {
		t.Error("the catalog is not sorted by number")
	}
	for _, m := range all {
		for _, s := range []string{m.String(), m.Name()} {
			if got, ok := mutant.Parse(s); !ok || got != m {
				t.Errorf("Parse(%q) = %v, %v, want %v", s, got, ok, m)
			}
		}
	}
	if m, ok := mutant.Parse("M0"); ok {
		t.Errorf("M0 is %v, want nothing", m)
	}
}

// TestNothingIsLeft: what is behind the condition of a mutant is not in a
// program that was built without the tag. The linker keeps the names of all
// functions that are, so this test looks for one in its own binary.
func TestNothingIsLeft(t *testing.T) {
	guarded()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	name := func(s string) []byte { return []byte("mutant_test." + s) } // whole names are in no literal
	if !bytes.Contains(binary, name("guarded")) {
		t.Fatal("the binary has no names of functions: nothing is proved")
	}
	if planted := bytes.Contains(binary, name("plantedBug")); planted != built {
		t.Errorf("the planted bug is in the binary: %v, want %v", planted, built)
	}
}

//go:noinline
func guarded() {
	if mutant.On(mutant.NoLogSync) {
		plantedBug()
	}
}

//go:noinline
func plantedBug() {}
