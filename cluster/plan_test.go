package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

func TestSpread(t *testing.T) {
	for _, tc := range []struct{ nodes, shards, replicas, wantReplicas int }{
		{1, 16, 3, 1},
		{2, 16, 3, 2},
		{3, 16, 3, 3},
		{4, 16, 3, 3},
		{5, 16, 3, 3},
		{7, 64, 5, 5},
		{3, 4096, 3, 3},
	} {
		t.Run(fmt.Sprintf("nodes=%d,shards=%d,replicas=%d", tc.nodes, tc.shards, tc.replicas), func(t *testing.T) {
			b := testBootstrap(tc.nodes)
			full := b.withDefaults()
			shards := spread(full.Nodes, tc.shards, tc.replicas)
			if err := checkShards(shards, full.Nodes); err != nil {
				t.Fatal(err)
			}
			held, led := make(map[wire.NodeID]int), make(map[wire.NodeID]int)
			for _, s := range shards {
				if len(s.Placement.Voters) != tc.wantReplicas || !slices.Equal(s.Placement.Voters, s.Bootstrap) {
					t.Fatalf("shard %d on %v, begun on %v, want %d voters", s.ID, s.Placement.Voters, s.Bootstrap, tc.wantReplicas)
				}
				for _, id := range s.Placement.Voters {
					held[id]++
				}
				led[s.Placement.Preferred]++
			}
			for what, counts := range map[string]map[wire.NodeID]int{"replicas": held, "leaders": led} {
				low, high := tc.shards, 0
				for _, n := range full.Nodes {
					low, high = min(low, counts[n.ID]), max(high, counts[n.ID])
				}
				if high-low > 1 {
					t.Errorf("%s a node: %v, want them even", what, counts)
				}
			}
		})
	}
}

func TestSpreadOverZones(t *testing.T) {
	b := testBootstrap(6)
	for i := range b.Nodes {
		b.Nodes[i].Zone = []string{"a", "a", "a", "a", "b", "c"}[i]
	}
	full := b.withDefaults()
	for _, s := range spread(full.Nodes, 16, 3) {
		zones := make(map[string]bool)
		for _, id := range s.Placement.Voters {
			i, _ := findNode(full.Nodes, id)
			zones[full.Nodes[i].Zone] = true
		}
		if len(zones) != 3 {
			t.Errorf("shard %d on %v is in %d zones, want 3", s.ID, s.Placement.Voters, len(zones))
		}
	}
}

func TestMetaVoters(t *testing.T) {
	for nodes, want := range []int{1: 1, 2: 2, 3: 3, 4: 3, 5: 5, 6: 5, 9: 5} {
		if want == 0 {
			continue
		}
		b := testBootstrap(nodes)
		voters := 0
		for _, s := range b.configuration().Servers {
			if s.Suffrage == 0 {
				voters++
			}
		}
		if voters != want || len(b.configuration().Servers) != nodes {
			t.Errorf("%d of %d nodes vote, want %d", voters, nodes, want)
		}
	}
}

func TestBootstrapIsTheSameInAnyOrder(t *testing.T) {
	a, b := testBootstrap(5), testBootstrap(5)
	slices.Reverse(b.Nodes)
	ca, errA := a.Command()
	cb, errB := b.Command()
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if diff := cmp.Diff(ca, cb); diff != "" {
		t.Errorf("Init differs with the order of the nodes:\n%s", diff)
	}
	if diff := cmp.Diff(a.configuration(), b.configuration()); diff != "" {
		t.Errorf("the raft configuration differs with the order of the nodes:\n%s", diff)
	}
}

func TestBootstrapValidate(t *testing.T) {
	for name, spoil := range map[string]func(*Bootstrap){
		"no id":            func(b *Bootstrap) { b.ClusterID = "" },
		"no nodes":         func(b *Bootstrap) { b.Nodes = nil },
		"node twice":       func(b *Bootstrap) { b.Nodes[1] = b.Nodes[0] },
		"negative shards":  func(b *Bootstrap) { b.Shards = -1 },
		"too many shards":  func(b *Bootstrap) { b.Shards = MaxShards + 1 },
		"negative replica": func(b *Bootstrap) { b.Replicas = -1 },
		"app without key":  func(b *Bootstrap) { b.Apps[0].Key = "" },
	} {
		b := testBootstrap(3)
		spoil(&b)
		if err := b.Validate(); err == nil {
			t.Errorf("%s: valid, want an error", name)
		}
	}
}

