// Package raftnet carries raft between nodes: it makes a raft.Transport for one
// shard out of a [Network] that sends frames and may lose them.
//
// A request and its answer are two frames with one id. What is not answered is
// sent again, so a lost frame costs a fraction of an election timeout and not
// a broken pipeline. Ids begin at random, so that the answer to an earlier life of this node
// is never taken for an answer to this one.
//
// The way of a request through the node that gets it:
//
//	Network ─ deliver ─┬─ queue ─ guard ─ Consumer() ─ raft's main goroutine
//	                   └─ heartbeat while that writes its log: raft's handler, at once
//
// Between the network and raft stand three guards against what raft v1.8.0 does
// not check itself:
//
//   - A follower never goes back. A snapshot not newer than what it has applied is
//     answered with success and not installed; entries it has applied are skipped, and
//     an append that begins before them matches, whatever was compacted.
//   - A follower commits only what matched. The leader's commit index is cut to
//     the last entry that the request names.
//   - A term never goes back: raft's handler of heartbeats is called only while raft's
//     main goroutine is inside its log; see [Gate].
//
// What always holds:
//
//   - A frame names no address: who sent it is known by the network, and an
//     answer counts only if it comes from the node that was asked.
//   - An answer counts only while it is younger than Options.Round, which is below
//     raft's election timeout: so it proves that the sender was leader
//     recently, and a read that rests on it is not stale.
//   - deliver never blocks: queues are bounded, and beyond the bound frames are lost.
//   - No lock is held while a frame is sent or raft is called, but the gate's,
//     around a handler that touches no disk.
package raftnet
