package leanmessage

import (
	"context"
	"crypto/rand"
	"maps"
	"runtime/debug"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// op names a command: what it is about, and what it wants. The op of those
// without one is 0.
type op struct {
	cmd leanpb.CommandType
	op  leanpb.OpType
}

// opOpen opens a session.
//
//nolint:gochecknoglobals // a constant
var opOpen = op{leanpb.CommandType_session, leanpb.OpType_open}

// noCommand is the cmd of a command that has none, which is not the zero one.
const noCommand leanpb.CommandType = -1

func opOf(in *leanpb.GenericCommand) op {
	var o op
	if o.cmd = noCommand; in.Cmd != nil {
		o.cmd = in.GetCmd()
	}
	if in.Op != nil { // absent, it would read as the first one
		o.op = in.GetOp()
	}
	return o
}

// handler does a command in a goroutine of its own. The reply has its cmd, op
// and payload; nil: there is none.
type handler func(ctx context.Context, c *client, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error)

// starter begins a command on the reading goroutine: it does not block. done is
// called once, from any goroutine.
type starter func(ctx context.Context, c *client, in *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error))

// command is an entry of the table: one of the two is set.
type command struct {
	handle handler
	start  starter
	large  bool // the reply of handle may be large
}

// allCommands merges the tables of the groups.
func allCommands() map[op]command {
	all := map[op]command{}
	for _, group := range []map[op]command{sessionCommands(), messageCommands(), conversationCommands()} {
		maps.Copy(all, group)
	}
	return all
}

// request is one command of a client that is being done. Its number is its
// session's, and the origin's of what it changes.
type request struct {
	number uint64
	in     *leanpb.GenericCommand
}

type requestKey struct{}

func withRequest(ctx context.Context, r *request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestOf returns the number of the request that ctx is of; 0: of none.
func requestOf(ctx context.Context) uint64 {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r.number
	}
	return 0
}

// origin says that a change comes from this session, and from the request that
// ctx is of.
func (c *client) origin(ctx context.Context) state.Origin {
	return state.Origin{Node: string(c.host().Self()), Session: c.id, Request: requestOf(ctx)}
}

// header is the header of a change that the session asks for: its token is of
// this try alone, so that the node may ask again.
func (c *client) header(ctx context.Context) state.Header {
	return state.Header{App: c.app, Actor: c.user, Origin: c.origin(ctx), Token: state.Token{Random: rand.Text()}}
}

// dispatch does a command for a session. It blocks while too many are being
// done.
func (s *socket) dispatch(c *client, in *leanpb.GenericCommand) {
	todo, ok := s.door.commands[opOf(in)]
	if !ok {
		s.refuse(in, errorf(CodeUnparseable, "the command %s/%s is not known", in.GetCmd(), in.GetOp()))
		return
	}
	if e := s.tooMany(c.user, rateKind(opOf(in))); e != nil {
		s.refuse(in, e)
		return
	}
	fillPayload(in)
	s.places <- struct{}{}
	r := &request{number: c.out.begin(false), in: in}
	ctx, cancel := context.WithTimeout(withRequest(c.life, r), s.door.opts.RequestTimeout)
	var once atomic.Bool // a command that has panicked may have been answered before
	done := func(reply *leanpb.GenericCommand, err error) {
		if once.Swap(true) {
			return
		}
		cancel()
		<-s.places
		c.answer(r, reply, err)
	}
	if todo.start != nil {
		defer s.mend(done)
		todo.start(ctx, c, in, done)
		return
	}
	c.host().Go(func(context.Context) {
		defer s.mend(done)
		if todo.large {
			s.paging.reply(ctx, s, done, func() { done(todo.handle(ctx, c, in)) })
			return
		}
		done(todo.handle(ctx, c, in))
	})
}

// mend answers a command that a mistake of ours has ended, and closes the socket:
// what a client sends must not end the node. It is to be deferred.
func (s *socket) mend(done func(*leanpb.GenericCommand, error)) {
	fault := recover()
	if fault == nil {
		return
	}
	s.door.faults.Add(1)
	s.door.opts.Logger.Error("a command has panicked", "fault", fault, "stack", string(debug.Stack()))
	s.close(CodeInternalError, Reason(CodeInternalError))
	done(nil, &Error{Code: CodeInternalError})
}

// fillPayload makes a payload that is absent an empty one.
func fillPayload(in *leanpb.GenericCommand) {
	switch in.GetCmd() {
	case leanpb.CommandType_session:
		in.SessionMessage = orEmpty(in.SessionMessage)
	case leanpb.CommandType_conv:
		in.ConvMessage = orEmpty(in.ConvMessage)
	case leanpb.CommandType_direct:
		in.DirectMessage = orEmpty(in.DirectMessage)
	case leanpb.CommandType_ack:
		in.AckMessage = orEmpty(in.AckMessage)
	case leanpb.CommandType_logs:
		in.LogsMessage = orEmpty(in.LogsMessage)
	case leanpb.CommandType_read:
		in.ReadMessage = orEmpty(in.ReadMessage)
	case leanpb.CommandType_patch:
		in.PatchMessage = orEmpty(in.PatchMessage)
	case leanpb.CommandType_blacklist:
		in.BlacklistMessage = orEmpty(in.BlacklistMessage)
	default:
	}
}

func orEmpty[M any](m *M) *M {
	if m == nil {
		return new(M)
	}
	return m
}

// answersWithout tells the commands that are answered also when they have no i:
// some clients come back and ping so.
func answersWithout(in *leanpb.GenericCommand) bool {
	switch o := opOf(in); o.cmd {
	case leanpb.CommandType_echo, leanpb.CommandType_login:
		return true
	default:
		return o == opOpen
	}
}

// reply completes and encodes the reply to a command; nil: there is none.
func (s *socket) reply(in *leanpb.GenericCommand, peer string, out *leanpb.GenericCommand) []byte {
	if out == nil || in.I == nil && !answersWithout(in) {
		return nil
	}
	out.I = in.I
	if peer != "" {
		out.PeerId = new(peer)
	}
	if out.Service == nil {
		out.Service = new(int32(serviceConversations))
	}
	out.ServerTs = new(s.door.host.Millis())
	return encode(out)
}

// refuse answers a command with an error, for the session it names or means.
func (s *socket) refuse(in *leanpb.GenericCommand, e *Error) {
	peer := in.GetPeerId()
	if c := s.sessionOf(in); peer == "" && c != nil && opOf(in) != opOpen {
		peer = string(c.user)
	}
	s.queue(s.reply(in, peer, errorCommand(e)))
}

func errorCommand(e *Error) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{Cmd: leanpb.CommandType_error.Enum(), ErrorMessage: e.encode()}
}

// The services that a command can be of.
const (
	servicePush          = 0
	serviceLiveQuery     = 1
	serviceConversations = 2
)

// encode never fails: the door sets what is required.
func encode(m *leanpb.GenericCommand) []byte {
	b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
	if err != nil {
		return nil
	}
	return b
}
