package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// stable is one shard's stable state in the log store, before the guard for
// votes.
type stable struct {
	stores *Stores
	shard  uint32
}

// Set implements raft.StableStore.
func (s *stable) Set(key, value []byte) error {
	b := s.stores.log.NewBatch()
	defer func() { _ = b.Close() }()
	if err := b.Set(stableKey(s.shard, key), value, nil); err != nil {
		return s.stores.fate.fail(fmt.Errorf("set %s of shard %d: %w", key, s.shard, err))
	}
	return s.stores.commit(OpStable, b)
}

// Get implements raft.StableStore. It returns nil for a key that is not there.
func (s *stable) Get(key []byte) (value []byte, err error) {
	err = s.stores.read(func() error {
		found, closer, err := s.stores.log.Get(stableKey(s.shard, key))
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("get %s of shard %d: %w", key, s.shard, err)
		}
		value = append([]byte{}, found...)
		return closer.Close()
	})
	return value, err
}

// SetUint64 implements raft.StableStore.
func (s *stable) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 implements raft.StableStore. It returns 0 for a key that is not
// there.
func (s *stable) GetUint64(key []byte) (uint64, error) {
	value, err := s.Get(key)
	if err != nil || len(value) == 0 {
		return 0, err
	}
	if len(value) != 8 {
		err := fmt.Errorf("get %s of shard %d: %d bytes are no number", key, s.shard, len(value))
		return 0, s.stores.fate.fail(err)
	}
	return binary.BigEndian.Uint64(value), nil
}
