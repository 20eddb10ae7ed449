package check

import (
	"fmt"
	"reflect"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// replicas checks A12: the replicas of a shard are identical. Whoever has applied
// the same entry has the same chain, at any time, and at the end the same
// conversations, messages, members and cursors.
func replicas(x *index) {
	chains := map[place]chained{}
	note := func(shard wire.ShardID, index, chain uint64, now chained) {
		now.chain = chain
		at := place{shard, index}
		old, seen := chains[at]
		if !seen {
			chains[at] = now
			return
		}
		if old.chain != chain {
			x.report("A12", both(old.event, now.event), "at entry %d of shard %d the chain is %x on %s, and %x on %s",
				index, shard, old.chain, old.node, chain, now.node)
		}
	}
	for i := range x.h.Events {
		if e := &x.h.Events[i]; e.Op == history.OpChain {
			note(e.Raft.Shard, e.Raft.Index, e.Raft.Hash, chained{node: e.Node, event: i})
		}
	}
	whole := map[place]*history.Replica{}
	for i := range x.h.Replicas {
		r := &x.h.Replicas[i]
		for _, c := range r.Checkpoints {
			note(r.Shard, c.Index, c.Chain, chained{node: r.Node, event: -1})
		}
		if r.Chain != 0 {
			note(r.Shard, r.Applied, r.Chain, chained{node: r.Node, event: -1})
		}
		at := place{r.Shard, r.Applied}
		if other := whole[at]; other != nil {
			compareReplicas(x, other, r)
		} else {
			whole[at] = r
		}
	}
}

type place struct {
	shard wire.ShardID
	index uint64
}

type chained struct {
	node  wire.NodeID
	event int
	chain uint64
}

// compareReplicas names the first thing in which two replicas differ.
func compareReplicas(x *index, a, b *history.Replica) {
	differ := func(format string, args ...any) {
		x.report("A12", nil, "%s and %s have both applied entry %d of shard %d, and differ in %s", a.Node, b.Node, a.Applied, a.Shard, fmt.Sprintf(format, args...))
	}
	if len(a.Conversations) != len(b.Conversations) {
		differ("how many conversations they have: %d and %d", len(a.Conversations), len(b.Conversations))
		return
	}
	for i := range a.Conversations {
		l, m := &a.Conversations[i], &b.Conversations[i]
		switch {
		case l.Conversation != m.Conversation || l.LastSeq != m.LastSeq || l.LastOffset != m.LastOffset:
			differ("how far they are: %s %d %d and %s %d %d", l.Conversation, l.LastSeq, l.LastOffset, m.Conversation, m.LastSeq, m.LastOffset)
		case !reflect.DeepEqual(l.Messages, m.Messages):
			differ("the messages of %s", l.Conversation)
		case !reflect.DeepEqual(l.Entries, m.Entries):
			differ("the log of %s", l.Conversation)
		case !reflect.DeepEqual(l.Members, m.Members) || !reflect.DeepEqual(l.Cursors, m.Cursors):
			differ("the members of %s", l.Conversation)
		}
	}
	if !reflect.DeepEqual(a.Users, b.Users) {
		differ("the users' conversations")
	}
}
