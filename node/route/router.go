package route

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Replica is what a router needs of a shard's replica on its own node.
// *shard.Replica is one.
type Replica interface {
	Submit(key uint64, command []byte, done func(shard.Outcome))
	StrongRead(ctx context.Context) (uint64, error)
	Leader() (node wire.NodeID, term uint64)
}

// Caller asks other nodes. The mux is one.
type Caller interface {
	// CallAsync asks and returns; done is called once.
	CallAsync(to wire.NodeID, method uint8, body []byte, done func(answer []byte, err error))
	Call(ctx context.Context, to wire.NodeID, method uint8, body []byte) ([]byte, error)
}

// Execute answers a query from the state of a shard's replica on this node.
// Enough is false when the replica has not applied the offset that the query asks
// for. When ctx is done, nobody waits for the answer any more.
type Execute func(ctx context.Context, s wire.ShardID, q Query) (response []byte, enough bool, err error)

// Options tune a Router. The zero value is ready to use.
type Options struct {
	// FirstPause and MaxPause bound the pause before a command is tried again
	// after there was no leader or no connection to it. It doubles, with
	// jitter. Default 20ms and 200ms.
	FirstPause, MaxPause time.Duration
}

func (o Options) withDefaults() Options {
	if o.FirstPause == 0 {
		o.FirstPause = 20 * time.Millisecond
	}
	if o.MaxPause == 0 {
		o.MaxPause = 200 * time.Millisecond
	}
	return o
}

// Router brings commands and queries to replicas.
type Router struct {
	self    wire.NodeID
	routes  Routes
	local   func(wire.ShardID) Replica // nil: no replica of it here
	calls   Caller
	execute Execute
	opts    Options

	hints   sync.Map // wire.ShardID to wire.NodeID: who led it last
	closed  atomic.Bool
	pending sync.WaitGroup // commands without an outcome
}

// Routes says who owns a slot, as far as this node knows; false: the slot map is
// not known. [cluster.Table.Route] of the newest table is one.
type Routes func(wire.Slot) (cluster.Route, bool)

// New makes a router of the node. local returns the node's own replica of a
// shard, or nil.
func New(self wire.NodeID, routes Routes, local func(wire.ShardID) Replica, calls Caller, execute Execute, opts Options) *Router { //nolint:revive // five collaborators, each a different one
	return &Router{self: self, routes: routes, local: local, calls: calls, execute: execute, opts: opts.withDefaults()}
}

// Close fails what is waiting to be tried again and waits for the rest.
func (r *Router) Close() {
	r.closed.Store(true)
	r.pending.Wait()
}

// Command is a command on its way to its shard's leader.
type Command struct {
	Slot     wire.Slot
	Key      uint64 // whom it counts for in the leader's queue, by shard.KeyOf
	Encoded  []byte // by state.EncodeCommand; not changed after Submit
	Deadline time.Time
	// Done is called once, from any goroutine, and must not block. The error
	// is a *wire.Error.
	Done func(state.Result, error)
}

// Submit sends a command to its shard's leader and returns.
func (r *Router) Submit(c Command) {
	r.pending.Add(1)
	t := &trip{Command: c, router: r}
	t.attempt("")
}

// Propose is Submit for a caller that waits.
func (r *Router) Propose(ctx context.Context, slot wire.Slot, key uint64, encoded []byte) (state.Result, error) {
	type answer struct {
		result state.Result
		err    error
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(10 * time.Second)
	}
	answers := make(chan answer, 1)
	r.Submit(Command{Slot: slot, Key: key, Encoded: encoded, Deadline: deadline, Done: func(res state.Result, err error) {
		answers <- answer{res, err}
	}})
	select {
	case a := <-answers:
		return a.result, a.err
	case <-ctx.Done():
		return state.Result{}, &wire.Error{Code: wire.CodeUnavailable, Text: "outcome unknown, ask again", Err: ctx.Err()}
	}
}

// trip is one command's way, over as many attempts as it takes.
type trip struct {
	Command

	router *Router
	asked  wire.NodeID // by the present attempt
	pauses int
}

// attempt asks the node given, or the one that most likely leads.
func (t *trip) attempt(to wire.NodeID) {
	r := t.router
	route, ok := r.routes(t.Slot)
	if !ok {
		t.again(wire.Errorf(wire.CodeUnavailable, "", "the slot map is not known yet"))
		return
	}
	if to == "" {
		to = r.leader(route, t.pauses)
	}
	t.asked = to
	if to == r.self {
		replica := r.local(route.Shard)
		if replica == nil {
			t.again(wire.Errorf(wire.CodeUnavailable, "", "the shard is starting"))
			return
		}
		replica.Submit(t.Key, t.Encoded, func(o shard.Outcome) { t.outcome(route.Shard, o.Result, failure(o.Err)) })
		return
	}
	p := proposal{shard: route.Shard, epoch: route.Epoch, slot: t.Slot, key: t.Key, command: t.Encoded}
	r.calls.CallAsync(to, MethodPropose, p.encode(), func(answer []byte, err error) {
		if err != nil {
			t.outcome(route.Shard, state.Result{}, failure(err))
			return
		}
		result, err := decodeOutcome(answer)
		t.outcome(route.Shard, result, failure(err))
	})
}

