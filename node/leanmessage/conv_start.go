package leanmessage

import (
	"context"
	"math/rand/v2"

	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

const (
	defaultTTL = 24 * 60 * 60      // seconds that a temporary conversation lives
	maxTTL     = 30 * 24 * 60 * 60 // at most
)

// startConversation makes a conversation or, where only one can have its members,
// finds it.
func startConversation(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	c.moves.request(requestOf(ctx))
	members, err := usersOf(m.GetM())
	if err != nil {
		return nil, err
	}
	if sign := c.tenant().settings.Sign; sign.Conversation {
		if err := c.signed(leansign.Action{Verb: leansign.Start, Members: m.GetM(), Loose: sign.Loose}, convSignature(m), CodeConvSignatureFailed); err != nil {
			return nil, err
		}
	}
	attributes, err := leandoc.ParseAttributes([]byte(m.GetAttr().GetData()))
	if err != nil {
		return nil, errorf(CodeConvAPIFailed, "%v", err)
	}
	create := &state.CreateConversation{
		Preset: state.PresetBasic, Name: attributes.Name, Members: members, Properties: attributes.Properties, Rules: c.rules(),
	}
	switch {
	case m.GetTempConv():
		return c.startTemporary(ctx, m, create)
	case m.GetTransient():
		return c.startRoom(ctx, create)
	case m.GetUnique():
		return c.startUnique(ctx, create)
	}
	create.ID = c.newConversationID()
	r, err := c.host().Change(ctx, c.header(ctx), create)
	if err != nil {
		return nil, startError(err)
	}
	return c.started(r, &leanpb.ConvCommand{})
}

// rules are those of new conversations.
func (c convs) rules() state.Rules {
	if c.tenant().settings.Allow.Roles {
		return state.RulesRoles
	}
	return state.RulesOpen
}

func (c convs) newConversationID() wire.ConversationID {
	return wire.NewConversationID(c.host().Millis()/1000, rand.Uint64())
}

// started answers with the conversation that was made or found.
func (c convs) started(r state.Result, m *leanpb.ConvCommand) (*leanpb.GenericCommand, error) {
	if r.Refusal != state.None {
		return nil, startCodes.refused(r.Refusal, r.Text)
	}
	c.moves.came(r.Conversation)
	if m.Cid == nil {
		m.Cid = new(string(r.Conversation))
	}
	m.Cdate = isoTime(r.Timestamp)
	if r.Existed {
		m.Existing = new(true)
	}
	return convReply(leanpb.OpType_started, m), nil
}

// startCodes are what refusals are for the start of a conversation.
//
//nolint:gochecknoglobals // a lookup table
var startCodes = codes{
	state.Limit: CodeConvFull, state.Invalid: CodeConvAPIFailed, state.Forbidden: CodeConvNotAllowed, state.Gone: CodeConvInternalError,
}

// startError is what a client gets to know of an error of a start.
func startError(err error) error { return startCodes.failed(err) }

// startUnique finds or makes the conversation of exactly these members.
func (c convs) startUnique(ctx context.Context, create *state.CreateConversation) (*leanpb.GenericCommand, error) {
	create.Unique = true
	unique := leandoc.UniqueID(append(create.Members, c.user))
	create.Properties = append(create.Properties, state.Property{Name: leandoc.ColumnUniqueID, Value: []byte(`"` + unique + `"`)})
	r, err := c.host().Unique(ctx, c.header(ctx), create)
	if err != nil {
		return nil, startError(err)
	}
	return c.started(r, &leanpb.ConvCommand{UniqueId: &unique})
}

// startTemporary finds or makes the temporary conversation of exactly these
// members: while it lives there is one.
func (c convs) startTemporary(ctx context.Context, m *leanpb.ConvCommand, create *state.CreateConversation) (*leanpb.GenericCommand, error) {
	ttl := int64(m.GetTempConvTTL())
	switch {
	case ttl <= 0:
		ttl = defaultTTL
	case ttl > maxTTL:
		ttl = maxTTL
	}
	create.Preset, create.Unique, create.Rules, create.TTLMillis = state.PresetTemporary, true, state.RulesPreset, ttl*1000
	r, err := c.host().Unique(ctx, c.header(ctx), create)
	if err != nil {
		return nil, startError(err)
	}
	if r.Refusal == state.None && r.Existed {
		kind, err := c.kindOf(ctx, r.Conversation)
		if err != nil {
			return nil, err
		}
		ttl = int64(secondsLeft(kind.Expires, c.host().Millis()))
	}
	return c.started(r, &leanpb.ConvCommand{
		Cid: new(shownID(r.Conversation, state.PresetTemporary)), TempConvTTL: new(int32(ttl)),
	})
}

// startRoom makes a chat room and enters it. Who is in a room is not stored, so
// that members are not heeded.
func (c convs) startRoom(ctx context.Context, create *state.CreateConversation) (*leanpb.GenericCommand, error) {
	create.ID, create.Preset, create.Members = c.newConversationID(), state.PresetRoom, nil
	r, err := c.host().Change(ctx, c.header(ctx), create)
	if err != nil {
		return nil, startError(err)
	}
	if r.Refusal == state.None {
		if err := c.enterRoom(ctx, create.ID); err != nil {
			return nil, err
		}
	}
	return c.started(r, &leanpb.ConvCommand{})
}
