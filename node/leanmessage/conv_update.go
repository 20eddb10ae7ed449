package leanmessage

import (
	"context"

	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// updateCodes are what refusals are for changes of a conversation.
//
//nolint:gochecknoglobals // a lookup table
var updateCodes = codes{
	state.NotMember: CodeConvUpdateRejected, state.Forbidden: CodeConvReadOnly, state.Invalid: CodeConvUpdateFailed, state.Limit: CodeConvUpdateFailed,
}

// updateConversation changes columns of a conversation.
func updateConversation(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	id, err := c.changeable(ctx, m.GetCid())
	if err != nil {
		return nil, err
	}
	sent := []byte(m.GetAttr().GetData())
	changes, err := leandoc.ParseUpdate(sent)
	if err != nil {
		return nil, errorf(CodeConvUpdateFailed, "%v", err)
	}
	if len(changes) == 0 {
		return nil, errorf(CodeConvUpdateFailed, "it changes nothing that can be changed")
	}
	r, err := c.host().Change(ctx, c.header(ctx), &state.UpdateConversation{ID: id, Changes: changes, Sent: sent})
	if err != nil {
		return nil, updateCodes.failed(err)
	}
	if r.Refusal != state.None {
		return nil, updateCodes.refused(r.Refusal, r.Text)
	}
	c.feed.own(id, r.Offset)
	changed := r.Data
	if len(changed) == 0 {
		changed = []byte("{}")
	}
	return convReply(leanpb.OpType_updated, &leanpb.ConvCommand{
		Cid: new(m.GetCid()), Udate: isoTime(r.Timestamp),
		Attr: jsonObject(leandoc.Resolved(sent, changed)), AttrModified: jsonObject(changed),
	}), nil
}

// muteConversation has a user get no more pushes of a conversation.
func muteConversation(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	return c.quiet(ctx, in.GetConvMessage().GetCid(), false)
}

// unmuteConversation has him get them again.
func unmuteConversation(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	return c.quiet(ctx, in.GetConvMessage().GetCid(), true)
}

func (c convs) quiet(ctx context.Context, cid string, off bool) (*leanpb.GenericCommand, error) {
	id, err := c.changeable(ctx, cid)
	if err != nil {
		return nil, err
	}
	r, err := c.host().Change(ctx, c.header(ctx), &state.Quiet{Conversation: id, Users: []wire.UserID{c.user}, Off: off})
	if err != nil {
		return nil, memberCodes.failed(err)
	}
	if r.Refusal != state.None {
		return nil, memberCodes.refused(r.Refusal, r.Text)
	}
	return convReply(leanpb.OpType_updated, &leanpb.ConvCommand{Cid: new(cid), Udate: isoTime(r.Timestamp)}), nil
}
