package leanmessage

import (
	"fmt"
	"runtime"
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

// queue queues a message that always fits: what clients can have outstanding is
// bounded otherwise. None is nothing.
func (s *socket) queue(frame []byte) {
	if frame == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queueLocked(transport.LeanMessage{Head: frame})
}

// push queues pushes, all or none. It returns false when there is no room: then
// the sessions catch up once the queue is written. A closed socket takes and
// drops everything.
func (s *socket) push(out []outgoing, always bool) bool {
	size := sizeOf(out)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !always && s.q.bytes > 0 && s.q.bytes+size > s.door.opts.MaxQueueBytes {
		s.q.late = true
		return false
	}
	for i := range out {
		if out[i].size() == 0 {
			continue // only something to wait for
		}
		s.queueLocked(transport.LeanMessage{Head: out[i].head, Body: out[i].body})
	}
	return true
}

func (s *socket) queueLocked(m transport.LeanMessage) {
	if s.q.closing {
		return
	}
	s.q.messages = append(s.q.messages, m)
	s.q.bytes += m.Len()
	s.q.unsent += m.Len()
	s.startLocked()
}

func (s *socket) startLocked() {
	if !s.q.writing {
		s.q.writing = true
		s.writers.Go(s.drain)
	}
}

// catchUpLater has the sessions catch up once the queue is written.
func (s *socket) catchUpLater() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.q.closing {
		s.q.late = true
		s.startLocked()
	}
}

// awaitRoom waits while too much is unsent: who does not take what he asked for
// is not listened to. It returns false when the socket is closing.
func (s *socket) awaitRoom() bool {
	for {
		s.mu.Lock()
		if s.q.closing || s.q.unsent <= s.door.opts.MaxQueueBytes {
			defer s.mu.Unlock()
			return !s.q.closing
		}
		if s.q.room == nil {
			s.q.room = make(chan struct{})
		}
		room := s.q.room
		s.mu.Unlock()
		<-room
	}
}

func (s *socket) wakeLocked() {
	if s.q.room != nil {
		close(s.q.room)
		s.q.room = nil
	}
}

// close ends the socket after what is queued has been written. Only the first
// call does anything.
func (s *socket) close(status int, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.q.closing {
		return
	}
	s.q.closing, s.q.status, s.q.reason = true, status, reason
	s.end()
	s.wakeLocked()
	s.startLocked()
}

// drain writes what is queued, in as few writes as it can, until there is
// nothing left. At most one runs.
func (s *socket) drain() {
	for {
		// Whoever else has something for this socket and is ready to run queues it
		// first: on a busy node more messages go in one write.
		runtime.Gosched()
		s.mu.Lock()
		batch, size, late := s.q.messages, s.q.bytes, s.q.late
		s.q.messages, s.q.spare = s.q.spare[:0], nil
		s.q.bytes = 0
		if len(batch) == 0 && !late {
			s.finishLocked() // unlocks
			return
		}
		if len(batch) == 0 {
			s.q.late = false
		}
		s.mu.Unlock()

		if len(batch) == 0 {
			for _, c := range s.sessions() {
				c.logs.CatchUp()
			}
			continue
		}
		s.writeBatch(batch, size)
	}
}

func (s *socket) writeBatch(batch []transport.LeanMessage, size int) {
	if err := s.write(batch); err != nil {
		s.close(statusSlow, "")
		_ = s.conn.Close(statusSlow, "too much waited to be read")
	}
	clear(batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.q.unsent -= size
	s.wakeLocked()
	if cap(batch) <= 64 { // a burst's slice is not kept for the idle time after it
		s.q.spare = batch[:0]
	}
}

// finishLocked ends drain: the connection is closed if the socket is.
func (s *socket) finishLocked() {
	closing, status, reason := s.q.closing, s.q.status, s.q.reason
	s.q.writing = closing // a closed socket starts no second one
	s.mu.Unlock()
	if closing {
		_ = s.conn.Close(status, reason)
	}
}

func (s *socket) write(batch []transport.LeanMessage) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.door.opts.WriteTimeout)); err != nil {
		return fmt.Errorf("bound the write: %w", err)
	}
	return s.conn.WriteMessages(batch)
}
