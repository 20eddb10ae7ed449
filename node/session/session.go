package session

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// Version is the version of the native protocol that this node speaks.
const Version = 1

// Options tune sessions. The zero value is ready to use.
type Options struct {
	// HelloTimeout is how long a connection may take to sign in. Default 10s.
	HelloTimeout time.Duration
	// Heartbeat is how often a client must send something; after three of them
	// without a byte the session ends. Default 30s.
	Heartbeat time.Duration
	// WriteTimeout is how long one write may wait for a client that does not
	// read; beyond it the session ends with "slow". Default 10s.
	WriteTimeout time.Duration
	// MaxInFlight is how many requests may be without an answer. One more is
	// refused with "limit". Default 64.
	MaxInFlight int
	// MaxQueueBytes bounds the pushes that wait to be written. One that does
	// not fit is dropped, and the client is told that it is behind. Default
	// 256 KiB. While more than that is unsent, answers included, nothing more is
	// read from the client.
	MaxQueueBytes int
	// Renew is how long, at least, Serve goes on in one goroutine after work that
	// makes its stack grow; then it returns ErrRenew. Default 0: for ever.
	Renew time.Duration
}

// WithDefaults fills what is zero.
func (o Options) WithDefaults() Options {
	if o.HelloTimeout == 0 {
		o.HelloTimeout = 10 * time.Second
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 30 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 64
	}
	if o.MaxQueueBytes == 0 {
		o.MaxQueueBytes = 256 << 10
	}
	return o
}

// ErrRenew is returned by Serve when it is to be called once more, in a fresh
// goroutine: a stack that has grown does not shrink while its goroutine waits in
// a read, and most sessions only wait.
var ErrRenew = errors.New("session: go on in a fresh goroutine")

// Grant is what a sign-in gave.
type Grant struct {
	Identity auth.Identity
	Welcome  *pb.Welcome // the session fills in its limits
}

// Backend is what sessions need of their node. Nothing in it may block but
// SignIn.
type Backend interface {
	// SignIn checks who the client is. The error is a *wire.Error.
	SignIn(ctx context.Context, hello *pb.Hello) (Grant, error)
	// Started is called once, after the welcome is queued and before the first
	// request.
	Started(s *Session)
	// Do starts a request. It calls s.Answer exactly once, now or later, from
	// any goroutine. The request belongs to it.
	Do(s *Session, req *pb.Request)
	// Ended is called once for every session that was started. Clean tells
	// that the client signed out.
	Ended(s *Session, clean bool)
}

// Session is one authenticated device's stay on a node.
type Session struct {
	ID       uint64
	Name     string // names the session in the cluster
	Identity auth.Identity
	Instance [16]byte // the space of the client's tokens
	Tag      string   // the tag it took when it signed in; empty: none
	Logs     tail.Set // what it follows
	HasWill  bool     // it left a will

	inRoom  atomic.Bool
	pages   chan struct{} // one for each page that is made or not written yet; nil before the first
	started bool          // it is signed in; the reading goroutine's own
	grown   bool          // it has done work that makes a stack grow; the reading goroutine's own
	onEnd   func()
	conn    transport.ClientConn
	backend Backend
	opts    *Options
	writers sync.WaitGroup // the goroutine of drain, if there is one

	// The reading goroutine's own.
	fresh  time.Time // when the goroutine began
	unbind func() bool

	mu sync.Mutex
	q  queue // guarded by mu
}

// queue is what waits to be written.
type queue struct {
	frames   [][]byte
	spare    [][]byte      // the last batch's slice, to be used again
	bytes    int           // of frames
	unsent   int           // bytes of frames, and of what is being written
	room     chan struct{} // not nil: closed once less is unsent, or the session closes
	inFlight int
	writing  bool // drain runs
	late     bool // a push was refused since the last CatchUp
	closing  bool // nothing is queued any more; drain closes the connection
	clean    bool // the client signed out
	code     transport.CloseCode
	reason   string
}

// New makes the session of a connection. Serve runs it.
func New(id uint64, conn transport.ClientConn, backend Backend, opts *Options) *Session {
	return &Session{ID: id, conn: conn, backend: backend, opts: opts}
}

// OnEnd has a function called when the session has ended. It is for
// Backend.Started, and for one function.
func (s *Session) OnEnd(f func()) { s.onEnd = f }

