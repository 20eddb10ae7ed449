package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

const (
	// maxPositions is how many logs one request may subscribe to.
	maxPositions = 100
	// subscriptionBlock is how many subscriptions share one piece of memory, which
	// is free when all of them have ended.
	subscriptionBlock = 8
	// maxUnread is how many conversations one request may ask about.
	maxUnread = 50
	// unreadAtOnce is how many of them are asked about at the same time.
	unreadAtOnce = 8
	// uniqueTries is how often the entry of a member set is asked again after
	// its candidates turned out to be gone or changed.
	uniqueTries = 8
)

// subscribe follows logs. The answer is sent when each has been granted or
// refused.
func (b *backend) subscribe(s *session.Session, req *pb.Request, r *pb.Subscribe) {
	const op = "log.subscribe"
	if n := len(r.GetPositions()); n == 0 || n > maxPositions {
		s.Fail(req.GetId(), wire.Errorf(wire.CodeLimit, op, "%d positions, want 1 to %d", n, maxPositions))
		return
	}
	g := &granting{
		s: s, id: req.GetId(), left: len(r.GetPositions()), asked: r.GetPositions(), logs: make([]*pb.SubscribedLog, len(r.GetPositions())),
	}
	g.timer = time.AfterFunc(requestTimeout, func() { g.giveUp(b.edge) })
	s.Logs.Grow(len(r.GetPositions()))
	var block []tail.Subscription
	for i, p := range r.GetPositions() {
		if i%subscriptionBlock == 0 {
			block = make([]tail.Subscription, min(subscriptionBlock, len(r.GetPositions())-i))
		}
		ref := p.GetLog()
		log := state.LogKey{App: s.Identity.App, Conversation: wire.ConversationID(ref.GetConversation())}
		if ref.GetConversation() == "" && s.Identity.User == "" {
			g.done(i, ref, tail.Started{}, wire.Errorf(wire.CodeInvalid, op, "the app has no log of its own"))
			continue
		}
		if ref.GetConversation() == "" {
			log.User = s.Identity.User
		} else if err := wire.ValidID(ref.GetConversation()); err != nil {
			g.done(i, ref, tail.Started{}, wire.Errorf(wire.CodeInvalid, op, "conversation %v", err))
			continue
		}
		sub, err := b.edge.Subscribe(tail.Request{
			Log: log, User: s.Identity.User, After: wire.Offset(p.GetAfter()), FromEnd: p.GetFromEnd(), Sink: s, Set: &s.Logs, Into: &block[i%subscriptionBlock],
			Done: func(started tail.Started, err error) { g.done(i, ref, started, refusal(op, err)) },
		})
		if err != nil {
			g.done(i, ref, tail.Started{}, refusal(op, err))
			continue
		}
		g.note(i, sub)
	}
}

// refusal turns what the tail says into what a client may know.
func refusal(op string, err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		return native.Refused(op, refused.Refusal, refused.Text)
	}
	switch {
	case errors.Is(err, tail.ErrTwice):
		return wire.Errorf(wire.CodeExists, op, "the session follows this log already")
	case errors.Is(err, tail.ErrTooMany):
		return wire.Errorf(wire.CodeLimit, op, "a session may follow %d logs", tail.MaxSubscriptions)
	default:
		return &wire.Error{Code: wire.CodeUnavailable, Op: op, Text: "ask again", Err: err}
	}
}

// granting gathers the answers to one subscribe request.
type granting struct {
	s     *session.Session
	id    uint64
	timer *time.Timer
	asked []*pb.Position

	mu   sync.Mutex
	logs []*pb.SubscribedLog
	subs []*tail.Subscription
	left int
	sent bool
}

func (g *granting) note(i int, sub *tail.Subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.subs == nil {
		g.subs = make([]*tail.Subscription, len(g.logs))
	}
	g.subs[i] = sub
}

// done takes one answer, and sends the response after the last one.
func (g *granting) done(i int, ref *pb.LogRef, started tail.Started, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sent || g.logs[i] != nil {
		return
	}
	g.logs[i] = &pb.SubscribedLog{Log: ref, Last: uint64(started.Last), After: uint64(started.After), ReadSeq: uint64(started.Read)}
	if err != nil {
		g.logs[i].Error = session.EncodeError(err)
	}
	if g.left--; g.left == 0 {
		g.sendLocked()
	}
}

func (g *granting) sendLocked() {
	g.sent = true
	g.timer.Stop()
	g.s.Answer(&pb.Response{Id: g.id, Result: &pb.Response_Subscribed{Subscribed: &pb.Subscribed{Logs: g.logs}}})
}

// giveUp answers for the logs whose shards did not.
func (g *granting) giveUp(edge *tail.Edge) {
	g.mu.Lock()
	if g.sent {
		g.mu.Unlock()
		return
	}
	var waiting []*tail.Subscription
	for i := range g.logs {
		if g.logs[i] == nil {
			if g.subs != nil && g.subs[i] != nil {
				waiting = append(waiting, g.subs[i])
			}
			g.logs[i] = &pb.SubscribedLog{
				Log:   g.asked[i].GetLog(),
				Error: session.EncodeError(wire.Errorf(wire.CodeUnavailable, "log.subscribe", "the shard does not answer, ask again")),
			}
		}
	}
	g.sendLocked()
	g.mu.Unlock()
	// One that is granted just now ends too: the client was told that it has none.
	for _, sub := range waiting {
		edge.Unsubscribe(sub)
	}
}

