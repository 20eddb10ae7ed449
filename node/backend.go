package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// requestTimeout bounds one request of a client: after it the answer is
// "unavailable", and the client asks again.
const requestTimeout = 10 * time.Second

// backend does what sessions ask for.
type backend struct {
	self    wire.NodeID
	place   string // this life of the node
	cluster string
	plain   bool // clients use http and ws, not https and wss
	meta    *cluster.Meta
	router  *route.Router
	edge    *tail.Edge
	mux     caller
	shards  *shards
	cursors *cursors
	collect func() // may be nil
	wall    clock.Wall
	logger  *slog.Logger

	// ctx ends with the node; tasks are requests that need a goroutine, of which
	// a session has as many as requests in flight, at most.
	ctx   context.Context //nolint:containedctx // of requests, which end with the node and not with their session
	tasks tasks

	pages    chan struct{} // one for each page that is made or not written yet
	scans    *turns        // of questions that go to all shards
	sessions sessions
	stopping atomic.Bool                    // the node closes its sessions
	gossip   atomic.Pointer[cluster.Gossip] // nil: there is none, or not yet
}

// SignIn implements session.Backend.
func (b *backend) SignIn(ctx context.Context, hello *pb.Hello) (session.Grant, error) {
	const op = "session.open"
	refused := wire.Errorf(wire.CodeUnauthenticated, op, "the app is not known or the token does not sign in")
	app, err := b.app(ctx, wire.AppID(hello.GetApp()))
	if err != nil {
		return session.Grant{}, err
	}
	keys := auth.Keys{Key: string(app.Key), MasterKey: string(app.MasterKey)}
	id, err := auth.Verify(wire.AppID(hello.GetApp()), keys, hello.GetToken(), b.wall())
	if err != nil {
		b.logger.Debug("sign-in refused", "app", hello.GetApp(), "error", err)
		return session.Grant{}, refused
	}
	name, err := newName()
	if err != nil {
		return session.Grant{}, err
	}
	if err := b.takePlace(ctx, id, hello, name); err != nil {
		return session.Grant{}, err
	}
	id.Device = hello.GetDevice()
	token, err := auth.Issue(id, keys)
	if err != nil {
		return session.Grant{}, err
	}
	return session.Grant{Identity: id, Welcome: &pb.Welcome{
		Session: name, Node: string(b.self), User: string(id.User), SessionToken: token, Nodes: b.nodes(),
		ServerMillis: b.wall.Millis(), Cluster: b.cluster,
	}}, nil
}

// app returns an app, after a question to the meta group when this node does
// not know it. An app that is not there has no keys, and signs nobody in.
func (b *backend) app(ctx context.Context, id wire.AppID) (cluster.App, error) {
	if app, ok := b.meta.Table().App(id); ok {
		return app, nil
	}
	if wire.ValidID(string(id)) != nil {
		return cluster.App{}, nil //nolint:nilerr // as an app that is not there
	}
	if err := b.meta.Refresh(ctx); err != nil {
		return cluster.App{}, &wire.Error{Code: wire.CodeUnavailable, Op: "session.open", Text: "the apps are not known yet", Err: err}
	}
	app, _ := b.meta.Table().App(id)
	return app, nil
}

// takePlace checks that the user was not signed out since the token was issued,
// and takes what outlives the session: its tag and its will.
func (b *backend) takePlace(ctx context.Context, id auth.Identity, hello *pb.Hello, name string) error {
	const op = "session.open"
	if id.User == "" {
		return nil // the app itself leaves nothing behind
	}
	if will := hello.GetWill(); will != nil {
		if err := native.CheckWill(will); err != nil {
			return err
		}
	}
	slot := wire.SlotOf(id.App, string(id.User))
	answer, err := b.router.Query(ctx, route.Query{Slot: slot, App: id.App, User: id.User, Request: []byte{queryUser}})
	if err != nil {
		return err
	}
	held, err := decodeUserAnswer(answer)
	if err != nil {
		return err
	}
	if held.banned {
		return wire.Errorf(wire.CodeForbidden, op, "the app does not let the user sign in")
	}
	// Tokens carry seconds.
	if id.Issued.Unix() < held.validAfter/1000 {
		return wire.Errorf(wire.CodeUnauthenticated, op, "the user was signed out after this token was issued")
	}
	h := state.Header{App: id.App, Actor: id.User}
	if hello.GetTag() != "" {
		login := &state.Login{
			User: id.User, Tag: hello.GetTag(), Session: name, Node: b.place, Device: hello.GetDevice(),
			Reconnect: hello.GetReconnect(),
		}
		if err := b.change(ctx, op, h, login); err != nil {
			return err
		}
	}
	will := hello.GetWill()
	if will == nil {
		return nil
	}
	err = b.change(ctx, op, h, &state.SetWill{
		User: id.User, Session: name, Node: b.place, Conversation: wire.ConversationID(will.GetConversation()),
		ContentType: will.GetContentType(), Body: will.GetBody(),
	})
	if err != nil {
		b.giveBack(h, hello.GetTag(), name)
	}
	return err
}

