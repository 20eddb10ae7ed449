package shard

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard/state"
)

// Machine is what a replica keeps up to date: [*state.State] is one. Apply and
// Reload are called from one goroutine; Record from any.
type Machine interface {
	// Apply applies committed entries in order and returns, for each, one result
	// for each of its commands; nil for an entry that was applied before. An
	// error means that this replica must stop.
	Apply(entries []state.LogEntry) ([][]state.Result, error)
	// Record says which entry the state is at.
	Record() state.Record
	// Settle hands the store all rows of what was applied.
	Settle() error
	// Reload reads the record again after the rows were replaced.
	Reload() error
}

// installer is found inside the reader that raft hands to Restore: a snapshot
// that was received and can replace the shard's rows in one durable step.
type installer interface {
	Install() error
}

// errStopped is what a state machine answers after it has failed.
var errStopped = errors.New("shard: the state machine has stopped")

// fsm is what raft calls: the state machine and its progress, nothing else.
// raft calls all of it from one goroutine, Persist excepted.
type fsm struct {
	machine  Machine
	progress *progress
	fatal    func(error)

	entries   []state.LogEntry // scratch
	responses []any            // scratch: raft takes them out before it calls again
	stopped   bool             // set for good by a failure: nothing is applied after an entry that was not
}

var _ raft.BatchingFSM = (*fsm)(nil)

// ApplyBatch implements raft.BatchingFSM. The response for an entry is its
// []state.Result, or an error once the machine has failed.
//
// The batch is cut where checkpoints are due, so that replicas note the chain
// at the same indexes whatever their batches are.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	clear(f.responses)
	f.responses = slices.Grow(f.responses[:0], len(logs))[:len(logs)]
	responses := f.responses
	for start := 0; start < len(logs); {
		f.progress.enterBlock(logs[start].Index, f.machine.Record)
		end := start + 1
		for end < len(logs) && blockOf(logs[end].Index) == blockOf(logs[start].Index) {
			end++
		}
		f.applyBlock(logs[start:end], responses[start:end])
		start = end
	}
	return responses
}

func (f *fsm) applyBlock(logs []*raft.Log, responses []any) {
	bytes := 0
	f.entries = f.entries[:0]
	for _, l := range logs {
		bytes += len(l.Data) + entryOverhead
		f.entries = append(f.entries, state.LogEntry{
			Index: l.Index, Term: l.Term, Configuration: l.Type == raft.LogConfiguration, Data: l.Data,
		})
	}
	results, err := f.apply(f.entries)
	clear(f.entries)
	if err != nil {
		for i := range responses {
			responses[i] = err
		}
		return
	}
	for i := range responses {
		responses[i] = results[i]
	}
	f.progress.advance(logs[len(logs)-1].Index, len(logs), bytes)
}

func (f *fsm) apply(entries []state.LogEntry) ([][]state.Result, error) {
	if f.stopped {
		return nil, errStopped
	}
	results, err := f.machine.Apply(entries)
	if err == nil && len(results) != len(entries) {
		err = fmt.Errorf("got %d answers for %d entries", len(results), len(entries))
	}
	if err != nil {
		first, last := entries[0].Index, entries[len(entries)-1].Index
		return nil, f.fail(fmt.Errorf("apply entries %d to %d: %w", first, last, err))
	}
	return results, nil
}

func (f *fsm) fail(err error) error {
	f.stopped = true
	f.fatal(err)
	return err
}

// Apply implements raft.FSM. raft calls ApplyBatch instead.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// Snapshot implements raft.FSM. The state is on disk as it is, so a snapshot is
// only a promise of the snapshot store: what was applied by now is durable when
// the sink is closed, and raft cuts its log after that.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.stopped {
		return nil, errStopped
	}
	if err := f.machine.Settle(); err != nil {
		return nil, f.fail(fmt.Errorf("settle the state for a snapshot: %w", err))
	}
	return snapshot{}, nil
}

// Restore implements raft.FSM: it replaces the state with a snapshot that was
// received. What was read of it lies in the snapshot store already.
func (f *fsm) Restore(source io.ReadCloser) error {
	if f.stopped {
		return errStopped
	}
	received, err := findInstaller(source)
	if err != nil {
		return err
	}
	if err := f.machine.Settle(); err != nil {
		return f.fail(fmt.Errorf("settle the state before an install: %w", err))
	}
	// The stores see to it themselves if they fail. A snapshot that is refused,
	// because the state is newer, has changed nothing.
	installed := received.Install()
	if err := f.machine.Reload(); err != nil {
		return f.fail(fmt.Errorf("reload the state after an install: %w", err))
	}
	if installed != nil {
		return fmt.Errorf("install a snapshot: %w", installed)
	}
	f.progress.installed(f.machine.Record().Applied)
	return nil
}

// findInstaller looks through the readers that raft wraps around ours.
func findInstaller(source io.ReadCloser) (installer, error) {
	for {
		if received, ok := source.(installer); ok {
			return received, nil
		}
		wrapper, ok := source.(raft.ReadCloserWrapper)
		if !ok {
			return nil, fmt.Errorf("restore a snapshot: %T cannot be installed", source)
		}
		source = wrapper.WrappedReadCloser()
	}
}

// snapshot implements raft.FSMSnapshot.
type snapshot struct{}

// Persist implements raft.FSMSnapshot. raft closes the sink itself.
func (snapshot) Persist(raft.SnapshotSink) error { return nil }

// Release implements raft.FSMSnapshot.
func (snapshot) Release() {}
