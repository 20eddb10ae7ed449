package route

import (
	"context"
	"time"

	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// queryTimeout bounds what another node's query may wait for here.
const queryTimeout = 5 * time.Second

// ServePropose answers another node's command. It does not block; reply is
// called once. The body belongs to it.
func (r *Router) ServePropose(body []byte, reply func([]byte, error)) {
	p, err := decodeProposal(body)
	if err != nil {
		reply(nil, wire.Errorf(wire.CodeInvalid, "", "decode proposal: %v", err))
		return
	}
	replica, refused := r.holds(p.shard, p.slot)
	if refused != nil {
		reply(nil, refused)
		return
	}
	// What is in the raft log must be readable, or every replica stops; a newer
	// node may know commands that this one does not.
	if err := state.CheckCommand(p.command); err != nil {
		reply(nil, wire.Errorf(wire.CodeInvalid, "", "node %s cannot read the command: %v", r.self, err))
		return
	}
	replica.Submit(p.key, p.command, func(o shard.Outcome) {
		if err := failure(o.Err); err != nil {
			reply(nil, err)
			return
		}
		reply(encodeOutcome(o.Result), nil)
	})
}

// ServeQuery answers another node's query. It may block.
func (r *Router) ServeQuery(ctx context.Context, body []byte) ([]byte, error) {
	q, err := decodeQuery(body)
	if err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "decode query: %v", err)
	}
	within := queryTimeout
	if q.within > 0 {
		within = min(within, q.within) // then nobody waits for it
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	answer, err := r.answer(ctx, q)
	if refused := failure(err); refused != nil {
		return nil, refused
	}
	return answer, nil
}
