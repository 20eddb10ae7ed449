package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Replica is one node's copy of a shard. Its methods may be called from any
// goroutine.
type Replica struct {
	place    Place
	opts     Options
	logger   *slog.Logger
	machine  Machine
	group    *group
	progress *progress
	proposer proposer
	reads    reads
	lead     lead
	hurry    hurrier // nil if the transport has no such thing
	counters counters

	ctx      context.Context //nolint:containedctx // the replica's own lifetime, ended by Close
	cancel   context.CancelFunc
	stuck    chan struct{} // cap 1: raft refuses because of a transfer that does not end
	told     Leadership    // last told to Options.LeaderChanged; of the watching goroutine
	workers  sync.WaitGroup
	starting struct {
		sync.Mutex
		closed bool // no worker may be started from outside any more
	}
}

// hurrier is a transport that otherwise holds heartbeats back for a while, so
// that those of many groups travel together. Hurry adds to the number of
// readers that wait for heartbeats; while there are any, none is held.
type hurrier interface{ Hurry(delta int) }

// backlogger is a log that slows down while apply lags too far behind.
type backlogger interface{ SetBacklog(bytes func() int64) }

// Open starts a replica on what its stores hold, or founds its group if they
// are empty and place names voters. Stores, machine and transport are only
// lent: the caller closes them after Close.
func Open(place Place, stores Stores, machine Machine, transport raft.Transport, opts Options) (*Replica, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("open a replica of shard %d: %w", place.Shard, err)
	}
	r, err := newReplica(place, stores, machine, transport, opts)
	if err == nil {
		err = r.start()
	}
	if err != nil {
		return nil, fmt.Errorf("open a replica of shard %d: %w", place.Shard, err)
	}
	return r, nil
}

func newReplica(place Place, stores Stores, machine Machine, transport raft.Transport, opts Options) (*Replica, error) {
	preVote, ok := transport.(raft.WithPreVote)
	if !ok {
		return nil, errNoPreVote
	}
	r := &Replica{
		place: place, opts: opts, machine: machine,
		logger:   opts.Logger.With("shard", place.Shard),
		progress: newProgress(opts.SnapshotBytes),
		reads:    reads{limit: opts.MaxReads, wake: make(chan struct{}, 1)},
		stuck:    make(chan struct{}, 1),
	}
	r.hurry, _ = transport.(hurrier)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.group = &group{
		config: raftConfig(place.Node, opts), stores: stores, tap: newTap(transport, preVote),
		fsm:     &fsm{machine: machine, progress: r.progress, fatal: r.fatal},
		changed: make(chan struct{}, 1),
	}
	r.proposer.init(opts)
	r.proposer.enter = func() (raftApplier, bool) { return r.group.enter() }
	r.proposer.leave = r.group.leave
	r.proposer.refuse = r.refuse
	r.proposer.last = func() int64 { return machine.Record().Stamp }
	r.proposer.stuck = func() { signal(r.stuck) }
	return r, nil
}

func (r *Replica) start() error {
	log := r.group.stores.Log
	if err := r.group.bootstrap(r.place.Voters); err != nil {
		return err
	}
	mean, size, err := measureLog(log, r.opts)
	if err != nil {
		return err
	}
	r.progress.begin(r.machine.Record().Applied, mean, size)
	if err := r.group.start(); err != nil {
		return err
	}
	if own, ok := log.(backlogger); ok {
		own.SetBacklog(r.Backlog)
	}
	r.workers.Go(r.watch)
	r.workers.Go(r.serveReads)
	r.workers.Go(r.proposer.run)
	r.workers.Go(r.proposer.answer)
	return nil
}

// Close stops the replica: what waits to be proposed gets ErrClosed, what is in
// raft gets its answer first. It does not hand over the leadership.
func (r *Replica) Close() error {
	r.starting.Lock()
	again := r.starting.closed
	r.starting.closed = true
	r.starting.Unlock()
	if again {
		return ErrClosed
	}
	r.proposer.close()
	r.cancel()
	r.workers.Wait()
	if err := r.group.stop(); err != nil {
		return fmt.Errorf("close a replica of shard %d: %w", r.place.Shard, err)
	}
	// The stores flush when they are closed: the next start has less to apply.
	if err := r.machine.Settle(); err != nil {
		return fmt.Errorf("settle the state of shard %d: %w", r.place.Shard, err)
	}
	return nil
}

// spawn starts a worker on behalf of a caller, unless the replica is closed.
func (r *Replica) spawn(work func()) bool {
	r.starting.Lock()
	defer r.starting.Unlock()
	if r.starting.closed {
		return false
	}
	r.workers.Go(work)
	return true
}

// watch follows what raft and apply signal, until the replica is closed.
func (r *Replica) watch() {
	due := r.progress.snapshotDue
	done := make(chan error, 1)
	var again <-chan time.Time
	for {
		select {
		case <-r.group.changed:
			r.refreshLead()
		case <-due:
			due = nil
			r.workers.Go(func() { done <- r.takeSnapshot() })
		case err := <-done:
			due = r.progress.snapshotDue
			if err != nil {
				r.logger.Warn("snapshot was not taken", "error", err)
				due, again = nil, time.After(snapshotRetry)
			}
		case <-again:
			due, again = r.progress.snapshotDue, nil
			r.progress.recheck()
		case <-r.stuck:
			r.restart()
		case <-r.ctx.Done():
			return
		}
	}
}

// restart replaces a raft instance that will refuse commands for ever.
func (r *Replica) restart() {
	r.logger.Warn("raft is restarted", "reason", "a leadership transfer does not end")
	r.counters.restarts.Add(1)
	r.proposer.hold()
	defer r.proposer.release()
	if err := r.group.restart(); err != nil {
		r.fatal(fmt.Errorf("restart raft of shard %d: %w", r.place.Shard, err))
	}
}

func (r *Replica) fatal(err error) {
	r.logger.Error("replica cannot go on", "error", err)
	r.opts.Fatal(fmt.Errorf("shard %d: %w", r.place.Shard, err))
}

// KeyOf returns the key of a conversation or a user for Submit.
func KeyOf(app wire.AppID, root string) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(string(app))
	_, _ = d.Write([]byte{0})
	_, _ = d.WriteString(root)
	return d.Sum64()
}

// Submit proposes a command. It never waits. The order of calls is the order of
// the commands in the log, and of the answers.
//
// The key says whom the command is for: commands with one key may hold a
// quarter of the queue. cmd must not change until done is called.
//
// done is called exactly once and must not block: within Submit if the command
// is refused at once (not the leader, overloaded, storage full, closed),
// otherwise later from a goroutine of the replica.
func (r *Replica) Submit(key uint64, cmd []byte, done func(Outcome)) {
	if r.IsLeader() && r.opts.Full() {
		done(Outcome{Err: ErrStorageFull})
		return
	}
	if err := r.proposer.submit(call{key: key, cmd: cmd, done: done}); err != nil {
		done(Outcome{Err: err})
	}
}

// Propose proposes a command and waits for its result. If ctx ends first the
// command may yet be applied, and the error is ErrUncertain.
func (r *Replica) Propose(ctx context.Context, key uint64, cmd []byte) (state.Result, error) {
	answer := make(chan Outcome, 1)
	r.Submit(key, cmd, func(o Outcome) { answer <- o })
	select {
	case o := <-answer:
		return o.Result, o.Err
	case <-ctx.Done():
		return state.Result{}, errors.Join(ErrUncertain, ctx.Err())
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
