package cluster

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// World is what a plan is made from: what should be, and what the nodes report.
type World struct {
	Table  *Table
	Shards map[wire.ShardID]ShardView
}

// ShardView is what is known of a shard's replicas now.
type ShardView struct {
	Leader wire.NodeID   // empty while there is none
	Ready  []wire.NodeID // voters that are alive and have nearly all of the leader's log
}

// A Step is something the leader of the meta group should do next. The set is
// closed: [TransferLeader].
type Step interface {
	step()
}

// TransferLeader asks a shard's leader to hand leadership to another voter.
type TransferLeader struct {
	Shard wire.ShardID
	From  wire.NodeID
	To    wire.NodeID
}

func (TransferLeader) step() {}

// maxTransfers bounds the transfers of one plan: a shard takes no commands
// while it is being handed over, so a restarted node gets its shards back a
// few at a time.
const maxTransfers = 4

// Plan says what to do next. It is a pure function: the same world gives the
// same steps, in the order of the shards' ids, and a world that is as it
// should be gives none.
//
// A shard is led by the node its placement prefers. Where that one is not
// ready, the shard stays where it is, unless its leader leads at least two
// more shards than a ready voter does.
func Plan(w World) []Step {
	shards := slices.Clone(w.Table.Shards())
	slices.SortFunc(shards, func(a, b Shard) int { return int(a.ID) - int(b.ID) })

	led := make(map[wire.NodeID]int)
	for i := range shards {
		if leader := w.Shards[shards[i].ID].Leader; leader != "" {
			led[leader]++
		}
	}

	var steps []Step
	move := func(s *Shard, from, to wire.NodeID) {
		led[from]--
		led[to]++
		steps = append(steps, TransferLeader{Shard: s.ID, From: from, To: to})
	}
	var homeless []*Shard
	for i := range shards {
		s, view := &shards[i], w.Shards[shards[i].ID]
		home := s.Placement.Preferred
		switch {
		case view.Leader == "" || view.Leader == home:
		case home == "" || !slices.Contains(view.Ready, home):
			homeless = append(homeless, s)
		default:
			move(s, view.Leader, home)
		}
	}
	for _, s := range homeless {
		view := w.Shards[s.ID]
		if to, ok := leastLed(s, view.Ready, led); ok && led[view.Leader] >= led[to]+2 {
			move(s, view.Leader, to)
		}
	}
	return steps[:min(len(steps), maxTransfers)]
}

// leastLed returns the ready voter of the shard that leads the fewest shards.
func leastLed(s *Shard, ready []wire.NodeID, led map[wire.NodeID]int) (wire.NodeID, bool) {
	var best wire.NodeID
	for _, id := range s.Placement.Voters {
		if slices.Contains(ready, id) && (best == "" || led[id] < led[best]) {
			best = id
		}
	}
	return best, best != ""
}
