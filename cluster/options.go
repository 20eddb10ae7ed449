package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options tune a Meta. The zero value is ready to use.
type Options struct {
	// MaxPending is how many proposals, and how many calls of Refresh, may wait
	// at once on this node. Beyond it they fail with ErrOverloaded without
	// waiting. Default 256.
	MaxPending int

	// SnapshotDelay is how long after a change the record is written to a
	// snapshot, so that a restarted node knows the table before it has found a
	// leader. Changes within it share one. Default 1s.
	SnapshotDelay time.Duration

	// TrailingLogs is how many entries raft keeps behind a snapshot for
	// followers that were away. Default 10240, at least 64: with fewer than a
	// follower may hold uncommitted, raft sends it one snapshot for ever.
	TrailingLogs uint64

	// Fatal is called when this node's copy cannot go on: an entry that it
	// cannot read. It must end the process; if it returns, the copy panics.
	// Default: panic.
	Fatal func(error)

	// Logger takes the group's log. Default: nothing is logged.
	Logger *slog.Logger
}

const minTrailingLogs = 64

func (o Options) withDefaults() Options {
	if o.MaxPending == 0 {
		o.MaxPending = 256
	}
	if o.SnapshotDelay == 0 {
		o.SnapshotDelay = time.Second
	}
	if o.TrailingLogs == 0 {
		o.TrailingLogs = 10_240
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate reports every field that is out of range, not only the first.
func (o Options) validate() error {
	var errs []error
	if o.MaxPending < 0 {
		errs = append(errs, fmt.Errorf("MaxPending is %d, want more than 0", o.MaxPending))
	}
	if o.SnapshotDelay < 0 {
		errs = append(errs, fmt.Errorf("SnapshotDelay is %s, want more than 0", o.SnapshotDelay))
	}
	if o.TrailingLogs < minTrailingLogs {
		errs = append(errs, fmt.Errorf("TrailingLogs is %d, want at least %d", o.TrailingLogs, minTrailingLogs))
	}
	return errors.Join(errs...)
}
