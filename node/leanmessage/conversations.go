package leanmessage

import (
	"context"
	"errors"
	"slices"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// conversationCommands are the commands about conversations and their members.
func conversationCommands() map[op]command {
	const (
		conv  = leanpb.CommandType_conv
		black = leanpb.CommandType_blacklist
	)
	return map[op]command{
		{conv, leanpb.OpType_start}:              {handle: ofConvs(startConversation)},
		{conv, leanpb.OpType_add}:                {handle: ofConvs(addMembers)},
		{conv, leanpb.OpType_remove}:             {handle: ofConvs(removeMembers)},
		{conv, leanpb.OpType_update}:             {handle: ofConvs(updateConversation)},
		{conv, leanpb.OpType_mute}:               {handle: ofConvs(muteConversation)},
		{conv, leanpb.OpType_unmute}:             {handle: ofConvs(unmuteConversation)},
		{conv, leanpb.OpType_query}:              {handle: ofConvs(queryConversations), large: true},
		{conv, leanpb.OpType_count}:              {handle: ofConvs(countMembers)},
		{conv, leanpb.OpType_members}:            {handle: ofConvs(listMembers)},
		{conv, leanpb.OpType_is_member}:          {handle: ofConvs(isMember)},
		{conv, leanpb.OpType_member_info_update}: {handle: ofConvs(updateMemberInfo)},
		{conv, leanpb.OpType_add_shutup}:         {handle: ofConvs(silence)},
		{conv, leanpb.OpType_remove_shutup}:      {handle: ofConvs(unsilence)},
		{conv, leanpb.OpType_query_shutup}:       {handle: ofConvs(querySilenced)},
		{conv, leanpb.OpType_check_shutup}:       {handle: ofConvs(checkSilenced)},
		{black, leanpb.OpType_block}:             {handle: ofConvs(blockMembers)},
		{black, leanpb.OpType_unblock}:           {handle: ofConvs(unblockMembers)},
		{black, leanpb.OpType_query}:             {handle: ofConvs(queryBlocked)},
		{black, leanpb.OpType_check_block}:       {handle: ofConvs(checkBlocked)},
	}
}

// convs does a session's commands about conversations.
type convs struct{ *client }

func ofConvs(h func(context.Context, convs, *leanpb.GenericCommand) (*leanpb.GenericCommand, error)) handler {
	return func(ctx context.Context, c *client, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
		return h(ctx, convs{c}, in)
	}
}

// memberCodes are what refusals are for commands about members.
//
//nolint:gochecknoglobals // a lookup table
var memberCodes = codes{
	state.NotMember: CodeMembershipRequired,
	state.Banned:    CodeBlockedByConv,
	state.NeedOwner: CodeNeedOwner,
	state.Limit:     CodeConvFull,
	state.Invalid:   CodeConvNotAllowed,

	state.BlockListFull: CodeBlacklistFull,
	state.MuteListFull:  CodeSilencedListFull,
}

// convReply begins a reply about a conversation.
func convReply(o leanpb.OpType, m *leanpb.ConvCommand) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{Cmd: leanpb.CommandType_conv.Enum(), Op: o.Enum(), ConvMessage: m}
}

func jsonObject(text []byte) *leanpb.JsonObjectMessage {
	return &leanpb.JsonObjectMessage{Data: new(string(text))}
}

// conversationOf returns the id of the conversation that a command names.
func conversationOf(cid string) (wire.ConversationID, error) {
	id := storedID(cid)
	if err := wire.ValidID(string(id)); err != nil {
		return "", errorf(CodeConvNotFound, "the conversation's id %v", err)
	}
	return id, nil
}

// changeable returns the id of the conversation that a command wants to change.
// Temporary ones stay as they were made.
func (c convs) changeable(ctx context.Context, cid string) (wire.ConversationID, error) {
	id, err := conversationOf(cid)
	if err != nil || !isTemporary(cid) {
		return id, err
	}
	if _, err := c.kindOf(ctx, id); err != nil {
		return "", expiredIfGone(cid, err)
	}
	return "", errorf(CodeConvReadOnly, "temporary conversations stay as they were made")
}

