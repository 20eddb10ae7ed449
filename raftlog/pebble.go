package raftlog

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleFormat is the version of Pebble's own files. It is named, not "the
// newest", because a store that has moved up can no longer be opened by an
// older program.
const pebbleFormat = pebble.FormatValueSeparation

// logOptions are those of the log store: short-lived rows that are read back
// from memory, so nothing is spent on compressing or filtering them.
func (s *Stores) logOptions(fs vfs.FS) *pebble.Options {
	o := s.commonOptions(fs, &s.logSide)
	// Entries are deleted in ranges once a snapshot covers them, and read from
	// memory until then. So tables wait in level 0 for their end: merging them
	// before would cost more writing than all else together.
	o.L0CompactionThreshold = 32
	o.L0StopWritesThreshold = 256
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = 16 << 20
		o.Levels[i].BlockSize = 64 << 10
	}
	o.LBaseMaxBytes = 512 << 20
	o.Experimental.ReadSamplingMultiplier = -1
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	o.EnsureDefaults()
	return o
}

// stateOptions are those of the state store. An ingest must not be queued in
// memory: without a write-ahead log that queue is lost in a crash, after the
// install was acknowledged.
func (s *Stores) stateOptions(fs vfs.FS) *pebble.Options {
	o := s.commonOptions(fs, &s.stateSide)
	o.DisableWAL = true
	lazy := s.opts.faults.lazyIngest
	o.Experimental.DisableIngestAsFlushable = func() bool { return !lazy }
	for i := range o.Levels {
		// A compaction reads and writes block by block: small ones are many calls
		// of the system.
		o.Levels[i].BlockSize = 16 << 10
		// Most lookups of request tokens find nothing.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.EnsureDefaults()
	return o
}

func (s *Stores) commonOptions(fs vfs.FS, side *side) *pebble.Options {
	upper := max(1, s.opts.Compactions)
	o := &pebble.Options{
		FS:                          fs,
		Cache:                       s.cache,
		FormatMajorVersion:          pebbleFormat,
		MemTableSize:                uint64(s.opts.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       64, // a burst costs reads, not writes
		CompactionConcurrencyRange:  func() (int, int) { return 1, upper },
		Logger:                      side,
		EventListener: &pebble.EventListener{
			BackgroundError: side.backgroundError,
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				side.backgroundError(fmt.Errorf("read %s: %w", info.Path, info.Details))
			},
			WriteStallBegin: func(pebble.WriteStallBeginInfo) { side.stall.begin() },
			WriteStallEnd:   func() { side.stall.end() },
		},
	}
	o.Experimental.CompactionScheduler = s.compactions.join()
	return o
}

// side is one store's connection with the rest: its logger and its events.
// Pebble calls it with its own locks held.
type side struct {
	name    string
	logger  *slog.Logger
	fate    *fate
	errs    chan<- error // taken by Stores.run, outside of Pebble's locks
	stall   stall
	watched atomic.Bool // Stores.run takes errs
	broken  atomic.Bool // Pebble has given up in the middle of something
}

// backgroundError hands an error to Stores.run. One is enough: the first ends
// everything.
func (s *side) backgroundError(err error) {
	select {
	case s.errs <- fmt.Errorf("%s store: %w", s.name, err):
	default:
	}
}

// Infof implements pebble.Logger.
func (s *side) Infof(format string, args ...any) {
	if ctx := context.Background(); s.logger.Enabled(ctx, slog.LevelDebug) {
		s.logger.DebugContext(ctx, "pebble says", "store", s.name, "text", fmt.Sprintf(format, args...))
	}
}

// Errorf implements pebble.Logger.
func (s *side) Errorf(format string, args ...any) {
	s.logger.Error("pebble reports an error", "store", s.name, "text", fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. Pebble relies on it not to return, and may
// hold its locks: so Stores.run is asked to call Options.Fatal, which ends the
// process. If it does not, or while the stores are being opened, a panic ends
// the work that cannot go on.
func (s *side) Fatalf(format string, args ...any) {
	s.broken.Store(true)
	err := &pebbleFatalError{text: s.name + " store: " + fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			err.cause = cause
		}
	}
	if s.watched.Load() {
		s.backgroundError(err)
		<-s.fate.told
	}
	panic(err)
}

// pebbleFatalError is what Fatalf panics with; durable work returns it.
type pebbleFatalError struct {
	text  string
	cause error
}

// Error implements error.
func (e *pebbleFatalError) Error() string { return e.text }

// Unwrap gives the error of the disk, if there is one.
func (e *pebbleFatalError) Unwrap() error { return e.cause }

// survive turns Pebble's own way of giving up into an error.
func survive(work func() error) (err error) {
	defer func() {
		p := recover()
		if fatal, ok := p.(*pebbleFatalError); ok {
			err = fatal
		} else if p != nil {
			panic(p)
		}
	}()
	return work()
}

// stall counts the ticks for which a store holds back writes.
type stall struct {
	current atomic.Uint64 // odd while writes are held back
	seen    uint64        // the rest belongs to Stores.run
	ticks   int
}

func (s *stall) begin() { s.current.Add(1) }
func (s *stall) end()   { s.current.Add(1) }

// advance counts a tick and reports whether the stall has just reached limit.
func (s *stall) advance(limit int) bool {
	current := s.current.Load()
	if current != s.seen || current%2 == 0 {
		s.seen, s.ticks = current, 0
		return false
	}
	s.ticks++
	return s.ticks == limit
}
