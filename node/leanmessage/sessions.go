package leanmessage

import (
	"context"
	"errors"
	"time"

	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// socketCommand returns what does a command that is the socket's own; nil: it is
// of a session.
func (s *socket) socketCommand(in *leanpb.GenericCommand) func(*leanpb.GenericCommand) {
	o := opOf(in)
	if o == opOpen {
		return s.open
	}
	switch o.cmd {
	case leanpb.CommandType_echo:
		return s.echo
	case leanpb.CommandType_login:
		return s.login
	case leanpb.CommandType_logout:
		return s.logout
	case leanpb.CommandType_ack:
		if len(in.GetAckMessage().GetIds()) > 0 {
			return func(*leanpb.GenericCommand) {} // of what a push service has sent
		}
	default:
	}
	return nil
}

// echo answers a client's sign of life.
func (s *socket) echo(in *leanpb.GenericCommand) {
	out := &leanpb.GenericCommand{Cmd: leanpb.CommandType_echo.Enum(), I: in.I}
	s.queue(encode(out))
}

// login lets an installation in, for live queries or push, of which there is
// nothing to tell.
func (s *socket) login(in *leanpb.GenericCommand) {
	s.wait(func(ctx context.Context) {
		err := s.bind(ctx, in)
		switch {
		case errors.Is(err, errNoApp):
			s.fatal(in, CodeAppNotAvailable)
			return
		case errors.Is(err, errOrigin):
			s.fatal(in, CodeInvalidOrigin)
			return
		case err != nil:
			s.refuse(in, commonCodes.failed(err))
			return
		}
		s.welcome()
		out := installation(in, leanpb.CommandType_loggedin)
		if in.GetService() == servicePush {
			// A client that only waits for pushes need not wait.
			out.LoggedinMessage = &leanpb.LoggedinCommand{PushDisabled: new(true)}
		}
		s.queue(s.reply(in, "", out))
	})
}

// logout lets it go.
func (s *socket) logout(in *leanpb.GenericCommand) {
	s.queue(s.reply(in, "", installation(in, leanpb.CommandType_loggedout)))
}

// installation begins a reply to an installation, whose service it has.
func installation(in *leanpb.GenericCommand, cmd leanpb.CommandType) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{Cmd: cmd.Enum(), InstallationId: in.InstallationId, Service: new(in.GetService())}
}

// sessionCommands are the commands about sessions, but for those that are the
// socket's own.
func sessionCommands() map[op]command {
	const session = leanpb.CommandType_session
	return map[op]command{
		{session, leanpb.OpType_close}:                     {start: closeSession},
		{session, leanpb.OpType_refresh}:                   {handle: refresh},
		{session, leanpb.OpType_query}:                     {handle: queryOnline},
		{session, leanpb.OpType_add}:                       {handle: watchPeers},
		{session, leanpb.OpType_remove}:                    {handle: unwatchPeers},
		{leanpb.CommandType_report, leanpb.OpType_upload}:  {start: report},
		{leanpb.CommandType_patch, leanpb.OpType_modified}: {start: nothing},
		{cmd: leanpb.CommandType_data}:                     {start: nothing},
		{cmd: leanpb.CommandType_goaway}:                   {start: nothing},
		{cmd: leanpb.CommandType_presence}:                 {start: nothing},
	}
}

// nothing is what some commands want, and no reply.
func nothing(_ context.Context, _ *client, _ *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error)) {
	done(nil, nil)
}

// closeSession ends a session because its client wishes it.
func closeSession(_ context.Context, c *client, _ *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error)) {
	done(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_closed.Enum(), SessionMessage: &leanpb.SessionCommand{},
	}, nil)
	c.finish(true)
}

// refresh gives a session a fresh token. That it is open is proof enough, and one
// that has expired is no reason against it. The user's shard is asked all the same:
// this node may not have been told yet that the user was logged out, and a fresh
// token would outlive that.
func refresh(ctx context.Context, c *client, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	if st := in.GetSessionMessage().GetSt(); st != "" {
		held, err := auth.VerifyLean(c.app, c.tenant().keys(), st, time.UnixMilli(c.host().Millis()))
		if err == nil && held.User != c.user || err != nil && !errors.Is(err, auth.ErrExpired) {
			return nil, errorf(CodeSessionTokenExpired, "the session's token is not good")
		}
	}
	held, err := heldBy(ctx, c)
	if err != nil {
		return nil, sessionCodes.failed(err)
	}
	if held.Banned || held.ValidAfter > c.now().validAfter {
		return nil, errorf(CodeSessionTokenExpired, "the user was logged out")
	}
	return &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_refreshed.Enum(), SessionMessage: tokenOf(c),
	}, nil
}

// queryOnline says who of some users is online.
func queryOnline(ctx context.Context, c *client, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	online, err := onlineOf(ctx, c, in.GetSessionMessage().GetSessionPeerIds())
	return sessionReply(leanpb.OpType_query_result, online), err
}

// watchPeers and unwatchPeers answer clients so old that they wanted to be told
// who comes and goes. They are not.
func watchPeers(ctx context.Context, c *client, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	online, err := onlineOf(ctx, c, in.GetSessionMessage().GetSessionPeerIds())
	return sessionReply(leanpb.OpType_added, online), err
}

func unwatchPeers(context.Context, *client, *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	return sessionReply(leanpb.OpType_removed, nil), nil
}

func sessionReply(o leanpb.OpType, online []string) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_session.Enum(), Op: o.Enum(), SessionMessage: &leanpb.SessionCommand{OnlineSessionPeerIds: online},
	}
}

func onlineOf(ctx context.Context, c *client, peers []string) ([]string, error) {
	peers = peers[:min(len(peers), c.tenant().settings.Limit.OnlineQuery)] // the rest is nobody's business
	var users []wire.UserID
	for _, p := range peers {
		if wire.ValidID(p) == nil {
			users = append(users, wire.UserID(p))
		}
	}
	if len(users) == 0 {
		return nil, nil
	}
	there, err := c.host().Online(ctx, c.app, users)
	if err != nil {
		return nil, err
	}
	online := make([]string, len(there))
	for i, u := range there {
		online[i] = string(u)
	}
	return online, nil
}

// report takes what a client says of its device, of which nothing is kept.
func report(_ context.Context, _ *client, _ *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error)) {
	done(&leanpb.GenericCommand{Cmd: leanpb.CommandType_report.Enum(), Op: leanpb.OpType_uploaded.Enum()}, nil)
}
