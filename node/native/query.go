package native

import (
	"errors"
	"math/rand/v2"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

const (
	defaultPage    = 100
	defaultHistory = 20
	maxCursors     = 1000
	maxMillis      = 1 << 48 // no time is later
)

// Resolve translates the creation of a unique conversation into the command
// that asks the entry of its member set. The asker is one of the members, if it is
// a user.
func Resolve(a Asker, r *pb.CreateConversation) (*state.ResolveUnique, error) {
	const op = "conversation.create"
	if r.GetId() != "" {
		return nil, wire.Errorf(wire.CodeInvalid, op, "a unique conversation is found by its members: give it no id")
	}
	users, err := userIDs(op, r.GetMembers(), wire.MaxMembersAdded-1)
	if err != nil {
		return nil, err
	}
	preset, err := Preset(op, r.GetKind())
	if err != nil {
		return nil, err
	}
	if a.User != "" { // the app is nobody's member
		users = append(users, a.User)
	}
	return &state.ResolveUnique{Preset: preset, Members: users, Salt: rand.Uint64()}, nil
}

// CheckWill checks the message that a client leaves for when it is lost.
func CheckWill(w *pb.Will) error {
	return checkContent("session.open", w.GetConversation(), w.GetBody(), w.GetContentType())
}

// Asks says about whom a query is, and which offset its answer must know; 0 is
// a strong read. The error is for requests that this node does not know.
func Asks(a Asker, req *pb.Request) (root string, atLeast wire.Offset, err error) {
	op := "request"
	switch r := req.GetOp().(type) {
	case *pb.Request_GetConversation:
		op, root = "conversation.get", r.GetConversation.GetConversation()
	case *pb.Request_ListConversations:
		return string(a.User), 0, checkUserLog("conversation.list", a)
	case *pb.Request_ListMembers:
		op, root = "member.list", r.ListMembers.GetConversation()
	case *pb.Request_History:
		op, root, atLeast = "message.history", r.History.GetConversation(), wire.Offset(r.History.GetAtLeastOffset())
	case *pb.Request_ReadLog:
		root, atLeast = r.ReadLog.GetLog().GetConversation(), wire.Offset(r.ReadLog.GetAtLeastOffset())
		if op = "log.read"; root == "" {
			return string(a.User), atLeast, checkUserLog(op, a)
		}
	case *pb.Request_GetCursors:
		op, root = "cursor.list", r.GetCursors.GetConversation()
	default:
		return "", 0, wire.Errorf(wire.CodeInvalid, op, "this node does not know the request")
	}
	return root, atLeast, checkConversation(op, root)
}

// checkUserLog refuses the app itself, which is no user.
func checkUserLog(op string, a Asker) error {
	if a.User == "" {
		return wire.Errorf(wire.CodeInvalid, op, "the app has no log of its own: sign in as a user")
	}
	return nil
}

// Execute answers an encoded request from a shard's state with the encoded
// frame of the response. Enough is false when the state has not reached the
// offset asked for.
func Execute(st *state.State, app wire.AppID, user wire.UserID, request []byte, atLeast wire.Offset) (frame []byte, enough bool, err error) {
	req := &pb.Request{}
	if err := proto.Unmarshal(request, req); err != nil {
		return nil, true, wire.Errorf(wire.CodeInvalid, "", "decode request: %v", err)
	}
	if atLeast > 0 {
		log := state.LogKey{App: app, Conversation: wire.ConversationID(logOf(req))}
		if log.Conversation == "" {
			log.User = user
		}
		at, err := st.Last(log)
		if err != nil || at.Last < atLeast {
			return nil, err != nil, err
		}
	}
	e := executor{st: st, app: app, user: user}
	resp, err := e.answer(req)
	if err != nil {
		return nil, true, err
	}
	resp.Id = req.GetId()
	frame, err = proto.Marshal(&pb.ServerFrame{Body: &pb.ServerFrame_Response{Response: resp}})
	return frame, true, err
}

// logOf returns the conversation whose log a bounded query reads; empty: the
// user's own.
func logOf(req *pb.Request) string {
	if r := req.GetHistory(); r != nil {
		return r.GetConversation()
	}
	return req.GetReadLog().GetLog().GetConversation()
}

// executor answers one user's queries from one state.
type executor struct {
	st   *state.State
	app  wire.AppID
	user wire.UserID
}

func (e executor) answer(req *pb.Request) (resp *pb.Response, err error) {
	op := "request"
	switch r := req.GetOp().(type) {
	case *pb.Request_GetConversation:
		op = "conversation.get"
		resp, err = e.conversation(r.GetConversation)
	case *pb.Request_ListConversations:
		op = "conversation.list"
		resp, err = e.conversations(r.ListConversations)
	case *pb.Request_ListMembers:
		op = "member.list"
		resp, err = e.members(r.ListMembers)
	case *pb.Request_History:
		op = "message.history"
		resp, err = e.history(r.History)
	case *pb.Request_ReadLog:
		op = "log.read"
		resp, err = e.readLog(r.ReadLog)
	case *pb.Request_GetCursors:
		op = "cursor.list"
		resp, err = e.cursors(r.GetCursors)
	case *pb.Request_GetUnread:
		op = "message.unread"
		resp, err = e.unread(r.GetUnread)
	default:
		return nil, wire.Errorf(wire.CodeInvalid, op, "this node does not know the request")
	}
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		return nil, Refused(op, refused.Refusal, refused.Text)
	}
	return resp, err
}

