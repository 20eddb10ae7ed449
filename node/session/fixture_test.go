package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// node is a door for clients with sessions behind it.
type node struct {
	t     *testing.T
	net   *transport.Network
	opts  Options
	ctx   context.Context //nolint:containedctx // of the sessions
	edges []*transport.Edge

	renewals atomic.Int64 // how often a session asked for a fresh goroutine

	mu       sync.Mutex
	signIn   func(context.Context, *pb.Hello) (Grant, error)
	sessions []*Session
	done     []string // what requests asked for, in order
	held     []uint64 // requests without an answer
	ended    []string // "clean" or "lost", for each session
}

// inNode runs a test in a bubble, with a node that signs everybody in.
func inNode(t *testing.T, opts Options, test func(t *testing.T, n *node)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		n := newNode(t, opts)
		defer n.close()
		test(t, n)
	})
}

func newNode(t *testing.T, opts Options) *node {
	n := &node{t: t, net: transport.NewNetwork(nil), opts: opts.WithDefaults(), ctx: t.Context()}
	n.signIn = func(_ context.Context, hello *pb.Hello) (Grant, error) {
		return Grant{
			Identity: auth.Identity{App: wire.AppID(hello.GetApp()), User: "ann"},
			Welcome:  &pb.Welcome{Session: "s1", User: "ann"},
		}, nil
	}
	n.listen("node")
	return n
}

func (n *node) listen(addr string) {
	l, err := n.net.Listen(addr)
	if err != nil {
		n.t.Fatal(err)
	}
	edge := transport.NewEdge(n.serve, transport.EdgeOptions{})
	n.edges = append(n.edges, edge)
	if err := edge.Serve(l); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) close() {
	for _, e := range n.edges {
		_ = e.Close()
	}
}

func (n *node) serve(conn transport.ClientConn) {
	s := New(1, conn, n, &n.opts)
	for errors.Is(s.Serve(n.ctx), ErrRenew) {
		n.renewals.Add(1)
	}
}

// SignIn implements Backend.
func (n *node) SignIn(ctx context.Context, hello *pb.Hello) (Grant, error) {
	return n.signIn(ctx, hello)
}

// Started implements Backend.
func (n *node) Started(s *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sessions = append(n.sessions, s)
}

// Ended implements Backend.
func (n *node) Ended(_ *Session, clean bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	how := "lost"
	if clean {
		how = "clean"
	}
	n.ended = append(n.ended, how)
}

// Do implements Backend: the conversation asked for says what to do.
func (n *node) Do(s *Session, req *pb.Request) {
	what := req.GetGetConversation().GetConversation()
	n.mu.Lock()
	n.done = append(n.done, what)
	if what == "hold" {
		n.held = append(n.held, req.GetId())
	}
	n.mu.Unlock()
	switch what {
	case "hold":
	case "fail":
		s.Fail(req.GetId(), wire.Errorf(wire.CodeGone, "conversation.get", "no more"))
	case "big":
		s.Answer(answerOf(req.GetId(), 100<<10))
	default:
		s.Answer(answerOf(req.GetId(), 1))
	}
}

func answerOf(id uint64, size int) *pb.Response {
	return &pb.Response{Id: id, Result: &pb.Response_Conversation{Conversation: &pb.Conversation{Name: string(bytes.Repeat([]byte("x"), size))}}}
}

// session returns the only session.
func (n *node) session() *Session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.sessions) != 1 {
		n.t.Fatalf("%d sessions", len(n.sessions))
	}
	return n.sessions[0]
}

func (n *node) doneCount() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.done)
}

// howEnded returns how sessions have ended.
func (n *node) howEnded() string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return fmt.Sprint(n.ended)
}

// peer is a client without a library.
type peer struct {
	t    *testing.T
	conn transport.Conn
}

// dial connects a client.
func (n *node) dial() *peer {
	n.t.Helper()
	conn, err := n.net.Dial(n.t.Context(), "client", "node")
	if err != nil {
		n.t.Fatal(err)
	}
	return &peer{n.t, conn}
}

// enter connects a client and signs it in.
func (n *node) enter() *peer {
	n.t.Helper()
	p := n.dial()
	p.send(&pb.ClientFrame{Body: &pb.ClientFrame_Hello{Hello: goodHello()}})
	if f := p.next(); f.GetWelcome() == nil {
		n.t.Fatalf("not welcome: %v", f)
	}
	return p
}

func goodHello() *pb.Hello {
	return &pb.Hello{Version: Version, App: "app", Token: "token", Instance: make([]byte, 16)}
}

func (p *peer) send(f *pb.ClientFrame) {
	p.t.Helper()
	b, err := proto.Marshal(f)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(b)
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if err := p.conn.WriteFrames([][]byte{b}); err != nil {
		p.t.Errorf("write: %v", err)
	}
}

func (p *peer) ask(id uint64, what string) {
	p.t.Helper()
	p.send(request(id, what))
}

func request(id uint64, what string) *pb.ClientFrame {
	return &pb.ClientFrame{Body: &pb.ClientFrame_Request{Request: &pb.Request{
		Id: id, Op: &pb.Request_GetConversation{GetConversation: &pb.GetConversation{Conversation: what}},
	}}}
}

// next reads a frame.
func (p *peer) next() *pb.ServerFrame {
	p.t.Helper()
	b, err := p.conn.ReadFrame()
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	f := &pb.ServerFrame{}
	if err := proto.Unmarshal(b, f); err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return f
}

// end reads to the end, and returns the last frame and how the node closed.
func (p *peer) end() (last *pb.ServerFrame, code transport.CloseCode, after time.Duration) {
	p.t.Helper()
	began := time.Now()
	for {
		b, err := p.conn.ReadFrame()
		if told, ok := errors.AsType[*transport.CloseError](err); ok {
			return last, told.Code, time.Since(began)
		}
		if err != nil {
			p.t.Fatalf("the end is %v", err)
		}
		last = &pb.ServerFrame{}
		if err := proto.Unmarshal(b, last); err != nil {
			p.t.Fatal(err)
		}
	}
}
