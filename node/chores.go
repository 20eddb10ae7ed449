package node

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	// choreTimeout bounds one command that the node itself proposes.
	choreTimeout = 5 * time.Second
	// outboxRows is how many outbox rows are delivered in one round.
	outboxRows = 1000
	// deliverRows and deliverBytes bound one DeliverOutbox, about.
	deliverRows  = 200
	deliverBytes = 64 << 10
	// timerRows bounds one Sweep.
	timerRows = 200
	// chorePause is how long a chore waits after it failed, and how often a leader
	// looks for timers that are due.
	chorePause = time.Second
	// outboxEvery is how often a leader looks into its outbox without being told.
	// It is told of every row: this only guards against a mistake in that.
	outboxEvery = 15 * time.Second
	// compareEvery is how often replicas compare their chains.
	compareEvery = 10 * time.Second
)

// errResting makes a chore look again soon: what is left is for shards that did
// not take it just now.
var errResting = errors.New("node: shards rest")

// chores are what a leader does on its own: tell other slots what its outbox
// holds, and sweep what is due.
type chores struct {
	h      *hosted
	router *route.Router
	table  func() *cluster.Table
	wall   func() int64 // milliseconds
	logger *slog.Logger
}

// runOutbox delivers outbox rows while the replica leads.
func (c *chores) runOutbox(ctx context.Context) error {
	resting := map[wire.ShardID]time.Time{} // shards that did not take their rows, and until when they are left alone
	return c.loop(ctx, c.h.outbox, outboxEvery, func(ctx context.Context) (bool, error) {
		if c.h.held.Load() {
			return false, nil
		}
		now := time.Now()
		maps.DeleteFunc(resting, func(_ wire.ShardID, until time.Time) bool { return !now.Before(until) })
		batches, err := c.h.state.OutboxBatches(outboxRows, func(target wire.Slot) bool {
			return now.Before(resting[c.shardOf(target)])
		})
		if err == nil && len(batches) == 0 && len(resting) > 0 {
			err = errResting
		}
		if err != nil || len(batches) == 0 {
			return false, err
		}
		byShard := map[wire.ShardID][]state.OutboxRow{}
		for _, b := range batches {
			id := c.shardOf(b.Target)
			byShard[id] = append(byShard[id], b.Rows...)
		}
		for id, ok := range c.deliverAll(ctx, byShard) {
			if !ok {
				resting[id] = time.Now().Add(chorePause)
			}
		}
		return true, nil
	})
}

// deliverAll tells each shard its rows, all at once, and says which took them.
func (c *chores) deliverAll(ctx context.Context, byShard map[wire.ShardID][]state.OutboxRow) map[wire.ShardID]bool {
	var mu sync.Mutex
	taken := map[wire.ShardID]bool{}
	var all sync.WaitGroup
	for id, rows := range byShard {
		all.Go(func() {
			ok := true
			for len(rows) > 0 && ok {
				n := deliverable(rows)
				if err := c.deliver(ctx, rows[:n]); err != nil {
					c.logger.Debug("outbox rows were not delivered", "target", id, "error", err)
					ok = false
				}
				rows = rows[n:]
			}
			mu.Lock()
			defer mu.Unlock()
			taken[id] = ok
		})
	}
	all.Wait()
	return taken
}

// deliverable says how many of the rows fit into one command.
func deliverable(rows []state.OutboxRow) int {
	size := 0
	for i := range rows {
		if size += 256 + len(rows[i].Body); i > 0 && (i == deliverRows || size > deliverBytes) {
			return i
		}
	}
	return len(rows)
}

// shardOf returns the shard that owns a slot; 0 while that is not known.
func (c *chores) shardOf(slot wire.Slot) wire.ShardID {
	r, _ := c.table().Route(slot)
	return r.Shard
}

// deliver tells one shard rows of its slots, and then forgets what was told.
func (c *chores) deliver(ctx context.Context, rows []state.OutboxRow) error {
	ctx, cancel := context.WithTimeout(ctx, choreTimeout)
	defer cancel()
	refs := make([]state.OutboxRef, len(rows))
	for i := range rows {
		refs[i] = rows[i].OutboxRef
	}
	steps := []state.Command{&state.DeliverOutbox{Rows: rows}, &state.AckOutbox{Rows: refs}}
	if mutant.On(mutant.AckBeforeDelivery) { // a planted bug, see package mutant
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if _, err := proposeOwn(ctx, c.router, "chores", step); err != nil {
			return err
		}
	}
	return nil
}

// runTimers sweeps what is due while the replica leads.
func (c *chores) runTimers(ctx context.Context) error {
	return c.loop(ctx, c.h.timers, chorePause, func(ctx context.Context) (bool, error) {
		due, err := c.h.state.DueTimers(c.wall(), timerRows)
		if err != nil || len(due) == 0 {
			return false, err
		}
		ctx, cancel := context.WithTimeout(ctx, choreTimeout)
		defer cancel()
		result, err := proposeOwn(ctx, c.router, "chores", &state.Sweep{Timers: due})
		return result.Count > 0, err // what was not done waits for the next look
	})
}

// proposeOwn proposes a command that no client asked for, and waits. Each kind of
// work has a key of its own, so that it never takes more than its part of a
// queue. A refusal is an error.
func proposeOwn(ctx context.Context, router *route.Router, work string, c state.Command) (state.Result, error) {
	var h state.Header
	encoded := state.EncodeCommand(nil, h, c)
	if err := state.CheckCommand(encoded); err != nil {
		return state.Result{}, wire.Errorf(wire.CodeInvalid, "", "%s: %v", work, err)
	}
	result, err := router.Propose(ctx, state.CommandSlot(h, c), shard.KeyOf("", work), encoded)
	if err == nil && result.Refusal != state.None {
		err = &state.RefusedError{Refusal: result.Refusal, Text: result.Text}
	}
	return result, err
}

// loop works when it is told to, and from time to time, for as long as the
// replica leads; again at once when work says that there may be more. A follower
// sleeps until it is told that it leads: there are many of them.
func (c *chores) loop(ctx context.Context, told <-chan struct{}, every time.Duration, work func(context.Context) (more bool, err error)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-told:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		pause := every
		for more := true; more && c.h.leads.Load() && ctx.Err() == nil; {
			var err error
			if more, err = work(ctx); err != nil {
				if !errors.Is(err, errResting) {
					c.logger.Debug("a chore is not done", "error", err)
				}
				pause = chorePause
				break
			}
		}
		if c.h.leads.Load() {
			timer.Reset(pause)
		}
	}
}
