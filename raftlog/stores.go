package raftlog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrFormat is the cause when the stores were written by a newer program.
var ErrFormat = errors.New("raftlog: unknown format version")

// ErrLogMissing is the cause when there is a state but no log: votes and
// entries are gone, and going on would break promises made with them.
var ErrLogMissing = errors.New("raftlog: the state store is there, the log store is not")

// slowFactor is how many times WriteLimit a flush or an install may take.
const slowFactor = 6

// Stores are a node's log store and state store.
type Stores struct {
	opts  Options
	fs    vfs.FS
	stage string // the directory of snapshots on their way in

	log, state         *pebble.DB
	stateOpts          *pebble.Options
	logSide, stateSide side
	cache              *pebble.Cache
	compactions        *compactions

	fate     *fate
	watch    *watchdog
	flusher  flusher
	counters counters
	errs     chan error    // cap 1: from Pebble's own goroutines, which hold its locks
	closing  chan struct{} // closed when Close begins
	closed   chan struct{} // closed when the stores are closed
	running  sync.WaitGroup

	mu struct {
		sync.Mutex
		groups    map[uint32]*Group
		snapshots map[uint32]*Snapshots
	}
	recent atomic.Int64 // how many bytes of recent entries a shard may keep now
}

// Open opens the stores in dir/log and dir/state, and makes them if there are
// none; a dir that it makes survives a power cut, one that is there already must
// be synced by whoever made it. Snapshots that were on their way in when the
// process ended are deleted.
func Open(dir string, fs vfs.FS, opts Options) (*Stores, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("open stores in %s: %w", dir, err)
	}
	tick := min(opts.WriteLimit/20, opts.StallLimit/4)
	s := &Stores{
		opts:        opts,
		fs:          fs,
		stage:       fs.PathJoin(dir, "stage"),
		cache:       pebble.NewCache(opts.CacheBytes),
		compactions: newCompactions(opts.Compactions),
		fate:        newFate(opts.Fatal),
		watch:       newWatchdog(max(tick, time.Millisecond)),
		errs:        make(chan error, 1),
		closing:     make(chan struct{}),
		closed:      make(chan struct{}),
	}
	s.mu.groups, s.mu.snapshots = map[uint32]*Group{}, map[uint32]*Snapshots{}
	s.recent.Store(int64(opts.RecentBytes))
	s.logSide.init("log", s)
	s.stateSide.init("state", s)
	if err := survive(func() error { return s.open(dir) }); err != nil {
		s.cache.Unref()
		return nil, fmt.Errorf("open stores in %s: %w", dir, err)
	}
	s.logSide.watched.Store(true)
	s.stateSide.watched.Store(true)
	s.running.Go(s.run)
	return s, nil
}

func (s *side) init(name string, stores *Stores) {
	s.name, s.logger, s.fate, s.errs = name, stores.opts.Logger, stores.fate, stores.errs
}

func (s *Stores) open(dir string) (err error) {
	logDir, stateDir := s.fs.PathJoin(dir, "log"), s.fs.PathJoin(dir, "state")
	// Pebble makes dir, and syncs the directories above what it makes, so it
	// must come before anything of ours.
	s.log, err = pebble.Open(logDir, s.logOptions(s.fs))
	if err != nil {
		return fmt.Errorf("open log store: %w", err)
	}
	if err := s.checkFormat(stateDir); err != nil {
		return errors.Join(err, s.log.Close())
	}
	s.stateOpts = s.stateOptions(s.fs)
	s.state, err = pebble.Open(stateDir, s.stateOpts)
	if err != nil {
		return errors.Join(fmt.Errorf("open state store: %w", err), s.log.Close())
	}
	if err := s.clearStage(); err != nil {
		return errors.Join(err, s.state.Close(), s.log.Close())
	}
	return nil
}

// checkFormat reads the version of the stores, or writes it if they are new.
func (s *Stores) checkFormat(stateDir string) error {
	value, closer, err := s.log.Get(formatKey())
	switch {
	case err == nil:
		defer func() { _ = closer.Close() }()
		if len(value) != 1 || value[0] != formatVersion {
			return fmt.Errorf("%w: % x, want %d", ErrFormat, value, formatVersion)
		}
		return nil
	case !errors.Is(err, pebble.ErrNotFound):
		return fmt.Errorf("read format version: %w", err)
	}
	if names, err := s.fs.List(stateDir); err == nil && len(names) > 0 {
		return ErrLogMissing
	}
	return s.log.Set(formatKey(), []byte{formatVersion}, pebble.Sync)
}

