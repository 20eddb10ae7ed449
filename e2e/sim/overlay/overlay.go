package overlay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoFit is the cause when the Go tree at hand is not one that the edits were
// made for.
var ErrNoFit = errors.New("overlay: an edit does not fit this Go")

// SeedVariable is the environment variable that the stream of a bubble begins with:
// a decimal number. Without it the stream begins with 1.
const SeedVariable = "SIMSEED"

// Environment returns what the environment of a program that was built with the
// overlay must have, so that a run with this seed can be replayed.
func Environment(seed uint64) []string {
	return []string{
		fmt.Sprintf("%s=%d", SeedVariable, seed),
		"GOMAXPROCS=1",
		"GOGC=off",
		"GODEBUG=asyncpreemptoff=1,memprofilerate=0",
	}
}

// Write writes the overlay for the go command's own tree into dir, and returns
// the file to give to its -overlay flag.
func Write(ctx context.Context, dir string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its tree: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	files, err := change(os.DirFS(src))
	if err != nil {
		return "", fmt.Errorf("make an overlay of %s: %w", src, err)
	}
	replace := map[string]string{}
	for name, text := range files {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write an overlay: %w", err)
		}
		replace[filepath.Join(src, name)] = path
	}
	list, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return "", fmt.Errorf("write an overlay: %w", err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		return "", fmt.Errorf("write an overlay: %w", err)
	}
	return path, nil
}

// edited returns the text with the edits made in it, or all that do not fit.
func edited(file, text string, edits []edit) (string, error) {
	var errs []error
	for _, e := range edits {
		if n := strings.Count(text, e.old); n != 1 {
			errs = append(errs, fmt.Errorf("%w: %s has %q %d times, want once (%s)", ErrNoFit, file, e.old, n, e.why))
			continue
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	return text, errors.Join(errs...)
}

// sorted returns the names of the files to edit.
func sorted(edits map[string][]edit) []string {
	names := make([]string, 0, len(edits))
	for name := range edits {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
