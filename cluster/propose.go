package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

// What travels in a forwarded request: a version, what is asked, and for a
// proposal the command as it goes into the log.
//
//	| 1 | 'p' | command |      answered by a Result
//	| 1 | 'r' |                answered by a Result with the leader's index
const (
	forwardVersion = 1
	askPropose     = 'p'
	askRefresh     = 'r'
)

// retryPause is how long a call waits before it asks again who leads.
const retryPause = 50 * time.Millisecond

// enqueueTimeout bounds how long raft may take to begin with a command.
const enqueueTimeout = 5 * time.Second

// proposal is a command on its way to the proposer.
type proposal struct {
	data   []byte
	cancel <-chan struct{} // the caller has left
	done   chan outcome    // of capacity 1: the proposer never waits for the caller
}

type outcome struct {
	result Result
	err    error
}

// Propose has a command committed and applied, wherever the leader is, and
// returns the record's answer; a refusal is an answer (see [Result.Err]). It
// waits for a leader until ctx is done. This node's own table may get to the
// result's index a moment later; see Wait.
//
// After ErrUncertain the command may or may not be done; proposing it again is
// harmless.
func (m *Meta) Propose(ctx context.Context, c Command) (Result, error) {
	data, err := encodeCommand(c)
	if err != nil {
		return Result{}, err
	}
	res, err := m.atLeader(ctx,
		func() (Result, error) { return m.proposeHere(ctx, data) },
		append([]byte{forwardVersion, askPropose}, data...), nothingDone)
	if err != nil {
		return Result{}, fmt.Errorf("propose %s to the meta group: %w", c.kind(), err)
	}
	return res, nil
}

// atLeader does something here, if this node leads, or asks the leader to. It
// tries again after the errors that again names, such as that nobody leads.
func (m *Meta) atLeader(
	ctx context.Context, here func() (Result, error), body []byte, again func(error) bool,
) (Result, error) {
	for {
		res, err := m.tryLeader(ctx, here, body)
		if err == nil || !again(err) {
			return res, err
		}
		select {
		case <-time.After(retryPause):
		case <-m.closed:
			return Result{}, ErrClosed
		case <-ctx.Done():
			return Result{}, fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

func (m *Meta) tryLeader(ctx context.Context, here func() (Result, error), body []byte) (Result, error) {
	if m.IsLeader() {
		return here()
	}
	leader := m.Leader()
	if leader == "" || leader == m.self || m.links.Forward == nil {
		return Result{}, ErrNoLeader
	}
	answer, err := m.links.Forward(ctx, leader, body)
	switch {
	case err == nil:
		return decodeResult(answer)
	case nothingDone(err), errors.Is(err, ErrOverloaded):
		return Result{}, err
	default:
		return Result{}, fmt.Errorf("ask the meta leader %q: %w: %w", leader, ErrUncertain, err)
	}
}

// nothingDone tells whether an error means that the command was not and will
// not be applied, because who was asked does not lead.
func nothingDone(err error) bool {
	if _, ok := errors.AsType[*NotLeaderError](err); ok {
		return true
	}
	return errors.Is(err, ErrNoLeader) || wire.CodeOf(err) == wire.CodeNotLeader
}

// Receive answers a request that another node's Forward carried here. It may
// wait for a commit.
func (m *Meta) Receive(ctx context.Context, body []byte) ([]byte, error) {
	if len(body) < 2 || body[0] != forwardVersion {
		return nil, wire.Errorf(wire.CodeInvalid, "meta", "a request of an unknown form")
	}
	if !m.IsLeader() {
		return nil, &NotLeaderError{Leader: m.Leader()}
	}
	var res Result
	var err error
	switch body[1] {
	case askPropose:
		// What cannot be read must not get into the log: it would stop every node.
		if _, err := decodeCommand(body[2:]); err != nil {
			return nil, &wire.Error{Code: wire.CodeInvalid, Op: "meta", Text: "a command of an unknown form", Err: err}
		}
		res, err = m.proposeHere(ctx, body[2:])
	case askRefresh:
		res, err = m.refreshHere(ctx)
	default:
		return nil, wire.Errorf(wire.CodeInvalid, "meta", "a request of an unknown kind")
	}
	if err != nil {
		return nil, err
	}
	return encodeResult(res)
}

// proposeHere hands a command to this node's proposer and waits.
func (m *Meta) proposeHere(ctx context.Context, data []byte) (Result, error) {
	p := &proposal{data: data, cancel: ctx.Done(), done: make(chan outcome, 1)}
	select {
	case <-m.closed:
		return Result{}, ErrClosed
	default:
	}
	select {
	case m.proposals <- p:
	default:
		return Result{}, ErrOverloaded
	}
	select {
	case o := <-p.done:
		return o.result, o.err
	case <-m.closed:
		return Result{}, fmt.Errorf("%w: %w", ErrUncertain, ErrClosed)
	case <-ctx.Done():
		return Result{}, fmt.Errorf("%w: %w", ErrUncertain, ctx.Err())
	}
}

// runProposer hands commands to raft, one at a time: the group changes rarely,
// and a future of raft's cannot be waited for with a context.
func (m *Meta) runProposer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-m.proposals:
			select {
			case <-p.cancel: // nobody waits any more: the time is better spent on the next
			default:
				res, err := m.commit(p.data)
				p.done <- outcome{res, err}
			}
		}
	}
}

// commit has raft commit and apply a command. It does not hang: as long as
// raft runs, a leader that loses its majority steps down and answers.
func (m *Meta) commit(data []byte) (Result, error) {
	f := m.raft.Apply(data, enqueueTimeout)
	err := f.Error()
	switch {
	case err == nil:
		res, ok := f.Response().(Result)
		if !ok {
			return Result{}, fmt.Errorf("apply a command to the meta group: the answer is a %T", f.Response())
		}
		return res, nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return Result{}, &NotLeaderError{Leader: m.Leader()} // raft did not take it
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return Result{}, ErrOverloaded // raft did not take it
	default:
		return Result{}, fmt.Errorf("%w: %w", ErrUncertain, err)
	}
}