// Open tells whether the session has not been closed.
func (s *Session) Open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.q.closing
}

// SetInRoom notes that the session is in a chat room, or not any more.
func (s *Session) SetInRoom(in bool) { s.inRoom.Store(in) }

// InRoom tells whether the session is in a chat room.
func (s *Session) InRoom() bool { return s.inRoom.Load() }

// Serve signs the client in and serves it until the connection ends, the
// session is closed or ctx is done. It closes the connection, unless it returns
// ErrRenew.
func (s *Session) Serve(ctx context.Context) error {
	if !s.started {
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	err := s.read()
	if errors.Is(err, ErrRenew) {
		return err
	}
	s.Close(transport.CodeFor(err), err)
	s.writers.Wait()
	s.unbind()
	s.mu.Lock()
	clean := s.q.clean
	s.mu.Unlock()
	s.Logs.Close()
	if s.onEnd != nil {
		s.onEnd()
	}
	s.backend.Ended(s, clean)
	return err
}

// start signs the client in.
func (s *Session) start(ctx context.Context) error {
	s.unbind = func() bool { return true }
	if ctx.Done() != nil {
		s.unbind = context.AfterFunc(ctx, func() { s.Close(transport.CloseGoingAway, nil) })
	}
	if err := s.signIn(ctx); err != nil {
		s.Close(closeCodeOf(err), err)
		s.writers.Wait()
		s.unbind()
		return err
	}
	s.started, s.grown = true, true
	s.backend.Started(s)
	return nil
}

func (s *Session) signIn(ctx context.Context) error {
	deadline := time.Now().Add(s.opts.HelloTimeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()

	s.conn.SetReadLimit(wire.MaxHelloBytes)
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("bound the sign-in: %w", err)
	}
	frame, err := s.conn.ReadFrame()
	if err != nil {
		return fmt.Errorf("read hello: %w", err)
	}
	hello, err := decodeHello(frame)
	if err != nil {
		return err
	}
	grant, err := s.backend.SignIn(ctx, hello)
	if err != nil {
		return err
	}
	s.Identity, s.Name = grant.Identity, grant.Welcome.GetSession()
	s.Tag, s.HasWill = hello.GetTag(), hello.GetWill() != nil
	copy(s.Instance[:], hello.GetInstance())
	w := grant.Welcome
	w.MaxInFlight = uint32(s.opts.MaxInFlight)
	w.MaxFrameBytes = wire.MaxFrameBytes
	w.HeartbeatMillis = uint32(s.opts.Heartbeat.Milliseconds())
	s.conn.SignedIn()
	s.queue(encode(&pb.ServerFrame{Body: &pb.ServerFrame_Welcome{Welcome: w}}))
	return nil
}

func decodeHello(frame []byte) (*pb.Hello, error) {
	f := &pb.ClientFrame{}
	if err := proto.Unmarshal(frame, f); err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "session.open", "the first frame is not a ClientFrame")
	}
	hello := f.GetHello()
	switch {
	case hello == nil:
		return nil, wire.Errorf(wire.CodeUnauthenticated, "session.open", "the first frame must be hello")
	case hello.GetVersion() != Version:
		return nil, wire.Errorf(wire.CodeInvalid, "session.open", "this node speaks version %d, not %d", Version, hello.GetVersion())
	case len(hello.GetInstance()) != 16:
		return nil, wire.Errorf(wire.CodeInvalid, "session.open", "instance has %d bytes, want 16", len(hello.GetInstance()))
	}
	for name, id := range map[string]string{"device": hello.GetDevice(), "tag": hello.GetTag()} {
		if err := wire.ValidID(id); id != "" && err != nil {
			return nil, wire.Errorf(wire.CodeInvalid, "session.open", "%s %v", name, err)
		}
	}
	return hello, nil
}