// clearStage makes the stage directory and deletes what an earlier process has
// left there.
func (s *Stores) clearStage() error {
	if err := s.fs.MkdirAll(s.stage, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", s.stage, err)
	}
	names, err := s.fs.List(s.stage)
	if err != nil {
		return fmt.Errorf("list %s: %w", s.stage, err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, stagePrefix) {
			continue
		}
		if err := s.fs.Remove(s.fs.PathJoin(s.stage, name)); err != nil {
			return fmt.Errorf("delete old snapshot: %w", err)
		}
	}
	return nil
}

// State is the state store. It has no write-ahead log: a batch is committed
// with pebble.NoSync, and is on the disk after [Stores.Flush] or whenever
// Pebble has flushed it, always in the order of the commits. Whoever uses it
// stops before Close.
func (s *Stores) State() *pebble.DB { return s.state }

// Group returns a shard's raft log and stable state; there is one for each
// shard.
func (s *Stores) Group(shard uint32) (*Group, error) {
	s.mu.Lock()
	g := s.mu.groups[shard]
	s.mu.Unlock()
	if g != nil {
		return g, nil
	}
	opened, err := openGroup(s, shard)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	g = s.mu.groups[shard]
	if g == nil {
		g, s.mu.groups[shard] = opened, opened
	}
	s.recent.Store(int64(min(s.opts.RecentBytes, s.opts.RecentTotalBytes/len(s.mu.groups))))
	s.mu.Unlock()
	for _, g := range s.allGroups() {
		g.trimRecent(s.recentLimit())
	}
	return g, nil
}

func (s *Stores) allGroups() []*Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.mu.groups))
}

// recentLimit is how many bytes of recent entries a shard may keep.
func (s *Stores) recentLimit() int { return int(s.recent.Load()) }

// Err returns the error that was given to Options.Fatal, or nil.
func (s *Stores) Err() error { return s.fate.err() }

// Close waits for the work in flight, flushes the state and closes both stores.
// The rafts, the states and the snapshot readers must be closed before.
func (s *Stores) Close() error {
	idle, first := s.watch.close()
	if !first {
		return ErrClosed
	}
	close(s.closing)
	<-idle
	defer s.running.Wait()
	defer close(s.closed)
	if s.logSide.broken.Load() || s.stateSide.broken.Load() {
		return s.fate.err() // Pebble has given up with its locks held
	}
	err := errors.Join(survive(s.flushBeforeClose), s.state.Close(), s.log.Close())
	s.cache.Unref()
	return err
}

// flushBeforeClose leaves raft less to replay at the next start.
func (s *Stores) flushBeforeClose() error {
	select {
	case <-s.fate.dead:
		return nil
	default:
		return s.flushState()
	}
}

// run looks after the stores: what takes too long, what Pebble reports, and
// stalls.
func (s *Stores) run() {
	ticker := time.NewTicker(s.watch.tick)
	defer ticker.Stop()
	limit := s.watch.ticks(s.opts.StallLimit)
	for {
		select {
		case <-s.closed:
			return
		case err := <-s.errs:
			_ = s.fate.fail(err)
		case <-ticker.C:
			if err := s.watch.advance(); err != nil {
				_ = s.fate.fail(err)
			}
			logStalled, stateStalled := s.logSide.stall.advance(limit), s.stateSide.stall.advance(limit)
			if logStalled || stateStalled {
				s.counters.stalls.Add(1)
				s.opts.Logger.Warn("writes are held back", "log", logStalled, "state", stateStalled)
				s.opts.Stalled()
			}
		}
	}
}

// commit writes a batch to the log store; it is on the disk when it returns.
func (s *Stores) commit(op DiskOp, b *pebble.Batch) error {
	write := pebble.Sync
	if s.opts.faults.noSync {
		write = pebble.NoSync
	}
	return s.durably(op, s.opts.WriteLimit, func() error { return b.Commit(write) })
}

// durably does durable work: watched, counted, and with any error the end.
func (s *Stores) durably(op DiskOp, limit time.Duration, work func() error) error {
	if err := s.fate.err(); err != nil {
		return err
	}
	slot, err := s.watch.begin(op, limit)
	if err != nil {
		return err
	}
	defer s.watch.end(slot)
	s.opts.Disk(op)
	if err := survive(work); err != nil {
		return s.fate.fail(fmt.Errorf("%s: %w", op, err))
	}
	s.opts.Disk(op)
	return s.fate.err() // what came after the watchdog's verdict came too late
}

// read does work that Close must wait for. An error of the disk is the end; the
// sentinels that only say "not there" are not.
func (s *Stores) read(work func() error) error {
	if err := s.fate.err(); err != nil {
		return err
	}
	slot, err := s.watch.begin(opRead, s.opts.WriteLimit)
	if err != nil {
		return err
	}
	defer s.watch.end(slot)
	err = work()
	if err != nil && !isAnswer(err) {
		return s.fate.fail(err)
	}
	return err
}
