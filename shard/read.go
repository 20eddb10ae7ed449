package shard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/mutant"
)

// readAnswer is what a strong read gets.
type readAnswer struct {
	index uint64
	err   error
}

// reads are the strong reads that wait for the next round.
type reads struct {
	limit int
	mu    struct {
		sync.Mutex
		waiting []chan readAnswer
		closed  bool
	}
	wake chan struct{} // cap 1
}

func (q *reads) add(answer chan readAnswer) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.mu.closed:
		return ErrClosed
	case len(q.mu.waiting) >= q.limit:
		return ErrOverloaded
	}
	q.mu.waiting = append(q.mu.waiting, answer)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

func (q *reads) take(closing bool) []chan readAnswer {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.closed = q.mu.closed || closing
	waiting := q.mu.waiting
	q.mu.waiting = nil
	return waiting
}

// StrongRead returns once the state of this replica, which must be the leader,
// holds everything that any leader answered before the call. Reads that wait at
// the same time share one round of heartbeats. The index is one that a follower
// may be asked to have applied (see Applied) to answer the same read.
func (r *Replica) StrongRead(ctx context.Context) (uint64, error) {
	if err := r.refuse(); err != nil {
		return 0, err
	}
	answer := make(chan readAnswer, 1)
	if err := r.reads.add(answer); err != nil {
		return 0, err
	}
	select {
	case a := <-answer:
		return a.index, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// serveReads runs rounds until the replica is closed.
func (r *Replica) serveReads() {
	for {
		select {
		case <-r.reads.wake:
		case <-r.ctx.Done():
			for _, w := range r.reads.take(true) {
				w <- readAnswer{err: ErrClosed}
			}
			return
		}
		waiting := r.reads.take(false)
		if len(waiting) == 0 {
			continue
		}
		index, err := r.readRound(r.ctx)
		for _, w := range waiting {
			w <- readAnswer{index, err}
		}
	}
}

// readRound makes sure that this replica leads, at a moment after the call, and
// has applied what was committed at that moment.
func (r *Replica) readRound(ctx context.Context) (uint64, error) {
	term, barrier, err := r.awaitReady(ctx)
	if err != nil {
		return 0, err
	}
	commit, err := r.confirmLead(ctx, term)
	if err != nil {
		return 0, err
	}
	// A barrier, like raft's no-op, moves the commit index but never reaches the
	// state machine. After this term's there are no more of either.
	if commit > barrier {
		if err := r.progress.wait(ctx, commit); err != nil {
			return 0, closedIfDone(err)
		}
		return commit, nil
	}
	return min(commit, r.progress.applied.Load()), nil
}

// awaitReady returns the term and its barrier once this replica is ready to
// lead, or an error when it does not lead.
func (r *Replica) awaitReady(ctx context.Context) (term, barrier uint64, err error) {
	for {
		_, changed := r.lead.watch()
		now, barrier := r.lead.get()
		if r.group.raft().CurrentTerm() == now.Term && now.Ready {
			return now.Term, barrier, nil
		}
		if err := r.refuse(); err != nil {
			return 0, 0, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, 0, ErrClosed
		}
	}
}

// reverify is how long a round waits for confirmations of its own after raft
// was content with older ones.
const reverify = 20 * time.Millisecond

// confirmLead returns the commit index of a moment at which this replica
// certainly led in the term.
func (r *Replica) confirmLead(ctx context.Context, term uint64) (uint64, error) {
	instance, ok := r.group.enter()
	if !ok {
		return 0, r.notLeader()
	}
	defer r.group.leave()
	if r.hurry != nil {
		r.hurry.Hurry(1)
		defer r.hurry.Hurry(-1)
	}
	round := r.group.tap.begin()
	commit := instance.CommitIndex()
	if mutant.On(mutant.UnverifiedRead) { // a planted bug, see package mutant
		return commit, nil
	}
	for {
		// It also makes raft send heartbeats at once.
		if err := instance.VerifyLeader().Error(); err != nil || instance.CurrentTerm() != term {
			return 0, r.notLeader()
		}
		voters, _ := r.group.servers()
		confirmed, moved := r.group.tap.confirmed(term, round, voters, raft.ServerID(r.place.Node))
		if confirmed {
			return commit, nil
		}
		select {
		case <-moved:
		case <-time.After(reverify):
		case <-ctx.Done():
			return 0, ErrClosed
		}
	}
}

func closedIfDone(err error) error {
	if errors.Is(err, context.Canceled) {
		return ErrClosed
	}
	return err
}
