package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// refreshed is the leader's index, as of some moment after it was asked for.
type refreshed struct {
	index uint64
	err   error
}

// Refresh returns once this node's table contains everything that was
// committed before the call. It is for what the table does not know, such as
// an app, before that is refused: all calls that wait share one question to
// the leader, and the leader's answer costs no write.
func (m *Meta) Refresh(ctx context.Context) error {
	res, err := m.atLeader(ctx,
		func() (Result, error) { return m.refreshHere(ctx) },
		[]byte{forwardVersion, askRefresh}, askAgain)
	if err != nil {
		return fmt.Errorf("ask the meta leader for its index: %w", err)
	}
	return m.Wait(ctx, res.Index)
}

// askAgain tells whether a question may be asked again: always, unless this
// node is the reason. A question changes nothing, wherever it got lost.
func askAgain(err error) bool { return !errors.Is(err, ErrClosed) && !errors.Is(err, ErrOverloaded) }

// refreshHere asks this node's refresher, which leads, for its index.
func (m *Meta) refreshHere(ctx context.Context) (Result, error) {
	done := make(chan refreshed, 1)
	select {
	case <-m.closed:
		return Result{}, ErrClosed
	default:
	}
	select {
	case m.refreshes <- done:
	default:
		return Result{}, ErrOverloaded
	}
	select {
	case r := <-done:
		return Result{Index: r.index}, r.err
	case <-m.closed:
		return Result{}, ErrClosed
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// runRefresher answers calls that wait for the leader's index, all that wait
// with one round.
func (m *Meta) runRefresher(ctx context.Context) {
	var ownTerm uint64 // the term in which the barrier was passed
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-m.refreshes:
			waiting := []chan refreshed{first}
			for len(m.refreshes) > 0 { // this goroutine alone takes from it
				waiting = append(waiting, <-m.refreshes)
			}
			index, err := m.confirm(&ownTerm)
			for _, done := range waiting {
				done <- refreshed{index, err}
			}
		}
	}
}

// confirm returns an index that covers all that is committed. The leader has
// applied every command that it has acknowledged, so its own table's index
// will do, once it is sure of two things: that it has applied what earlier
// leaders committed (a barrier, once a term), and that it still leads.
func (m *Meta) confirm(ownTerm *uint64) (uint64, error) {
	term := m.raft.CurrentTerm()
	if term != *ownTerm {
		if err := m.raft.Barrier(enqueueTimeout).Error(); err != nil {
			return 0, m.lostLead(err)
		}
	}
	index := m.Table().Index()
	if err := m.raft.VerifyLeader().Error(); err != nil {
		return 0, m.lostLead(err)
	}
	if m.raft.CurrentTerm() != term {
		return 0, &NotLeaderError{Leader: m.Leader()}
	}
	*ownTerm = term
	return index, nil
}

// lostLead turns raft's error into ours. Whatever raft says, a read has done
// nothing, so it may be asked again.
func (m *Meta) lostLead(err error) error {
	if errors.Is(err, raft.ErrRaftShutdown) {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", &NotLeaderError{Leader: m.Leader()}, err)
}
