package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// dialTimeout bounds a Dial whose context has no deadline.
const dialTimeout = 30 * time.Second

// goodbyeTimeout bounds the sign-out of Close.
const goodbyeTimeout = 500 * time.Millisecond

// Client is one user's connection to a cluster. It lives until Close, or until
// the cluster refuses the user for good; meanwhile it changes nodes as it must.
type Client struct {
	link    *link
	marks   *marks
	user    wire.UserID
	node    atomic.Value // wire.NodeID
	stop    context.CancelFunc
	running sync.WaitGroup
	network network // unless the options have a Dialer
	closing sync.Once
	closed  error // of the network
}

// Dial signs in at one of the servers. It tries them, round after round, until
// ctx is done (or 30 s, if it has no deadline); it fails at once when the
// cluster refuses the user. The client does not end with ctx.
func Dial(ctx context.Context, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, &wire.Error{Code: wire.CodeInvalid, Op: "dial", Text: err.Error(), Err: err}
	}
	servers, err := newDirectory(opts.Servers)
	if err != nil {
		return nil, &wire.Error{Code: wire.CodeInvalid, Op: "dial", Text: err.Error(), Err: err}
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dialTimeout)
		defer cancel()
	}
	l := newLink(opts)
	c := &Client{link: l, marks: newMarks(l)}
	conn := &connector{link: l, credentials: credentials{opts: opts}, directory: servers, dial: opts.Dialer}
	if conn.dial == nil {
		conn.dial = c.network.dial
	}
	first, err := conn.connect(ctx)
	if err != nil {
		return nil, errors.Join(err, c.network.close())
	}
	c.user = wire.UserID(first.welcome.GetUser())
	c.node.Store(first.node())
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	c.running.Go(func() { c.run(life, conn, first) })
	return c, nil
}

// Close signs out and ends the client: calls without an answer fail with
// ErrClosed (see Flush), and subscriptions end. It waits for the client's
// goroutines, so it must not be called from a callback.
func (c *Client) Close() error {
	c.stop()
	c.running.Wait()
	c.closing.Do(func() { c.closed = c.network.close() })
	return c.closed
}

// Done is closed when the client has ended, by Close or because the cluster
// refused the user for good; Err then says why.
func (c *Client) Done() <-chan struct{} { return c.link.ended }

// Err returns why the client has ended, or nil while it lives.
func (c *Client) Err() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.mu.err
}

// User returns who is signed in.
func (c *Client) User() wire.UserID { return c.user }

// Node returns the node of the present session, or of the last one.
func (c *Client) Node() wire.NodeID { return c.node.Load().(wire.NodeID) }

// Flush waits until no call is without an answer.
func (c *Client) Flush(ctx context.Context) error { return c.link.flush(ctx) }

// run keeps a session open until ctx is done or the cluster refuses the user.
// Every goroutine of the client is started here, or is this one.
func (c *Client) run(ctx context.Context, conn *connector, s *session) {
	var err error
	for err == nil {
		s, err = c.attend(ctx, conn, s)
	}
	c.link.end(err)
}

// attend looks after one session. It returns the one after it, or why there is
// none.
func (c *Client) attend(ctx context.Context, conn *connector, s *session) (*session, error) {
	c.link.begin(s)
	c.running.Go(s.read)
	c.running.Go(s.write)
	c.node.Store(s.node())
	c.link.opts.Logger.Info("session began", "node", s.node(), "session", s.welcome.GetSession())
	if connected := c.link.opts.Handlers.Connected; connected != nil {
		connected(s.node())
	}
	var move <-chan time.Time
	for tries := 1; ; {
		select {
		case <-ctx.Done():
			c.goodbye(s)
			s.end(transport.CloseNormal, ErrClosed)
			return nil, ErrClosed
		case <-s.ended:
			return c.succeed(ctx, conn, s)
		case after := <-s.moves:
			if move == nil {
				move = time.After(after)
			}
		case <-move:
			next, err := conn.elsewhere(ctx, s)
			if err == nil {
				c.handOver(conn, s)
				return next, nil
			}
			move = time.After(backoff(tries)) // this node serves us until then
			tries++
		}
	}
}

// succeed finds the next session after one has ended.
func (c *Client) succeed(ctx context.Context, conn *connector, s *session) (*session, error) {
	conn.over(s)
	c.tell(s, s.cause)
	cause := closeReason(s.cause)
	if final(cause) && wire.CodeOf(cause) != wire.CodeUnauthenticated { // of that, another token may be the cure
		return nil, cause
	}
	next, err := conn.connect(ctx, s.server)
	if ctx.Err() != nil {
		if next != nil {
			_ = next.conn.Close(transport.CloseNormal, "")
		}
		return nil, ErrClosed
	}
	return next, err
}

// handOver leaves a session that still works for another. What it owes is
// asked again; nothing waits for the old connection to be closed.
func (c *Client) handOver(conn *connector, s *session) {
	conn.over(s)
	c.link.lose(s)
	cause := wire.Errorf(wire.CodeClosed, opSignIn, "the client has moved to another node")
	c.running.Go(func() { s.end(transport.CloseNormal, cause) })
	c.tell(s, cause)
}

func (c *Client) tell(s *session, cause error) {
	c.link.opts.Logger.Info("session ended", "node", s.node(), "session", s.welcome.GetSession(), "err", cause)
	if told := c.link.opts.Handlers.Disconnected; told != nil {
		told(cause)
	}
}

// goodbye signs out, so that the tag and the room are given back and no will is
// sent.
func (c *Client) goodbye(s *session) {
	payload, err := encode("session.close", &pb.Request{Op: &pb.Request_CloseSession{CloseSession: &pb.CloseSession{}}})
	if err != nil {
		return
	}
	answered := make(chan struct{})
	c.link.mu.Lock()
	if c.link.mu.session == s {
		c.link.boundLocked(payload, func(*pb.Response, error) { close(answered) })
	}
	c.link.mu.Unlock()
	timer := time.NewTimer(goodbyeTimeout)
	defer timer.Stop()
	select {
	case <-answered:
	case <-s.ended:
	case <-timer.C:
	}
}

// ask sends a request that changes nothing and returns its answer.
func (l *link) ask(ctx context.Context, op string, req *pb.Request) (*pb.Response, error) {
	payload, err := encode(op, req)
	if err != nil {
		return nil, err
	}
	return l.do(ctx, command{op: op, payload: payload})
}

// change sends a command about a conversation, or with an empty one about the
// user, and returns its answer.
func (l *link) change(ctx context.Context, op string, conversation wire.ConversationID, req *pb.Request) (*pb.Response, error) {
	payload, err := encode(op, req)
	if err != nil {
		return nil, err
	}
	resp, err := l.do(ctx, command{op: op, payload: payload, lane: string(conversation), numbered: true})
	if err != nil {
		return nil, err
	}
	l.seen.note(string(conversation), wire.Offset(resp.GetDone().GetOffset()))
	return resp, nil
}

// wrongAnswer is what a call returns whose answer is of another kind.
func wrongAnswer(op string, resp *pb.Response) error {
	return wire.Errorf(wire.CodeInternal, op, "unexpected answer %s", fmt.Sprintf("%T", resp.GetResult()))
}
