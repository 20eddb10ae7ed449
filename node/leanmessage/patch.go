package leanmessage

import (
	"context"
	"unicode/utf8"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// maxPatches is how many messages one command may change.
const maxPatches = 20

// patchCodes is what refusals are for changes of messages.
//
//nolint:gochecknoglobals // a lookup table
var patchCodes = codes{
	state.NotFound: CodeMessageNotFound, state.Gone: CodeMessageNotFound, state.Forbidden: CodeOwnershipRequired,
	state.NotMember: CodeInvalidTarget, state.Muted: CodeSilenced, state.MutedForNow: CodeConvBlacklisted, state.Limit: CodeFrameTooLong,
	state.Invalid: CodeMessageNotFound,
}

// modify changes or recalls messages that the user has sent.
func modify(ctx context.Context, c *client, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	patches := in.GetPatchMessage().GetPatches()
	if len(patches) == 0 || len(patches) > maxPatches {
		return nil, errorf(CodeMessageNotFound, "%d messages to change, want 1 to %d", len(patches), maxPatches)
	}
	// What is allowed is asked for anew: a socket may be open for days.
	app, ok, err := c.host().App(ctx, c.app)
	if err != nil || !ok {
		return nil, errorf(CodeInternalError, "the app is not known")
	}
	allow := c.door().tenantOf(app).settings.Allow
	var last int64
	for _, p := range patches {
		at, err := sending{c}.patch(ctx, p, allow)
		if err != nil {
			return nil, err
		}
		last = max(last, at)
	}
	return &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_patch.Enum(), Op: leanpb.OpType_modified.Enum(),
		PatchMessage: &leanpb.PatchCommand{LastPatchTime: new(last)},
	}, nil
}

// patch changes one message, and returns when.
func (c sending) patch(ctx context.Context, p *leanpb.PatchItem, allow door.AllowSettings) (int64, error) {
	id := services(c).within(storedID(p.GetCid()))
	switch {
	case p.GetRecall() && !allow.Recall:
		return 0, errorf(CodeRecallDisabled, "the app does not recall messages: see the setting leanmessage.recall")
	case !p.GetRecall() && !allow.Edit:
		return 0, errorf(CodeEditDisabled, "the app does not edit messages: see the setting leanmessage.edit")
	case wire.ValidID(string(id)) != nil:
		return 0, errorf(CodeInvalidTarget, "the conversation's id is none")
	case wire.ValidID(p.GetMid()) != nil || !isAt(id, p):
		return 0, errorf(CodeMessageNotFound, "no message has this id and time")
	}
	change, e := c.changeOf(id, p)
	if e != nil {
		return 0, e
	}
	r, err := c.host().Change(ctx, c.header(ctx), change)
	switch {
	case err != nil:
		return 0, patchCodes.failed(err)
	case r.Refusal != state.None:
		return 0, patchCodes.refused(r.Refusal, r.Text)
	}
	c.feed.own(id, r.Offset)
	return r.Timestamp, nil
}

// isAt tells whether the id is that of a message of the item's time, as far as
// the id says: one that was imported says nothing.
func isAt(id wire.ConversationID, p *leanpb.PatchItem) bool {
	seq, ok := wire.MessageID(p.GetMid()).Seq(id)
	return !ok || p.Timestamp == nil || wire.NewMessageID(id, p.GetTimestamp(), seq) == wire.MessageID(p.GetMid())
}

// changeOf is the command that changes a message. Some clients put bytes where a
// text belongs.
func (c sending) changeOf(id wire.ConversationID, p *leanpb.PatchItem) (state.Command, *Error) {
	if p.GetRecall() {
		return &state.RecallMessage{Conversation: id, ID: wire.MessageID(p.GetMid())}, nil
	}
	edit := &state.EditMessage{
		Conversation: id, ID: wire.MessageID(p.GetMid()), Body: []byte(p.GetData()),
		Mentions: mentioned(p.GetMentionPids()), MentionAll: p.GetMentionAll(),
	}
	switch {
	case p.BinaryMsg != nil:
		edit.Body, edit.ContentType = p.GetBinaryMsg(), ask.BinaryContent
	case !utf8.Valid(edit.Body):
		edit.ContentType = ask.BinaryContent
	}
	if most := c.tenant().settings.Limit.MessageBytes; len(edit.Body) > most {
		return nil, errorf(CodeFrameTooLong, "the message has %d bytes, want at most %d", len(edit.Body), most)
	}
	return edit, nil
}

// pushPatch tells of a message that was changed.
func pushPatch(c *client, b *tail.Batch, e *state.Entry) []outgoing {
	if e.Message == nil || !c.understands(bitPatch) || b.Log.Conversation == state.BroadcastLog {
		return nil // broadcasts are changed for those who have not got them
	}
	body := sharedPush(b, e, func() []byte {
		return encode(patchPush(e.Message, shownID(b.Log.Conversation, c.presetOf(b.Log.Conversation)), c.host().Millis()))
	})
	return []outgoing{{head: c.peer, body: body}}
}

// patchPush is a push of one changed message, but for whom it is to.
func patchPush(m *state.Message, cid string, millis int64) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_patch.Enum(), Op: leanpb.OpType_modify.Enum(),
		Service: new(int32(serviceConversations)), ServerTs: new(millis),
		PatchMessage: &leanpb.PatchCommand{Patches: []*leanpb.PatchItem{patchItem(m, cid)}},
	}
}