// giveBack returns what a session took that did not begin.
func (b *backend) giveBack(h state.Header, tag, name string) {
	b.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(b.ctx, requestTimeout)
		defer cancel()
		if err := b.change(ctx, "session.close", h, &state.Logout{User: h.Actor, Tag: tag, Session: name}); err != nil {
			b.logger.Warn("a tag was not given back", "session", name, "error", err)
		}
	})
}

// change proposes a command about the header's actor and waits. A refusal is an
// error.
func (b *backend) change(ctx context.Context, op string, h state.Header, c state.Command) error {
	_, err := b.changeAs(ctx, op, h, c)
	return err
}

func (b *backend) changeAs(ctx context.Context, op string, h state.Header, c state.Command) (state.Result, error) {
	change, err := native.Encode(op, string(h.Actor), h, c)
	if err != nil {
		return state.Result{}, err
	}
	result, err := b.proposeChange(ctx, h.App, change)
	if err != nil {
		return state.Result{}, withOp(op, err)
	}
	if result.Refusal != state.None {
		return state.Result{}, native.Refused(op, result.Refusal, result.Text)
	}
	return result, nil
}

func (b *backend) proposeChange(ctx context.Context, app wire.AppID, c native.Change) (state.Result, error) {
	return b.router.Propose(ctx, c.Slot, shard.KeyOf(app, c.Root), c.Encoded)
}

// nodes lists where clients may go, for the welcome.
func (b *backend) nodes() []*pb.NodeInfo {
	scheme := "https"
	if b.plain {
		scheme = "http"
	}
	var nodes []*pb.NodeInfo
	for _, n := range b.meta.Table().Nodes() {
		if n.State == cluster.NodeJoined && n.Addresses.HTTP != "" {
			nodes = append(nodes, &pb.NodeInfo{Name: string(n.ID), Http: BaseURL(scheme, n.Addresses.HTTP), Quic: n.Addresses.QUIC})
		}
	}
	return nodes
}

// Started implements session.Backend.
func (b *backend) Started(s *session.Session) {
	b.sessions.add(s)
	if b.collect != nil && b.sessions.dense() {
		b.tasks.Go(b.collect)
	}
	if s.Identity.User != "" {
		b.watchUser(s)
	}
}

// Ended implements session.Backend.
func (b *backend) Ended(s *session.Session, clean bool) {
	b.sessions.remove(s)
	b.ended(door.Session{
		App: s.Identity.App, User: s.Identity.User, Name: s.Name, Tag: s.Tag, HasWill: s.HasWill, InRoom: s.InRoom(),
	}, clean)
}

// Do implements session.Backend.
func (b *backend) Do(s *session.Session, req *pb.Request) {
	asker := native.Asker{
		App: s.Identity.App, User: s.Identity.User, Instance: s.Instance,
		Origin: state.Origin{Node: string(b.self), Session: s.ID, Request: req.GetId()},
	}
	switch r := req.GetOp().(type) {
	case *pb.Request_Subscribe:
		b.subscribe(s, req, r.Subscribe)
	case *pb.Request_Unsubscribe:
		b.unsubscribe(s, req, r.Unsubscribe)
	case *pb.Request_MoveCursor:
		b.moveCursor(s, asker, req, r.MoveCursor)
	case *pb.Request_EnterRoom, *pb.Request_LeaveRoom:
		b.wait(s, req, func(ctx context.Context) (*pb.Response, error) { return b.room(ctx, s, asker, req) })
	case *pb.Request_CreateConversation:
		if r.CreateConversation.GetUnique() {
			b.wait(s, req, func(ctx context.Context) (*pb.Response, error) { return b.createUnique(ctx, asker, req) })
			return
		}
		b.submit(s, asker, req)
	case *pb.Request_SendMessage:
		if r.SendMessage.GetTransient() {
			b.sendTransient(s, asker, req, r.SendMessage)
			return
		}
		b.submit(s, asker, req)
	case *pb.Request_GetUnread:
		b.wait(s, req, func(ctx context.Context) (*pb.Response, error) { return b.unread(ctx, asker, req, r.GetUnread) })
	default:
		b.submit(s, asker, req)
	}
}

