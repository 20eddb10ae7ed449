package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// Crew is the clients of a run.
type Crew struct {
	world   World
	opts    Options
	rec     *history.Recorder
	board   *board
	devices []*device
	done    atomic.Int64 // operations
}

// Run lets the clients work until ctx ends or they have done all they may. Their
// sessions and subscriptions stay open for Finish. It fails if the run can not
// begin, because ctx ended before the first conversations were made.
func Run(ctx context.Context, w World, o Options, rec *history.Recorder) (*Crew, error) {
	o = o.withDefaults()
	c := &Crew{world: w, opts: o, rec: rec, board: newBoard()}
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	mix := drawMix(rng)
	for u := range o.Users {
		for n := range 1 + rng.IntN(o.Devices) {
			c.devices = append(c.devices, newDevice(c, userName(u), n, mix))
		}
	}
	if err := foundConversations(ctx, c.devices[0]); err != nil {
		c.Close()
		return nil, fmt.Errorf("begin the load: %w", err)
	}
	watchers := c.hireWatchers(rng, mix)
	var all sync.WaitGroup
	for _, d := range c.devices {
		all.Go(func() { d.work(ctx) })
	}
	for _, d := range watchers {
		all.Go(func() { watch(ctx, d) })
	}
	all.Wait()
	c.devices = append(c.devices, watchers...)
	return c, nil
}

// hireWatchers makes devices that do nothing but read the end of the hot
// conversation, in some runs: what a new leader says in its first milliseconds is
// heard by nobody else.
func (c *Crew) hireWatchers(rng *rand.Rand, m *mix) []*device {
	if rng.IntN(4) > 0 {
		return nil
	}
	var watchers []*device
	for i := range 2 {
		d := newDevice(c, userName(i%c.opts.Users), 24+i, m)
		d.rng = rand.New(rand.NewPCG(c.opts.Seed, uint64(len(c.devices)+2+i)))
		watchers = append(watchers, d)
	}
	return watchers
}

func userName(n int) wire.UserID { return wire.UserID(fmt.Sprintf("u%d", n)) }

// each runs f for all devices at once and waits for them.
func (c *Crew) each(f func(d *device)) {
	var all sync.WaitGroup
	for _, d := range c.devices {
		all.Go(func() { f(d) })
	}
	all.Wait()
}

// mayGoOn counts an operation, and tells whether it may still be done.
func (c *Crew) mayGoOn() bool { return c.done.Add(1) <= int64(c.opts.Operations) }

// Operations returns how many operations were begun.
func (c *Crew) Operations() int { return int(min(c.done.Load(), int64(c.opts.Operations))) }

// Close closes all clients and waits for what reads their subscriptions.
func (c *Crew) Close() { c.each((*device).signOut) }

// quiet is how long nothing is called before what is derived must be exact: the
// promise says 5 s.
const quiet = 6 * time.Second

// Finish reads what is there at the end: call it when all faults are over and
// the cluster is healthy again. First what is still unknown is asked again and
// each user says a last word. Then, after a quiet time, every user reads every
// conversation from the start with strong reads, the open subscriptions must
// reach the ends of their logs, and cursors, unread counts, members and lists of
// conversations are read. It does not close the clients.
func (c *Crew) Finish(ctx context.Context) error {
	c.rec.Phase(history.PhaseFinal)
	c.each(func(d *device) { settleAccounts(ctx, d) })
	if err := clock.Sleep(ctx, quiet); err != nil {
		return fmt.Errorf("wait for quiet: %w", err)
	}
	c.each(func(d *device) {
		converge(ctx, d)
		if d.number == 0 {
			readAll(ctx, d)
		}
	})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read all: %w", err)
	}
	return nil
}

// outcome judges what a call returned. A client that has ended says so in each
// call's error, whatever became of the call.
func (d *device) outcome(err error) (history.Outcome, string) {
	if err == nil {
		if !d.crew.world.Alive(d.q.Node()) {
			return history.Unknown, "the node is dead"
		}
		return history.OK, ""
	}
	code := wire.CodeOf(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return history.Unknown, "time-out"
	case d.q.Err() != nil:
		return history.Unknown, "closed"
	case errors.Is(err, client.ErrUnheard):
		return history.Unknown, "unheard"
	case code.Retryable(), code == wire.CodeTooOld, code == wire.CodeInternal:
		return history.Unknown, code.String()
	case !d.crew.world.Alive(d.q.Node()):
		return history.Unknown, "the node is dead"
	default:
		return history.Refused, code.String()
	}
}
