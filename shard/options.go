package shard

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/quorate/quorate/clock"
)

// Options tune a Replica. The zero value is ready to use.
type Options struct {
	// Clock stamps the entries this replica proposes. Default: the machine's.
	Clock clock.Wall

	// MaxPending and MaxPendingBytes are how many commands may wait for their
	// answers at once, and how large they may be together. One key may have a
	// quarter of either. Beyond it a command is refused with ErrOverloaded
	// without waiting, so that a slow disk shows up as refusals at the edge and
	// not as memory. Default 8192 and 8 MiB.
	MaxPending      int
	MaxPendingBytes int

	// PackCommands and PackBytes bound one entry. A command of more than
	// PackBytes is refused with ErrTooLarge. Default 256 (also the most the
	// state machine takes) and 128 KiB.
	PackCommands int
	PackBytes    int

	// Pacer is shared by the replicas of a node, and keeps their rounds from
	// being many and small under load. Default: none, each goes as fast as it can.
	Pacer *Pacer

	// MaxReads is how many strong reads may wait at once; beyond it they fail
	// with ErrOverloaded. Default 16384.
	MaxReads int

	// SnapshotBytes is how much raft log is written between two snapshots, after
	// which the log is cut. Default 64 MiB.
	SnapshotBytes int64

	// TrailingBytes and TrailingEntries are what stays in the raft log behind
	// a snapshot, for followers that lag: about so many bytes, and at least so
	// many entries. Default 64 MiB and 1024.
	TrailingBytes   int64
	TrailingEntries uint64

	// ElectionTimeout is how long a follower waits for its leader, and a
	// candidate for votes, each up to twice as long. Default 1s; the leader's
	// lease is half of it.
	ElectionTimeout time.Duration

	// LeaderChanged is told when the leader or the term changes and when this
	// replica becomes ready to lead. It is called from one goroutine at a time
	// and must not block. Default: nobody is told.
	LeaderChanged func(Leadership)

	// Full tells whether the disk is too full for more commands. It is called
	// for each command. Default: never.
	Full func() bool

	// Fatal is told of an error after which this replica must not go on: its
	// stores failed, or a newer version wrote an entry it does not understand.
	// It is expected to stop the process. Default: panic.
	Fatal func(error)

	// Scrubs runs the scrubs of this replica's state; see [OpenScrubber]. Close
	// does not close it. Default: none.
	Scrubs *Scrubber

	// Logger takes the replica's log, raft's warnings included. Default:
	// nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	o.MaxPending = cmp.Or(o.MaxPending, 8192)
	o.MaxPendingBytes = cmp.Or(o.MaxPendingBytes, 8<<20)
	o.PackCommands = cmp.Or(o.PackCommands, 256)
	o.PackBytes = cmp.Or(o.PackBytes, 128<<10)
	o.MaxReads = cmp.Or(o.MaxReads, 16384)
	o.SnapshotBytes = cmp.Or(o.SnapshotBytes, 64<<20)
	o.TrailingBytes = cmp.Or(o.TrailingBytes, 64<<20)
	o.TrailingEntries = cmp.Or(o.TrailingEntries, 1024)
	o.ElectionTimeout = cmp.Or(o.ElectionTimeout, time.Second)
	if o.LeaderChanged == nil {
		o.LeaderChanged = func(Leadership) {}
	}
	if o.Full == nil {
		o.Full = func() bool { return false }
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
	check := func(name string, value, low, high int64) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("%s is %d, want %d to %d", name, value, low, high))
		}
	}
	check("MaxPending", int64(o.MaxPending), 1, 1<<20)
	check("MaxPendingBytes", int64(o.MaxPendingBytes), int64(o.PackBytes), 1<<30)
	check("PackCommands", int64(o.PackCommands), 1, 256)
	check("PackBytes", int64(o.PackBytes), 1, 512<<10)
	check("MaxReads", int64(o.MaxReads), 1, 1<<20)
	check("SnapshotBytes", o.SnapshotBytes, 1, 1<<40)
	check("TrailingBytes", o.TrailingBytes, 1, 1<<40)
	check("TrailingEntries", int64(o.TrailingEntries), 1, 1<<30)
	check("ElectionTimeout in ms", o.ElectionTimeout.Milliseconds(), 10, 60_000)
	return errors.Join(errs...)
}
