package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
)

// Leadership is what a replica knows of its shard's leader.
type Leadership struct {
	Leader wire.NodeID // empty while there is none
	Term   uint64
	Leads  bool // this replica is the leader
	Ready  bool // it leads, and has applied everything that earlier leaders committed
}

// lead holds the leadership facts.
type lead struct {
	mu struct {
		sync.Mutex
		now     Leadership
		barrier uint64        // index of this term's barrier, once Ready
		changed chan struct{} // closed at the next change; nil while nobody waits
	}
}

// get returns the facts and the barrier's index.
func (l *lead) get() (Leadership, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.now, l.mu.barrier
}

// watch returns the facts, and a channel that is closed at the next change.
func (l *lead) watch() (Leadership, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.changed == nil {
		l.mu.changed = make(chan struct{})
	}
	return l.mu.now, l.mu.changed
}

// set replaces leader, term and role, and returns the facts and whether they changed.
// A barrier counts for its own term only.
func (l *lead) set(now Leadership) (Leadership, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now.Ready = now.Leads && l.mu.now.Ready && l.mu.now.Term == now.Term
	if now == l.mu.now {
		return now, false
	}
	l.mu.now = now
	l.announceLocked()
	return now, true
}

// ready notes that the term's barrier was applied, if the term is still ours.
func (l *lead) ready(term, barrier uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mu.now.Leads || l.mu.now.Term != term {
		return
	}
	l.mu.now.Ready = true
	l.mu.barrier = barrier
	l.announceLocked()
}

func (l *lead) announceLocked() {
	if l.mu.changed != nil {
		close(l.mu.changed)
		l.mu.changed = nil
	}
}

// Leadership returns who leads, as far as this replica knows.
func (r *Replica) Leadership() Leadership {
	now, _ := r.lead.get()
	return now
}

// Leader returns the shard's leader, as far as this replica knows, and the term.
func (r *Replica) Leader() (wire.NodeID, uint64) {
	now, _ := r.lead.get()
	return now.Leader, now.Term
}

// IsLeader tells whether this replica leads its shard.
func (r *Replica) IsLeader() bool { return r.group.raft().State() == raft.Leader }

// notLeader returns the refusal of a replica that does not lead.
func (r *Replica) notLeader() error {
	_, leader := r.group.raft().LeaderWithID()
	if wire.NodeID(leader) == r.place.Node {
		leader = "" // it has just ended
	}
	return &NotLeaderError{Shard: r.place.Shard, Leader: wire.NodeID(leader)}
}

// refuse returns nil at the leader.
func (r *Replica) refuse() error {
	if r.IsLeader() {
		return nil
	}
	return r.notLeader()
}

// refreshLead reads the facts from raft, and begins what a new leader must do.
func (r *Replica) refreshLead() {
	instance := r.group.raft()
	var now Leadership
	for {
		now.Term = instance.CurrentTerm()
		_, leader := instance.LeaderWithID()
		now.Leader, now.Leads = wire.NodeID(leader), instance.State() == raft.Leader
		if now.Term == instance.CurrentTerm() {
			break
		}
	}
	if now.Leads {
		now.Leader = r.place.Node
	}
	before, _ := r.lead.get()
	now, _ = r.lead.set(now)
	if now.Leads && (!before.Leads || before.Term != now.Term) {
		r.workers.Go(func() { r.passBarrier(now.Term) })
	}
	if !now.Leads {
		r.proposer.signal() // what waits is refused
	}
	if now != r.told {
		r.told = now
		r.logger.Info("leadership changed", "leader", now.Leader, "term", now.Term, "leads", now.Leads, "ready", now.Ready)
		r.opts.LeaderChanged(now)
	}
}

// barrierRetry is how long a new leader waits before it tries its barrier again.
const barrierRetry = 50 * time.Millisecond

// passBarrier puts a barrier into the log in a leader's own term. When it has
// passed through apply, so has everything that earlier leaders acknowledged.
func (r *Replica) passBarrier(term uint64) {
	if mutant.On(mutant.NoBarrier) { // a planted bug, see package mutant
		r.lead.ready(term, r.group.raft().LastIndex()+1)
		r.group.notify()
		return
	}
	for r.ctx.Err() == nil {
		index, err := r.group.barrier()
		if err == nil {
			r.lead.ready(term, index)
			r.group.notify() // the watching goroutine tells it
			return
		}
		if now := r.Leadership(); !now.Leads || now.Term != term || errors.Is(err, raft.ErrNotLeader) {
			return
		}
		select {
		case <-time.After(barrierRetry):
		case <-r.ctx.Done():
		}
	}
}

// barrier puts a barrier into the log and returns its index once everything
// before it is applied.
func (g *group) barrier() (uint64, error) {
	instance, ok := g.enter()
	if !ok {
		return 0, ErrClosed
	}
	defer g.leave()
	future := instance.Barrier(0)
	if err := future.Error(); err != nil {
		return 0, err
	}
	if at, ok := future.(raft.IndexFuture); ok {
		return at.Index(), nil
	}
	return 0, fmt.Errorf("barrier of raft has no index: %T", future)
}

// TransferLeadership hands the leadership to another node, or to the one that
// has most of the log if to is empty. Commands submitted meanwhile wait, and
// are then refused with the new leader's name; none is lost in between. On
// success this replica does not lead any more, but another node than the one
// asked for may have been elected.
func (r *Replica) TransferLeadership(ctx context.Context, to wire.NodeID) error {
	if err := r.refuse(); err != nil {
		return err
	}
	done := make(chan error, 1)
	// raft's answer must be waited for even if the caller does not.
	if !r.spawn(func() { done <- r.transfer(to) }) {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("transfer leadership: %w", ctx.Err())
	}
}

func (r *Replica) transfer(to wire.NodeID) error {
	instance, ok := r.group.enter()
	if !ok {
		return ErrClosed
	}
	defer r.group.leave()
	r.proposer.hold()
	defer r.proposer.release()
	var future raft.Future
	if to == "" {
		future = instance.LeadershipTransfer()
	} else {
		future = instance.LeadershipTransferToServer(raft.ServerID(to), raft.ServerAddress(to))
	}
	if err := future.Error(); err != nil {
		return fmt.Errorf("transfer leadership of shard %d to %q: %w", r.place.Shard, to, err)
	}
	r.lead.awaitSuccessor(r.ctx, r.place.Node, r.opts.ElectionTimeout/4)
	return nil
}

// awaitSuccessor gives the next leader a moment to become known, so that the
// commands held back meanwhile can be sent to it.
func (l *lead) awaitSuccessor(ctx context.Context, self wire.NodeID, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		now, changed := l.watch()
		if now.Leader != "" && now.Leader != self {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
