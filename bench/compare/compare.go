package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// nodes is how many processes a cluster of either system has.
const nodes = 3

// system is a kind of cluster that can be started.
type system interface {
	start(ctx context.Context, dir string) (running, error)
}

// running is a cluster that is ready: leaders are spread.
type running interface {
	servers() []int                                     // the process ids of its nodes
	load(ctx context.Context, l load) (*process, error) // prepared, not started
	stop()
}

// load is what is asked of either system.
type load struct {
	connections, conversations, inFlight, body int
	warmup, duration                           time.Duration
}

// stopAll stops processes at the same time.
func stopAll(all []*process) {
	var stopping sync.WaitGroup
	for _, p := range all {
		stopping.Go(p.stop)
	}
	stopping.Wait()
}

// setup is a system as it is measured.
type setup struct {
	System string `json:"system"`
	Sync   string `json:"sync"`
	Groups int    `json:"groups"` // shards or streams
	record bool   // for the record: fewer rounds
	system system
}

// String is how tables name it.
func (s setup) String() string {
	if s.System == quorateName {
		return fmt.Sprintf("%s, %d shards", s.System, s.Groups)
	}
	unit := "streams"
	if s.Groups == 1 {
		unit = "stream"
	}
	return fmt.Sprintf("%s, sync %s, %d %s", s.System, s.Sync, s.Groups, unit)
}

const (
	quorateName = "Quorate"
	natsName    = "NATS"
	syncAlways  = "always"
	syncDefault = "default"
)

// comparison is one run of this program.
type comparison struct {
	quorate, nats, dir, out string
	rounds, records         int
	base                    load
	inFlight                []int
	progress                io.Writer
}

// newComparison is what is told of in flags, without them being parsed.
func newComparison(flags *flag.FlagSet, progress io.Writer) *comparison {
	c := &comparison{progress: progress, inFlight: []int{64, 512}, base: load{
		connections: 8, conversations: 64, body: 256, warmup: 2 * time.Second,
	}}
	flags.StringVar(&c.quorate, "quorate", "bin/compare/quorate", "the quorate program")
	flags.StringVar(&c.nats, "nats-server", "bin/compare/nats-server", "the nats-server program")
	flags.StringVar(&c.dir, "dir", "data/compare", "where the clusters keep their data, for as long as they run")
	flags.IntVar(&c.rounds, "rounds", 3, "rounds of Quorate with 8 shards and NATS with 8 streams")
	flags.IntVar(&c.records, "records", 1, "rounds of what is measured for the record; 0: none")
	return c
}

func compareNATS(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("nats", flag.ContinueOnError)
	c := newComparison(flags, progress)
	flags.StringVar(&c.out, "out", "", "file for all figures, as JSON; empty: none")
	flags.DurationVar(&c.base.duration, "duration", 8*time.Second, "measured")
	flags.DurationVar(&c.base.warmup, "warmup", c.base.warmup, "not measured")
	flags.IntVar(&c.base.connections, "connections", c.base.connections, "connections of the load")
	flags.IntVar(&c.base.conversations, "conversations", c.base.conversations, "conversations, or subjects, that messages go round in")
	flags.IntVar(&c.base.body, "body", c.base.body, "bytes of a message")
	if err := parse(flags, args, progress); err != nil {
		return err
	}
	if err := c.validate(); err != nil {
		return err
	}
	result, err := c.run(ctx)
	if err != nil {
		return err
	}
	return c.publish(result, out)
}

func (c *comparison) validate() error {
	if c.rounds < 1 || c.records < 0 || c.base.duration < time.Second {
		return fmt.Errorf("%w: want a round at least, and a second", errMisused)
	}
	return nil
}

// publish writes the table and, as the last line, the ratios.
func (c *comparison) publish(r *result, out io.Writer) error {
	if c.out != "" {
		if err := keepJSON(c.out, r); err != nil {
			return err
		}
	}
	if err := r.table(out); err != nil {
		return err
	}
	return r.ratioLine(out)
}

// run measures everything, in turn.
func (c *comparison) run(ctx context.Context) (*result, error) {
	if err := absolute(&c.quorate, &c.nats, &c.dir); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	setups := c.setups(self)
	r := newResult(c, setups)
	r.Commit, r.NATS = commit(ctx), natsVersion(ctx, c.nats)
	for _, turn := range plan(setups, c.rounds, c.records) {
		fmt.Fprintf(c.progress, "%s  round %d: %v\n", time.Now().Format(time.TimeOnly), turn.round, setups[turn.setup])
		if err := c.measure(ctx, r, turn.setup); err != nil {
			return nil, fmt.Errorf("%v, round %d: %w", setups[turn.setup], turn.round, err)
		}
	}
	return r, nil
}

// setups are the systems: the first two make the ratio.
func (c *comparison) setups(self string) []setup {
	quorate := func(shards int) setup {
		return setup{System: quorateName, Sync: syncAlways, Groups: shards, system: &quorateSystem{exe: c.quorate, shards: shards}}
	}
	nats := func(streams int, always bool) setup {
		s := setup{System: natsName, Sync: syncDefault, Groups: streams, system: &natsSystem{exe: c.nats, self: self, streams: streams, always: always}}
		if always {
			s.Sync = syncAlways
		}
		return s
	}
	all := []setup{quorate(8), nats(8, true), quorate(16), nats(1, true), nats(8, false), nats(1, false)}
	for i := range all {
		all[i].record = i >= 2
	}
	return all
}

// turn is one cluster's turn.
type turn struct{ round, setup int }

// plan interleaves the setups, and turns their order around in every second
// round.
func plan(setups []setup, rounds, records int) []turn {
	var all []turn
	for round := 1; round <= max(rounds, records); round++ {
		var these []turn
		for i, s := range setups {
			if s.record && round <= records || !s.record && round <= rounds {
				these = append(these, turn{round: round, setup: i})
			}
		}
		if round%2 == 0 {
			slices.Reverse(these)
		}
		all = append(all, these...)
	}
	return all
}

// measure starts a cluster and puts each load on it.
func (c *comparison) measure(ctx context.Context, r *result, which int) (err error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	dir, err := os.MkdirTemp(c.dir, "turn-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() {
		if err == nil || ctx.Err() != nil { // else the logs are worth keeping
			err = errors.Join(err, os.RemoveAll(dir))
		}
		syscall.Sync() // what is left must not burden the next one
	}()
	synced, err := probeDisk(dir)
	if err != nil {
		return err
	}
	cluster, err := r.setups[which].system.start(ctx, dir)
	if err != nil {
		return fmt.Errorf("start the cluster: %w", err)
	}
	defer cluster.stop()
	for _, n := range c.inFlight {
		l := c.base
		l.inFlight = n
		s, err := observe(ctx, cluster, l)
		if err != nil {
			return fmt.Errorf("%d in flight: %w", n, err)
		}
		s.SyncMS = synced
		r.add(which, n, s)
		fmt.Fprintf(c.progress, "          %d in flight: %v\n", n, s)
	}
	return ctx.Err()
}

var errFailedMessages = errors.New("messages failed")
