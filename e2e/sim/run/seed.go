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
	"sync"
	"syscall"
	"time"

	"github.com/quorate/quorate/e2e/sim/overlay"
)

// outcome is what became of a seed.
type outcome struct {
	Seed     uint64         `json:"seed"`
	Trace    string         `json:"trace"`
	Plan     string         `json:"plan"`
	Virtual  time.Duration  `json:"virtual"`
	Events   int            `json:"events"`
	Calls    map[string]int `json:"calls"`
	Acks     int            `json:"acks"`
	Unknown  int            `json:"unknown"`
	Refused  int            `json:"refused"`
	Logged   int            `json:"logged"`
	Entries  uint64         `json:"entries"`
	Failures []string       `json:"failures,omitempty"`

	Took   time.Duration `json:"took"` // of real time
	CPU    time.Duration `json:"cpu"`
	Memory int64         `json:"memory"` // the most it had, in KiB
	Dir    string        `json:"dir,omitempty"`
	judged bool          // it came to its end
}

// resultPrefix begins the line in which a run says what it did.
const resultPrefix = "SIM RESULT "

// runAll runs all seeds, some at once.
func (b *built) runAll(ctx context.Context, o *options, r *report) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan uint64)
	go func() {
		defer close(next)
		for _, s := range o.seeds {
			for seed := s.from; seed <= s.to; seed++ {
				if o.atMost > 0 && time.Since(r.began) > o.atMost {
					return
				}
				select {
				case next <- seed:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	var workers sync.WaitGroup
	for range o.jobs {
		workers.Go(func() {
			for seed := range next {
				result := b.seed(ctx, o, seed)
				if ctx.Err() != nil {
					return // told to end: what it was told of this one says nothing
				}
				if r.add(result); o.first && len(result.Failures) > 0 {
					cancel()
				}
			}
		})
	}
	workers.Wait()
}

// seed runs one seed, or the same twice.
func (b *built) seed(ctx context.Context, o *options, seed uint64) outcome {
	dir := filepath.Join(o.keep, fmt.Sprint(seed))
	first := b.once(ctx, o, seed, dir)
	if !o.again(seed) || len(first.Failures) > 0 {
		return first
	}
	second := b.once(ctx, o, seed, dir+"-again")
	switch {
	case len(second.Failures) > 0:
	case second.Trace == first.Trace:
		_, _ = os.RemoveAll(dir), os.RemoveAll(dir+"-again")
		second.Dir = ""
	case b.replayable:
		second.Failures = append(second.Failures, fmt.Sprintf("the same seed did another thing the second time: its trace was %s and is %s", first.Trace, second.Trace))
	}
	return second
}

// once runs a process. What it leaves is kept if it fails.
func (b *built) once(ctx context.Context, o *options, seed uint64, dir string) outcome {
	result := outcome{Seed: seed, Dir: dir}
	if err := os.RemoveAll(dir); err != nil {
		return result.fail(err.Error())
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return result.fail(err.Error())
	}
	out, err := b.process(ctx, o, dir, &result)
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(line, resultPrefix); ok {
			result.judged = json.Unmarshal([]byte(text), &result) == nil
		}
	}
	if err != nil && len(result.Failures) == 0 {
		result = result.fail(fmt.Sprintf("%v\n%s", err, head(out)))
	}
	if len(result.Failures) == 0 && !o.again(result.Seed) {
		_ = os.RemoveAll(dir)
		result.Dir = ""
		return result
	}
	if err := os.WriteFile(filepath.Join(dir, "output"), out, 0o600); err != nil {
		return result.fail(err.Error())
	}
	return result
}

// process runs the simulator and returns what it printed.
func (b *built) process(ctx context.Context, o *options, dir string, result *outcome) ([]byte, error) {
	cmd := exec.Command(b.binary, "-test.run=^TestSeed$", "-test.timeout=0") //nolint:gosec,noctx // our own program; it is ended below, in order
	cmd.Env = append(os.Environ(), overlay.Environment(result.Seed)...)
	cmd.Env = append(cmd.Env, fmt.Sprint("SIM_SEED=", result.Seed), "SIM_DIR="+dir, "QUORATE_MUTANT="+o.mutant)
	if o.again(result.Seed) {
		cmd.Env = append(cmd.Env, "SIM_KEEP=1")
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		err = <-ended
	case <-time.After(o.limit):
		_ = cmd.Process.Signal(syscall.SIGQUIT) // it prints its stacks
		select {
		case err = <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			err = <-ended
		}
		err = errors.Join(fmt.Errorf("it hangs: no end after %v", o.limit), err)
	}
	result.Took = time.Since(began)
	result.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		result.Memory = usage.Maxrss
	}
	return out.Bytes(), err
}

func (o outcome) fail(text string) outcome {
	o.Failures = append(o.Failures, text)
	return o
}

// head returns the beginning of what a process printed.
func head(out []byte) string {
	const most = 4000
	if len(out) > most {
		return string(out[:most]) + "\n…"
	}
	return string(out)
}
