package shard

import (
	"strings"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

// Status is what a replica says of itself. Its parts are read one after the
// other: under load they are not of one moment, but Applied and Chain are.
type Status struct {
	Shard       wire.ShardID
	Node        wire.NodeID
	Leadership  Leadership
	Role        string // leader, follower, candidate or shutdown
	LastIndex   uint64 // of the raft log
	CommitIndex uint64
	Applied     uint64 // last entry applied; raft's own entries, which are not applied, may lie above it
	Chain       uint64 // hash over the writes up to Applied
	Stamp       int64  // of the last applied entry, milliseconds since 1970
	Voters      []wire.NodeID
	Nonvoters   []wire.NodeID
	Checkpoints []Checkpoint
	Scrubs      []ScrubResult
	Metrics     Metrics
}

// Metrics is how often things happened since the replica was opened, and how
// much waits.
type Metrics struct {
	Entries      uint64 // proposed
	Commands     uint64 // in those entries
	Refused      uint64 // commands: the queue or a key's share of it was full
	Uncertain    uint64 // entries whose fate is not known
	Snapshots    uint64
	Restarts     uint64 // of raft, because a transfer did not end
	Pending      int    // commands without an answer yet
	PendingBytes int
	LogBytes     int64 // of raft log since the last snapshot
	EntryBytes   int64 // mean size of an entry lately
	Backlog      int64 // bytes that are committed and not applied
}

type counters struct {
	entries, commands, refused, uncertain, snapshots, restarts atomic.Uint64
}

// Status describes the replica now.
func (r *Replica) Status() Status {
	instance := r.group.raft()
	record := r.machine.Record()
	voters, others := r.group.servers()
	s := Status{
		Shard: r.place.Shard, Node: r.place.Node,
		Leadership:  r.Leadership(),
		Role:        strings.ToLower(instance.State().String()),
		LastIndex:   instance.LastIndex(),
		CommitIndex: instance.CommitIndex(),
		Applied:     record.Applied, Chain: record.Chain, Stamp: record.Stamp,
		Voters: nodeIDs(voters), Nonvoters: nodeIDs(others),
		Checkpoints: r.Checkpoints(),
		Metrics:     r.Metrics(),
	}
	if r.opts.Scrubs != nil {
		s.Scrubs = r.opts.Scrubs.Results()
	}
	return s
}

func nodeIDs(servers []raft.ServerID) []wire.NodeID {
	ids := make([]wire.NodeID, len(servers))
	for i, id := range servers {
		ids[i] = wire.NodeID(id)
	}
	return ids
}

// Metrics returns the replica's counters.
func (r *Replica) Metrics() Metrics {
	m := Metrics{
		Entries:    r.proposer.counters.entries.Load(),
		Commands:   r.proposer.counters.commands.Load(),
		Refused:    r.proposer.counters.refused.Load(),
		Uncertain:  r.proposer.counters.uncertain.Load(),
		Snapshots:  r.counters.snapshots.Load(),
		Restarts:   r.counters.restarts.Load(),
		LogBytes:   r.progress.pendingBytes(),
		EntryBytes: int64(r.progress.mean()),
		Backlog:    r.Backlog(),
	}
	r.proposer.mu.Lock()
	defer r.proposer.mu.Unlock()
	m.Pending, m.PendingBytes = r.proposer.mu.queue.pending.calls, r.proposer.mu.queue.pending.bytes
	return m
}

// Applied returns the index of the last entry that this replica's state holds.
func (r *Replica) Applied() uint64 { return r.progress.applied.Load() }

// Backlog estimates how many bytes of the raft log are committed but not
// applied yet. Entries that are not committed do not count: they may wait for
// the very write that a backlog slows down.
func (r *Replica) Backlog() int64 {
	commit, applied := r.group.raft().CommitIndex(), r.Applied()
	if commit <= applied {
		return 0
	}
	return int64(float64(commit-applied) * r.progress.mean())
}

// Checkpoints returns the checkpoints of the hash chain that this replica
// keeps, and the present end of the chain, oldest first; see [Compare].
func (r *Replica) Checkpoints() []Checkpoint {
	kept := r.progress.checkpoints()
	record := r.machine.Record()
	if record.Applied == 0 || len(kept) > 0 && kept[len(kept)-1].Index >= record.Applied {
		return kept
	}
	return append(kept, Checkpoint{Index: record.Applied, Chain: record.Chain})
}

// Configuration returns the group's voters and nonvoters as this replica knows
// them, which may not be committed yet.
func (r *Replica) Configuration() (voters, nonvoters []wire.NodeID) {
	v, n := r.group.servers()
	return nodeIDs(v), nodeIDs(n)
}
