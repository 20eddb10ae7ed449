package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/wire"
)

// Status is what an operator sees of a cluster, as one node knows it.
type Status struct {
	Cluster string          `json:"cluster"`
	Healthy bool            `json:"healthy"`
	Nodes   []ProcessStatus `json:"nodes"`
	Shards  []ShardStatus   `json:"shards"`
	Meta    MetaStatus      `json:"meta"`
}

// ProcessStatus is what one node says of itself, or that it does not answer.
type ProcessStatus struct {
	ID          wire.NodeID `json:"id"`
	Up          bool        `json:"up"`
	Error       string      `json:"error,omitempty"`
	HTTP        string      `json:"http"`
	QUIC        string      `json:"quic,omitempty"`
	Sessions    int         `json:"sessions"`
	Leads       int         `json:"leads"` // shards
	StorageFull bool        `json:"storage_full"`
	DiskFree    uint64      `json:"disk_free_bytes"`
	DiskSize    uint64      `json:"disk_size_bytes"`
	UptimeMS    int64       `json:"uptime_ms"`

	// Replicas are the node's replicas; a cluster's status has them by shard.
	Replicas []ReplicaStatus `json:"replicas,omitempty"`
	Meta     *MetaStatus     `json:"meta,omitempty"`
}

// ReplicaStatus is one replica of a shard.
type ReplicaStatus struct {
	Shard       wire.ShardID       `json:"shard"`
	Node        wire.NodeID        `json:"node"`
	Role        string             `json:"role"`
	Leader      wire.NodeID        `json:"leader,omitempty"`
	Ready       bool               `json:"ready,omitempty"` // it leads and serves
	Term        uint64             `json:"term"`
	LastIndex   uint64             `json:"last_index"`
	CommitIndex uint64             `json:"commit_index"`
	Applied     uint64             `json:"applied"`
	Chain       string             `json:"chain"`
	Lag         uint64             `json:"lag"` // entries behind the leader's last applied one
	Checkpoints []shard.Checkpoint `json:"checkpoints,omitempty"`
}

// ShardStatus is a shard with its replicas.
type ShardStatus struct {
	ID       wire.ShardID    `json:"id"`
	First    wire.Slot       `json:"first_slot"`
	Last     wire.Slot       `json:"last_slot"`
	Leader   wire.NodeID     `json:"leader,omitempty"`
	Term     uint64          `json:"term"`
	Healthy  bool            `json:"healthy"`
	Chains   string          `json:"chains"`             // "agree", "behind" (not comparable just now), or "forked"
	AgreeAt  uint64          `json:"agree_at,omitempty"` // the newest entry at which all are known to agree
	Forked   uint64          `json:"forked_at,omitempty"`
	Replicas []ReplicaStatus `json:"replicas"`
}

// MetaStatus is the meta group as a node sees it.
type MetaStatus struct {
	Leader  wire.NodeID `json:"leader,omitempty"`
	Term    uint64      `json:"term"`
	Applied uint64      `json:"applied"`
	Digest  string      `json:"digest"`
}

// nodeStatus describes this node.
func (n *Node) nodeStatus() ProcessStatus {
	own, _ := n.meta.Table().Node(n.cfg.Node)
	s := ProcessStatus{
		ID: n.cfg.Node, Up: true, HTTP: own.Addresses.HTTP, QUIC: own.Addresses.QUIC, Sessions: n.backend.sessions.len(),
		StorageFull: n.disk.Full(), DiskFree: n.disk.free.Load(), DiskSize: n.disk.size.Load(),
		UptimeMS: n.env.Wall().Sub(n.started).Milliseconds(),
	}
	for _, h := range n.shards.all() {
		st := h.replica.Status()
		if h.leads.Load() {
			s.Leads++
		}
		s.Replicas = append(s.Replicas, ReplicaStatus{
			Shard: st.Shard, Node: st.Node, Role: st.Role, Leader: st.Leadership.Leader, Ready: st.Leadership.Ready,
			Term: st.Leadership.Term, LastIndex: st.LastIndex, CommitIndex: st.CommitIndex, Applied: st.Applied,
			Chain: fmt.Sprintf("%016x", st.Chain), Checkpoints: st.Checkpoints,
		})
	}
	slices.SortFunc(s.Replicas, func(a, b ReplicaStatus) int { return cmp.Compare(a.Shard, b.Shard) })
	if m, err := n.meta.Status(); err == nil {
		s.Meta = &MetaStatus{Leader: m.Leader, Term: m.Term, Applied: m.Applied, Digest: m.Digest}
	}
	return s
}