// expiredIfGone says of a temporary conversation that is not there that its time
// is over.
func expiredIfGone(cid string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeConvNotFound && isTemporary(cid) {
		return errorf(CodeTempConvExpired, "its time is over")
	}
	return err
}

// kindOf asks what a conversation is, and where the user stands in it.
func (c convs) kindOf(ctx context.Context, id wire.ConversationID) (ask.Kind, error) {
	a, err := c.host().Ask(ctx, c.app, c.user, string(id), &ask.Request{Kinds: &ask.Kinds{Of: []wire.ConversationID{id}}})
	if err != nil {
		return ask.Kind{}, commonCodes.failed(err)
	}
	if a.Kinds == nil || len(a.Kinds.Kinds) == 0 {
		return ask.Kind{}, errorf(CodeConvNotFound, "there is no such conversation")
	}
	kind := a.Kinds.Kinds[0]
	// Its shard's time goes on only with what is done there.
	if kind.Expires != 0 && c.host().Millis() >= kind.Expires {
		return ask.Kind{}, errorf(CodeConvNotFound, "its time is over")
	}
	return kind, nil
}

// maxNamed is how many users one command can name.
const maxNamed = wire.MaxMembersAdded

// usersOf returns the users that a command names, each once.
func usersOf(pids []string) ([]wire.UserID, error) {
	var users []wire.UserID
	for _, pid := range pids {
		if err := wire.ValidID(pid); err != nil {
			return nil, errorf(CodeConvUpdateFailed, "the client id %q %v", pid, err)
		}
		if !slices.Contains(users, wire.UserID(pid)) {
			users = append(users, wire.UserID(pid))
		}
	}
	if len(users) > maxNamed {
		return nil, errorf(CodeConvFull, "%d client ids in one command, want at most %d", len(users), maxNamed)
	}
	return users, nil
}

// signed checks that the app's server allows what a client wants to do.
func (c convs) signed(a leansign.Action, given leansign.Given, code int) error {
	a.App, a.Client = string(c.app), string(c.user)
	window := leansign.Window{Now: c.host().Millis(), After: c.now().validAfter}
	if err := leansign.Check(string(c.tenant().MasterKey), a, given, window); err != nil {
		return errorf(code, "%v", err)
	}
	return nil
}

func convSignature(m *leanpb.ConvCommand) leansign.Given {
	return leansign.Given{Signature: m.GetS(), Timestamp: m.GetT(), Nonce: m.GetN()}
}

// outcome is what a command about several users has come to.
type outcome struct {
	allowed []string
	failed  []*leanpb.ErrorCommand
}

// outcomeOf tells those for whom a command was done from those for whom it was
// not, by the reason. Fine are refusals that are as good as done.
func outcomeOf(users []wire.UserID, refused []state.UserResult, t codes, fine state.Refusal) outcome {
	var o outcome
	byCode := map[int]*leanpb.ErrorCommand{}
	for _, u := range users {
		i := slices.IndexFunc(refused, func(r state.UserResult) bool { return r.User == u })
		if i < 0 || refused[i].Refusal == state.None || refused[i].Refusal == fine {
			o.allowed = append(o.allowed, string(u))
			continue
		}
		e := t.refused(refused[i].Refusal, "")
		m := byCode[e.Code]
		if m == nil {
			m = e.encode()
			byCode[e.Code], o.failed = m, append(o.failed, m)
		}
		m.Pids = append(m.Pids, string(u))
	}
	return o
}

// failure returns the error for a client that knows no partial failures, or when
// the only user of the command is the client itself; nil: the lists say it.
func (c convs) failure(users []wire.UserID, o outcome) error {
	if len(o.failed) == 0 || len(o.allowed) > 0 {
		return nil
	}
	self := len(users) == 1 && users[0] == c.user
	if !self && c.understands(bitPartialFailure) {
		return nil
	}
	first := o.failed[0]
	return &Error{Code: int(first.GetCode()), Reason: first.GetReason(), Detail: first.GetDetail(), Pids: first.GetPids()}
}

// isoTime writes a time as the dialect does.
func isoTime(millis int64) *string { return new(leandoc.Time(millis)) }