// read hands requests to the backend until the connection ends.
func (s *Session) read() error {
	idle := 3 * s.opts.Heartbeat
	for {
		if !s.awaitRoom() {
			return transport.ErrClosed
		}
		now := time.Now()
		if s.grown && s.opts.Renew > 0 && now.Sub(s.fresh) >= s.opts.Renew {
			s.grown, s.fresh = false, now
			return ErrRenew
		}
		if err := s.conn.SetReadDeadline(now.Add(idle)); err != nil {
			return fmt.Errorf("bound the silence: %w", err)
		}
		frame, err := s.conn.ReadFrame()
		if err != nil {
			return err
		}
		if nonce, ok := pingOf(frame); ok {
			s.queue(pongFrame(nonce))
			continue
		}
		s.grown = true
		f := &pb.ClientFrame{}
		if err := proto.Unmarshal(frame, f); err != nil {
			return fmt.Errorf("%w: %w", transport.ErrMalformed, err)
		}
		switch body := f.GetBody().(type) {
		case *pb.ClientFrame_Request:
			s.request(body.Request)
		case *pb.ClientFrame_Ping:
			s.queue(encode(&pb.ServerFrame{Body: &pb.ServerFrame_Pong{Pong: &pb.Pong{Nonce: body.Ping.GetNonce()}}}))
		case *pb.ClientFrame_Pong:
		default:
			return fmt.Errorf("%w: a frame this node does not know", transport.ErrMalformed)
		}
	}
}

