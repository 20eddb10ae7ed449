package raftnet

import "github.com/quorate/quorate/wire"

// Urgency says how long the network may hold a frame back.
type Urgency uint8

// The urgencies.
const (
	Now  Urgency = iota // send at once
	Soon                // a heartbeat or its answer: may wait up to 40 ms, to travel with those of other shards
)

// Network carries the raft traffic of all shards between nodes. The node makes
// it out of its connections; the simulator makes it out of queues in memory.
type Network interface {
	// Send hands a frame to a node. It takes ownership of the frame, does not
	// wait for an answer and may lose the frame. An error means that it is
	// lost already.
	Send(to wire.NodeID, shard wire.ShardID, frame []byte, u Urgency) error

	// Receive sets where this shard's frames from other nodes go; nil takes
	// that back. The frame is valid only during the call. deliver does not
	// block, and it may be called from several goroutines.
	Receive(shard wire.ShardID, deliver func(from wire.NodeID, frame []byte))
}
