package native

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

var asker = Asker{
	App: "app", User: "ann", Instance: [16]byte{1, 2, 3}, Origin: state.Origin{Node: "n1", Session: 7, Request: 9},
}

// TestTranslate has one case for every request that is one command.
func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		op   string
		root string
		req  *pb.Request
		want state.Command
	}{
		{"conversation.create", "tea", &pb.Request{Op: &pb.Request_CreateConversation{CreateConversation: &pb.CreateConversation{
			Kind: pb.Kind_KIND_TEMPORARY, Name: "Tea", Members: []string{"ben", "eve"}, Id: "tea", TtlSeconds: 60,
			Properties: map[string][]byte{"b": []byte("2"), "a": []byte(`{"x":1}`), "c": []byte("[]")},
		}}}, &state.CreateConversation{
			ID: "tea", Preset: state.PresetTemporary, Name: "Tea", Members: []wire.UserID{"ben", "eve"}, TTLMillis: 60_000,
			Properties: []state.Property{{Name: "a", Value: []byte(`{"x":1}`)}, {Name: "b", Value: []byte("2")}, {Name: "c", Value: []byte("[]")}},
		}},
		{"conversation.update", "tea", &pb.Request{Op: &pb.Request_UpdateConversation{UpdateConversation: &pb.UpdateConversation{
			Conversation: "tea", Name: new(""), Set: map[string][]byte{"a": []byte("1")}, Unset: []string{"b"}, Muted: new(true),
		}}}, &state.UpdateConversation{
			ID: "tea", SetName: true, Set: []state.Property{{Name: "a", Value: []byte("1")}}, Unset: []string{"b"}, Muted: state.SwitchOn,
		}},
		{"conversation.update", "tea", &pb.Request{Op: &pb.Request_UpdateConversation{UpdateConversation: &pb.UpdateConversation{
			Conversation: "tea", Muted: new(false),
		}}}, &state.UpdateConversation{ID: "tea", Muted: state.SwitchOff}},
		{"conversation.destroy", "tea", &pb.Request{Op: &pb.Request_DestroyConversation{DestroyConversation: &pb.DestroyConversation{
			Conversation: "tea",
		}}}, &state.DestroyConversation{ID: "tea"}},
		{"member.add", "tea", &pb.Request{Op: &pb.Request_AddMembers{AddMembers: &pb.AddMembers{
			Conversation: "tea", Users: []string{"ben"},
		}}}, &state.AddMembers{Conversation: "tea", Users: []wire.UserID{"ben"}}},
		{"member.remove", "tea", &pb.Request{Op: &pb.Request_RemoveMembers{RemoveMembers: &pb.RemoveMembers{
			Conversation: "tea", Users: []string{"ben"},
		}}}, &state.RemoveMembers{Conversation: "tea", Users: []wire.UserID{"ben"}}},
		{"member.set_role", "tea", &pb.Request{Op: &pb.Request_SetRole{SetRole: &pb.SetRole{
			Conversation: "tea", User: "ben", Role: pb.Role_ROLE_MANAGER,
		}}}, &state.SetRole{Conversation: "tea", User: "ben", Role: state.RoleManager}},
		{"member.mute", "tea", &pb.Request{Op: &pb.Request_Mute{Mute: &pb.Mute{
			Conversation: "tea", Users: []string{"ben"}, Seconds: 5, Unmute: true,
		}}}, &state.Mute{Conversation: "tea", Users: []wire.UserID{"ben"}, Millis: 5000, Unmute: true}},
		{"message.send", "tea", &pb.Request{Op: &pb.Request_SendMessage{SendMessage: &pb.SendMessage{
			Conversation: "tea", Body: []byte("hi"), ContentType: "text", Mentions: []string{"ben"}, MentionAll: true, Targets: []string{"eve"},
		}}}, &state.SendMessage{
			Conversation: "tea", Body: []byte("hi"), ContentType: "text", Mentions: []wire.UserID{"ben"}, MentionAll: true, Targets: []wire.UserID{"eve"},
		}},
		{"message.edit", "tea", &pb.Request{Op: &pb.Request_EditMessage{EditMessage: &pb.EditMessage{
			Conversation: "tea", Id: "m1", Body: []byte("ho"), ContentType: "text", Mentions: []string{"ben"}, MentionAll: true,
		}}}, &state.EditMessage{
			Conversation: "tea", ID: "m1", Body: []byte("ho"), ContentType: "text", Mentions: []wire.UserID{"ben"}, MentionAll: true,
		}},
		{"message.recall", "tea", &pb.Request{Op: &pb.Request_RecallMessage{RecallMessage: &pb.RecallMessage{
			Conversation: "tea", Id: "m1",
		}}}, &state.RecallMessage{Conversation: "tea", ID: "m1"}},
		{"conversation.block", "ann", &pb.Request{Op: &pb.Request_BlockConversation{BlockConversation: &pb.BlockConversation{
			Conversation: "tea", Unblock: true,
		}}}, &state.BlockConversation{User: "ann", Conversation: "tea", Unblock: true}},
	} {
		c.req.Id, c.req.N, c.req.AgeMillis = 9, 4, 33
		change, ok, err := Translate(asker, c.req)
		if err != nil || !ok {
			t.Errorf("%s: %v, %v", c.op, ok, err)
			continue
		}
		h, command, err := state.DecodeCommand(change.Encoded)
		if err != nil {
			t.Errorf("%s: %v", c.op, err)
		}
		if d := cmp.Diff(c.want, command, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", c.op, d)
		}
		want := state.Header{App: "app", Actor: "ann", Token: state.Token{Instance: asker.Instance, N: 4}, Origin: asker.Origin, Age: 33}
		if h != want {
			t.Errorf("%s: header %+v, want %+v", c.op, h, want)
		}
		if change.Op != c.op || change.Root != c.root || change.Slot != wire.SlotOf("app", c.root) {
			t.Errorf("%s: op %s, root %s, slot %d", c.op, change.Op, change.Root, change.Slot)
		}
		c.req.N = 0
		if _, _, err := Translate(asker, c.req); wire.CodeOf(err) != wire.CodeInvalid {
			t.Errorf("%s without a token: %v", c.op, err)
		}
	}
}

