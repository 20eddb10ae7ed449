package cluster

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// errRewind is the cause when a snapshot is older than what was applied.
var errRewind = errors.New("the snapshot is older than the record")

// fsm is what raft drives. It holds nothing but the board that the table
// stands on, and what to call when it cannot go on.
type fsm struct {
	board *board
	fatal func(error)
}

var _ raft.ConfigurationStore = (*fsm)(nil)

// Apply implements raft.FSM. Its result is always a Result: what raft hands
// over has been committed, so failing is not an option, only stopping.
func (f *fsm) Apply(l *raft.Log) any {
	c, err := decodeCommand(l.Data)
	if err != nil {
		// Skipping the entry would fork this node from the others.
		err = fmt.Errorf("apply entry %d of the meta group: %w", l.Index, err)
		f.fatal(err)
		panic(err)
	}
	next, res := f.board.table.Load().apply(l.Index, c)
	f.board.put(next)
	return res
}

// StoreConfiguration implements raft.ConfigurationStore. There is nothing to
// do, but without it raft refuses snapshots between a change of the
// configuration and the next command.
func (f *fsm) StoreConfiguration(uint64, raft.Configuration) {}

// Snapshot implements raft.FSM. A table never changes, so it is its own
// snapshot.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) { return tableSnapshot{f.board.table.Load()}, nil }

// Restore implements raft.FSM. It refuses to go back: raft does not (a leader
// whose follower is ahead of its snapshot may install the older one).
func (f *fsm) Restore(r io.ReadCloser) error {
	data, err := io.ReadAll(io.LimitReader(r, maxRecordBytes+1))
	if err != nil {
		return fmt.Errorf("read a snapshot of the meta group: %w", err)
	}
	rec, err := decodeRecord(data)
	if err != nil {
		return fmt.Errorf("restore the meta group: %w", err)
	}
	if have := f.board.table.Load().Index(); rec.Index < have {
		return fmt.Errorf("restore the meta group from index %d, being at %d: %w", rec.Index, have, errRewind)
	}
	f.board.put(newTable(rec))
	return nil
}

type tableSnapshot struct{ table *Table }

// Persist implements raft.FSMSnapshot.
func (s tableSnapshot) Persist(sink raft.SnapshotSink) error {
	data, err := encodeRecord(&s.table.rec)
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if _, err := sink.Write(data); err != nil {
		return errors.Join(fmt.Errorf("write a snapshot of the meta group: %w", err), sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (tableSnapshot) Release() {}