func (e executor) conversation(r *pb.GetConversation) (*pb.Response, error) {
	id := wire.ConversationID(r.GetConversation())
	if _, err := e.st.CanRead(e.app, id, e.user); err != nil {
		return nil, err
	}
	c, err := e.st.Conversation(e.app, id)
	if err != nil {
		return nil, err
	}
	out := conversation(&c)
	if n := min(int(r.GetMembers()), wire.MaxPageEntries); n > 0 {
		page, err := e.st.Members(e.app, id, "", n)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Members {
			out.Members = append(out.Members, string(m.User))
		}
	}
	return &pb.Response{Result: &pb.Response_Conversation{Conversation: out}}, nil
}

func conversation(c *state.Conversation) *pb.Conversation {
	out := &pb.Conversation{
		Id: string(c.ID), Name: c.Name, Kind: pb.Kind(c.Policy.Preset), Creator: string(c.Creator),
		CreatedMillis: c.Created, UpdatedMillis: c.Updated, MemberCount: c.MemberCount,
		LastSeq: uint64(c.LastSeq), LastOffset: uint64(c.LastOffset), LastMessageMillis: c.LastMessage,
		Unique: c.Unique, ExpiresMillis: c.Expires, Muted: c.Muted,
	}
	if len(c.Properties) > 0 {
		out.Properties = make(map[string][]byte, len(c.Properties))
	}
	for _, p := range c.Properties {
		out.Properties[p.Name] = p.Value
	}
	return out
}

func (e executor) conversations(r *pb.ListConversations) (*pb.Response, error) {
	before, err := decodePlace(r.GetAfter())
	if err != nil {
		return nil, err
	}
	page, more, err := e.st.UserConversations(e.app, e.user, before, limit(r.GetLimit(), defaultPage))
	if err != nil {
		return nil, err
	}
	out := &pb.ConversationPage{}
	for _, m := range page {
		out.Memberships = append(out.Memberships, &pb.Membership{
			Conversation: string(m.Conversation), JoinedOffset: uint64(m.JoinedOffset), JoinedMillis: m.Joined,
		})
	}
	if more && len(page) > 0 {
		out.Next = encodePlace(page[len(page)-1].Entry)
	}
	return &pb.Response{Result: &pb.Response_Conversations{Conversations: out}}, nil
}

