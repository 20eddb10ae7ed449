package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/mutant"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code) //nolint:forbidigo // main exits
}

// run is main without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	wanted, jobs, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintln(stderr, err)
		}
		return 2
	}
	dir, err := os.MkdirTemp("", "quorate-mutants-")
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir}
	began := time.Now()
	if err := b.build(ctx, wanted); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	_, _ = fmt.Fprintf(stderr, "built in %.0f s\n", time.Since(began).Seconds())
	verdicts := b.judgeAll(ctx, wanted, jobs)
	return report(stdout, verdicts, time.Since(began))
}

func parse(args []string, stderr io.Writer) (wanted []proof, jobs int, err error) {
	f := flag.NewFlagSet("mutants", flag.ContinueOnError)
	f.SetOutput(stderr)
	only := f.String("only", "", "which mutants, as M1,M2; default: all")
	f.IntVar(&jobs, "jobs", runtime.NumCPU(), "how many at once")
	if err := f.Parse(args); err != nil {
		return nil, 0, err
	}
	if f.NArg() > 0 || jobs < 1 {
		return nil, 0, errors.New("usage: mutants [--only M1,M2] [--jobs 2]")
	}
	if *only == "" {
		return proofs, jobs, nil
	}
	for name := range strings.SplitSeq(*only, ",") {
		m, ok := mutant.Parse(name)
		i := slices.IndexFunc(proofs, func(p proof) bool { return p.mutant == m })
		if !ok || i < 0 {
			return nil, 0, fmt.Errorf("there is no mutant %q", name)
		}
		wanted = append(wanted, proofs[i])
	}
	return wanted, jobs, nil
}

// judgeAll judges some mutants at once.
func (b *bench) judgeAll(ctx context.Context, wanted []proof, jobs int) []verdict {
	verdicts := make([]verdict, len(wanted))
	places := make(chan struct{}, jobs)
	var all sync.WaitGroup
	for i := range wanted {
		places <- struct{}{}
		all.Go(func() {
			verdicts[i] = b.judge(ctx, &wanted[i])
			<-places
		})
	}
	all.Wait()
	return verdicts
}

// shown is how much of a complaint is printed.
const shown = 120

// report prints the table and returns the exit code.
func report(out io.Writer, verdicts []verdict, took time.Duration) int {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	missed := 0
	for i := range verdicts {
		v := &verdicts[i]
		by := v.proof.what(v.seed)
		if !v.found {
			missed++
			by = "NOT FOUND by " + by
		}
		m := v.proof.mutant
		text := v.text
		if len(text) > shown {
			text = text[:shown] + " …"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%.1f s\t%s\n", m, m.Name(), by, v.took.Seconds(), text)
	}
	_ = table.Flush()
	_, _ = fmt.Fprintf(out, "%d of %d mutants found, in %.0f s\n", len(verdicts)-missed, len(verdicts), took.Seconds())
	if missed > 0 {
		return 1
	}
	return 0
}
