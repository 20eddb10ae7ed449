package transport

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ending is how a connection over a socket ends without losing what was sent
// last: Close says why and shuts the sending half, then waits until the other
// side has answered in kind. To close a socket with unread bytes in it would
// make the kernel throw away what is under way in the other direction too.
//
// Who waits reads the socket: the reader, if it is in a read, else Close.
type ending struct {
	closed atomic.Bool                // Close was called
	over   atomic.Bool                // the socket has nothing more to read
	told   atomic.Pointer[CloseError] // what the other side closed with
	turn   turn                       // of who reads the socket
}

// turn is a lock that can be waited for with a timeout. It has a channel only
// while it is waited for: each connection has a turn, and few ever wait.
type turn struct {
	mu    sync.Mutex
	taken bool
	freed chan struct{} // closed when the turn is given back; nil: nobody waits
}

// try takes the turn if it is free.
func (t *turn) try() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		return false
	}
	t.taken = true
	return true
}

// wait takes the turn once it is free, and tells whether it was before one of
// the two channels said that it is too late.
func (t *turn) wait(late <-chan time.Time, gone <-chan struct{}) bool {
	for {
		t.mu.Lock()
		if !t.taken {
			t.taken = true
			t.mu.Unlock()
			return true
		}
		if t.freed == nil {
			t.freed = make(chan struct{})
		}
		freed := t.freed
		t.mu.Unlock()
		select {
		case <-freed:
		case <-gone:
			return false
		case <-late:
			return false
		}
	}
}

// give gives the turn back.
func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = false
	if t.freed != nil {
		close(t.freed)
		t.freed = nil
	}
}

// read reads the socket on behalf of the reader.
func (e *ending) read(p []byte, read func([]byte) (int, error)) (int, error) {
	if !e.turn.try() {
		return 0, ErrClosed // Close has the turn
	}
	defer e.turn.give()
	if e.closed.Load() {
		return 0, ErrClosed
	}
	n, err := read(p)
	if err != nil && !errors.Is(err, errBoundary) && !errors.Is(err, ErrMalformed) {
		e.over.Store(true)
	}
	return n, err
}

// drain reads the socket to its end, until the deadline that was set on it.
func (e *ending) drain(until time.Time, read func([]byte) (int, error)) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	if !e.turn.wait(timer.C, nil) || e.over.Load() {
		return
	}
	var scrap [512]byte
	for {
		if _, err := read(scrap[:]); err != nil && !errors.Is(err, errBoundary) {
			return
		}
	}
}

// explain turns what a socket said into what a Conn's caller is to know.
func (e *ending) explain(op string, err error) error {
	if err == nil {
		return nil
	}
	var timeout interface{ Timeout() bool } // what As takes escapes: after the usual way out
	told := e.told.Load()
	switch {
	case e.closed.Load():
		return ErrClosed
	case told != nil:
		return told
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrFrameTooLarge):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s a frame: %w", op, os.ErrDeadlineExceeded)
	default:
		return fmt.Errorf("%s a frame: %w", op, err)
	}
}
