package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// suiteRun runs the suite.
type suiteRun struct {
	quorate, dir string
	only         *regexp.Regexp
	book         *book
	progress     io.Writer
}

func performance(ctx context.Context, args []string, out, progress io.Writer) error {
	var to, doc, only string
	flags := flag.NewFlagSet("performance", flag.ContinueOnError)
	c := newComparison(flags, progress)
	flags.StringVar(&to, "to", "docs/performance", "directory for figures and plots")
	flags.StringVar(&doc, "doc", "docs/performance.md", "the document that is made of them")
	flags.StringVar(&only, "only", ".", "steps whose name this expression matches; the others stay as they were measured")
	flags.DurationVar(&c.base.duration, "duration", 10*time.Second, "of most steps")
	if err := parse(flags, args, progress); err != nil {
		return err
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("%w: -only: %w", errMisused, err)
	}
	if err := errors.Join(c.validate(), absolute(&c.quorate, &c.dir, &to, &doc)); err != nil {
		return err
	}
	groups := suite(c.base.duration)
	book, err := openBook(to, groups)
	if err != nil {
		return err
	}
	s := &suiteRun{quorate: c.quorate, dir: c.dir, only: wanted, book: book, progress: progress}
	err = s.run(ctx, groups)
	if err == nil && wanted.MatchString("nats") {
		err = s.compare(ctx, c, out)
	}
	return errors.Join(err, book.publish(groups, doc))
}

// run measures what is wanted of all groups. What fails keeps the others from
// nothing.
func (s *suiteRun) run(ctx context.Context, groups []group) error {
	var errs []error
	for _, g := range groups {
		if err := s.group(ctx, g); err != nil {
			fmt.Fprintln(s.progress, "  ", err)
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// compare measures Quorate and NATS in turn, as "compare nats" does.
func (s *suiteRun) compare(ctx context.Context, c *comparison, out io.Writer) error {
	r, err := c.run(ctx)
	if err != nil {
		return err
	}
	c.out = filepath.Join(s.book.dir, natsFile)
	s.book.nats = r
	return c.publish(r, out)
}

// absolute makes paths independent of the working directory.
func absolute(paths ...*string) error {
	for _, path := range paths {
		full, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("find %s: %w", *path, err)
		}
		*path = full
	}
	return nil
}

// group measures the steps of a group that are wanted.
func (s *suiteRun) group(ctx context.Context, g group) (err error) {
	var wanted []step
	for _, one := range g.steps {
		if s.only.MatchString(one.name) {
			wanted = append(wanted, one)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	dir, err := os.MkdirTemp(s.dir, "suite-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() {
		if err == nil || ctx.Err() != nil { // else the logs are worth keeping
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	others, err := othersNow(ctx)
	if err != nil {
		return err
	}
	var env []string
	if g.shards > 0 {
		fmt.Fprintf(s.progress, "%s  %s: starting a cluster of %d shards\n", time.Now().Format(time.TimeOnly), g.section, g.shards)
		cluster, err := startQuorate(ctx, &quorateSystem{exe: s.quorate, shards: g.shards}, dir)
		if err != nil {
			return fmt.Errorf("%s: start a cluster: %w", g.section, err)
		}
		defer cluster.stop()
		env = cluster.env()
	}
	for _, one := range wanted {
		r := &record{Name: one.name, Shards: g.shards, Others: &others}
		if err := s.step(ctx, dir, env, one, r); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		if err := s.book.keep(r); err != nil {
			return err
		}
	}
	return nil
}

// othersNow is how many cores are busy while this program measures nothing.
func othersNow(ctx context.Context) (float64, error) {
	const moment = 2 * time.Second
	before, err := busy()
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, moment); err != nil {
		return 0, err
	}
	after, err := busy()
	return (after - before).Seconds() / moment.Seconds(), err
}

// step runs quorate bench, and takes down what it prints. It speaks to the
// cluster that its environment tells it of, or starts one in the directory.
func (s *suiteRun) step(ctx context.Context, dir string, env []string, one step, r *record) error {
	args := append([]string{"bench"}, one.args...)
	if one.rate != nil {
		rate := one.rate(s.book)
		if rate <= 0 {
			return errors.New("what its rate follows from is not measured yet")
		}
		args = append(args, "--rate", fmt.Sprintf("%.0f", rate))
	}
	r.Command = "quorate " + strings.Join(args, " ")
	fmt.Fprintf(s.progress, "%s    %s\n", time.Now().Format(time.TimeOnly), r.Command)
	where := "--probe-dir"
	if r.Shards == 0 {
		where = "--dir"
	}
	p, err := prepare(ctx, filepath.Join(dir, one.name+".log"), s.quorate, append(args, "--json", where, dir)...)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	p.cmd.Stdout, p.cmd.Env = &out, env
	if err := p.start(); err != nil {
		return err
	}
	<-p.ended
	if !json.Valid(out.Bytes()) {
		return p.gone()
	}
	if p.err != nil { // there is a report that says what failed
		fmt.Fprintf(s.progress, "            %s\n", lastLine(p.log.Name()))
	}
	r.Report = bytes.TrimSpace(out.Bytes())
	return ctx.Err()
}

func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