func (e executor) members(r *pb.ListMembers) (*pb.Response, error) {
	id := wire.ConversationID(r.GetConversation())
	if _, err := e.st.CanRead(e.app, id, e.user); err != nil {
		return nil, err
	}
	page, err := e.st.Members(e.app, id, wire.UserID(r.GetAfter()), limit(r.GetLimit(), defaultPage))
	if err != nil {
		return nil, err
	}
	out := &pb.MemberPage{}
	for _, m := range page.Members {
		member := &pb.Member{
			User: string(m.User), Role: pb.Role(m.Role), Nickname: m.Nickname, JoinedMillis: m.Joined, JoinedOffset: uint64(m.JoinedOffset),
		}
		if m.Muted {
			if member.MutedUntilMillis = m.MutedUntil; m.MutedUntil == 0 {
				member.MutedUntilMillis = -1
			}
		}
		out.Members = append(out.Members, member)
	}
	if page.More && len(page.Members) > 0 {
		out.Next = string(page.Members[len(page.Members)-1].User)
	}
	return &pb.Response{Result: &pb.Response_Members{Members: out}}, nil
}

func (e executor) history(r *pb.History) (*pb.Response, error) {
	page, err := e.st.History(state.HistoryQuery{
		App: e.app, Conversation: wire.ConversationID(r.GetConversation()), Reader: e.user, OldestFirst: r.GetOldestFirst(),
		From: wire.Seq(r.GetFromSeq()), Upto: wire.Seq(r.GetUptoSeq()), FromTime: min(r.GetFromMillis(), maxMillis), UptoTime: min(r.GetUptoMillis(), maxMillis),
		Limit: limit(r.GetLimit(), defaultHistory),
	})
	if err != nil {
		return nil, err
	}
	out := &pb.MessagePage{More: page.More, NextSeq: uint64(page.Next), LastSeq: uint64(page.Last), LastOffset: uint64(page.Offset)}
	for _, m := range page.Messages {
		out.Messages = append(out.Messages, Message(m))
	}
	return &pb.Response{Result: &pb.Response_Messages{Messages: out}}, nil
}

func (e executor) readLog(r *pb.ReadLog) (*pb.Response, error) {
	log := state.LogKey{App: e.app, Conversation: wire.ConversationID(r.GetLog().GetConversation())}
	if log.Conversation == "" {
		log.User = e.user
	}
	page, err := e.st.ReadLog(state.LogQuery{
		Log: log, Reader: e.user, After: wire.Offset(r.GetAfter()), Limit: limit(r.GetLimit(), defaultPage), Bytes: wire.MaxPageBytes / 2,
	})
	if err != nil {
		return nil, err
	}
	out := &pb.LogBatch{Log: r.GetLog(), After: uint64(page.After), Upto: uint64(page.Upto), Last: uint64(page.Last)}
	for _, entry := range page.Entries {
		out.Entries = append(out.Entries, Entry(entry))
	}
	return &pb.Response{Result: &pb.Response_Log{Log: out}}, nil
}

func (e executor) cursors(r *pb.GetCursors) (*pb.Response, error) {
	all, err := e.st.Cursors(e.app, wire.ConversationID(r.GetConversation()), e.user, maxCursors)
	if err != nil {
		return nil, err
	}
	out := &pb.Cursors{}
	for _, c := range all {
		out.Cursors = append(out.Cursors, &pb.Cursor{
			User: string(c.User), ReadSeq: uint64(c.Read), DeliveredSeq: uint64(c.Delivered), ReadMillis: c.ReadStamp,
		})
	}
	return &pb.Response{Result: &pb.Response_Cursors{Cursors: out}}, nil
}

func (e executor) unread(r *pb.GetUnread) (*pb.Response, error) {
	out := &pb.Unreads{}
	for _, id := range r.GetConversations() {
		u, err := e.st.Unread(e.app, wire.ConversationID(id), e.user)
		if err != nil {
			return nil, err
		}
		out.Unreads = append(out.Unreads, &pb.Unread{
			Conversation: id, Count: u.Count, Mentioned: u.Mentioned, ReadSeq: uint64(u.Read), LastSeq: uint64(u.Last), LastOffset: uint64(u.Offset),
		})
	}
	return &pb.Response{Result: &pb.Response_Unreads{Unreads: out}}, nil
}

// limit bounds what a client asks for.
func limit(asked uint32, usual int) int {
	if asked == 0 {
		return usual
	}
	return int(min(asked, wire.MaxPageEntries))
}
