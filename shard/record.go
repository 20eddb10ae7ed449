package shard

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Position is where in the raft log a shard's state is, as its first row says.
type Position struct {
	Index, Term        uint64 // of the last entry that it has applied
	ConfigurationIndex uint64
	Configuration      raft.Configuration
}

// ReadPosition reads a row of a shard's range. It reports false for one that is
// not the shard's record, as when the state is still empty.
func ReadPosition(slots wire.SlotRange, key, value []byte) (Position, bool, error) {
	if !bytes.Equal(key, state.RecordKey(slots)) {
		return Position{}, false, nil
	}
	record, err := state.DecodeRecord(value)
	if err != nil {
		return Position{}, false, fmt.Errorf("read the record of slots %s: %w", slots, err)
	}
	p := Position{Index: record.Applied, Term: record.Term, ConfigurationIndex: record.ConfigurationIndex}
	if len(record.Configuration) > 0 {
		p.Configuration = raft.DecodeConfiguration(record.Configuration)
	}
	return p, record.Applied > 0, nil
}
