package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate/quorate/e2e/sim/overlay"
	"github.com/quorate/quorate/mutant"
)

const (
	module    = "github.com/quorate/quorate/"
	simulator = "e2e/sim"

	// tryLimit bounds one run, in real time.
	tryLimit = 2 * time.Minute
)

// bench is where mutants are run: the programs, built once.
type bench struct {
	dir string // of the programs
}

// build builds what the proofs need.
func (b *bench) build(ctx context.Context, wanted []proof) error {
	flags := map[string][]string{}
	for i := range wanted {
		if pkg := wanted[i].pkg; pkg != "" {
			flags[pkg] = nil
		} else {
			flags[simulator] = nil
		}
	}
	if _, ok := flags[simulator]; ok {
		path, err := overlay.Write(ctx, b.dir)
		if err != nil && !errors.Is(err, overlay.ErrNoFit) {
			return err
		}
		if err == nil { // without it a mutant is found all the same, but perhaps with another seed each time
			flags[simulator] = []string{"-overlay", path}
		}
	}
	for pkg, more := range flags {
		args := append([]string{"test", "-c", "-tags", mutant.Tag, "-o", b.binary(pkg)}, more...)
		cmd := exec.CommandContext(ctx, "go", append(args, module+pkg)...) //nolint:gosec // our own arguments
		if pkg == simulator {
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as ./e2e/sim/run builds it
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

func (b *bench) binary(pkg string) string {
	return filepath.Join(b.dir, strings.ReplaceAll(pkg, "/", "-")+".test")
}

// verdict is what became of a mutant.
type verdict struct {
	proof *proof
	found bool
	seed  int           // that it came to
	text  string        // the first thing that was wrong, or why the mutant is not found
	took  time.Duration // of processor time, all tries together
}

// judge tries to find a mutant.
func (b *bench) judge(ctx context.Context, p *proof) verdict {
	v := verdict{proof: p, text: "nothing was wrong"}
	for v.seed = 1; v.seed <= p.tries() && ctx.Err() == nil; v.seed++ {
		failed, took := b.try(ctx, p, v.seed, p.mutant)
		if v.took += took; failed == "" {
			continue
		}
		without, took := b.try(ctx, p, v.seed, mutant.None)
		v.took += took
		if without != "" {
			v.text = "without the mutant it fails too: " + without
			continue // a bug that nobody has planted
		}
		v.found, v.text = true, failed
		return v
	}
	v.seed--
	return v
}

// try runs a proof once. It returns what went wrong, or "", and how much
// processor time it took.
func (b *bench) try(ctx context.Context, p *proof, seed int, m mutant.Mutant) (failed string, took time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	pkg, test := simulator, "TestSeed"
	var env []string
	switch {
	case p.test != "":
		pkg, test = p.pkg, p.test
	case p.scenario != "":
		test = "TestScenario"
		env = append(env, "SIM_SCENARIO="+p.scenario)
	}
	cmd := exec.CommandContext(ctx, b.binary(pkg), "-test.run=^"+test+"$") //nolint:gosec // built by us
	cmd.Env = append(os.Environ(), env...)
	if pkg == simulator {
		cmd.Env = append(cmd.Env, overlay.Environment(uint64(seed))...)
		cmd.Env = append(cmd.Env, fmt.Sprint("SIM_SEED=", seed))
	} else {
		cmd.Dir = pkg // golden files
	}
	if m != mutant.None {
		cmd.Env = append(cmd.Env, mutant.Env+"="+m.String())
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState != nil {
		took = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err == nil {
		return "", took
	}
	return complaint(out.String(), err), took
}

// resultPrefix begins the line in which the simulator says what became of a seed.
const resultPrefix = "SIM RESULT "

// complaint finds in the output of a test what it says first.
func complaint(out string, err error) string {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, resultPrefix); ok {
			var result struct {
				Failures []string `json:"failures"`
			}
			if json.Unmarshal([]byte(text), &result) == nil && len(result.Failures) > 0 {
				return firstCertain(result.Failures)
			}
		}
		_, text, ok := strings.Cut(line, "_test.go:")
		if !ok {
			continue
		}
		if _, text, ok = strings.Cut(text, ": "); ok {
			return text
		}
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			return strings.TrimSpace(line)
		}
	}
	return err.Error()
}

// firstCertain returns the first failure that shows something. A search that was
// given up shows only that the machine is slow; with nothing else a seed counts
// as passed.
func firstCertain(failures []string) string {
	for _, f := range failures {
		if id, _, _ := strings.Cut(f, ":"); !strings.HasSuffix(id, " unknown") {
			return f
		}
	}
	return ""
}
