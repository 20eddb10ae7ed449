package leanmessage

import (
	"context"
	"strconv"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

const (
	defaultListed = 10  // users in a page of a list
	maxListed     = 100 // at most
)

// managed are what refusals are for what only owner and managers do.
//
//nolint:gochecknoglobals // a lookup table
var managed = codes{
	state.NotMember: CodeOperationUnauth, state.Invalid: CodeConvNotAllowed, state.Limit: CodeSilencedListFull,
	state.NeedOwner: CodeOperationUnauth, state.BlockListFull: CodeBlacklistFull, state.MuteListFull: CodeSilencedListFull,
}

// managedUsers are the same, for each of the users that such a command names.
//
//nolint:gochecknoglobals // a lookup table
var managedUsers = codes{
	state.NotMember: CodeMembershipRequired, state.NeedOwner: CodeOperationUnauth,
	state.Limit: CodeSilencedListFull, state.BlockListFull: CodeBlacklistFull, state.MuteListFull: CodeSilencedListFull,
}

// silence keeps members from speaking.
func silence(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	return c.setSilence(ctx, in.GetConvMessage(), false)
}

// unsilence lets them speak again.
func unsilence(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	return c.setSilence(ctx, in.GetConvMessage(), true)
}

func (c convs) setSilence(ctx context.Context, m *leanpb.ConvCommand, off bool) (*leanpb.GenericCommand, error) {
	id, err := c.changeable(ctx, m.GetCid())
	if err != nil {
		return nil, err
	}
	users, err := usersOf(m.GetM())
	if err != nil {
		return nil, err
	}
	r, err := c.host().Change(ctx, c.header(ctx), &state.Mute{Conversation: id, Users: users, Unmute: off})
	done, err := c.managedOutcome(users, r, err)
	if err != nil {
		return nil, err
	}
	o := leanpb.OpType_shutup_added
	if off {
		o = leanpb.OpType_shutup_removed
	}
	return convReply(o, &leanpb.ConvCommand{Cid: new(string(id)), AllowedPids: done.allowed, FailedPids: done.failed}), nil
}

// managedOutcome is what a command that only owner and managers may give has come
// to.
func (c convs) managedOutcome(users []wire.UserID, r state.Result, err error) (outcome, error) {
	if err != nil {
		return outcome{}, managed.failed(err)
	}
	if r.Refusal != state.None {
		return outcome{}, managed.refused(r.Refusal, r.Text)
	}
	done := outcomeOf(users, r.Users, managedUsers, state.Exists)
	return done, c.failure(users, done)
}

// querySilenced lists who may not speak.
func querySilenced(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	page, err := c.listed(ctx, m.GetCid(), ask.Listed{List: ask.ListMuted}, listPage{m.GetLimit(), m.GetNext()})
	if err != nil {
		return nil, err
	}
	return convReply(leanpb.OpType_shutup_result, &leanpb.ConvCommand{Cid: m.Cid, M: names(page.Users), Next: nextOf(page)}), nil
}

// checkSilenced tells which of some users may not speak.
func checkSilenced(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	users, err := usersOf(m.GetM())
	if err != nil {
		return nil, err
	}
	page := &ask.UserPage{}
	if len(users) > 0 {
		if page, err = c.listed(ctx, m.GetCid(), ask.Listed{List: ask.ListMuted, Of: users}, listPage{}); err != nil {
			return nil, err
		}
	}
	return convReply(leanpb.OpType_check_result, &leanpb.ConvCommand{Cid: m.Cid, M: names(page.Users)}), nil
}

// listPage is which page of a list a client wants.
type listPage struct {
	limit int32
	next  string // a number, and nothing for the first page
}

// listed asks for users on one of a conversation's lists.
func (c convs) listed(ctx context.Context, cid string, q ask.Listed, p listPage) (*ask.UserPage, error) {
	id, err := conversationOf(cid)
	if err != nil {
		return nil, err
	}
	q.Conversation, q.Limit = id, defaultListed
	if p.limit > 0 {
		q.Limit = min(int(p.limit), maxListed)
	}
	if p.next != "" {
		if q.Skip, err = strconv.Atoi(p.next); err != nil || q.Skip < 0 {
			return nil, errorf(CodeConvQueryFailed, "next is %q, want what the page before said", p.next)
		}
	}
	a, err := c.host().Ask(ctx, c.app, c.user, string(id), &ask.Request{Listed: &q})
	if err != nil {
		return nil, memberCodes.failed(err)
	}
	if a.Listed == nil {
		return nil, errorf(CodeInternalError, "no answer about a list")
	}
	return a.Listed, nil
}

// nextOf is where the next page begins; nil: there is none.
func nextOf(p *ask.UserPage) *string {
	if p.Next == 0 {
		return nil
	}
	return new(strconv.Itoa(p.Next))
}
