// Package shard hosts one node's replica of a shard.
//
// A shard is one raft group and the conversations and users whose slots it
// owns. Each node in the group runs a [Replica]. What a command means is the
// business of package state; here is what gets commands into the raft log, in
// which order, and how their answers come back:
//
//   - queue.go, proposer.go: commands wait in a bounded, fair queue; one
//     goroutine packs whatever waits into one entry. One entry is in flight, a
//     second only when a full one waits, and no timer is involved.
//   - fsm.go: what raft calls. It hands entries to the state machine and knows
//     neither the replica nor what a command says.
//   - lead.go: who leads, the barrier of a new leader, handing over.
//   - read.go, tap.go: strong reads. All reads that wait share one round of
//     heartbeats, and only heartbeats sent after the round began count.
//   - snapshot.go: when the raft log is cut, counted in bytes.
//   - checkpoint.go, scrub.go: how forks between replicas and rot on one disk
//     are found.
//
// A replica takes its stores and its transport as raft's own interfaces, so
// that it runs on a node, in the simulator and in a test alike.
//
// What always holds:
//
//   - The order of Submit on a leader is the order in the raft log, and answers
//     are told in that order; each call is told exactly once.
//   - An error of raft is never taken for "not applied": a command that was
//     handed to raft and got no answer is [ErrUncertain].
//   - A strong read sees every command that was answered before it was asked,
//     by whichever leader.
//   - Entry stamps that one leader proposes never go back.
//   - The raft log is cut only up to what the state has made durable.
//   - An error of the stores or the state machine goes to Options.Fatal, after
//     which the replica applies nothing more.
package shard