// askStatus asks another node for its status.
func (n *Node) askStatus(ctx context.Context, id wire.NodeID) ProcessStatus {
	if id == n.cfg.Node {
		return n.nodeStatus()
	}
	known, _ := n.meta.Table().Node(id)
	down := ProcessStatus{ID: id, HTTP: known.Addresses.HTTP, QUIC: known.Addresses.QUIC}
	body, err := n.mux.Call(ctx, id, route.MethodStatus, nil)
	if err != nil {
		down.Error = err.Error()
		return down
	}
	var s ProcessStatus
	if err := json.Unmarshal(body, &s); err != nil {
		down.Error = fmt.Sprintf("decode its status: %v", err)
		return down
	}
	return s
}

// present returns the cluster's nodes without those that were removed.
func (n *Node) present() []cluster.Node {
	return slices.DeleteFunc(slices.Clone(n.meta.Table().Nodes()), func(o cluster.Node) bool { return o.State == cluster.NodeRemoved })
}

// askAll asks all nodes at once.
func (n *Node) askAll(ctx context.Context) []ProcessStatus {
	nodes := n.present()
	out := make([]ProcessStatus, len(nodes))
	var all sync.WaitGroup
	for i := range nodes {
		all.Go(func() { out[i] = n.askStatus(ctx, nodes[i].ID) })
	}
	all.Wait()
	return out
}

// clusterStatus asks all nodes and puts their answers together.
func (n *Node) clusterStatus(ctx context.Context) Status {
	s := Status{Cluster: n.cfg.Cluster, Healthy: true, Nodes: n.askAll(ctx)}
	table := n.meta.Table()
	for _, sh := range table.Shards() {
		s.Shards = append(s.Shards, shardStatus(sh.ID, sh.Slots(), len(sh.Placement.Voters), s.Nodes))
	}
	for i := range s.Nodes {
		if m := s.Nodes[i].Meta; m != nil && (s.Meta.Leader == "" || m.Applied > s.Meta.Applied) {
			s.Meta = *m
		}
		s.Healthy = s.Healthy && s.Nodes[i].Up && !s.Nodes[i].StorageFull
		s.Nodes[i].Replicas, s.Nodes[i].Meta = nil, nil
	}
	for i := range s.Shards {
		s.Healthy = s.Healthy && s.Shards[i].Healthy
	}
	return s
}

// shardStatus puts together what the nodes say of one shard.
func shardStatus(id wire.ShardID, slots wire.SlotRange, voters int, nodes []ProcessStatus) ShardStatus {
	s := ShardStatus{ID: id, First: slots.First, Last: slots.Last, Chains: "behind"}
	for i := range nodes {
		for _, r := range nodes[i].Replicas {
			if r.Shard != id {
				continue
			}
			s.Replicas = append(s.Replicas, r)
			if r.Ready && r.Term >= s.Term {
				s.Leader, s.Term = r.Node, r.Term
			}
		}
	}
	var applied uint64
	for _, r := range s.Replicas {
		applied = max(applied, r.Applied)
	}
	for i := range s.Replicas {
		s.Replicas[i].Lag = applied - s.Replicas[i].Applied
	}
	s.compareChains()
	s.Healthy = s.Leader != "" && len(s.Replicas) == voters && s.Forked == 0
	for i := range s.Replicas {
		s.Replicas[i].Checkpoints = nil
	}
	return s
}

// compareChains compares every replica's chain with the first one's.
func (s *ShardStatus) compareChains() {
	if len(s.Replicas) == 0 {
		return
	}
	agree := s.Replicas[0].Applied
	for _, r := range s.Replicas[1:] {
		a := shard.Compare(s.Replicas[0].Checkpoints, r.Checkpoints)
		if a.Forked > 0 {
			s.Chains, s.Forked = "forked", a.Forked
			return
		}
		agree = min(agree, a.Upto)
	}
	if agree > 0 {
		s.Chains, s.AgreeAt = "agree", agree
	}
}
