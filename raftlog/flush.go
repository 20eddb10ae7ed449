package raftlog

import (
	"maps"
	"slices"
	"sync"
)

// flusher lets those who want a flush at the same time share one.
type flusher struct {
	mu struct {
		sync.Mutex
		running bool
		next    *flight // what the next flush will serve
	}
}

// flight is one flush and those who wait for it.
type flight struct {
	lead chan struct{} // cap 1: whoever takes from it does the flush
	done chan struct{} // closed after it
	err  error
}

// Flush returns when a flush of the state store has ended that began after the
// call. Calls at the same time share one.
func (s *Stores) Flush() error {
	f, lead := s.flusher.join()
	if !lead {
		s.counters.flushesShared.Add(1)
		select {
		case <-f.done:
			return f.err
		case <-f.lead:
		}
	}
	s.flusher.begin()
	f.err = s.flush()
	close(f.done)
	s.flusher.finish()
	return f.err
}

// join returns the flush that is yet to begin, and whether the caller is to do
// it at once.
func (f *flusher) join() (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.next == nil {
		f.mu.next = &flight{lead: make(chan struct{}, 1), done: make(chan struct{})}
	}
	lead := !f.mu.running
	f.mu.running = true
	return f.mu.next, lead
}

// begin closes the flight: who comes from now on waits for the next.
func (f *flusher) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.next = nil
}

// finish hands over to one of those who wait for the next.
func (f *flusher) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.next == nil {
		f.mu.running = false
		return
	}
	f.mu.next.lead <- struct{}{}
}

// flush writes the state store's memtables to the disk, and lets the logs know
// how far each shard's state is safe now.
func (s *Stores) flush() error {
	if err := s.durably(OpFlush, slowFactor*s.opts.WriteLimit, s.flushState); err != nil {
		return err
	}
	s.counters.flushes.Add(1)
	for _, p := range s.allSnapshots() {
		if _, err := p.durable(); err != nil {
			return err
		}
	}
	return nil
}

// flushState gives up when the stores have failed: Pebble retries a failing
// flush for ever.
func (s *Stores) flushState() error {
	if s.opts.faults.noFlush {
		return nil
	}
	flushed, err := s.state.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
		return nil
	case <-s.fate.dead:
		return s.fate.err()
	}
}

func (s *Stores) allSnapshots() []*Snapshots {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.mu.snapshots))
}
