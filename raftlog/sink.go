package raftlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/quorate/quorate/mutant"
)

// errSinkClosed is returned by a sink after Close or Cancel.
var errSinkClosed = errors.New("raftlog: the snapshot sink is closed")

// sink is a raft.SnapshotSink. If nothing is written to it, it is a snapshot of
// our own state, and closing it flushes the state. Otherwise it receives a
// snapshot from the leader, and closing it makes that ready to be installed.
//
// Raft uses a sink from one goroutine.
type sink struct {
	snapshots *Snapshots
	meta      Meta
	stage     *stage // nil until the first Write
	id        string // of a received snapshot that is whole
	closed    bool
}

// ID implements raft.SnapshotSink. Raft asks after Close.
func (s *sink) ID() string {
	if s.id != "" {
		return s.id
	}
	return liveID
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	if s.closed {
		return 0, errSinkClosed
	}
	if s.stage == nil {
		if err := s.snapshots.newer(s.meta.Index); err != nil {
			return 0, err
		}
		s.stage = s.snapshots.newStage(s.meta)
	}
	if err := s.stage.write(p); err != nil {
		return 0, fmt.Errorf("receive snapshot of shard %d: %w", s.snapshots.shard, err)
	}
	return len(p), nil
}

// Close implements io.Closer. Raft deletes old entries after it, so the state
// must be on the disk when it returns. A second Close does nothing, for both
// Persist and raft may call it.
func (s *sink) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.stage == nil {
		return s.snapshots.flush(s.meta.Index)
	}
	if err := s.stage.finish(); err != nil {
		s.stage.remove()
		return fmt.Errorf("receive snapshot of shard %d: %w", s.snapshots.shard, err)
	}
	s.id = s.stage.name
	s.snapshots.mu.Lock()
	defer s.snapshots.mu.Unlock()
	s.snapshots.mu.staged[s.id] = s.stage
	return nil
}

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.stage != nil {
		s.stage.abandon()
	}
	return nil
}

// flush makes sure that what the state has applied now is on the disk. Pebble
// may have seen to that on its own.
func (p *Snapshots) flush(index uint64) error {
	if mutant.On(mutant.TruncateBeforeFlush) { // a planted bug, see package mutant
		return nil
	}
	applied, _, err := p.readMeta(newest)
	if err != nil {
		return err
	}
	onDisk, err := p.durable()
	if err != nil {
		return err
	}
	if onDisk.Index < applied.Index {
		if err := p.stores.Flush(); err != nil {
			return err
		}
		if onDisk, err = p.durable(); err != nil {
			return err
		}
	}
	return p.settled(index, onDisk)
}

// newer refuses a snapshot that the state has already reached: raft installs
// whatever a leader sends, and the state would go back.
func (p *Snapshots) newer(index uint64) error {
	if p.stores.opts.faults.staleInstall {
		return nil
	}
	meta, _, err := p.readMeta(newest)
	if err != nil {
		return err
	}
	if index <= meta.Index {
		return fmt.Errorf("%w: shard %d has reached %d and is offered %d", ErrStale, p.shard, meta.Index, index)
	}
	return nil
}

// received is what raft hands to FSM.Restore for a snapshot from the leader.
type received struct {
	snapshots *Snapshots
	stage     *stage
}

var _ Installer = (*received)(nil)

// Read implements io.Reader: there is nothing to read.
func (*received) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer. It deletes what was not installed.
func (r *received) Close() error {
	r.stage.remove()
	return nil
}
