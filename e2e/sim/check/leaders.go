package check

import (
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// leaders checks A13: two nodes never both lead a shard in one term.
func leaders(x *index) {
	type reign struct {
		shard wire.ShardID
		term  uint64
	}
	who := map[reign]int{}
	for i := range x.h.Events {
		e := &x.h.Events[i]
		if e.Op != history.OpLeads {
			continue
		}
		r := reign{e.Raft.Shard, e.Raft.Term}
		first, seen := who[r]
		if !seen {
			who[r] = i
			continue
		}
		if x.h.Events[first].Node != e.Node {
			x.report("A13", both(first, i), "%s and %s both lead shard %d in term %d", x.h.Events[first].Node, e.Node, r.shard, r.term)
		}
	}
}