// outcome ends the trip or tries again.
func (t *trip) outcome(s wire.ShardID, result state.Result, err *wire.Error) {
	if err == nil {
		t.router.hints.Store(s, t.asked)
		t.end(result, nil)
		return
	}
	switch err.Code {
	case wire.CodeNotLeader:
		if to, ok := t.router.Redirected(s, t.asked, err); ok && time.Now().Before(t.Deadline) && !t.router.closed.Load() {
			t.attemptSoon(to)
			return
		}
		t.again(err)
	case wire.CodeUnavailable, wire.CodeStaleRoute, wire.CodeClosed:
		t.again(err)
	case wire.CodeLimit:
		// A full queue is refused at once: to wait here would only move the queue.
		// The client asks again when it likes.
		t.end(state.Result{}, &wire.Error{Code: wire.CodeUnavailable, Text: err.Text, Err: err})
	default:
		t.end(state.Result{}, err)
	}
}

// attemptSoon follows a redirect. Two nodes that name each other are asked in
// turn with a pause, not in a loop on this goroutine's stack.
func (t *trip) attemptSoon(to wire.NodeID) {
	t.pauses++
	time.AfterFunc(min(time.Millisecond<<min(t.pauses-1, 6), t.router.opts.MaxPause), func() { t.attempt(to) })
}

// again tries once more after a pause, unless there is no time left.
func (t *trip) again(cause *wire.Error) {
	o := t.router.opts
	pause := min(o.FirstPause<<min(t.pauses, 8), o.MaxPause)
	pause = pause/2 + rand.N(pause/2+1)
	if t.router.closed.Load() || time.Now().Add(pause).After(t.Deadline) {
		t.end(state.Result{}, &wire.Error{Code: wire.CodeUnavailable, Text: "outcome unknown, ask again: " + cause.Text, Err: cause})
		return
	}
	t.pauses++
	time.AfterFunc(pause, func() { t.attempt("") })
}

func (t *trip) end(result state.Result, err *wire.Error) {
	defer t.router.pending.Done()
	if err != nil {
		t.Done(state.Result{}, err)
		return
	}
	t.Done(result, nil)
}

// leader says which node to ask: the one this node's own replica follows, the
// last one that answered, or each of the shard's nodes in turn.
func (r *Router) leader(route cluster.Route, pauses int) wire.NodeID {
	if pauses%4 == 3 { // what is known has failed for a while: look around
		return route.Voters[rand.N(len(route.Voters))]
	}
	if replica := r.local(route.Shard); replica != nil {
		if node, _ := replica.Leader(); node != "" {
			return node
		}
	}
	if node, ok := r.hints.Load(route.Shard); ok {
		return node.(wire.NodeID) //nolint:forcetypeassert // only NodeIDs are stored
	}
	if pauses == 0 && route.Preferred != "" {
		return route.Preferred
	}
	return route.Voters[pauses%len(route.Voters)]
}

// Leader returns the node to ask first for the shard of a slot.
func (r *Router) Leader(slot wire.Slot) (wire.ShardID, wire.NodeID, bool) {
	route, ok := r.routes(slot)
	if !ok {
		return 0, "", false
	}
	return route.Shard, r.leader(route, 0), true
}

// Redirected takes what a node has answered that was asked as the leader of a
// shard, and tells whom to ask instead; false: the answer was another one, or
// names nobody.
func (r *Router) Redirected(s wire.ShardID, asked wire.NodeID, err error) (wire.NodeID, bool) {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok || e.Code != wire.CodeNotLeader {
		return "", false
	}
	if e.Leader == "" || e.Leader == asked {
		r.hints.Delete(s)
		return "", false
	}
	r.hints.Store(s, e.Leader)
	return e.Leader, true
}

// failure turns what a replica or the mux says into what a client may know.
func failure(err error) *wire.Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e
	}
	if moved, ok := errors.AsType[*shard.NotLeaderError](err); ok {
		return &wire.Error{Code: wire.CodeNotLeader, Text: "ask the leader", Leader: moved.Leader, Err: err}
	}
	switch {
	case errors.Is(err, shard.ErrOverloaded):
		return &wire.Error{Code: wire.CodeLimit, Text: "the shard is busy, ask again later", Err: err}
	case errors.Is(err, shard.ErrTooLarge):
		return &wire.Error{Code: wire.CodeInvalid, Text: "the command is too large", Err: err}
	case errors.Is(err, shard.ErrStorageFull):
		return &wire.Error{Code: wire.CodeStorageFull, Text: "storage full", Err: err}
	case errors.Is(err, shard.ErrUncertain), errors.Is(err, shard.ErrClosed), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &wire.Error{Code: wire.CodeUnavailable, Text: "outcome unknown, ask again", Err: err}
	default:
		return &wire.Error{Code: wire.CodeUnavailable, Text: "ask again", Err: err}
	}
}
