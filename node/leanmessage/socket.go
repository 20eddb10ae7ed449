package leanmessage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// socket is one connection and the sessions on it.
type socket struct {
	writer

	door    *Door
	offline bool                   // it wants the messages it has missed, not how many they are
	places  chan struct{}          // one for each command that is being done
	pages   chan struct{}          // one for each of them whose reply may be large
	steps   sync.WaitGroup         // what the reading goroutine has done elsewhere
	tenant  atomic.Pointer[tenant] // the app that it is bound to, once it is

	life context.Context //nolint:containedctx // ends with the socket, for its steps and sessions
	end  context.CancelFunc

	// The reading goroutine's own, and its steps'.
	signedIn bool // there was a session or a login

	mu      sync.Mutex
	clients []*client // in the order in which they opened; guarded by mu
}

func newSocket(d *Door, conn Conn) *socket {
	s := &socket{
		door: d, places: make(chan struct{}, d.opts.MaxInFlight), pages: make(chan struct{}, socketPages),
		offline: conn.Subprotocol() == transport.LeanProtobuf1 || conn.Subprotocol() == transport.LeanBase641,
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.writer = writer{conn: conn, opts: &d.opts, ended: s.end, catchUp: s.catchUp, paging: &d.paging}
	return s
}

// serve reads the socket until it ends, and ends its sessions.
func (s *socket) serve() error {
	err := s.read()
	s.close(s.statusOf(err), "")
	s.steps.Wait()
	s.writers.Wait()
	for _, c := range s.sessions() {
		c.finish(false)
	}
	return err
}

// read hands commands on until the connection ends.
func (s *socket) read() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(s.door.opts.LoginTimeout)); err != nil {
		return fmt.Errorf("bound the sign-in: %w", err)
	}
	for s.awaitRoom() {
		b, err := s.conn.ReadMessage()
		if err != nil {
			return err
		}
		in := &leanpb.GenericCommand{}
		if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(b, in); err != nil {
			return fmt.Errorf("%w: %w", transport.ErrMalformed, err)
		}
		if len(b) > commandBytes && !mayBeLarge(in) {
			if in.I == nil {
				return transport.ErrFrameTooLarge // nobody would learn of it otherwise
			}
			s.refuse(in, errorf(CodeFrameTooLong, "the command has %d bytes, want at most %d", len(b), commandBytes))
			continue
		}
		s.take(in)
	}
	return transport.ErrClosed
}

// commandBytes is how large a command may be whose parts nobody bounds.
const commandBytes = 5 << 10

// mayBeLarge tells the commands that bound what is in them themselves: messages,
// as their app wants it, and what a client says of many messages.
func mayBeLarge(in *leanpb.GenericCommand) bool {
	switch opOf(in).cmd {
	case leanpb.CommandType_direct, leanpb.CommandType_patch, leanpb.CommandType_ack, leanpb.CommandType_read:
		return true
	default:
		return false
	}
}

// statusOf says what a socket is closed with when reading it has failed.
func (s *socket) statusOf(err error) int {
	switch {
	case errors.Is(err, transport.ErrFrameTooLarge):
		return CodeFrameTooLong
	case errors.Is(err, transport.ErrMalformed):
		return CodeUnparseable
	case errors.Is(err, os.ErrDeadlineExceeded) && s.signedIn:
		return CodeReadTimeout
	case errors.Is(err, os.ErrDeadlineExceeded):
		return CodeLoginTimeout
	default:
		return statusNormal
	}
}

// take does one command, on the reading goroutine.
func (s *socket) take(in *leanpb.GenericCommand) {
	if do := s.socketCommand(in); do != nil {
		do(in)
		return
	}
	c := s.sessionOf(in)
	if c == nil {
		s.refuse(in, errorf(CodeSessionRequired, "no session of %q is open here", in.GetPeerId()))
		return
	}
	s.dispatch(c, in)
}

// welcome says that the client is no stranger any more.
func (s *socket) welcome() {
	if s.signedIn {
		return
	}
	s.signedIn = true
	s.conn.SignedIn()
	if s.conn.SetSilence(s.door.opts.Silence) != nil {
		s.close(CodeInternalError, "")
	}
}

// sessionOf returns the session that a command is for: the one it names, or else
// the first one that is open; nil: there is none.
func (s *socket) sessionOf(in *leanpb.GenericCommand) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.PeerId == nil && len(s.clients) > 0 {
		return s.clients[0]
	}
	return s.findLocked(wire.UserID(in.GetPeerId()))
}

func (s *socket) findLocked(user wire.UserID) *client {
	i := slices.IndexFunc(s.clients, func(c *client) bool { return c.user == user })
	if i < 0 {
		return nil
	}
	return s.clients[i]
}

func (s *socket) find(user wire.UserID) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findLocked(user)
}

func (s *socket) sessions() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.clients)
}

func (s *socket) add(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, c)
}

func (s *socket) forget(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = slices.DeleteFunc(s.clients, func(o *client) bool { return o == c })
}

// catchUp has the sessions told of what they were not told for want of room.
func (s *socket) catchUp() {
	for _, c := range s.sessions() {
		c.logs.CatchUp()
	}
}

// goaway asks the client to go to another node.
func (s *socket) goaway() {
	s.queue(encode(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_goaway.Enum(), Service: new(int32(serviceConversations)), ServerTs: new(s.door.host.Millis()),
	}))
}
