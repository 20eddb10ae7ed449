package route

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
)

// Query is a request that changes nothing.
type Query struct {
	Slot    wire.Slot
	App     wire.AppID
	User    wire.UserID
	Request []byte      // the encoded request
	AtLeast wire.Offset // the answer must know the log up to here; 0: a strong read
}

// Query answers from the node's own replica when that has applied the asked
// offset, and else at the leader. The error is a *wire.Error. It gives up when
// ctx is done.
func (r *Router) Query(ctx context.Context, q Query) ([]byte, error) {
	for pauses := 0; ; pauses++ {
		answer, err := r.query(ctx, q, pauses)
		if err == nil {
			return answer, nil
		}
		switch err.Code {
		case wire.CodeNotLeader, wire.CodeUnavailable, wire.CodeStaleRoute, wire.CodeClosed:
		default:
			return nil, err
		}
		pause := min(r.opts.FirstPause<<min(pauses, 8), r.opts.MaxPause)
		if clock.Sleep(ctx, pause/2+rand.N(pause/2+1)) != nil {
			return nil, &wire.Error{Code: wire.CodeUnavailable, Text: "ask again: " + err.Text, Err: ctx.Err()}
		}
	}
}

func (r *Router) query(ctx context.Context, q Query, pauses int) ([]byte, *wire.Error) {
	route, ok := r.routes(q.Slot)
	if !ok {
		return nil, wire.Errorf(wire.CodeUnavailable, "", "the slot map is not known yet")
	}
	if mutant.On(mutant.EarlyFollower) && q.AtLeast > 0 { // a planted bug, see package mutant
		q.AtLeast = 1
	}
	if q.AtLeast > 0 && r.local(route.Shard) != nil {
		if answer, enough, err := r.execute(ctx, route.Shard, q); enough {
			return answer, failure(err)
		}
	}
	to := r.leader(route, pauses)
	answer, err := r.ask(ctx, to, route, q)
	if err != nil {
		if next, ok := r.Redirected(route.Shard, to, err); ok {
			answer, err = r.ask(ctx, next, route, q)
		}
	}
	return answer, err
}

func (r *Router) ask(ctx context.Context, to wire.NodeID, route cluster.Route, q Query) ([]byte, *wire.Error) {
	m := query{shard: route.Shard, epoch: route.Epoch, strong: q.AtLeast == 0, Query: q}
	if to == r.self {
		answer, err := r.answer(ctx, m)
		return answer, failure(err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		m.within = max(time.Until(deadline), time.Millisecond)
	}
	answer, err := r.calls.Call(ctx, to, MethodQuery, m.encode())
	return answer, failure(err)
}

// answer answers a query at this node's replica.
func (r *Router) answer(ctx context.Context, q query) ([]byte, error) {
	replica, refused := r.holds(q.shard, q.Slot)
	if refused != nil {
		return nil, refused
	}
	if !q.strong {
		if answer, enough, err := r.execute(ctx, q.shard, q.Query); enough {
			return answer, err
		}
	}
	if _, err := replica.StrongRead(ctx); err != nil {
		return nil, err
	}
	answer, enough, err := r.execute(ctx, q.shard, q.Query)
	if err == nil && !enough {
		// The asker has seen more than the leader has: its position is from
		// another life of the log, or made up.
		return nil, wire.Errorf(wire.CodeStartOver, "", "offset %d is not in the log", q.AtLeast)
	}
	return answer, err
}

// holds returns this node's replica of a shard, if that owns the slot.
func (r *Router) holds(s wire.ShardID, slot wire.Slot) (Replica, *wire.Error) {
	route, ok := r.routes(slot)
	if !ok || route.Shard != s {
		return nil, wire.Errorf(wire.CodeStaleRoute, "", "slot %d is not shard %d's", slot, s)
	}
	replica := r.local(s)
	if replica == nil {
		return nil, wire.Errorf(wire.CodeStaleRoute, "", "no replica of shard %d here", s)
	}
	return replica, nil
}
