package native

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/golden"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/shard/state/statetest"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// smallState is a real state in which ann, ben and eve have talked.
func smallState(t testing.TB) *state.State {
	t.Helper()
	st, now := statetest.Open(t, state.Options{}), int64(1_700_000_000_000)
	do := func(actor wire.UserID, c state.Command) state.Result {
		now += 1000
		return st.MustDo(t, now, state.Header{App: "app", Actor: actor}, c)
	}
	do("ann", &state.CreateConversation{
		ID: "tea", Preset: state.PresetBasic, Name: "Tea", Members: []wire.UserID{"ben", "eve"},
		Properties: []state.Property{{Name: "leaf", Value: []byte(`"green"`)}},
	})
	do("ann", &state.CreateConversation{ID: "lobby", Preset: state.PresetRoom})
	sent := do("ann", &state.SendMessage{Conversation: "tea", Body: []byte("one"), ContentType: "text", Mentions: []wire.UserID{"ben"}})
	do("ann", &state.SendMessage{Conversation: "tea", Body: []byte("psst"), Targets: []wire.UserID{"ben"}})
	third := do("ben", &state.SendMessage{Conversation: "tea", Body: []byte("three"), MentionAll: true})
	do("ann", &state.EditMessage{Conversation: "tea", ID: sent.MessageID, Body: []byte("ONE")})
	do("ben", &state.RecallMessage{Conversation: "tea", ID: third.MessageID})
	do("ann", &state.SetRole{Conversation: "tea", User: "ben", Role: state.RoleManager})
	do("ann", &state.Mute{Conversation: "tea", Users: []wire.UserID{"eve"}})
	do("", &state.MoveCursors{Moves: []state.CursorMove{{Conversation: "tea", User: "ben", Read: 1, Delivered: 2}}})
	do("ann", &state.BlockConversation{User: "ann", Conversation: "coffee"})
	do("ann", &state.Login{User: "ann", Tag: "phone", Session: "s1", Node: "n1", Device: "d1"})
	return st.State
}

// queries has every request that changes nothing.
func queries() []*pb.Request {
	return []*pb.Request{
		{Id: 1, Op: &pb.Request_GetConversation{GetConversation: &pb.GetConversation{Conversation: "tea", Members: 2}}},
		{Id: 2, Op: &pb.Request_ListConversations{ListConversations: &pb.ListConversations{Limit: 1}}},
		{Id: 3, Op: &pb.Request_ListMembers{ListMembers: &pb.ListMembers{Conversation: "tea", Limit: 2}}},
		{Id: 4, Op: &pb.Request_ListMembers{ListMembers: &pb.ListMembers{Conversation: "tea", After: "ben"}}},
		{Id: 5, Op: &pb.Request_History{History: &pb.History{Conversation: "tea", Limit: 1}}},
		{Id: 6, Op: &pb.Request_History{History: &pb.History{Conversation: "tea", OldestFirst: true, AtLeastOffset: 2}}},
		{Id: 7, Op: &pb.Request_ReadLog{ReadLog: &pb.ReadLog{Log: &pb.LogRef{Conversation: "tea"}}}},
		{Id: 8, Op: &pb.Request_ReadLog{ReadLog: &pb.ReadLog{After: 0}}},
		{Id: 9, Op: &pb.Request_GetCursors{GetCursors: &pb.GetCursors{Conversation: "tea"}}},
		{Id: 10, Op: &pb.Request_GetUnread{GetUnread: &pb.GetUnread{Conversations: []string{"tea"}}}},
	}
}

// TestExecute reads a real state through every query, as a member who may see
// it all and as one who may not, and compares the frames with a golden file.
func TestExecute(t *testing.T) {
	st := smallState(t)
	var out strings.Builder
	for _, user := range []wire.UserID{"ann", "ben", "eve", "tom"} {
		for _, req := range queries() {
			name := strings.TrimPrefix(fmt.Sprintf("%T", req.GetOp()), "*pb.Request_")
			frame, enough, err := Execute(st, "app", user, mustMarshal(t, req), 0)
			if !enough {
				t.Errorf("%s as %s: not enough", name, user)
			}
			fmt.Fprintf(&out, "%s as %s: ", name, user)
			if err != nil {
				fmt.Fprintf(&out, "%v\n", err)
				continue
			}
			f := &pb.ServerFrame{}
			if err := proto.Unmarshal(frame, f); err != nil {
				t.Fatal(err)
			}
			if f.GetResponse().GetId() != req.GetId() {
				t.Errorf("%s as %s answers request %d", name, user, f.GetResponse().GetId())
			}
			if user != "ann" && strings.Contains(string(frame), "psst") != (user == "ben") && f.GetResponse().GetMessages().GetLastSeq() > 0 && req.GetHistory().GetOldestFirst() {
				t.Errorf("%s as %s: who sees what is wrong", name, user)
			}
			out.WriteString(hex.EncodeToString(frame) + "\n")
		}
	}
	golden.Check(t, "queries", out.String())
}

func mustMarshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExecuteBounds(t *testing.T) {
	st := smallState(t)
	at, err := st.Last(state.LogKey{App: "app", Conversation: "tea"})
	if err != nil {
		t.Fatal(err)
	}
	own, err := st.Last(state.LogKey{App: "app", User: "ann"})
	if err != nil || own.Last == 0 {
		t.Fatalf("%+v, %v", own, err)
	}
	history := mustMarshal(t, queries()[4])
	userLog := mustMarshal(t, queries()[7])
	for _, c := range []struct {
		name    string
		request []byte
		atLeast wire.Offset
		enough  bool
	}{
		{"at the log's end", history, at.Last, true},
		{"past it", history, at.Last + 1, false},
		{"at the user log's end", userLog, own.Last, true},
		{"past it", userLog, own.Last + 1, false},
	} {
		if _, enough, err := Execute(st, "app", "ann", c.request, c.atLeast); enough != c.enough || err != nil {
			t.Errorf("%s: %v, %v", c.name, enough, err)
		}
	}
	if _, _, err := Execute(st, "app", "ann", []byte{0xff}, 0); wire.CodeOf(err) != wire.CodeInvalid {
		t.Errorf("not protobuf: %v", err)
	}
	if _, _, err := Execute(st, "app", "ann", mustMarshal(t, &pb.Request{Op: &pb.Request_Subscribe{}}), 0); wire.CodeOf(err) != wire.CodeInvalid {
		t.Errorf("not a query: %v", err)
	}
	bad := &pb.Request{Op: &pb.Request_ListConversations{ListConversations: &pb.ListConversations{After: "!"}}}
	if _, _, err := Execute(st, "app", "ann", mustMarshal(t, bad), 0); wire.CodeOf(err) != wire.CodeInvalid {
		t.Errorf("no place: %v", err)
	}
}

func TestAsks(t *testing.T) {
	roots := []string{"tea", "ann", "tea", "tea", "tea", "tea", "tea", "ann", "tea"}
	for i, root := range roots {
		req := queries()[i]
		got, atLeast, err := Asks(asker, req)
		if got != root || err != nil || atLeast != wire.Offset(req.GetHistory().GetAtLeastOffset()) {
			t.Errorf("request %d is about %q at %d, %v", req.GetId(), got, atLeast, err)
		}
	}
	app := asker
	app.User = ""
	for _, c := range []struct {
		asker Asker
		req   *pb.Request
	}{
		{asker, &pb.Request{}},
		{asker, &pb.Request{Op: &pb.Request_GetConversation{}}},
		{asker, &pb.Request{Op: &pb.Request_History{History: &pb.History{Conversation: strings.Repeat("x", 65)}}}},
		{app, &pb.Request{Op: &pb.Request_ReadLog{}}},
		{app, &pb.Request{Op: &pb.Request_ListConversations{}}},
	} {
		if root, _, err := Asks(c.asker, c.req); wire.CodeOf(err) != wire.CodeInvalid {
			t.Errorf("%v is about %q, %v", c.req, root, err)
		}
	}
}

// entries has a log entry of every kind.
func entries() []*state.Entry {
	m := &state.Message{
		ID: "m1", Seq: 3, Offset: 7, From: "ann", Timestamp: 1000, Body: []byte("hi"), ContentType: "text",
		Mentions: []wire.UserID{"ben"}, MentionAll: true, Targets: []wire.UserID{"ben"}, Edited: 2000,
	}
	recalled := &state.Message{ID: "m1", Seq: 3, Offset: 7, From: "ann", Timestamp: 1000, Recalled: true, Edited: 3000}
	kinds := []*state.Entry{
		{Kind: state.EntryMessage, Message: m},
		{Kind: state.EntryEdited, Message: m, Target: 3},
		{Kind: state.EntryRecalled, Message: recalled, Target: 3},
		{Kind: state.EntryEdited, Target: 3}, // the message was trimmed
		{Kind: state.EntryMembersAdded, Users: []wire.UserID{"ben", "eve"}},
		{Kind: state.EntryMembersRemoved, Users: []wire.UserID{"ben"}},
		{Kind: state.EntryRoleChanged, Users: []wire.UserID{"ben"}, Role: state.RoleManager},
		{Kind: state.EntryCreated, Users: []wire.UserID{"ann", "ben"}},
		{Kind: state.EntryUpdated},
		{Kind: state.EntryDestroyed, Expired: true},
		{Kind: state.EntryMuted, Users: []wire.UserID{"eve"}, Until: 5000},
		{Kind: state.EntryUnmuted},
		{Kind: state.EntryJoined, Conversation: "tea", ConversationOffset: 4},
		{Kind: state.EntryLeft, Conversation: "tea", ConversationOffset: 9, Expired: true},
		{Kind: state.EntryTagTaken, Tag: "phone", Login: 4, Device: "d1"},
		{Kind: state.EntryKicked, Device: "d1", Reason: "rules"},
		{Kind: state.EntryBlocked, Conversation: "tea"},
		{Kind: state.EntryUnblocked, Conversation: "tea"},
		{Kind: state.EntrySettingsChanged, Conversation: "tea"},
	}
	for i, e := range kinds {
		e.Offset, e.Stamp, e.Actor = wire.Offset(i+1), 1000, "ann"
	}
	return kinds
}

