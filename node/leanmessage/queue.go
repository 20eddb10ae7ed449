package leanmessage

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/quorate/quorate/transport"
)

// The statuses of a close that are not the dialect's own.
const (
	statusNormal = 1000
	statusSlow   = 1013 // too much waited to be read: come back later
)

// queue is what waits to be written.
type queue struct {
	messages []transport.LeanMessage
	spare    []transport.LeanMessage // the last batch's slice, to be used again
	bytes    int                     // of messages
	unsent   int                     // of messages, and of what is being written
	room     chan struct{}           // not nil: closed once less is unsent, or the socket closes
	writing  bool                    // drain runs
	late     bool                    // a push was refused since the sessions last caught up
	closing  bool                    // nothing is queued any more; drain closes the connection
	status   int
	reason   string
}

// writer writes what is queued for a socket. It has a goroutine only while there
// is something to write.
type writer struct {
	conn    Conn
	opts    *Options
	ended   func() // called when the socket closes
	catchUp func() // has the sessions catch up, once there is room
	paging  *paging
	writers sync.WaitGroup

	mu sync.Mutex
	q  queue // guarded by mu
}

// queue queues a message that always fits: what clients can have outstanding is
// bounded otherwise. None is nothing.
func (w *writer) queue(frame []byte) {
	if frame == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queueLocked(transport.LeanMessage{Head: frame})
}

// push queues pushes, all or none. It returns false when there is no room: then
// the sessions catch up once the queue is written. A closed socket takes and
// drops everything.
func (w *writer) push(out []outgoing, always bool) bool {
	size := sizeOf(out)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !always && w.q.bytes > 0 && w.q.bytes+size > w.opts.MaxQueueBytes {
		w.q.late = true
		return false
	}
	for i := range out {
		if out[i].size() == 0 {
			continue // only something to wait for
		}
		w.queueLocked(transport.LeanMessage{Head: out[i].head, Body: out[i].body})
	}
	return true
}

func (w *writer) queueLocked(m transport.LeanMessage) {
	if w.q.closing {
		return
	}
	w.q.messages = append(w.q.messages, m)
	w.q.bytes += m.Len()
	w.q.unsent += m.Len()
	w.paging.unsent.Add(int64(m.Len()))
	w.startLocked()
}

func (w *writer) startLocked() {
	if !w.q.writing {
		w.q.writing = true
		w.writers.Go(w.drain)
	}
}

// catchUpLater has the sessions catch up once the queue is written.
func (w *writer) catchUpLater() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.q.closing {
		w.q.late = true
		w.startLocked()
	}
}

// awaitRoom waits while too much is unsent: who does not take what he asked for
// is not listened to. It returns false when the socket is closing.
func (w *writer) awaitRoom() bool {
	for {
		w.mu.Lock()
		if w.q.closing || w.q.unsent <= w.opts.MaxQueueBytes {
			defer w.mu.Unlock()
			return !w.q.closing
		}
		if w.q.room == nil {
			w.q.room = make(chan struct{})
		}
		room := w.q.room
		w.mu.Unlock()
		<-room
	}
}

func (w *writer) wakeLocked() {
	if w.q.room != nil {
		close(w.q.room)
		w.q.room = nil
	}
}

// close ends the socket after what is queued has been written. Only the first
// call does anything.
func (w *writer) close(status int, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.q.closing {
		return
	}
	w.q.closing, w.q.status, w.q.reason = true, status, reason
	w.ended()
	w.wakeLocked()
	w.startLocked()
}

// drain writes what is queued, in as few writes as it can, until there is
// nothing left. At most one runs.
func (w *writer) drain() {
	for {
		// Whoever else has something for this socket and is ready to run queues it
		// first: on a busy node more messages go in one write.
		runtime.Gosched()
		w.mu.Lock()
		batch, size, late := w.q.messages, w.q.bytes, w.q.late
		w.q.messages, w.q.spare = w.q.spare[:0], nil
		w.q.bytes = 0
		if len(batch) == 0 && !late {
			w.finishLocked() // unlocks
			return
		}
		if len(batch) == 0 {
			w.q.late = false
		}
		w.mu.Unlock()

		if len(batch) == 0 {
			w.catchUp()
			continue
		}
		w.writeBatch(batch, size)
	}
}

func (w *writer) writeBatch(batch []transport.LeanMessage, size int) {
	if err := w.write(batch); err != nil {
		w.close(statusSlow, "")
		_ = w.conn.Close(statusSlow, "too much waited to be read")
	}
	clear(batch)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.q.unsent -= size
	w.paging.unsent.Add(-int64(size))
	w.wakeLocked()
	if cap(batch) <= 64 { // a burst's slice is not kept for the idle time after it
		w.q.spare = batch[:0]
	}
}

// finishLocked ends drain: the connection is closed if the socket is.
func (w *writer) finishLocked() {
	closing, status, reason := w.q.closing, w.q.status, w.q.reason
	w.q.writing = closing // a closed socket starts no second one
	w.mu.Unlock()
	if closing {
		_ = w.conn.Close(status, reason)
	}
}

func (w *writer) write(batch []transport.LeanMessage) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.opts.WriteTimeout)); err != nil {
		return fmt.Errorf("bound the write: %w", err)
	}
	return w.conn.WriteMessages(batch)
}
