package client

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// session is one signed-in connection's stay on a node. One goroutine reads
// and one writes; the link decides what.
type session struct {
	link    *link
	conn    transport.Conn
	server  Server
	welcome *pb.Welcome
	began   time.Time

	kick  chan struct{}      // wakes the writer; capacity 1, so that nobody waits to wake it
	moves chan time.Duration // the node asks to be left after this; capacity 1: the first one counts
	ended chan struct{}      // closed when the session is over
	once  sync.Once
	cause error // why it is over; set before ended is closed

	heard atomic.Int64 // when the last frame came, since began

	// Guarded by the link's lock.
	idle  bool     // the writer waits for a kick
	pongs []uint64 // pings to answer

	// The writer's own.
	out      outbox
	owed     bool      // answers are
	follows  bool      // pushes may come at any time
	wrote    time.Time // when something was last written
	busy     time.Time // when it was first owed an answer, after having been owed none
	pinged   time.Time // when the last ping was written
	deadline time.Time // of the conn's writes
}

func newSession(l *link, conn transport.Conn, server Server, welcome *pb.Welcome) *session {
	now := time.Now()
	return &session{
		link: l, conn: conn, server: server, welcome: welcome, began: now, wrote: now,
		kick: make(chan struct{}, 1), moves: make(chan time.Duration, 1), ended: make(chan struct{}),
	}
}

// limit is how many requests may be without an answer.
func (s *session) limit() int {
	if n := int(s.welcome.GetMaxInFlight()); n > 0 {
		return n
	}
	return window
}

// leave asks for the session to be moved to another node.
func (s *session) leave(after time.Duration) {
	select {
	case s.moves <- after:
	default: // it moves already
	}
}

// end ends the session, once. It may take as long as transport.CloseLinger.
func (s *session) end(code transport.CloseCode, cause error) {
	s.once.Do(func() {
		s.cause = cause
		s.link.lose(s)
		close(s.ended)
		// Closing tells the other side, which may be gone: it is the last thing,
		// and nothing waits for it but the client's own Close.
		_ = s.conn.Close(code, "")
	})
}

// errGone is why a session ends that brought nothing for too long.
var errGone = errors.New("the node does not answer")

// read takes frames until the connection ends.
func (s *session) read() {
	for {
		b, err := s.conn.ReadFrame()
		if err != nil {
			s.end(transport.CodeFor(err), fmt.Errorf("read from %s: %w", s.server, err))
			return
		}
		s.heard.Store(int64(time.Since(s.began)))
		if sent := decodeSent(b); sent != nil {
			s.link.answer(s, sent)
			continue
		}
		f, err := decodeFrame(b)
		if err != nil {
			s.end(transport.CloseProtocol, err)
			return
		}
		if closing := s.take(f); closing != nil {
			s.end(transport.CloseNormal, closing)
			return
		}
	}
}

// take acts on a frame, and returns why the node closes the session when it
// says so.
func (s *session) take(f *pb.ServerFrame) error {
	switch body := f.GetBody().(type) {
	case *pb.ServerFrame_Response:
		s.link.answer(s, body.Response)
	case *pb.ServerFrame_Events:
		s.link.mu.following.events(body.Events)
	case *pb.ServerFrame_Ping:
		s.link.pong(s, body.Ping.GetNonce())
	case *pb.ServerFrame_Goaway:
		s.leave(time.Duration(body.Goaway.GetWaitMillis()) * time.Millisecond)
	case *pb.ServerFrame_Closing:
		return errorOf(body.Closing)
	}
	return nil // a pong has been heard; what is newer than this client is ignored
}

// write sends what the link has for the session, and pings, until it is over.
func (s *session) write() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wake, err := s.flush()
		if err != nil {
			s.end(transport.CloseTimeout, fmt.Errorf("write to %s: %w", s.server, err))
			return
		}
		timer.Reset(time.Until(wake))
		select {
		case <-s.kick:
		case <-timer.C:
		case <-s.ended:
			return
		}
	}
}

// flush writes until nothing is left that may be written now, and returns when
// to look again without being kicked.
func (s *session) flush() (time.Time, error) {
	for {
		s.out.reset()
		now := time.Now()
		paused := s.link.take(s, now)
		if err := s.beat(now); err != nil {
			return time.Time{}, err
		}
		if len(s.out.ends) == 0 {
			wake := s.wake()
			if !paused.IsZero() {
				wake = earlier(wake, paused)
			}
			return wake, nil
		}
		if err := s.bound(now); err != nil {
			return time.Time{}, err
		}
		if err := s.conn.WriteFrames(s.out.all()); err != nil {
			return time.Time{}, err
		}
		s.wrote = now
	}
}

// bound moves the write deadline, not at each write, since it costs a lock or
// a system call.
func (s *session) bound(now time.Time) error {
	silence := s.link.opts.Silence
	if s.deadline.Sub(now) > silence {
		return nil
	}
	s.deadline = now.Add(2 * silence)
	return s.conn.SetWriteDeadline(s.deadline)
}

// beat pings when that is due, and notices that the last ping was not answered.
func (s *session) beat(now time.Time) error {
	switch {
	case !s.owed:
		s.busy = time.Time{}
	case s.busy.IsZero():
		s.busy = now
	}
	heard := s.lastHeard()
	if s.unanswered(heard) {
		if now.Sub(s.pinged) >= s.patience() {
			return errGone
		}
		return nil
	}
	if !now.Before(s.pingAt(heard)) {
		s.pinged = now
		s.out.beat(fieldFramePing, uint64(now.Sub(s.began)))
	}
	return nil
}

// wake is when beat has something to do next.
func (s *session) wake() time.Time {
	heard := s.lastHeard()
	if s.unanswered(heard) {
		return s.pinged.Add(s.patience())
	}
	return s.pingAt(heard)
}

// pingAt is when to ping: in time for the heartbeat; after some silence, if
// pushes may come; after little, while answers are owed.
func (s *session) pingAt(heard time.Time) time.Time {
	heartbeat := time.Duration(s.welcome.GetHeartbeatMillis()) * time.Millisecond
	if heartbeat == 0 {
		heartbeat = time.Minute
	}
	at := s.wrote.Add(heartbeat / 2)
	if s.follows {
		at = earlier(at, heard.Add(2*s.link.opts.Silence))
	}
	if s.busy.IsZero() {
		return at
	}
	since := s.busy
	if heard.After(since) {
		since = heard
	}
	return earlier(at, since.Add(s.link.opts.Silence/4))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (s *session) lastHeard() time.Time { return s.began.Add(time.Duration(s.heard.Load())) }

func (s *session) unanswered(heard time.Time) bool {
	return heard.Before(s.pinged) // an answer may come at the same time, where time is virtual
}

func (s *session) patience() time.Duration {
	return s.link.opts.Silence - s.link.opts.Silence/4
}

// node is the session's node.
func (s *session) node() wire.NodeID { return nodeOf(s.welcome) }
