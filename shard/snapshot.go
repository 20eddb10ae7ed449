package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// snapshotRetry is how long a failed snapshot is not tried again. Until then
// the log grows, which costs disk and nothing else.
const snapshotRetry = 30 * time.Second

// Snapshot makes the state durable and cuts the raft log behind it. It is done
// by itself each Options.SnapshotBytes of log; this is for tests and operators.
func (r *Replica) Snapshot(ctx context.Context) error {
	done := make(chan error, 1)
	if !r.spawn(func() { done <- r.takeSnapshot() }) {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("take a snapshot: %w", ctx.Err())
	}
}

func (r *Replica) takeSnapshot() error {
	instance, ok := r.group.enter()
	if !ok {
		return ErrClosed
	}
	defer r.group.leave()
	// What raft counts in entries, we bound in bytes.
	config := instance.ReloadableConfig()
	config.TrailingLogs = trailing(r.opts, r.progress.mean())
	if err := instance.ReloadConfig(config); err != nil {
		return fmt.Errorf("set how much of the raft log stays: %w", err)
	}
	covered := r.progress.pendingBytes()
	if err := instance.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	r.progress.snapshotTaken(covered)
	r.counters.snapshots.Add(1)
	return nil
}

// trailing returns how many entries stay behind a snapshot.
func trailing(o Options, meanBytes float64) uint64 {
	return max(o.TrailingEntries, uint64(float64(o.TrailingBytes)/meanBytes))
}

// logSamples is how many entries are read at the start to learn how large
// those in the log are.
const logSamples = 32

// measureLog estimates, for a replica that starts, how large its entries are
// and how much of its log is beyond what would stay after a snapshot.
func measureLog(log raft.LogStore, o Options) (meanBytes float64, logBytes int64, err error) {
	first, err := log.FirstIndex()
	if err != nil {
		return 0, 0, fmt.Errorf("find the first entry: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return 0, 0, fmt.Errorf("find the last entry: %w", err)
	}
	if last == 0 {
		return float64(entryOverhead), 0, nil
	}
	total, samples := 0, 0
	for i := first; i <= last; i += max(1, (last-first)/logSamples) {
		var entry raft.Log
		if err := log.GetLog(i, &entry); err != nil {
			return 0, 0, fmt.Errorf("read entry %d of the raft log: %w", i, err)
		}
		total += len(entry.Data) + entryOverhead
		samples++
	}
	meanBytes = float64(total) / float64(samples)
	beyond := float64(last-first+1) - float64(trailing(o, meanBytes))
	return meanBytes, int64(max(0, beyond) * meanBytes), nil
}
