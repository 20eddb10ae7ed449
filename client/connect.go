package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// opSignIn is what an error of signing in names.
const opSignIn = "session.open"

// connector opens sessions. One goroutine uses it at a time: first Dial, then
// the client's run.
type connector struct {
	link        *link
	credentials credentials
	directory   *directory
	dial        Dialer
	again       bool // a session was open before
	failed      int  // attempts since a session lasted, and sessions that did not
}

// lasting is how long a session must last for the back-off to begin anew, so
// that clients that are let in and thrown out again do not storm the cluster.
const lasting = 5 * time.Second

// over says that a session has ended.
func (c *connector) over(s *session) {
	if time.Since(s.began) >= lasting {
		c.failed = 0
		return
	}
	c.failed++
}

// connect tries the servers in order, round after round, until one takes the
// client, the context ends, or the client is refused for good. Those to avoid
// come last.
func (c *connector) connect(ctx context.Context, avoid ...Server) (*session, error) {
	last := errors.New("none")
	for {
		for _, server := range c.directory.order(avoid...) {
			if c.failed > 0 {
				if err := clock.Sleep(ctx, backoff(c.failed)); err != nil {
					return nil, fmt.Errorf("connect: %w (last attempt: %w)", err, last)
				}
			}
			s, err := c.attempt(ctx, server)
			if err == nil {
				return s, nil
			}
			if final(err) || !c.again && untrusted(err) {
				return nil, err
			}
			c.link.opts.Logger.Debug("connection attempt failed", "server", server.String(), "err", err)
			last = err
			c.failed++
		}
		avoid = nil
	}
}

// elsewhere tries each server but the one of the session once, and does not
// come back with the node that the session is on already.
func (c *connector) elsewhere(ctx context.Context, old *session) (*session, error) {
	last := errors.New("there is no other node")
	for _, server := range c.directory.order() {
		if server == old.server {
			continue
		}
		s, err := c.attempt(ctx, server)
		if err != nil {
			last = err
			continue
		}
		if s.node() != "" && s.node() == old.node() {
			_ = s.conn.Close(transport.CloseNormal, "")
			continue
		}
		return s, nil
	}
	return nil, last
}

// final tells whether signing in was refused in a way that no other node and
// no later attempt will mend.
func final(err error) bool {
	refusal, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return false
	}
	switch refusal.Code {
	case wire.CodeInvalid, wire.CodeUnauthenticated, wire.CodeForbidden, wire.CodeNotFound, wire.CodeConflict, wire.CodeGone:
		return true
	default:
		return false
	}
}

// untrusted tells whether a server's certificate was refused. At the first
// connection that is how the client is set up, and waiting does not mend it.
func untrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// attempt connects to one server and signs in, with a second token when the
// first one is not good any more.
func (c *connector) attempt(ctx context.Context, server Server) (*session, error) {
	s, err := c.signIn(ctx, server)
	if err != nil && wire.CodeOf(err) == wire.CodeUnauthenticated && c.credentials.refused() {
		return c.signIn(ctx, server)
	}
	return s, err
}

func (c *connector) signIn(ctx context.Context, server Server) (*session, error) {
	hello, err := c.hello(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.link.opts.AttemptTimeout)
	defer cancel()
	conn, err := c.dial(ctx, server, c.link.opts.TLS)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", server, err)
	}
	conn.SetReadLimit(wire.MaxPageBytes)
	welcome, err := greet(ctx, conn, hello)
	if err != nil {
		_ = conn.Close(transport.CodeFor(err), "")
		return nil, fmt.Errorf("sign in at %s: %w", server, err)
	}
	c.again = true
	c.credentials.accepted(welcome.GetSessionToken())
	c.directory.learn(server, welcome.GetNodes())
	return newSession(c.link, conn, server, welcome), nil
}

func (c *connector) hello(ctx context.Context) (*pb.ClientFrame, error) {
	token, err := c.credentials.next(ctx)
	if err != nil {
		return nil, err
	}
	o := c.link.opts
	h := &pb.Hello{
		Version:   1,
		App:       string(o.App),
		Token:     token,
		Device:    o.Device,
		Instance:  c.link.instance[:],
		Agent:     o.Agent,
		Tag:       o.Tag,
		Reconnect: c.again && o.Tag != "", // who has taken the tag meanwhile keeps it
	}
	if o.Will != nil {
		h.Will = &pb.Will{Conversation: string(o.Will.Conversation), Body: o.Will.Body, ContentType: o.Will.ContentType}
	}
	return &pb.ClientFrame{Body: &pb.ClientFrame_Hello{Hello: h}}, nil
}

// greet says hello and waits for the welcome.
func greet(ctx context.Context, conn transport.Conn, hello *pb.ClientFrame) (*pb.Welcome, error) {
	// The context may end before its deadline: then the read ends with it.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetWriteDeadline(deadline)
	}
	if err := writeOne(conn, hello); err != nil {
		return nil, err
	}
	for {
		b, err := conn.ReadFrame()
		if err != nil {
			return nil, closeReason(err)
		}
		f, err := decodeFrame(b)
		if err != nil {
			return nil, err
		}
		switch body := f.GetBody().(type) {
		case *pb.ServerFrame_Welcome:
			if !stop() {
				return nil, context.Cause(ctx) // the read deadline has passed: the connection is of no use
			}
			return body.Welcome, nil
		case *pb.ServerFrame_Closing:
			return nil, errorOf(body.Closing)
		}
	}
}

// closeReason translates what the transport says of a close into a code, for a
// node that could not say it in a frame.
func closeReason(err error) error {
	closed, ok := errors.AsType[*transport.CloseError](err)
	if !ok {
		return err
	}
	code := wire.CodeClosed
	switch closed.Code {
	case transport.CloseUnauthenticated:
		code = wire.CodeUnauthenticated
	case transport.CloseReplaced:
		code = wire.CodeConflict
	case transport.CloseProtocol, transport.CloseTooLarge:
		code = wire.CodeInvalid
	default: // connect again, here or elsewhere
	}
	return &wire.Error{Code: code, Op: opSignIn, Text: closed.Reason, Err: err}
}
