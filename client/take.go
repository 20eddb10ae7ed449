package client

import (
	"time"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire/pb"
)

// maxPongs bounds the pings that wait to be answered; more are ignored.
const maxPongs = 16

// take moves what may be written now into the session's outbox, and tells the
// writer what it waits for. It returns when the next pause is over.
func (l *link) take(s *session, now time.Time) (paused time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.idle {
		select {
		case <-s.kick: // what it says is seen now
		default:
		}
	}
	s.idle = false
	if l.mu.session != s {
		return time.Time{}
	}
	l.resumeLocked(now)
	for _, nonce := range s.pongs {
		s.out.beat(fieldFramePong, nonce)
	}
	s.pongs = s.pongs[:0]
	l.mu.following.takeLocked(s, now)
	l.takeCallsLocked(s, now)
	if len(s.out.ends) == 0 {
		s.idle = true
	}
	if len(l.mu.paused) > 0 {
		paused = l.mu.paused[0].due
	}
	s.owed, s.follows = len(l.mu.flight) > 0, len(l.mu.following.subs) > 0
	return paused
}

func (l *link) takeCallsLocked(s *session, now time.Time) {
	for !s.out.full() && len(l.mu.flight) < s.limit() {
		c := l.mu.queue.pop()
		if c == nil {
			return
		}
		if c.lane != nil && c.lane.holding && c.lane.probe != c {
			c.lane.held = append(c.lane.held, c)
			continue
		}
		l.launchLocked(s, c, now)
	}
}

// launchLocked puts a call in flight and its frame into the outbox. Each time a
// call is written its request has a new id, so an answer is never taken for
// another's.
func (l *link) launchLocked(s *session, c *call, now time.Time) {
	l.mu.nextID++
	c.id = l.mu.nextID
	l.mu.flight[c.id] = c
	if c.lane != nil {
		c.lane.flight++
	}
	if mutant.On(mutant.FreshRetry) && c.lane != nil && !c.first.IsZero() { // a planted bug, see package mutant
		c.lane.settle(c.n)
		c.n = c.lane.number()
	}
	s.out.request(c, now)
	c.written = now
	if c.first.IsZero() {
		c.first = now
	}
}

// bound queues a request that belongs to the present session and is forgotten
// with it. It has no number and goes before all others.
func (l *link) boundLocked(payload []byte, done func(*pb.Response, error)) {
	l.mu.queue.pushFront([]*call{{payload: payload, bound: true, done: done}})
	l.kickLocked()
}

// pong queues the answer to a node's ping.
func (l *link) pong(s *session, nonce uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(s.pongs) < maxPongs {
		s.pongs = append(s.pongs, nonce)
	}
	l.kickLocked()
}
