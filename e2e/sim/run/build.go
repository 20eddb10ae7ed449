package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/quorate/quorate/e2e/sim/overlay"
)

// built is a simulator to run.
type built struct {
	binary     string
	replayable bool
}

// simulator is the package that is the simulator.
const simulator = "github.com/quorate/quorate/e2e/sim"

// build builds the simulator into dir.
func build(ctx context.Context, dir string, o *options, stderr io.Writer) (*built, error) {
	if o.binary != "" {
		return &built{binary: o.binary, replayable: true}, nil
	}
	b := &built{binary: filepath.Join(dir, "sim.test"), replayable: true}
	args := []string{"test", "-c", "-o", b.binary}
	files := filepath.Join(dir, "overlay")
	if err := os.Mkdir(files, 0o700); err != nil {
		return nil, err
	}
	switch path, err := overlay.Write(ctx, files); {
	case errors.Is(err, overlay.ErrNoFit):
		b.replayable = false
		_, _ = fmt.Fprintf(stderr, "not replayable: equal seeds will do unequal things.\n%v\n", err)
	case err != nil:
		return nil, err
	default:
		args = append(args, "-overlay", path)
	}
	if o.mutant != "" {
		args = append(args, "-tags", "mutants")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, simulator)...) //nolint:gosec // our own arguments
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")                   // a call into C gives the processor away, as a system call does
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the simulator: %w\n%s", err, out)
	}
	return b, nil
}
