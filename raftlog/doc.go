// Package raftlog keeps what raft must never forget, for all shards of a node.
//
// A node has two Pebble stores, which [Open] opens together. The log store is
// synced: it holds the raft log and the stable state (term, vote) of every
// shard, so that one sync of its write-ahead log serves all shards that wait.
// The state store has no write-ahead log: the shards' state lives there, each
// batch with the index it reaches, and after a crash raft replays the rest.
//
//   - [Group] is one shard's raft.LogStore and raft.StableStore.
//   - [Snapshots] is one shard's raft.SnapshotStore. It holds no data: a
//     snapshot is a flush of the state store, and what a follower needs is
//     streamed from the shard's key range. What was received is staged in
//     tables beside the store and takes the range's place in one step.
//   - [GuardVotes] makes a vote one write, for any raft.StableStore.
//
// What always holds:
//
//   - What StoreLogs, Set and Install returned from is on the disk.
//   - The log has no gap, and begins at or before the entry after the one that
//     the state on the disk has reached. Raft may ask for more to be deleted;
//     it is not deleted before the state is flushed.
//   - An entry that the state on the disk has reached is never replaced.
//   - A snapshot not newer than the state is never installed.
//   - A vote is on the disk with its term, or not at all.
//   - After an error of a store, or a write that takes too long, nothing is
//     acknowledged any more: Options.Fatal is called, and the process should
//     end. A write that is late may still land, so going on is not safe.
//
// The package knows nothing of what an entry or a row means. It reads the
// state's own record of (index, term, configuration) through a [MetaReader].
//
// Time comes from package time, the disk from a vfs.FS, so that a simulator
// can stand in for both. No mutex is held over a write, a wait or a callback.
package raftlog