// submit does a request that is one command, or else one query.
func (b *backend) submit(s *session.Session, asker native.Asker, req *pb.Request) {
	change, ok, err := native.Translate(asker, req)
	if err != nil {
		s.Fail(req.GetId(), err)
		return
	}
	if !ok {
		b.query(s, asker, req)
		return
	}
	if mutant.On(mutant.CheckAtEdgeOnly) && !maySpeak(b, asker, req.GetSendMessage()) { // a planted bug, see package mutant
		s.Fail(req.GetId(), wire.Errorf(wire.CodeNotMember, change.Op, "may not speak here"))
		return
	}
	b.router.Submit(route.Command{
		Slot: change.Slot, Key: shard.KeyOf(asker.App, change.Root), Encoded: change.Encoded,
		Deadline: time.Now().Add(requestTimeout),
		Done: func(result state.Result, err error) {
			if err != nil {
				s.Fail(req.GetId(), withOp(change.Op, err))
				return
			}
			s.Answer(native.Answer(change.Op, req, result))
		},
	})
}

// maySpeak tells whether a user may send, as far as this node knows. Only a
// planted bug asks: apply decides.
func maySpeak(b *backend, asker native.Asker, r *pb.SendMessage) bool {
	if r == nil {
		return true
	}
	owner, _ := b.meta.Table().Route(wire.SlotOf(asker.App, r.GetConversation()))
	h := b.shards.get(owner.Shard)
	return h == nil || h.state.MaySpeak(asker.App, wire.ConversationID(r.GetConversation()), asker.User) == nil
}

// query does a request that changes nothing.
func (b *backend) query(s *session.Session, asker native.Asker, req *pb.Request) {
	root, atLeast, err := native.Asks(asker, req)
	if err != nil {
		s.Fail(req.GetId(), err)
		return
	}
	b.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(b.ctx, requestTimeout)
		defer cancel()
		if !b.beginPage(ctx, s) {
			s.Fail(req.GetId(), wire.Errorf(wire.CodeUnavailable, "", "too many pages wait to be read, ask again"))
			return
		}
		defer b.endPage(s)
		answer, err := b.ask(ctx, asker, root, atLeast, req)
		if err != nil {
			s.Fail(req.GetId(), err)
			return
		}
		s.AnswerFrame(answer)
	})
}

// maxPages is how many pages a node makes, or holds until they are written, at
// once for all its sessions: at half a MiB each, what those who ask and do not
// read can make it hold.
const maxPages = 512

func (b *backend) beginPage(ctx context.Context, s *session.Session) bool {
	if !s.BeginPage(ctx) {
		return false
	}
	select {
	case b.pages <- struct{}{}:
		return true
	case <-ctx.Done():
		s.EndPage()
		return false
	}
}

func (b *backend) endPage(s *session.Session) {
	s.EndPage()
	<-b.pages
}

// ask sends a query to where it is answered, and returns the response's frame.
func (b *backend) ask(ctx context.Context, asker native.Asker, root string, atLeast wire.Offset, req *pb.Request) ([]byte, error) {
	encoded, err := proto.MarshalOptions{}.MarshalAppend([]byte{queryClient}, req)
	if err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "encode request: %v", err)
	}
	return b.router.Query(ctx, route.Query{
		Slot: wire.SlotOf(asker.App, root), App: asker.App, User: asker.User, Request: encoded, AtLeast: atLeast,
	})
}

// wait does a request that takes several steps, in a goroutine of its own.
func (b *backend) wait(s *session.Session, req *pb.Request, work func(context.Context) (*pb.Response, error)) {
	b.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(b.ctx, requestTimeout)
		defer cancel()
		resp, err := work(ctx)
		if err != nil {
			s.Fail(req.GetId(), err)
			return
		}
		s.Answer(resp)
	})
}

// withOp names the operation in an error that came from where that is not known.
func withOp(op string, err error) error {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok || e.Op != "" {
		return err
	}
	named := *e
	named.Op = op
	return &named
}

func newName() (string, error) {
	var b [12]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}
