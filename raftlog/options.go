package raftlog

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/quorate/quorate/mutant"
)

// DiskOp names a kind of durable work, as Options.Disk and the watchdog see it.
type DiskOp string

// The kinds of durable work.
const (
	OpAppend   DiskOp = "append entries"
	OpStable   DiskOp = "write stable state"
	OpTruncate DiskOp = "truncate log"
	OpFlush    DiskOp = "flush state"
	OpInstall  DiskOp = "install snapshot"
	opRead     DiskOp = "read" // not durable work, but Close waits for it
)

// Options tune the stores. The zero value is ready to use.
type Options struct {
	// Fatal is called once, outside all locks, with the first error that makes
	// it unsafe to go on: an error of a store, or a write over WriteLimit. It
	// should end the process. Other calls wait until it returns, so it must not
	// use the stores; if it does return, they and every later one fail with
	// that error. Default: panic.
	Fatal func(error)

	// Stalled is called, outside all locks, when a store has held back writes
	// for StallLimit, once for each such stall. It must not block. A node hands
	// its leaderships away. Default: nothing.
	Stalled func()

	// Disk is called, outside all locks, before and after each piece of
	// durable work. A simulator makes it take virtual time. Default: nothing.
	Disk func(DiskOp)

	// WriteLimit is how long a synced write may take before Fatal is called;
	// a flush and an install may take six times as long, for they write tens
	// of megabytes. It is counted in ticks that this process has lived
	// through, so a stopped process is not taken for a hung disk. Default 5s.
	WriteLimit time.Duration

	// StallLimit is how long a store may hold back writes before Stalled is
	// called. Default 1s.
	StallLimit time.Duration

	// BacklogBytes is how much may be committed and not yet applied before
	// StoreLogs waits (see Group.SetBacklog). Default 8 MiB.
	BacklogBytes int64

	// BacklogWait is how long StoreLogs waits at most for the backlog to
	// shrink. It must be shorter than WriteLimit. Default 3s.
	BacklogWait time.Duration

	// RecentBytes bounds the recent entries kept in memory for each shard, and
	// RecentTotalBytes those of all shards; the oldest are dropped. Default
	// 4 MiB and 64 MiB.
	RecentBytes      int
	RecentTotalBytes int

	// CacheBytes is the size of the block cache that both stores share.
	// Default 64 MiB.
	CacheBytes int64

	// MemTableBytes is the size of a memtable of either store; up to four are
	// kept while the disk is behind, and then writes stall. Default 32 MiB.
	MemTableBytes int

	// Compactions bounds the compactions that both stores run at once. Each
	// store may always run one, whatever the other does. Default 2.
	Compactions int

	// Logger takes the stores' log. Default: nothing is logged.
	Logger *slog.Logger

	// stageTableBytes is how much of a received snapshot goes into one table,
	// before compression. Default 64 MiB; smaller in tests.
	stageTableBytes int

	faults faults // planted faults: set by tests only
}

// faults switch guards off, so that tests can show that they would notice.
type faults struct {
	noSync          bool // commit without sync
	noFlush         bool // a flush does nothing
	lazyIngest      bool // an install may be queued in memory
	noInstallFlush  bool // an install is not flushed
	staleInstall    bool // an older snapshot may be installed
	unclampedDelete bool // delete what raft asks for
}

func (o Options) withDefaults() Options {
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(fmt.Sprintf("raftlog: %v", err)) }
	}
	if o.Stalled == nil {
		o.Stalled = func() {}
	}
	if o.Disk == nil {
		o.Disk = func(DiskOp) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.WriteLimit, 5*time.Second)
	setDefault(&o.StallLimit, time.Second)
	setDefault(&o.BacklogBytes, 8<<20)
	setDefault(&o.BacklogWait, 3*time.Second)
	setDefault(&o.RecentBytes, 4<<20)
	setDefault(&o.RecentTotalBytes, 64<<20)
	setDefault(&o.CacheBytes, 64<<20)
	setDefault(&o.MemTableBytes, 32<<20)
	setDefault(&o.Compactions, 2)
	setDefault(&o.stageTableBytes, 64<<20)
	// Planted bugs: see package mutant.
	o.faults.noSync = o.faults.noSync || mutant.On(mutant.NoLogSync)
	o.faults.staleInstall = o.faults.staleInstall || mutant.On(mutant.AcceptOldSnapshot)
	o.faults.unclampedDelete = o.faults.unclampedDelete || mutant.On(mutant.TruncateBeforeFlush)
	return o
}

func setDefault[T ~int | ~int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// validate reports every field that is out of range, not only the first.
func (o Options) validate() error {
	var errs []error
	positive := func(name string, value int64) {
		if value <= 0 {
			errs = append(errs, fmt.Errorf("%s is %d, want more than 0", name, value))
		}
	}
	positive("WriteLimit", int64(o.WriteLimit))
	positive("StallLimit", int64(o.StallLimit))
	positive("BacklogBytes", o.BacklogBytes)
	positive("RecentBytes", int64(o.RecentBytes))
	positive("RecentTotalBytes", int64(o.RecentTotalBytes))
	positive("CacheBytes", o.CacheBytes)
	positive("MemTableBytes", int64(o.MemTableBytes))
	positive("Compactions", int64(o.Compactions))
	if o.BacklogWait >= o.WriteLimit {
		errs = append(errs, fmt.Errorf("BacklogWait is %v, want less than WriteLimit, %v", o.BacklogWait, o.WriteLimit))
	}
	return errors.Join(errs...)
}
