package leanmessage

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

const (
	defaultFound = 10 // conversations in a page of a query

	flagCompact = 1 // without the members
	flagLast    = 2 // with the last message
)

// queryConversations finds conversations.
func queryConversations(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	settings := &c.tenant().settings
	s := door.Search{
		App: c.app, User: c.user, Where: []byte(m.GetWhere().GetData()), Sort: m.GetSort(), Limit: defaultFound, Skip: int(m.GetSkip()),
		Recent: c.moves.recently(), Now: c.host().Millis(), Private: settings.Allow.PrivateQueries, Compact: m.GetFlag()&flagCompact != 0, Last: m.GetFlag()&flagLast != 0,
	}
	if m.GetLimit() > 0 {
		s.Limit = min(int(m.GetLimit()), settings.Limit.ConversationPage)
	}
	for _, cid := range m.GetTempConvIds() {
		s.Temporary, s.Limit = append(s.Temporary, storedID(cid)), settings.Limit.ConversationPage
	}
	if len(s.Temporary) == 0 && isEmptyQuery(s.Where) {
		own, err := json.Marshal(map[string]any{"m": c.user})
		if err != nil {
			return nil, errorf(CodeConvQueryFailed, "%v", err)
		}
		s.Where = own
	}
	found, err := door.Find(ctx, c.host(), s)
	if err == nil {
		var items []byte
		if items, err = ask.Items(found, c.host().Millis()); err == nil {
			return convReply(leanpb.OpType_results, &leanpb.ConvCommand{Results: jsonObject(items)}), nil
		}
	}
	return nil, queryError(err)
}

// isEmptyQuery tells whether a query asks for nothing in particular: then it is
// about what the client is in.
func isEmptyQuery(where []byte) bool {
	var conditions map[string]json.RawMessage
	return len(where) == 0 || json.Unmarshal(where, &conditions) == nil && len(conditions) == 0
}

// queryError is what a client gets to know of an error of a query.
func queryError(err error) error {
	e := &Error{Code: CodeConvQueryFailed, Detail: err.Error()}
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		e.Detail = refused.Code.String() + ": " + refused.Text
	}
	return e
}

// countMembers counts a conversation's members, or who is in a chat room.
func countMembers(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	cid := in.GetConvMessage().GetCid()
	id, err := conversationOf(cid)
	if err != nil {
		return nil, err
	}
	kind, err := c.kindOf(ctx, id)
	if err != nil {
		return nil, expiredIfGone(cid, err)
	}
	count := int(kind.Members)
	if kind.Preset == state.PresetRoom {
		there, err := c.host().Present(ctx, c.app, id, 0)
		if err != nil {
			return nil, err
		}
		count = there.Count
	}
	return convReply(leanpb.OpType_result, &leanpb.ConvCommand{Cid: new(cid), Count: new(int32(count))}), nil
}

// listMembers names some of who is in a chat room, or of a conversation's members.
func listMembers(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	id, err := conversationOf(m.GetCid())
	if err != nil {
		return nil, err
	}
	limit := c.tenant().settings.Limit.RoomSample
	if m.GetLimit() > 0 {
		limit = min(limit, int(m.GetLimit()))
	}
	a, err := c.host().Ask(ctx, c.app, c.user, string(id), &ask.Request{Members: &ask.Members{Conversation: id, Limit: limit}})
	if err != nil {
		return nil, expiredIfGone(m.GetCid(), commonCodes.failed(err))
	}
	if err := c.mayList(ctx, id, a.Members.Preset); err != nil {
		return nil, err
	}
	reply := &leanpb.ConvCommand{Cid: m.Cid}
	if a.Members.Preset == state.PresetRoom {
		there, err := c.host().Present(ctx, c.app, id, limit)
		if err != nil {
			return nil, err
		}
		reply.M = names(there.Users)
		slices.Sort(reply.M)
	} else {
		for _, member := range a.Members.Members {
			reply.M = append(reply.M, string(member.User))
		}
	}
	return convReply(leanpb.OpType_result, reply), nil
}

// mayList refuses the members of a conversation to others where queries do.
func (c convs) mayList(ctx context.Context, id wire.ConversationID, preset state.Preset) error {
	if !c.tenant().settings.Allow.PrivateQueries || preset == state.PresetRoom || preset == state.PresetSystem {
		return nil
	}
	kind, err := c.kindOf(ctx, id)
	if err == nil && kind.Role == state.RoleNone {
		return errorf(CodeMembershipRequired, "only members list the members")
	}
	return err
}

// maxChecked is how many conversations one command asks about.
const maxChecked = 1000

// isMember tells of each conversation whether the client is in it.
func isMember(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	cids := in.GetConvMessage().GetCids()
	if cid := in.GetConvMessage().GetCid(); len(cids) == 0 && cid != "" {
		cids = []string{cid}
	}
	if len(cids) > maxChecked {
		return nil, errorf(CodeConvQueryFailed, "%d conversations, want at most %d", len(cids), maxChecked)
	}
	in1 := make(map[string]bool, len(cids))
	var roots []string
	for _, cid := range cids {
		in1[cid] = false
		if id, err := conversationOf(cid); err == nil {
			roots = append(roots, string(id))
		}
	}
	answers, err := door.AskEach(ctx, c.host(), door.Asker{App: c.app, User: c.user}, roots, func(some []string) *ask.Request {
		q := &ask.Kinds{}
		for _, id := range some {
			q.Of = append(q.Of, wire.ConversationID(id))
		}
		return &ask.Request{Kinds: q}
	})
	if err != nil {
		return nil, queryError(err)
	}
	for _, a := range answers {
		for _, kind := range a.Kinds.Kinds {
			in1[shownID(kind.Conversation, kind.Preset)] = kind.Role != state.RoleNone
		}
	}
	results, err := json.Marshal(in1)
	if err != nil {
		return nil, queryError(err)
	}
	return convReply(leanpb.OpType_is_member, &leanpb.ConvCommand{Results: jsonObject(results)}), nil
}
