package raftlog

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("raftlog: closed")

// watchdog knows the work in flight: it finds what takes too long, and lets
// Close wait for the rest.
//
// It counts its own ticks and reads no clock: a process that was stopped for a
// minute has lived through none of it, and its writes are not late.
type watchdog struct {
	tick time.Duration // how often advance is called

	mu struct {
		sync.Mutex
		now    int
		tasks  []task // by slot
		free   []int  // slots without a task
		closed bool
		idle   chan struct{} // closed when closed and nothing is in flight
	}
}

// task is one piece of work in flight.
type task struct {
	op    DiskOp
	began int // tick
	limit int // ticks; 0: none
}

func newWatchdog(tick time.Duration) *watchdog {
	w := &watchdog{tick: tick}
	w.mu.idle = make(chan struct{})
	return w
}

// begin registers work that should take no longer than limit; 0 is no limit.
// The slot it returns is for end.
func (w *watchdog) begin(op DiskOp, limit time.Duration) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.closed {
		return 0, ErrClosed
	}
	if len(w.mu.free) == 0 {
		w.mu.free = append(w.mu.free, len(w.mu.tasks))
		w.mu.tasks = append(w.mu.tasks, task{})
	}
	slot := w.mu.free[len(w.mu.free)-1]
	w.mu.free = w.mu.free[:len(w.mu.free)-1]
	w.mu.tasks[slot] = task{op: op, began: w.mu.now, limit: w.ticks(limit)}
	return slot, nil
}

// end forgets the work.
func (w *watchdog) end(slot int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.tasks[slot] = task{}
	w.mu.free = append(w.mu.free, slot)
	w.releaseLocked()
}

// advance counts a tick and says what has been in flight for too long.
func (w *watchdog) advance() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.now++
	for _, t := range w.mu.tasks {
		if age := w.mu.now - t.began; t.limit > 0 && age > t.limit {
			return fmt.Errorf("%s: no end after %v: the disk hangs", t.op, time.Duration(age-1)*w.tick)
		}
	}
	return nil
}

// close refuses new work and returns a channel that is closed when there is
// none left.
func (w *watchdog) close() (idle <-chan struct{}, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first = !w.mu.closed
	w.mu.closed = true
	if first {
		w.releaseLocked()
	}
	return w.mu.idle, first
}

func (w *watchdog) releaseLocked() {
	if w.mu.closed && len(w.mu.free) == len(w.mu.tasks) {
		close(w.mu.idle)
	}
}

// ticks rounds a duration up; work that began within a tick is given the rest
// of it for nothing.
func (w *watchdog) ticks(d time.Duration) int {
	return int((d + w.tick - 1) / w.tick)
}
