package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code) //nolint:forbidigo // main exits
}

// options are what the command was told.
type options struct {
	seeds  []span
	jobs   int
	mutant string
	json   bool
	first  bool   // stop at the first failure
	twice  uint64 // so many of the first seeds run twice, and their traces are compared
	atMost time.Duration
	limit  time.Duration // of real time, for one seed
	keep   string        // where failures are left
	binary string        // built already
}

// again tells whether a seed is one of those that run twice.
func (o *options) again(seed uint64) bool {
	first := o.seeds[0]
	return seed >= first.from && seed-first.from < o.twice && seed <= first.to
}

// span is some seeds in a row.
type span struct{ from, to uint64 }

// run is main without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintln(stderr, err)
		}
		return 2
	}
	work, err := os.MkdirTemp("", "quorate-sim-build-")
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(work) }()
	b, err := build(ctx, work, &o, stderr)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	r := &report{o: &o, out: stdout, err: stderr, replayable: b.replayable, began: time.Now(), calls: map[string]int{}}
	b.runAll(ctx, &o, r)
	r.end()
	if r.failed > 0 || r.seeds == 0 {
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.SetOutput(stderr)
	seeds := f.String("seeds", "1-20", "which seeds: 7, 1-100, or several of these with commas")
	f.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "how many at once")
	f.StringVar(&o.mutant, "mutant", "", "the planted bug to run with, as M1; several with +")
	f.BoolVar(&o.json, "json", false, "print one line of JSON for each seed, and one for all")
	f.BoolVar(&o.first, "first", false, "stop at the first failure")
	f.Uint64Var(&o.twice, "twice", 0, "run so many of the first seeds twice, and compare the traces")
	f.DurationVar(&o.atMost, "for", 0, "begin no more seeds after so long")
	f.DurationVar(&o.limit, "limit", 10*time.Minute, "how long a seed may take in real time, on a busy machine")
	f.StringVar(&o.keep, "keep", filepath.Join(os.TempDir(), "quorate-sim"), "where a failure's log and history are left")
	f.StringVar(&o.binary, "binary", "", "a simulator that is built already, with the overlay")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("what is %q? seeds are given with --seeds", f.Arg(0))
	}
	if o.jobs < 1 {
		return o, fmt.Errorf("--jobs is %d, want at least 1", o.jobs)
	}
	for part := range strings.SplitSeq(*seeds, ",") {
		one, err := parseSpan(part)
		if err != nil {
			return o, err
		}
		o.seeds = append(o.seeds, one)
	}
	return o, nil
}

func parseSpan(text string) (span, error) {
	low, high, many := strings.Cut(text, "-")
	if !many {
		high = low
	}
	from, err1 := strconv.ParseUint(low, 10, 63)
	to, err2 := strconv.ParseUint(high, 10, 63)
	if err := errors.Join(err1, err2); err != nil {
		return span{}, fmt.Errorf("--seeds %q: %w", text, err)
	}
	if from > to {
		return span{}, fmt.Errorf("--seeds %q: the first is after the last", text)
	}
	return span{from, to}, nil
}