func TestPlan(t *testing.T) {
	all := []wire.NodeID{"n1", "n2", "n3"}
	// The shards 1 to 4 prefer n1, n2, n3, n1.
	for _, tc := range []struct {
		name    string
		leaders [4]wire.NodeID
		ready   []wire.NodeID
		want    []Step
	}{
		{"as it should be", [4]wire.NodeID{"n1", "n2", "n3", "n1"}, all, nil},
		{"no leaders yet", [4]wire.NodeID{}, nil, nil},
		{"all on one", [4]wire.NodeID{"n3", "n3", "n3", "n3"}, all, []Step{
			TransferLeader{1, "n3", "n1"},
			TransferLeader{2, "n3", "n2"},
			TransferLeader{4, "n3", "n1"},
		}},
		{"n1 is down, its shards are apart", [4]wire.NodeID{"n2", "n2", "n3", "n3"}, all[1:], nil},
		{"n1 is down, one more on n2 is no reason", [4]wire.NodeID{"n2", "n2", "n3", ""}, all[1:], nil},
		{"n1 is down, n2 leads all of its", [4]wire.NodeID{"n2", "n2", "n3", "n2"}, all[1:], []Step{
			TransferLeader{1, "n2", "n3"},
		}},
		{"n1 comes back", [4]wire.NodeID{"n2", "n2", "n3", "n3"}, all, []Step{
			TransferLeader{1, "n2", "n1"},
			TransferLeader{4, "n3", "n1"},
		}},
		{"nobody is ready", [4]wire.NodeID{"n3", "n3", "n3", "n3"}, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := World{Table: testTable(t, 3), Shards: make(map[wire.ShardID]ShardView)}
			for i, leader := range tc.leaders {
				w.Shards[wire.ShardID(i+1)] = ShardView{Leader: leader, Ready: tc.ready}
			}
			got := Plan(w)
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b Step) bool { return a == b })); diff != "" {
				t.Fatalf("Plan (-want +got):\n%s", diff)
			}
			// What the steps lead to must need no further step.
			for _, s := range got {
				move := s.(TransferLeader)
				w.Shards[move.Shard] = ShardView{Leader: move.To, Ready: tc.ready}
			}
			if more := Plan(w); len(more) > 0 {
				t.Errorf("after the steps Plan wants %v, want it to rest", more)
			}
		})
	}
}

// TestPlanIsBounded makes a plan for many shards on the wrong node: it comes
// in portions, and ends.
func TestPlanIsBounded(t *testing.T) {
	b := testBootstrap(5)
	b.Shards = 64
	c, err := b.Command()
	if err != nil {
		t.Fatal(err)
	}
	table, _ := new(Table).apply(1, c)
	w := World{Table: table, Shards: make(map[wire.ShardID]ShardView)}
	for _, s := range table.Shards() {
		w.Shards[s.ID] = ShardView{Leader: s.Placement.Voters[0], Ready: s.Placement.Voters}
	}
	for round := 0; ; round++ {
		steps := Plan(w)
		if len(steps) == 0 {
			break
		}
		if len(steps) > maxTransfers || round > 64 {
			t.Fatalf("round %d has %d steps, want at most %d and an end", round, len(steps), maxTransfers)
		}
		for _, s := range steps {
			move := s.(TransferLeader)
			view := w.Shards[move.Shard]
			if view.Leader != move.From {
				t.Fatalf("step %+v, but shard %d is led by %s", move, move.Shard, view.Leader)
			}
			view.Leader = move.To
			w.Shards[move.Shard] = view
		}
	}
	for _, s := range table.Shards() {
		if got := w.Shards[s.ID].Leader; got != s.Placement.Preferred {
			t.Errorf("shard %d ends on %s, want %s", s.ID, got, s.Placement.Preferred)
		}
	}
}
