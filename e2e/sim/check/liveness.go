package check

import (
	"slices"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// liveness checks A14: some seconds after all faults are over everybody is let
// in, and every call has an answer; all replicas of a shard have applied the
// same, and no replica is missing.
func liveness(x *index) {
	in := map[wire.UserID]bool{}
	var users []wire.UserID
	for i := range x.h.Events {
		e := &x.h.Events[i]
		if e.User == "" || e.Outcome == "" {
			continue
		}
		if _, seen := in[e.User]; !seen {
			in[e.User] = false
			users = append(users, e.User)
		}
		if i < x.final {
			continue
		}
		answered := e.Error == "too_old" || e.Error == "unheard" // which tell nothing of the first copy
		if e.Outcome == history.Unknown && !answered && e.At >= x.h.Events[x.final].At {
			x.report("A14", []int{i}, "%s has no answer to %s of %s though all faults are over (%s)", e.Client, e.Op, e.Conversation, e.Error)
		}
		in[e.User] = in[e.User] || e.Outcome == history.OK && e.Op == history.OpListed
	}
	if x.final < len(x.h.Events) {
		for _, u := range users {
			if !in[u] {
				x.report("A14", nil, "%s was not heard to the end", u)
			}
		}
	}
	sameProgress(x)
}

func sameProgress(x *index) {
	nodes := map[wire.ShardID][]*history.Replica{}
	var shards []wire.ShardID
	most := 0
	for i := range x.h.Replicas {
		r := &x.h.Replicas[i]
		if nodes[r.Shard] == nil {
			shards = append(shards, r.Shard)
		}
		nodes[r.Shard] = append(nodes[r.Shard], r)
		most = max(most, len(nodes[r.Shard]))
	}
	slices.Sort(shards)
	for _, s := range shards {
		all := nodes[s]
		if len(all) != most {
			x.report("A14", nil, "shard %d has %d replicas at the end, and others have %d", s, len(all), most)
		}
		for _, r := range all[1:] {
			if r.Applied != all[0].Applied {
				x.report("A14", nil, "at the end %s has applied shard %d up to %d, and %s up to %d", all[0].Node, s, all[0].Applied, r.Node, r.Applied)
			}
		}
	}
}
