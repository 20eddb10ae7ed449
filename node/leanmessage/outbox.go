package leanmessage

import (
	"slices"
	"sync"
)

// outbox keeps replies and pushes of a session in order: what a request has
// caused is not pushed before the request is answered, and what comes after a
// push that waits waits too. Its zero value is empty.
type outbox struct {
	mu    sync.Mutex
	last  uint64              // request
	open  map[uint64]struct{} // requests without an answer
	held  []outgoing          // pushes that wait, and those after them
	bytes int                 // of held
	late  bool                // a push was refused because of them
	ended bool                // nothing is pushed any more
}

// begin numbers a request. With barrier nothing at all is pushed before it is
// answered.
func (o *outbox) begin(barrier bool) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	if o.open == nil {
		o.open = map[uint64]struct{}{}
	}
	o.open[o.last] = struct{}{}
	if barrier {
		o.held = append(o.held, outgoing{cause: o.last})
	}
	return o.last
}

// isOpen tells whether a request has no answer yet.
func (o *outbox) isOpen(number uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, open := o.open[number]
	return open
}

// answer queues the reply to a request, and then the pushes that waited for it.
func (o *outbox) answer(s *socket, number uint64, frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.queue(frame)
	delete(o.open, number)
	o.releaseLocked(s)
}

// send queues pushes, all or none. See client.send.
func (o *outbox) send(s *socket, out []outgoing, always bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return true
	}
	if len(o.held) == 0 && !slices.ContainsFunc(out, o.waitsLocked) {
		return s.push(out, always)
	}
	size := sizeOf(out)
	if !always && o.bytes > 0 && o.bytes+size > s.door.opts.MaxQueueBytes {
		o.late = true
		return false
	}
	o.held = append(o.held, out...)
	o.bytes += size
	o.releaseLocked(s)
	return true
}

// sendLast queues everything that waits, and then a push after which there are
// none.
func (o *outbox) sendLast(s *socket, last outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	s.push(append(o.held, last), true)
	o.held, o.bytes, o.ended = nil, 0, true
}

// close has nothing pushed any more.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held, o.bytes, o.ended = nil, 0, true
}

func (o *outbox) isClosed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended
}

func (o *outbox) waitsLocked(p outgoing) bool {
	_, waits := o.open[p.cause]
	return waits
}

// releaseLocked queues what does not have to wait any more.
func (o *outbox) releaseLocked(s *socket) {
	n := 0
	for n < len(o.held) && !o.waitsLocked(o.held[n]) {
		n++
	}
	if n == 0 {
		return
	}
	o.bytes -= sizeOf(o.held[:n])
	s.push(o.held[:n], true)
	if n < len(o.held) {
		o.held = slices.Clone(o.held[n:]) // what was sent is not kept
		return
	}
	o.held = nil
	if o.late {
		o.late = false
		s.catchUpLater()
	}
}

func sizeOf(out []outgoing) (n int) {
	for i := range out {
		n += out[i].size()
	}
	return n
}
