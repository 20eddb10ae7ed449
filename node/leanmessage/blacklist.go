package leanmessage

import (
	"context"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

func blacklistReply(o leanpb.OpType, m *leanpb.BlacklistCommand) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{Cmd: leanpb.CommandType_blacklist.Enum(), Op: o.Enum(), BlacklistMessage: m}
}

// blockMembers has a conversation keep users out, or the user himself out of
// conversations.
func blockMembers(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	return c.block(ctx, in.GetBlacklistMessage(), false)
}

// unblockMembers undoes it.
func unblockMembers(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	return c.block(ctx, in.GetBlacklistMessage(), true)
}

func (c convs) block(ctx context.Context, m *leanpb.BlacklistCommand, undo bool) (*leanpb.GenericCommand, error) {
	if err := c.mayBlock(); err != nil {
		return nil, err
	}
	if m.GetSrcCid() == "" {
		return c.blockConversations(ctx, m, undo)
	}
	id, err := c.changeable(ctx, m.GetSrcCid())
	if err != nil {
		return nil, err
	}
	users, err := usersOf(m.GetToPids())
	if err != nil {
		return nil, err
	}
	verb, o := leansign.BlockClients, leanpb.OpType_blocked
	if undo {
		verb, o = leansign.UnblockClients, leanpb.OpType_unblocked
	}
	if err := c.blockSigned(m, leansign.Action{Verb: verb, Conversation: m.GetSrcCid(), Members: m.GetToPids()}); err != nil {
		return nil, err
	}
	r, err := c.host().Change(ctx, c.header(ctx), &state.BlockMembers{Conversation: id, Users: users, Unblock: undo})
	done, err := c.managedOutcome(users, r, err)
	if err != nil {
		return nil, err
	}
	return blacklistReply(o, &leanpb.BlacklistCommand{
		SrcCid: m.SrcCid, AllowedPids: done.allowed, FailedPids: done.failed,
	}), nil
}

func (c convs) mayBlock() error {
	if !c.tenant().settings.Allow.Blacklist {
		return errorf(CodeBlacklistDisabled, "the app has no blacklists: see the setting leanmessage.blacklist")
	}
	return nil
}

func (c convs) blockSigned(m *leanpb.BlacklistCommand, a leansign.Action) error {
	if !c.tenant().settings.Sign.Blacklist {
		return nil
	}
	given := leansign.Given{Signature: m.GetS(), Timestamp: m.GetT(), Nonce: m.GetN()}
	return c.signed(a, given, CodeBlacklistSignature)
}

// maxBlockedAtOnce is how many conversations one command of a user blocks.
const maxBlockedAtOnce = 20

// blockConversations keeps the user from being added to conversations.
func (c convs) blockConversations(ctx context.Context, m *leanpb.BlacklistCommand, undo bool) (*leanpb.GenericCommand, error) {
	cids := m.GetToCids()
	if len(cids) == 0 || len(cids) > maxBlockedAtOnce || m.GetSrcPid() != "" && m.GetSrcPid() != string(c.user) {
		return nil, errorf(CodeConvNotFound, "%d conversations to be blocked by %q, want 1 to %d by oneself", len(cids), m.GetSrcPid(), maxBlockedAtOnce)
	}
	verb, o := leansign.BlockConversations, leanpb.OpType_blocked
	if undo {
		verb, o = leansign.UnblockConversations, leanpb.OpType_unblocked
	}
	reply := &leanpb.BlacklistCommand{SrcPid: new(string(c.user))}
	for _, cid := range cids {
		id, err := conversationOf(cid)
		if err == nil {
			err = c.blockSigned(m, leansign.Action{Verb: verb, Conversation: cid})
		}
		if err != nil {
			return nil, err
		}
		r, err := c.host().Change(ctx, c.header(ctx), &state.BlockConversation{User: c.user, Conversation: id, Unblock: undo})
		if err != nil {
			return nil, managed.failed(err)
		}
		if r.Refusal != state.None {
			return nil, codes{state.Limit: CodeBlacklistFull}.refused(r.Refusal, r.Text)
		}
		reply.BlockedCids = append(reply.BlockedCids, cid)
	}
	return blacklistReply(o, reply), nil
}

// queryBlocked lists whom a conversation keeps out, or which conversations the
// user does not want to be added to.
func queryBlocked(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetBlacklistMessage()
	if err := c.mayBlock(); err != nil {
		return nil, err
	}
	if m.GetSrcCid() == "" {
		blocked, err := c.blockedConversations(ctx)
		if err != nil {
			return nil, err
		}
		reply := &leanpb.BlacklistCommand{SrcPid: new(string(c.user))}
		for _, id := range blocked {
			reply.BlockedCids = append(reply.BlockedCids, string(id))
		}
		return blacklistReply(leanpb.OpType_query_result, reply), nil
	}
	page, err := c.listed(ctx, m.GetSrcCid(), ask.Listed{List: ask.ListBlocked}, listPage{m.GetLimit(), m.GetNext()})
	if err != nil {
		return nil, err
	}
	return blacklistReply(leanpb.OpType_query_result, &leanpb.BlacklistCommand{
		SrcCid: m.SrcCid, BlockedPids: names(page.Users), Next: nextOf(page),
	}), nil
}

func (c convs) blockedConversations(ctx context.Context) ([]wire.ConversationID, error) {
	a, err := c.host().Ask(ctx, c.app, c.user, string(c.user), &ask.Request{Blocks: &ask.Blocks{}})
	if err != nil {
		return nil, managed.failed(err)
	}
	if a.Blocks == nil {
		return nil, errorf(CodeInternalError, "no answer about blocks")
	}
	return a.Blocks.Conversations, nil
}

// checkBlocked tells which of some users a conversation keeps out.
func checkBlocked(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetBlacklistMessage()
	if err := c.mayBlock(); err != nil {
		return nil, err
	}
	users, err := usersOf(m.GetToPids())
	if err != nil {
		return nil, err
	}
	page := &ask.UserPage{}
	if len(users) > 0 {
		if page, err = c.listed(ctx, m.GetSrcCid(), ask.Listed{List: ask.ListBlocked, Of: users}, listPage{}); err != nil {
			return nil, err
		}
	}
	return blacklistReply(leanpb.OpType_check_result, &leanpb.BlacklistCommand{SrcCid: m.SrcCid, BlockedPids: names(page.Users)}), nil
}
