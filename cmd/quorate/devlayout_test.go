package main

import (
	"strings"
	"testing"
)

// TestDevLocksItsDirectory: a second cluster in the same directory would write
// its own configuration under the nodes of the first.
func TestDevLocksItsDirectory(t *testing.T) {
	dir := t.TempDir()
	lock, err := lockDev(dir)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := try(t, "dev", "--dir", dir); code != exitFailed || !strings.Contains(errs, "another \"quorate dev\" runs the cluster") {
		t.Errorf("a second one exits with %d and says %q", code, errs)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lockDev(dir)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	_ = again.Close()
}
