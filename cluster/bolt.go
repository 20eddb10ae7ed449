package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/quorate/quorate/raftlog"
)

// Stores are where a Meta keeps its raft log, its votes and its snapshots.
type Stores struct {
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
}

// BoltOptions tune the stores on disk. The zero value is ready to use.
type BoltOptions struct {
	// Fatal is called, once, when a write fails or hangs. It must end the
	// process: raft has no way on from either (a leader with a hung disk stays
	// leader for ever, and a failed write leaves it unsure of its own log).
	// Default: panic.
	Fatal func(error)

	// HungAfter is how long a write may take. Default 5s.
	HungAfter time.Duration

	// Logger takes warnings of the snapshot store. Default: nothing is logged.
	Logger *slog.Logger
}

func (o BoltOptions) withDefaults() BoltOptions {
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	if o.HungAfter == 0 {
		o.HungAfter = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Bolt is the meta group's raft log and stable state in one bolt file, which
// common tools can open, with the snapshots beside it:
//
//	dir/raft.db          log and votes
//	dir/snapshots/<id>/  meta.json and state.bin, the record as JSON
type Bolt struct {
	store     *raftboltdb.BoltStore
	snapshots raft.SnapshotStore
	stable    raft.StableStore
	dog       *watchdog
}

// OpenBolt opens or makes the meta group's stores in a directory, which it
// makes readable by its owner only: the record holds the apps' keys. Close
// them after the Meta.
func OpenBolt(dir string, opts BoltOptions) (*Bolt, error) {
	opts = opts.withDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the meta group's directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("close the meta group's directory to others: %w", err)
	}
	snaps, err := openSnapshots(dir, opts.Logger)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "raft.db")
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			Timeout:        lockTimeout,
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open the meta group's log %s: %w", path, err)
	}
	if err := syncDir(dir); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	b := &Bolt{store: store, snapshots: snaps, dog: &watchdog{limit: opts.HungAfter, fatal: opts.Fatal}}
	// Raft writes a vote as two values; the guard makes it one write.
	b.stable = raftlog.GuardVotes(watchedStable{StableStore: store, dog: b.dog})
	return b, nil
}

// lockTimeout is how long OpenBolt waits for another process to let go of the
// file, such as one that is just being stopped.
const lockTimeout = 2 * time.Second

// Stores returns what Open takes.
func (b *Bolt) Stores() Stores {
	return Stores{Log: watchedLog{LogStore: b.store, dog: b.dog}, Stable: b.stable, Snapshots: b.snapshots}
}

// Close closes the file.
func (b *Bolt) Close() error { return b.store.Close() }

// watchedLog is a log store whose writes are watched.
type watchedLog struct {
	raft.LogStore
	dog *watchdog
}

func (l watchedLog) StoreLog(log *raft.Log) error {
	return l.dog.watch("append to", func() error { return l.LogStore.StoreLog(log) })
}

func (l watchedLog) StoreLogs(logs []*raft.Log) error {
	return l.dog.watch("append to", func() error { return l.LogStore.StoreLogs(logs) })
}

func (l watchedLog) DeleteRange(first, last uint64) error {
	return l.dog.watch("cut", func() error { return l.LogStore.DeleteRange(first, last) })
}

// watchedStable is a stable store whose writes are watched.
type watchedStable struct {
	raft.StableStore
	dog *watchdog
}

func (s watchedStable) Set(key, value []byte) error {
	return s.dog.watch("write a vote beside", func() error { return s.StableStore.Set(key, value) })
}

func (s watchedStable) SetUint64(key []byte, value uint64) error {
	return s.dog.watch("write a term beside", func() error { return s.StableStore.SetUint64(key, value) })
}

// watchdog ends the process when a write fails or takes too long.
type watchdog struct {
	limit time.Duration
	fatal func(error)
	once  sync.Once
}

func (w *watchdog) watch(doing string, write func() error) error {
	timer := time.AfterFunc(w.limit, func() {
		w.bite(fmt.Errorf("%s the meta group's log: the disk has not answered for %s", doing, w.limit))
	})
	defer timer.Stop()
	if err := write(); err != nil {
		w.bite(fmt.Errorf("%s the meta group's log: %w", doing, err))
		return err
	}
	return nil
}

func (w *watchdog) bite(err error) { w.once.Do(func() { w.fatal(err) }) }
