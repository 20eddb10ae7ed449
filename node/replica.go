package node

import (
	"cmp"
	"context"
	"slices"

	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Replica is a replica of a running node, for a program that has the node
// inside itself: a simulator looks at what each node holds, not at what the
// cluster answers. It is usable until Run returns.
type Replica struct{ h *hosted }

// Replicas returns the node's replicas, ordered by shard.
func (n *Node) Replicas() []Replica {
	var all []Replica
	for _, h := range n.shards.all() {
		all = append(all, Replica{h})
	}
	slices.SortFunc(all, func(a, b Replica) int { return cmp.Compare(a.h.id, b.h.id) })
	return all
}

// Shard returns the shard's id.
func (r Replica) Shard() wire.ShardID { return r.h.id }

// Slots returns the slots that the shard owns.
func (r Replica) Slots() wire.SlotRange { return r.h.slots }

// State returns the replica's own state, as far as it has applied.
func (r Replica) State() *state.State { return r.h.state }

// Status describes the replica.
func (r Replica) Status() shard.Status { return r.h.replica.Status() }

// Transfer hands the leadership to a node, or if that is empty to whoever raft
// chooses.
func (r Replica) Transfer(ctx context.Context, to wire.NodeID) error {
	return r.h.replica.TransferLeadership(ctx, to)
}

// Snapshot makes the state durable and cuts the raft log behind it.
func (r Replica) Snapshot(ctx context.Context) error { return r.h.replica.Snapshot(ctx) }
