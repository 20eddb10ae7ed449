package shard

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// ScrubResult is what one replica found when it read a slot's rows back from
// disk. Replicas that scrubbed at the same index have the same hash.
type ScrubResult struct {
	ID    uint64
	Slots wire.SlotRange
	Index uint64 // of the Scrub command: the rows are as they were right after it
	Hash  uint64
	Err   error // nil, or why there is no hash; a corruption found by the store, for example
}

// ErrScrubSkipped is the result of a scrub that was not done because too many
// waited, or because the replica was closed.
var ErrScrubSkipped = errors.New("shard: scrub was not done")

// ScrubOptions tune a Scrubber. The zero value is ready to use.
type ScrubOptions struct {
	// BytesPerSecond is how fast rows are read, so that a scrub does not take the
	// disk from those who wait for it. Default 8 MB.
	BytesPerSecond int

	// Waiting is how many scrubs may wait; each pins files of the store. Beyond
	// it the newest is skipped. Default 256.
	Waiting int

	// Kept is how many results are remembered, the newest ones. Default 4096.
	Kept int

	// Logger takes the scrubber's log. Default: nothing is logged.
	Logger *slog.Logger
}

// Scrubber hashes slots in the background when the log says so. It is made
// before the state, whose Options.ScrubAt is its Start, and closed before the
// state's store.
type Scrubber struct {
	opts    ScrubOptions
	ctx     context.Context //nolint:containedctx // the scrubber's own lifetime, ended by Close
	cancel  context.CancelFunc
	wake    chan struct{} // cap 1
	stopped chan struct{}
	read    atomic.Uint64
	mu      struct {
		sync.Mutex
		closed  bool
		waiting []scrubJob
		results []ScrubResult
	}
}

// scrubJob is one scrub: rows to hash, and what to report it as.
type scrubJob struct {
	result ScrubResult
	rows   scrubRows
}

// scrubRows is what *state.Scrub offers.
type scrubRows interface {
	Hash(pace func(bytes int) bool) (hash uint64, ok bool, err error)
	Close() error
}

// OpenScrubber starts a scrubber.
func OpenScrubber(opts ScrubOptions) *Scrubber {
	opts.BytesPerSecond = cmp.Or(opts.BytesPerSecond, 8_000_000)
	opts.Waiting = cmp.Or(opts.Waiting, 256)
	opts.Kept = cmp.Or(opts.Kept, 4096)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Scrubber{opts: opts, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

// Close stops the scrubber. Scrubs that wait are skipped.
func (s *Scrubber) Close() {
	s.cancel()
	<-s.stopped
}

// Start takes a scrub. It does not wait.
func (s *Scrubber) Start(scrub *state.Scrub) {
	s.add(scrubJob{ScrubResult{ID: scrub.ID, Slots: scrub.Slots, Index: scrub.Index}, scrub})
}

func (s *Scrubber) add(job scrubJob) {
	s.mu.Lock()
	refused := s.mu.closed || len(s.mu.waiting) >= s.opts.Waiting
	if !refused {
		s.mu.waiting = append(s.mu.waiting, job)
	}
	s.mu.Unlock()
	if refused {
		s.finish(job, ErrScrubSkipped)
		return
	}
	signal(s.wake)
}

// Results returns the newest results, in the order they were found.
func (s *Scrubber) Results() []ScrubResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mu.results)
}

func (s *Scrubber) run() {
	defer close(s.stopped)
	for {
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			for _, job := range s.take(true) {
				s.finish(job, ErrScrubSkipped)
			}
			return
		}
		for _, job := range s.take(false) {
			s.scrub(job)
		}
	}
}

func (s *Scrubber) take(closing bool) []scrubJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = s.mu.closed || closing
	waiting := s.mu.waiting
	s.mu.waiting = nil
	return waiting
}

func (s *Scrubber) scrub(job scrubJob) {
	hash, ok, err := job.rows.Hash(s.pacer())
	if err == nil && !ok {
		err = ErrScrubSkipped
	}
	job.result.Hash = hash
	s.finish(job, err)
}

// finish lets go of the rows and keeps the result.
func (s *Scrubber) finish(job scrubJob, err error) {
	job.result.Err = errors.Join(err, job.rows.Close())
	if job.result.Err != nil && !errors.Is(job.result.Err, ErrScrubSkipped) {
		s.opts.Logger.Error("scrub found damage", "slots", job.result.Slots, "index", job.result.Index, "error", job.result.Err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.results = append(s.mu.results, job.result)
	if extra := len(s.mu.results) - s.opts.Kept; extra > 0 {
		s.mu.results = slices.Delete(s.mu.results, 0, extra)
	}
}

// Read returns how many bytes were read so far: a scrub of much takes its time,
// and this says that it goes on.
func (s *Scrubber) Read() uint64 { return s.read.Load() }

// paceEvery is how many bytes are read at full speed between two pauses.
const paceEvery = 256 << 10

// pacer returns a function that is told what was read, waits when that is too
// fast, and returns false once the scrubber is closed.
func (s *Scrubber) pacer() func(bytes int) bool {
	read := 0
	return func(bytes int) bool {
		s.read.Add(uint64(bytes))
		if read += bytes; read < paceEvery {
			return s.ctx.Err() == nil
		}
		pause := time.Duration(read) * time.Second / time.Duration(s.opts.BytesPerSecond)
		read = 0
		select {
		case <-time.After(pause):
			return true
		case <-s.ctx.Done():
			return false
		}
	}
}
