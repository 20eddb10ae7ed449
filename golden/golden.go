// Package golden compares what a test made with a file that is kept: with a form
// that is on disks out there, or that nodes and clients of different versions
// say to each other.
//
// The files are testdata/NAME.golden. With the flag -rewrite, the one that
// transcripts have too, they are written instead. A changed file is a changed
// form: it wants a new version, a way to read the old one, and a word in the
// commit.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/cockroachdb/datadriven" // has the flag
	"github.com/google/go-cmp/cmp"
)

// Check compares a text with a golden file, and returns what the file holds.
func Check(t testing.TB, name, got string) string {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s has changed (-want +got):\n%s", path, diff)
	}
	return string(want)
}