func (b *backend) unsubscribe(s *session.Session, req *pb.Request, r *pb.Unsubscribe) {
	for _, ref := range r.GetLogs() {
		log := state.LogKey{App: s.Identity.App, Conversation: wire.ConversationID(ref.GetConversation())}
		if ref.GetConversation() == "" {
			log.User = s.Identity.User
		}
		if sub := s.Logs.Of(log); sub != nil {
			b.edge.Unsubscribe(sub)
		}
	}
	s.Answer(&pb.Response{Id: req.GetId(), Result: &pb.Response_Done{Done: &pb.Done{}}})
}

// createUnique finds or makes the conversation of exactly these members: the
// entry of the member set says which ids may be the one, and the conversation
// itself whether it is.
func (b *backend) createUnique(ctx context.Context, asker native.Asker, req *pb.Request) (*pb.Response, error) {
	const op = "conversation.create"
	asked := req.GetCreateConversation()
	resolve, err := native.Resolve(asker, asked)
	if err != nil {
		return nil, err
	}
	h := state.Header{App: asker.App, Actor: asker.User, Origin: asker.Origin}
	var try *pb.Request
	result, err := findUnique(resolve,
		func() (state.Result, error) { return b.changeAs(ctx, op, h, resolve) },
		func(id wire.ConversationID) (state.Result, error) {
			create := proto.CloneOf(asked)
			create.Id = string(id)
			// Without a token: the client has counted it for its user, not for this
			// conversation, and to find it again is harmless.
			try = &pb.Request{Id: req.GetId(), Op: &pb.Request_CreateConversation{CreateConversation: create}}
			change, _, err := native.Translate(asker, try)
			if err != nil {
				return state.Result{}, err
			}
			return b.proposeChange(ctx, asker.App, change)
		})
	if err != nil {
		return nil, withOp(op, err)
	}
	return native.Answer(op, try, result), nil
}

// findUnique asks the entry of a member set for candidates and tries to create
// each, until one is the conversation of exactly these members. A refusal to
// answer, or to create, is the result.
func findUnique(resolve *state.ResolveUnique, ask func() (state.Result, error), create func(wire.ConversationID) (state.Result, error)) (state.Result, error) {
	for range uniqueTries {
		entry, err := ask()
		if err != nil || entry.Refusal != state.None {
			return entry, err
		}
		resolve.Drop = nil
		for _, id := range entry.Conversations {
			result, err := create(id)
			if err != nil {
				return state.Result{}, err
			}
			switch result.Refusal {
			case state.Gone, state.Exists: // drifted, or gone: not the one any more
				resolve.Drop = append(resolve.Drop, id)
			default:
				return result, nil
			}
		}
	}
	return state.Result{}, wire.Errorf(wire.CodeUnavailable, "conversation.create", "the conversation of these members keeps changing, ask again")
}

// unread asks each conversation's shard.
func (b *backend) unread(ctx context.Context, asker native.Asker, req *pb.Request, r *pb.GetUnread) (*pb.Response, error) {
	const op = "message.unread"
	ids := r.GetConversations()
	if len(ids) == 0 || len(ids) > maxUnread {
		return nil, wire.Errorf(wire.CodeLimit, op, "%d conversations, want 1 to %d", len(ids), maxUnread)
	}
	unreads := make([]*pb.Unread, len(ids))
	var all sync.WaitGroup
	places := make(chan struct{}, unreadAtOnce)
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			return nil, wire.Errorf(wire.CodeInvalid, op, "conversation %s is there twice", id)
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			unread, err := b.unreadOf(ctx, asker, id)
			if err != nil {
				unread = &pb.Unread{Conversation: id, Error: session.EncodeError(withOp(op, err))}
			}
			unreads[i] = unread
		})
	}
	all.Wait()
	return &pb.Response{Id: req.GetId(), Result: &pb.Response_Unreads{Unreads: &pb.Unreads{Unreads: unreads}}}, nil
}

func (b *backend) unreadOf(ctx context.Context, asker native.Asker, id string) (*pb.Unread, error) {
	if err := wire.ValidID(id); err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "conversation %v", err)
	}
	one := &pb.Request{Op: &pb.Request_GetUnread{GetUnread: &pb.GetUnread{Conversations: []string{id}}}}
	answer, err := b.ask(ctx, asker, id, 0, one)
	if err != nil {
		return nil, err
	}
	frame := &pb.ServerFrame{}
	if err := proto.Unmarshal(answer, frame); err != nil {
		return nil, err
	}
	unreads := frame.GetResponse().GetUnreads().GetUnreads()
	if len(unreads) != 1 {
		return nil, wire.Errorf(wire.CodeInternal, "", "no answer about conversation %s", id)
	}
	return unreads[0], nil
}

// room enters or leaves a chat room. The user's shard remembers it, so that it
// ends also when this node does.
func (b *backend) room(ctx context.Context, s *session.Session, asker native.Asker, req *pb.Request) (*pb.Response, error) {
	op, id := "room.enter", req.GetEnterRoom().GetConversation()
	enter := req.GetEnterRoom() != nil
	if !enter {
		op, id = "room.leave", req.GetLeaveRoom().GetConversation()
	}
	if err := wire.ValidID(id); err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, op, "conversation %v", err)
	}
	var c state.Command = &state.LeaveRoom{User: asker.User, Conversation: wire.ConversationID(id)}
	if enter {
		c = &state.EnterRoom{User: asker.User, Conversation: wire.ConversationID(id), Session: s.Name, Node: b.place}
	}
	result, err := b.changeAs(ctx, op, state.Header{App: asker.App, Actor: asker.User, Origin: asker.Origin}, c)
	if err != nil {
		return nil, err
	}
	s.SetInRoom(enter)
	return native.Answer(op, req, result), nil
}