// TestGoldenFrames: a change of this file is a change of the protocol.
func TestGoldenFrames(t *testing.T) {
	var out strings.Builder
	frame := func(name string, b []byte, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&out, "%s: %x\n", name, b)
	}
	log := state.LogKey{App: "app", Conversation: "tea"}
	for _, e := range entries() {
		b, err := EncodeBatch(&tail.Batch{Log: log, After: e.Offset - 1, Upto: e.Offset, Last: 20, Entries: []*state.Entry{e}})
		frame(fmt.Sprintf("entry of kind %d", e.Kind), b, err)
	}
	b, err := EncodeBatch(&tail.Batch{Log: log, After: 1, Upto: 2, Last: 2, Behind: true})
	frame("behind", b, err)
	b, err = EncodeBatch(&tail.Batch{Log: state.LogKey{App: "app", User: "ann"}, After: 1, Upto: 2, Last: 2, Ended: true})
	frame("ended", b, err)
	b, err = EncodeCursor(tail.Cursor{Log: log, User: "ben", Read: 3, Delivered: 4})
	frame("cursor", b, err)
	m, err := Transient(asker, &pb.SendMessage{Conversation: "tea", Body: []byte("typing"), ContentType: "state"}, 1000)
	if err == nil {
		b, err = EncodeTransient(&tail.Transient{Log: log, Message: m})
	}
	frame("transient", b, err)
	b, err = EncodeTransient(&tail.Transient{Log: log, Message: &state.Message{From: "ann", Timestamp: 1000, Body: []byte("bye")}})
	frame("will", b, err)
	for _, name := range []string{"sent", "created", "done", "skipped", "refused"} {
		frame("response, "+name, mustMarshal(t, responses()[name]), nil)
	}
	golden.Check(t, "frames", out.String())
	if _, err := EncodeTransient(&tail.Transient{Log: log, Message: &state.Message{ContentType: "\xff"}}); err == nil {
		t.Error("text that is not UTF-8 is encoded")
	}
}

func responses() map[string]*pb.Response {
	send := &pb.Request{Id: 5, Op: &pb.Request_SendMessage{}}
	create := &pb.Request{Id: 5, Op: &pb.Request_CreateConversation{CreateConversation: &pb.CreateConversation{Name: "Tea", Kind: pb.Kind_KIND_ROOM, Unique: true}}}
	add := &pb.Request{Id: 5, Op: &pb.Request_AddMembers{}}
	return map[string]*pb.Response{
		"sent":    Answer("message.send", send, state.Result{MessageID: "m1", Seq: 3, Offset: 7, Timestamp: 1000}),
		"created": Answer("conversation.create", create, state.Result{Conversation: "tea", Offset: 1, Timestamp: 1000, Existed: true}),
		"done":    Answer("member.add", add, state.Result{Offset: 7}),
		"skipped": Answer("member.add", add, state.Result{Offset: 7, Users: []state.UserResult{{User: "eve", Refusal: state.Blocked}}}),
		"refused": Answer("member.add", add, state.Result{Refusal: state.Forbidden, Text: "only managers"}),
	}
}

// FuzzExecute asks a small real state anything.
func FuzzExecute(f *testing.F) {
	for _, req := range queries() {
		f.Add(mustMarshal(f, req), uint64(0))
		f.Add(mustMarshal(f, req), uint64(3))
	}
	st := smallState(f)
	f.Fuzz(func(t *testing.T, request []byte, atLeast uint64) {
		for _, user := range []wire.UserID{"ann", "tom", ""} {
			frame, enough, err := Execute(st, "app", user, request, wire.Offset(atLeast))
			if err != nil || !enough {
				continue
			}
			if len(frame) > wire.MaxPageBytes {
				t.Errorf("a frame of %d bytes", len(frame))
			}
			if err := proto.Unmarshal(frame, &pb.ServerFrame{}); err != nil {
				t.Errorf("the answer is no frame: %v", err)
			}
		}
	})
}
