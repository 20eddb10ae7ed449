package shard

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/wire"
)

// ErrOverloaded is the outcome of a command that was refused at once because
// the queue, or one conversation's share of it, is full. It was not proposed.
var ErrOverloaded = errors.New("shard: too many commands are waiting")

// ErrUncertain is the outcome of a command that was handed to raft but whose
// fate is unknown: it may yet be applied. Only a command that is harmless when
// repeated may be proposed again.
var ErrUncertain = errors.New("shard: outcome unknown")

// ErrClosed is the outcome of what is asked of a closed replica. A command that
// gets it was not proposed.
var ErrClosed = errors.New("shard: replica is closed")

// ErrStorageFull is the outcome of a command while the node's disk is nearly
// full. It was not proposed.
var ErrStorageFull = errors.New("shard: storage is full")

// ErrTooLarge is the outcome of a command that does not fit into an entry.
var ErrTooLarge = errors.New("shard: command is too large")

// NotLeaderError is the outcome at a replica that is not its shard's leader,
// or not any more. A command that gets it was not proposed.
type NotLeaderError struct {
	Shard  wire.ShardID
	Leader wire.NodeID // empty while there is none
}

func (e *NotLeaderError) Error() string {
	if e.Leader == "" {
		return fmt.Sprintf("shard %d: not the leader, and none is known", e.Shard)
	}
	return fmt.Sprintf("shard %d: not the leader, which is %s", e.Shard, e.Leader)
}
