package cluster

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// maxMetaVoters bounds the meta group's voters: five survive the loss of two,
// and each further one makes every change slower.
const maxMetaVoters = 5

// spread cuts the slots into so many shards and places each on so many nodes,
// such that replicas and preferred leaders are even and a shard's replicas are
// in different zones where there are enough. The nodes are sorted by id; the
// same input gives the same output.
func spread(nodes []Node, shards, replicas int) []Shard {
	out := make([]Shard, shards)
	held := make(map[wire.NodeID]int)
	led := make(map[wire.NodeID]int)
	for i := range out {
		voters := choose(nodes, replicas, held)
		for _, id := range voters {
			held[id]++
		}
		leader := slices.MinFunc(voters, func(a, b wire.NodeID) int { return led[a] - led[b] })
		led[leader]++
		slices.Sort(voters)
		out[i] = Shard{
			ID:        wire.ShardID(i + 1),
			First:     wire.Slot(i * wire.Slots / shards),
			Last:      wire.Slot((i+1)*wire.Slots/shards - 1),
			Bootstrap: voters,
			Placement: Placement{Version: 1, Voters: voters, Preferred: leader},
		}
	}
	return out
}

// choose picks so many nodes, or all when there are fewer: zones not picked
// yet first, then those that hold least, then by id.
func choose(nodes []Node, count int, held map[wire.NodeID]int) []wire.NodeID {
	zones := make(map[string]int)
	var chosen []wire.NodeID
	for len(chosen) < min(count, len(nodes)) {
		best := -1
		for i := range nodes {
			if slices.Contains(chosen, nodes[i].ID) {
				continue
			}
			if best < 0 || better(&nodes[i], &nodes[best], zones, held) {
				best = i
			}
		}
		chosen = append(chosen, nodes[best].ID)
		zones[nodes[best].Zone]++
	}
	return chosen
}

func better(a, b *Node, zones map[string]int, held map[wire.NodeID]int) bool {
	if d := zones[a.Zone] - zones[b.Zone]; d != 0 {
		return d < 0
	}
	return held[a.ID] < held[b.ID] // if equal, the earlier one stays
}

// metaVoters says which nodes vote in the meta group. An even group survives
// no more failures than the odd one below it, so of four nodes three vote; of
// two both do, so that what is acknowledged is on two disks.
func metaVoters(nodes []Node) []wire.NodeID {
	n := min(len(nodes), maxMetaVoters)
	if n > 2 && n%2 == 0 {
		n--
	}
	return choose(nodes, n, nil)
}
