package raftlog

import (
	"fmt"
	"sync/atomic"
)

// fate remembers the first error that makes it unsafe to go on, and tells it
// once. A late write may land after its index was used again, so there is no
// way back from it but a new process.
//
// Whoever asks later waits until that was told: raft panics when its stores
// refuse, and would take the process down before the reason is written.
type fate struct {
	fatal func(error)
	first atomic.Pointer[error]
	dead  chan struct{} // closed with the first error
	told  chan struct{} // closed when fatal has returned, which it should not
}

func newFate(fatal func(error)) *fate {
	return &fate{fatal: fatal, dead: make(chan struct{}), told: make(chan struct{})}
}

// fail settles the fate and returns what every caller should return.
func (f *fate) fail(err error) error {
	if f.first.CompareAndSwap(nil, &err) {
		close(f.dead)
		f.fatal(err)
		close(f.told)
	}
	return f.err()
}

// err returns nil while it is safe to go on. Otherwise it returns once fatal has,
// which is never when that ends the process.
func (f *fate) err() error {
	first := f.first.Load()
	if first == nil {
		return nil
	}
	<-f.told
	return fmt.Errorf("raftlog: the store has stopped: %w", *first)
}
