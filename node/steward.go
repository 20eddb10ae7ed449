package node

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/wire"
)

// stewardEvery is how often leaderships are looked at.
const stewardEvery = 5 * time.Second

// nearly is how many entries a replica may be behind and still be ready to
// lead: it gets them during the hand-over.
const nearly = 1000

// stewardship is the part of a node that keeps leaders spread and replicas
// compared.
type stewardship struct{ *Node }

// steward carries out what the planner wants, one step at a time: each node
// hands over the shards that it leads and another should.
func (n stewardship) steward(ctx context.Context) error {
	ticks := time.NewTicker(stewardEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-n.disk.told:
		case <-ctx.Done():
			return nil
		}
		n.spreadLeaders(ctx)
	}
}

// spreadLeaders asks the planner and does the steps that concern this node. A
// node whose disk is full leads nothing that another could.
func (n stewardship) spreadLeaders(ctx context.Context) {
	ask, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	world := cluster.World{Table: n.meta.Table(), Shards: map[wire.ShardID]cluster.ShardView{}}
	nodes := n.askAll(ask)
	full := map[wire.NodeID]bool{}
	for i := range nodes {
		full[nodes[i].ID] = nodes[i].StorageFull
	}
	for _, sh := range world.Table.Shards() {
		s := shardStatus(sh.ID, sh.Slots(), len(sh.Placement.Voters), nodes)
		view := cluster.ShardView{Leader: s.Leader}
		for _, r := range s.Replicas {
			if r.Lag <= nearly && !full[r.Node] {
				view.Ready = append(view.Ready, r.Node)
			}
		}
		world.Shards[sh.ID] = view
		if n.disk.Full() && len(view.Ready) > 0 && s.Leader == n.cfg.Node {
			n.handTo(ask, sh.ID, view.Ready[int(sh.ID)%len(view.Ready)])
		}
	}
	if n.disk.Full() {
		return
	}
	for _, step := range cluster.Plan(world) {
		if move, ok := step.(cluster.TransferLeader); ok {
			n.handTo(ask, move.Shard, move.To)
		}
	}
}

// handTo hands the leadership of a shard to another node, if this one has it.
func (n stewardship) handTo(ctx context.Context, id wire.ShardID, to wire.NodeID) {
	h := n.shards.get(id)
	if h == nil || !h.leads.Load() || ctx.Err() != nil {
		return
	}
	if err := h.replica.TransferLeadership(ctx, to); err != nil {
		n.env.Logger.Debug("leadership was not handed over", "shard", id, "to", to, "error", err)
	}
}

// compareReplicas compares the chains of this node's replicas with the others',
// and stops the node if one of its replicas is alone with what it holds.
func (n stewardship) compareReplicas(ctx context.Context) error {
	ticks := time.NewTicker(compareEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
		ask, cancel := context.WithTimeout(ctx, statusTimeout)
		nodes := n.askAll(ask)
		cancel()
		for _, h := range n.shards.all() {
			if err := forked(h.id, n.cfg.Node, h.replica.Checkpoints(), nodes); err != nil {
				n.env.Fatal(err)
			}
		}
	}
}

// forked returns an error when at least as many replicas differ from this one as
// agree with it, itself counted: then it is one to stop. Of two replicas nobody
// can tell which is right, and both stop.
func forked(id wire.ShardID, self wire.NodeID, mine []shard.Checkpoint, nodes []ProcessStatus) error {
	with, against, at := 1, 0, uint64(0)
	for i := range nodes {
		for _, r := range nodes[i].Replicas {
			if r.Shard != id || r.Node == self {
				continue
			}
			switch a := shard.Compare(mine, r.Checkpoints); {
			case a.Forked > 0:
				against, at = against+1, a.Forked
			case a.Upto > 0:
				with++
			}
		}
	}
	if against > 0 && against >= with {
		return fmt.Errorf("shard %d has forked: at entry %d this replica differs from %d others and agrees with %d; keep its data for those who look into it", id, at, against, with-1)
	}
	return nil
}
