package leanmessage

import (
	"context"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// memberChange is a command that adds or removes members.
type memberChange struct {
	id    wire.ConversationID
	users []wire.UserID
	self  bool // it is about the client alone
}

func (c convs) memberChange(ctx context.Context, m *leanpb.ConvCommand) (memberChange, error) {
	c.moves.request(requestOf(ctx))
	id, err := c.changeable(ctx, m.GetCid())
	if err != nil {
		return memberChange{}, err
	}
	users, err := usersOf(m.GetM())
	if err == nil && len(users) == 0 {
		err = errorf(CodeConvUpdateFailed, "no client ids are named")
	}
	return memberChange{id: id, users: users, self: len(users) == 1 && users[0] == c.user}, err
}

// addMembers adds members, or joins: a chat room, too.
func addMembers(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	change, err := c.memberChange(ctx, m)
	if err != nil {
		return nil, err
	}
	if c.tenant().settings.Sign.Conversation {
		action := leansign.Action{Verb: leansign.Invite, Conversation: m.GetCid(), Members: m.GetM()}
		if err := c.signed(action, convSignature(m), CodeConvSignatureFailed); err != nil {
			return nil, err
		}
	}
	r, err := c.host().Change(ctx, c.header(ctx), &state.AddMembers{Conversation: change.id, Users: change.users})
	if err != nil {
		return nil, memberCodes.failed(err)
	}
	if r.Refusal == state.Invalid {
		return c.inRoom(ctx, &change, leanpb.OpType_added, c.enterOpenRoom)
	}
	reply, err := c.membersChanged(leanpb.OpType_added, &change, r, state.Exists)
	if err == nil && change.self {
		c.moves.came(change.id)
	}
	return reply, err
}

// removeMembers removes members, or leaves: a chat room, too.
func removeMembers(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	change, err := c.memberChange(ctx, m)
	if err != nil {
		return nil, err
	}
	// Not all clients sign that they leave.
	if c.tenant().settings.Sign.Conversation && !change.self {
		action := leansign.Action{Verb: leansign.Kick, Conversation: m.GetCid(), Members: m.GetM()}
		if err := c.signed(action, convSignature(m), CodeConvSignatureFailed); err != nil {
			return nil, err
		}
	}
	r, err := c.host().Change(ctx, c.header(ctx), &state.RemoveMembers{Conversation: change.id, Users: change.users})
	if err != nil {
		return nil, memberCodes.failed(err)
	}
	if r.Refusal == state.Invalid {
		return c.inRoom(ctx, &change, leanpb.OpType_removed, c.leaveRoom)
	}
	if r.Refusal == state.NotMember && len(change.users) == 1 {
		if r, err = c.notThere(ctx, &change, r); err != nil {
			return nil, err
		}
	}
	return c.membersChanged(leanpb.OpType_removed, &change, r, state.NotMember)
}

// notThere tells which of the two is no member when one was to be removed: it is
// as good as done if it is the other one.
func (c convs) notThere(ctx context.Context, change *memberChange, r state.Result) (state.Result, error) {
	kind, err := c.kindOf(ctx, change.id)
	if err != nil {
		return r, err
	}
	if change.self || kind.Role != state.RoleNone {
		r = state.Result{Conversation: change.id, Timestamp: c.host().Millis()}
	}
	return r, nil
}

// membersChanged answers a change of members. Fine are refusals that are as good
// as done.
func (c convs) membersChanged(o leanpb.OpType, change *memberChange, r state.Result, fine state.Refusal) (*leanpb.GenericCommand, error) {
	switch {
	case r.Refusal == state.None:
	case len(change.users) == 1 && ofUser(r.Refusal):
		r.Users = []state.UserResult{{User: change.users[0], Refusal: r.Refusal}}
	default:
		return nil, memberCodes.refused(r.Refusal, r.Text)
	}
	done := outcomeOf(change.users, r.Users, memberCodes, fine)
	if err := c.failure(change.users, done); err != nil {
		return nil, err
	}
	if r.Timestamp == 0 {
		r.Timestamp = c.host().Millis()
	}
	return convReply(o, &leanpb.ConvCommand{
		Cid: new(string(change.id)), AllowedPids: done.allowed, FailedPids: done.failed, Udate: isoTime(r.Timestamp),
	}), nil
}

// ofUser tells whether a refusal is about who was named, rather than about who
// asks or about the conversation.
func ofUser(r state.Refusal) bool {
	switch r {
	case state.Blocked, state.Banned, state.NeedOwner:
		return true
	default:
		return false
	}
}

// inRoom does for a chat room what the state does for conversations with members:
// everybody comes and goes for himself only.
func (c convs) inRoom(
	ctx context.Context, change *memberChange, o leanpb.OpType, do func(context.Context, wire.ConversationID) error,
) (*leanpb.GenericCommand, error) {
	kind, err := c.kindOf(ctx, change.id)
	switch {
	case err != nil:
		return nil, err
	case kind.Preset != state.PresetRoom:
		return nil, errorf(CodeConvUpdateFailed, "the members cannot be changed so")
	case !change.self:
		return nil, errorf(CodeNormalConvRequired, "nobody is brought into a chat room or out of it")
	}
	if err := do(ctx, change.id); err != nil {
		return nil, memberCodes.failed(err)
	}
	return convReply(o, &leanpb.ConvCommand{
		Cid: new(string(change.id)), AllowedPids: []string{string(c.user)}, Udate: isoTime(c.host().Millis()),
	}), nil
}

// enterOpenRoom enters a chat room that does not keep the user out.
func (c convs) enterOpenRoom(ctx context.Context, id wire.ConversationID) error {
	_, err := c.host().Ask(ctx, c.app, c.user, string(id), &ask.Request{
		Listed: &ask.Listed{Conversation: id, List: ask.ListBlocked, Of: []wire.UserID{c.user}},
	})
	if err != nil {
		return err // who is kept out may not even ask
	}
	return c.enterRoom(ctx, id)
}