// TestNoCommand: requests that are no command go elsewhere.
func TestNoCommand(t *testing.T) {
	for _, req := range []*pb.Request{
		{},
		{Op: &pb.Request_History{}},
		{Op: &pb.Request_Subscribe{}},
		{Op: &pb.Request_MoveCursor{}},
		{Op: &pb.Request_SendMessage{SendMessage: &pb.SendMessage{Conversation: "tea", Transient: true}}},
	} {
		if c, ok, err := Translate(asker, req); ok || err != nil {
			t.Errorf("%v is %+v, %v", req, c, err)
		}
	}
}

func many(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	return ids
}

func properties100(n int) map[string][]byte {
	set := map[string][]byte{}
	for _, name := range many(n) {
		set[name] = []byte("1")
	}
	return set
}

// TestLimits has, for every limit, a request at it and one past it.
func TestLimits(t *testing.T) {
	create := func(change func(*pb.CreateConversation)) *pb.Request {
		r := &pb.CreateConversation{Id: "tea"}
		change(r)
		return &pb.Request{N: 1, Op: &pb.Request_CreateConversation{CreateConversation: r}}
	}
	update := func(change func(*pb.UpdateConversation)) *pb.Request {
		r := &pb.UpdateConversation{Conversation: "tea"}
		change(r)
		return &pb.Request{N: 1, Op: &pb.Request_UpdateConversation{UpdateConversation: r}}
	}
	send := func(change func(*pb.SendMessage)) *pb.Request {
		r := &pb.SendMessage{Conversation: "tea"}
		change(r)
		return &pb.Request{N: 1, Op: &pb.Request_SendMessage{SendMessage: r}}
	}
	edit := func(change func(*pb.EditMessage)) *pb.Request {
		r := &pb.EditMessage{Conversation: "tea", Id: "m1"}
		change(r)
		return &pb.Request{N: 1, Op: &pb.Request_EditMessage{EditMessage: r}}
	}
	mute := func(seconds uint32, users int) *pb.Request {
		return &pb.Request{N: 1, Op: &pb.Request_Mute{Mute: &pb.Mute{Conversation: "tea", Seconds: seconds, Users: many(users)}}}
	}
	add := func(id string, n int) *pb.Request {
		return &pb.Request{N: 1, Op: &pb.Request_AddMembers{AddMembers: &pb.AddMembers{Conversation: id, Users: many(n)}}}
	}
	body := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	text := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name   string
		at     *pb.Request
		beyond *pb.Request
		want   wire.Code
	}{
		{"id", add(text(64), 1), add(text(65), 1), wire.CodeInvalid},
		{"empty id", add("t", 1), add("", 1), wire.CodeInvalid},
		{"id with a control character", add("t t", 1), add("t\x00", 1), wire.CodeInvalid},
		{"members added", add("tea", 500), add("tea", 501), wire.CodeLimit},
		{"members muted", mute(1, 500), mute(1, 501), wire.CodeLimit},
		{"mute", mute(maxMuteSeconds, 1), mute(maxMuteSeconds+1, 1), wire.CodeLimit},
		{
			"members", create(func(r *pb.CreateConversation) { r.Members = many(500) }),
			create(func(r *pb.CreateConversation) { r.Members = many(501) }), wire.CodeLimit,
		},
		{
			"name", create(func(r *pb.CreateConversation) { r.Name = text(1024) }),
			create(func(r *pb.CreateConversation) { r.Name = text(1025) }), wire.CodeLimit,
		},
		{
			"name in UTF-8", create(func(r *pb.CreateConversation) { r.Name = "茶" }),
			create(func(r *pb.CreateConversation) { r.Name = "\xff" }), wire.CodeInvalid,
		},
		{
			"kind", create(func(r *pb.CreateConversation) { r.Kind = pb.Kind_KIND_SYSTEM }),
			create(func(r *pb.CreateConversation) { r.Kind = 5 }), wire.CodeInvalid,
		},
		{
			"ttl", create(func(r *pb.CreateConversation) { r.TtlSeconds = maxTTLSeconds }),
			create(func(r *pb.CreateConversation) { r.TtlSeconds = maxTTLSeconds + 1 }), wire.CodeLimit,
		},
		{
			"properties", create(func(r *pb.CreateConversation) { r.Properties = properties100(100) }),
			create(func(r *pb.CreateConversation) { r.Properties = properties100(101) }), wire.CodeLimit,
		},
		{
			"property name", create(func(r *pb.CreateConversation) { r.Properties = map[string][]byte{text(128): []byte("1")} }),
			create(func(r *pb.CreateConversation) { r.Properties = map[string][]byte{text(129): []byte("1")} }), wire.CodeInvalid,
		},
		{
			"empty property name", create(func(r *pb.CreateConversation) { r.Properties = map[string][]byte{"a": []byte("1")} }),
			create(func(r *pb.CreateConversation) { r.Properties = map[string][]byte{"": []byte("1")} }), wire.CodeInvalid,
		},
		{
			"property value", update(func(r *pb.UpdateConversation) { r.Set = map[string][]byte{"a": []byte("null")} }),
			update(func(r *pb.UpdateConversation) { r.Set = map[string][]byte{"a": []byte("nul")} }), wire.CodeInvalid,
		},
		{
			"properties' size", update(func(r *pb.UpdateConversation) {
				r.Set = map[string][]byte{"a": []byte(`"` + text(maxPropertyBytes-3) + `"`)}
			}),
			update(func(r *pb.UpdateConversation) {
				r.Set = map[string][]byte{"a": []byte(`"` + text(maxPropertyBytes-2) + `"`)}
			}), wire.CodeLimit,
		},
		{
			"unset", update(func(r *pb.UpdateConversation) { r.Unset = many(100) }),
			update(func(r *pb.UpdateConversation) { r.Unset = many(101) }), wire.CodeLimit,
		},
		{
			"unset name", update(func(r *pb.UpdateConversation) { r.Unset = []string{text(128)} }),
			update(func(r *pb.UpdateConversation) { r.Unset = []string{text(129)} }), wire.CodeLimit,
		},
		{
			"new name", update(func(r *pb.UpdateConversation) { r.Name = new(text(1024)) }),
			update(func(r *pb.UpdateConversation) { r.Name = new(text(1025)) }), wire.CodeLimit,
		},
		{
			"body", send(func(r *pb.SendMessage) { r.Body = body(wire.MaxBodyBytes) }),
			send(func(r *pb.SendMessage) { r.Body = body(wire.MaxBodyBytes + 1) }), wire.CodeLimit,
		},
		{
			"content type", send(func(r *pb.SendMessage) { r.ContentType = text(128) }),
			send(func(r *pb.SendMessage) { r.ContentType = text(129) }), wire.CodeLimit,
		},
		{
			"mentions", send(func(r *pb.SendMessage) { r.Mentions = many(100) }),
			send(func(r *pb.SendMessage) { r.Mentions = many(101) }), wire.CodeLimit,
		},
		{
			"targets", send(func(r *pb.SendMessage) { r.Targets = many(100) }),
			send(func(r *pb.SendMessage) { r.Targets = many(101) }), wire.CodeLimit,
		},
		{
			"edited body", edit(func(r *pb.EditMessage) { r.Body = body(wire.MaxBodyBytes) }),
			edit(func(r *pb.EditMessage) { r.Body = body(wire.MaxBodyBytes + 1) }), wire.CodeLimit,
		},
		{
			"edited mentions", edit(func(r *pb.EditMessage) { r.Mentions = many(100) }),
			edit(func(r *pb.EditMessage) { r.Mentions = many(101) }), wire.CodeLimit,
		},
		{
			"message id", edit(func(r *pb.EditMessage) { r.Id = text(64) }),
			edit(func(r *pb.EditMessage) { r.Id = text(65) }), wire.CodeInvalid,
		},
		{
			"role", &pb.Request{N: 1, Op: &pb.Request_SetRole{SetRole: &pb.SetRole{Conversation: "tea", User: "ben", Role: pb.Role_ROLE_OWNER}}},
			&pb.Request{N: 1, Op: &pb.Request_SetRole{SetRole: &pb.SetRole{Conversation: "tea", User: "ben"}}}, wire.CodeInvalid,
		},
		{
			"recalled id", &pb.Request{N: 1, Op: &pb.Request_RecallMessage{RecallMessage: &pb.RecallMessage{Conversation: "tea", Id: "m"}}},
			&pb.Request{N: 1, Op: &pb.Request_RecallMessage{RecallMessage: &pb.RecallMessage{Conversation: "tea"}}}, wire.CodeInvalid,
		},
		{
			"blocked id", &pb.Request{N: 1, Op: &pb.Request_BlockConversation{BlockConversation: &pb.BlockConversation{Conversation: "tea"}}},
			&pb.Request{N: 1, Op: &pb.Request_BlockConversation{}}, wire.CodeInvalid,
		},
	} {
		change, ok, err := Translate(asker, c.at)
		if !ok || err != nil {
			t.Errorf("%s, at the limit: %v, %v", c.name, ok, err)
		} else if _, _, err := state.DecodeCommand(change.Encoded); err != nil {
			t.Errorf("%s, at the limit: %v", c.name, err)
		}
		if _, ok, err := Translate(asker, c.beyond); !ok || wire.CodeOf(err) != c.want {
			t.Errorf("%s, past the limit: %v, %v, want %v", c.name, ok, err, c.want)
		}
	}
}