// awaitRoom waits while too much is unsent: who does not take the answers to what
// he asked is not listened to. It returns false when the session is closing.
func (s *Session) awaitRoom() bool {
	for {
		s.mu.Lock()
		if s.q.closing || s.q.unsent <= s.opts.MaxQueueBytes {
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

// maxPages is how many answers with a page of history or of a log a session may
// have that are being made or are not written yet.
const maxPages = 4

// BeginPage waits until the session may have one more page made for it: pages
// are large, and who does not take them gets no more. It returns false when the
// session is closing or ctx is done. EndPage must follow.
func (s *Session) BeginPage(ctx context.Context) bool {
	s.mu.Lock()
	if s.pages == nil {
		s.pages = make(chan struct{}, maxPages)
	}
	s.mu.Unlock()
	select {
	case s.pages <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if !s.awaitRoom() {
		<-s.pages
		return false
	}
	return true
}

// EndPage waits until what the page has added is written, or the session closes.
func (s *Session) EndPage() {
	s.awaitRoom()
	<-s.pages
}

// wakeLocked lets the reading goroutine look again whether there is room.
func (s *Session) wakeLocked() {
	if s.q.room != nil {
		close(s.q.room)
		s.q.room = nil
	}
}

func (s *Session) request(req *pb.Request) {
	s.mu.Lock()
	full := s.q.inFlight >= s.opts.MaxInFlight
	if !full {
		s.q.inFlight++
	}
	s.mu.Unlock()
	if full {
		s.queue(encodeResponse(&pb.Response{Id: req.GetId(), Result: errorResult(
			wire.Errorf(wire.CodeLimit, "", "%d requests are in flight, wait for their answers", s.opts.MaxInFlight))}))
		return
	}
	if _, ok := req.GetOp().(*pb.Request_CloseSession); ok {
		s.Answer(&pb.Response{Id: req.GetId(), Result: &pb.Response_Done{Done: &pb.Done{}}})
		s.signedOut()
		return
	}
	s.backend.Do(s, req)
}

// Answer sends the answer to a request.
func (s *Session) Answer(r *pb.Response) { s.AnswerFrame(encodeResponse(r)) }

// AnswerFrame sends an answer that is encoded already, by [native.Execute].
func (s *Session) AnswerFrame(frame []byte) {
	s.mu.Lock()
	s.q.inFlight--
	s.queueLocked(frame)
	s.mu.Unlock()
}

// Fail answers a request with an error.
func (s *Session) Fail(id uint64, err error) {
	s.Answer(&pb.Response{Id: id, Result: errorResult(err)})
}

// Deliver implements tail.Sink.
func (s *Session) Deliver(b *tail.Batch) bool {
	if b.Frame == nil {
		frame, err := native.EncodeBatch(b)
		if err != nil {
			s.Close(transport.CloseInternal, err)
			return true
		}
		b.Frame = frame
	}
	return s.push(b.Frame, b.Ended)
}

// DeliverCursor implements tail.Sink.
func (s *Session) DeliverCursor(c tail.Cursor) bool {
	frame, err := native.EncodeCursor(c)
	return err != nil || s.push(frame, false) // what has no form is taken
}

// DeliverTransient implements tail.Sink.
func (s *Session) DeliverTransient(t *tail.Transient) {
	if t.Frame == nil {
		frame, err := native.EncodeTransient(t)
		if err != nil {
			return // text of another door that is not UTF-8
		}
		t.Frame = frame
	}
	s.push(t.Frame, false)
}

// push queues an encoded event, or returns false when there is no room: then
// the session catches up once the queue has been written. A closed session
// takes and drops everything. The frame is shared, and never changed.
func (s *Session) push(frame []byte, always bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !always && s.q.bytes > 0 && s.q.bytes+len(frame) > s.opts.MaxQueueBytes {
		if mutant.On(mutant.DropWithoutResync) { // a planted bug, see package mutant
			return true
		}
		s.q.late = true
		return false
	}
	s.queueLocked(frame)
	return true
}

// Late implements tail.Sink: the session catches up once its queue has been
// written.
func (s *Session) Late() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.q.closing {
		s.q.late = true
		s.startLocked()
	}
}

// Goaway asks the client to move to another node after the given time.
func (s *Session) Goaway(wait time.Duration) {
	s.queue(encode(&pb.ServerFrame{Body: &pb.ServerFrame_Goaway{Goaway: &pb.Goaway{WaitMillis: uint32(wait.Milliseconds())}}}))
}

// signedOut ends the session because the client wished it: its will is not
// sent.
func (s *Session) signedOut() {
	s.mu.Lock()
	s.q.clean = true
	s.mu.Unlock()
	s.Close(transport.CloseNormal, nil)
}

// Close ends the session after what is queued has been written. The client is
// told the cause if it is a *wire.Error. Only the first call does anything.
func (s *Session) Close(code transport.CloseCode, cause error) {
	reason := ""
	var last []byte
	if e, ok := errors.AsType[*wire.Error](cause); ok {
		last, reason = encode(&pb.ServerFrame{Body: &pb.ServerFrame_Closing{Closing: EncodeError(e)}}), e.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.q.closing {
		return
	}
	if last != nil {
		s.q.frames = append(s.q.frames, last)
	}
	s.q.closing, s.q.code, s.q.reason = true, code, reason
	s.wakeLocked()
	s.startLocked()
}

func (s *Session) queue(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queueLocked(frame)
}

func (s *Session) queueLocked(frame []byte) {
	if s.q.closing {
		return
	}
	s.q.frames = append(s.q.frames, frame)
	s.q.bytes += len(frame)
	s.q.unsent += len(frame)
	s.startLocked()
}

func (s *Session) startLocked() {
	if !s.q.writing {
		s.q.writing = true
		s.writers.Go(s.drain)
	}
}

// drain writes what is queued, in as few writes as it can, until there is
// nothing left. At most one runs.
func (s *Session) drain() {
	for {
		// Whoever else has something for this session and is ready to run queues it
		// first: on a busy node more frames go in one write.
		runtime.Gosched()
		s.mu.Lock()
		batch, size, late := s.q.frames, s.q.bytes, s.q.late
		s.q.frames, s.q.spare = s.q.spare[:0], nil
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
			s.Logs.CatchUp()
			continue
		}
		if err := s.write(batch); err != nil {
			s.Close(transport.CloseSlow, nil)
			_ = s.conn.Close(transport.CloseSlow, "")
		}
		clear(batch)
		s.mu.Lock()
		s.q.unsent -= size
		s.wakeLocked()
		if cap(batch) <= 64 { // a burst's slice is not kept for the idle time after it
			s.q.spare = batch[:0]
		}
		s.mu.Unlock()
	}
}

// finishLocked ends drain: the connection is closed if the session is.
func (s *Session) finishLocked() {
	closing, code, reason := s.q.closing, s.q.code, s.q.reason
	s.q.writing = closing // a closed session starts no second one
	s.mu.Unlock()
	if closing {
		_ = s.conn.Close(code, reason)
	}
}

func (s *Session) write(batch [][]byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout)); err != nil {
		return fmt.Errorf("bound the write: %w", err)
	}
	return s.conn.WriteFrames(batch)
}

func closeCodeOf(err error) transport.CloseCode {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return transport.CodeFor(err)
	}
	switch e.Code {
	case wire.CodeUnauthenticated, wire.CodeConflict, wire.CodeForbidden:
		return transport.CloseUnauthenticated
	case wire.CodeInvalid:
		return transport.CloseProtocol
	default:
		return transport.CloseOverloaded
	}
}