// TestCommandsOfTheApp: the app is no user, and no member.
func TestCommandsOfTheApp(t *testing.T) {
	app := asker
	app.User = ""
	req := &pb.Request{N: 1, Op: &pb.Request_BlockConversation{BlockConversation: &pb.BlockConversation{Conversation: "tea"}}}
	if c, _, err := Translate(app, req); wire.CodeOf(err) != wire.CodeInvalid {
		t.Errorf("the app blocks: %+v, %v", c, err)
	}
	c, err := Resolve(app, &pb.CreateConversation{Unique: true, Members: []string{"ben", "eve"}})
	if err != nil || !cmp.Equal(c.Members, []wire.UserID{"ben", "eve"}) {
		t.Errorf("the app's unique conversation: %+v, %v", c, err)
	}
}

func TestResolve(t *testing.T) {
	c, err := Resolve(asker, &pb.CreateConversation{Unique: true, Members: []string{"ben"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Salt == 0 {
		t.Error("no salt: the id can be told from the members")
	}
	c.Salt = 0
	if d := cmp.Diff(&state.ResolveUnique{Preset: state.PresetBasic, Members: []wire.UserID{"ben", "ann"}}, c); d != "" {
		t.Error(d)
	}
	for name, r := range map[string]*pb.CreateConversation{
		"an id": {Id: "tea"}, "members": {Members: many(500)}, "a member": {Members: []string{""}}, "kind": {Kind: 9},
	} {
		if _, err := Resolve(asker, r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTransient(t *testing.T) {
	for name, r := range map[string]*pb.SendMessage{
		"targets":  {Conversation: "tea", Targets: []string{"ben"}},
		"mentions": {Conversation: "tea", Mentions: []string{"ben"}},
		"all":      {Conversation: "tea", MentionAll: true},
		"body":     {Conversation: "tea", Body: make([]byte, wire.MaxBodyBytes+1)},
		"nowhere":  {},
	} {
		if _, err := Transient(asker, r, 1); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCheckWill(t *testing.T) {
	if err := CheckWill(&pb.Will{Conversation: "tea", Body: []byte("bye"), ContentType: "text"}); err != nil {
		t.Error(err)
	}
	for _, w := range []*pb.Will{{}, {Conversation: "tea", Body: make([]byte, wire.MaxBodyBytes+1)}, {Conversation: "tea", ContentType: strings.Repeat("x", 129)}} {
		if CheckWill(w) == nil {
			t.Errorf("accepted %.40v", w)
		}
	}
}

// TestEveryRefusalHasACode: a client decides by the code, so none may become
// "internal" because it was forgotten.
func TestEveryRefusalHasACode(t *testing.T) {
	n := 0
	for r := state.NotFound; !strings.HasPrefix(r.String(), "refusal "); r++ {
		n++
		if e := Refused("op", r, ""); e.Code == wire.CodeInternal || e.Text == "" || e.Op != "op" {
			t.Errorf("%v becomes %v", r, e)
		}
	}
	if n < 15 {
		t.Errorf("%d refusals", n)
	}
	if e := Refused("op", 255, ""); e.Code != wire.CodeInternal {
		t.Errorf("an unknown refusal becomes %v", e)
	}
}

// TestNumbersAgree: kinds and roles have the same numbers in the protocol and in
// the state, since they are converted as numbers.
func TestNumbersAgree(t *testing.T) {
	for k, p := range map[pb.Kind]state.Preset{
		pb.Kind_KIND_BASIC: state.PresetBasic, pb.Kind_KIND_ROOM: state.PresetRoom, pb.Kind_KIND_SYSTEM: state.PresetSystem, pb.Kind_KIND_TEMPORARY: state.PresetTemporary,
	} {
		if got, err := Preset("op", k); got != p || err != nil || pb.Kind(p) != k {
			t.Errorf("%v is %v, %v", k, got, err)
		}
	}
	for r, s := range map[pb.Role]state.Role{
		pb.Role_ROLE_UNSPECIFIED: state.RoleNone, pb.Role_ROLE_MEMBER: state.RoleMember, pb.Role_ROLE_MANAGER: state.RoleManager, pb.Role_ROLE_OWNER: state.RoleOwner,
	} {
		if pb.Role(s) != r {
			t.Errorf("%v is %v", r, s)
		}
	}
}
