package leandoc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

func TestLM022_UniqueID(t *testing.T) {
	for _, c := range []struct {
		members []wire.UserID
		want    string
	}{
		{[]wire.UserID{"SteveJobs", "BillGates"}, "6c7b0e5afcae9aa1139a0afa25833dec"},
		{[]wire.UserID{"Tom", "Jerry", "Tom"}, "09c6a05661878de43defe4ec0e8aca24"},
	} {
		if got := leandoc.UniqueID(c.members); got != c.want {
			t.Errorf("%v: %s, want %s", c.members, got, c.want)
		}
	}
}

func TestIDs(t *testing.T) {
	if id := leandoc.ShownID("a", state.PresetTemporary); id != "_tmp:a" {
		t.Errorf("a temporary conversation's id is %q", id)
	}
	if id, temporary := leandoc.StoredID("_tmp:a"); id != "a" || !temporary {
		t.Errorf("_tmp:a is %q, temporary: %v", id, temporary)
	}
	if id, temporary := leandoc.StoredID("a"); id != "a" || temporary {
		t.Errorf("a is %q, temporary: %v", id, temporary)
	}
}

func TestLM025_ParseAttributes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, `name=""`},
		{`{"name":"Tea"}`, `name="Tea"`},
		{`{"name":null}`, `name=""`},
		{`{"attr":{"a":1, "b":"é"},"topic":"t","n":12345678901234567890}`, `name="" attr={"a":1,"b":"é"} n=12345678901234567890 topic="t"`},
		{`{"attributes":{"x":1}}`, `name="" attributes={"x":1}`}, // stored as it is sent
		{`{"m":["eve"],"c":"eve","objectId":"x","tr":true,"uniqueId":"u","lm":1,"mu":[],"sys":true,"unique":true}`, `name=""`},
		{`{"name":1}`, "error"},
		{`[]`, "error"},
		{`{"a.b":1}`, "error"},
		{`{"$a":1}`, "error"},
		{`{`, "error"},
	} {
		a, err := leandoc.ParseAttributes([]byte(c.text))
		got := fmt.Sprintf("name=%q", a.Name)
		for _, p := range a.Properties {
			got += fmt.Sprintf(" %s=%s", p.Name, p.Value)
		}
		if err != nil {
			got = "error"
			if !errors.Is(err, leandoc.ErrAttributes) {
				t.Errorf("%s: %v", c.text, err)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
}

func TestLM026_ParseUpdate(t *testing.T) {
	names := map[state.ChangeOp]string{
		state.ChangeSet: "set", state.ChangeDelete: "delete", state.ChangeAdd: "add", state.ChangeAddUnique: "add-unique",
		state.ChangeRemove: "remove", state.ChangeIncrement: "increment", state.ChangeBitAnd: "and", state.ChangeBitOr: "or", state.ChangeBitXor: "xor",
	}
	for _, c := range []struct{ text, want string }{
		{`{"name":"Tea","attr.x.y":{"a": 1}}`, `set attr.x.y {"a":1}; set name "Tea"`},
		{`{"a":{"__op":"Delete"},"b":{"__op":"Add","objects":[1]},"c2":{"__op":"AddUnique","objects":[2]}}`, `delete a ; add b [1]; add-unique c2 [2]`},
		{`{"a":{"__op":"Remove","objects":[1]},"b":{"__op":"Increment","amount":2},"d":{"__op":"Decrement","amount":2}}`, `remove a [1]; increment b 2; increment d -2`},
		{`{"d":{"__op":"Decrement","amount":-2.5}}`, `increment d 2.5`},
		{`{"a":{"__op":"BitAnd","value":1},"b":{"__op":"BitOr","value":2},"d":{"__op":"BitXor","value":3}}`, `and a 1; or b 2; xor d 3`},
		{`{"m":["eve"],"lm":1,"attr":1}`, `set attr 1`}, // what is read-only is ignored
		{`{"a":{"__op":"Increment"}}`, "error"},
		{`{"a":{"__op":"Explode"}}`, "error"},
		{`{".a":1}`, "error"},
		{`3`, "error"},
	} {
		changes, err := leandoc.ParseUpdate([]byte(c.text))
		var all []string
		for _, one := range changes {
			all = append(all, fmt.Sprintf("%s %s %s", names[one.Op], one.Path, one.Value))
		}
		got := strings.Join(all, "; ")
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
}

func TestLM027_Resolved(t *testing.T) {
	for _, c := range []struct{ sent, changed, want string }{
		{`{"name":"x","attr.a":1}`, `{"name":"x","attr":{"a":1}}`, `{"attr.a":1,"name":"x"}`},
		{`{"attr.n":{"__op":"Increment","amount":1},"a":{"__op":"Delete"}}`, `{"attr":{"n":4}}`, `{"a":null,"attr.n":4}`},
		{`{"c":"eve","n":1}`, `{"n":1}`, `{"n":1}`},
		{`no JSON`, `{"n":1}`, `{"n":1}`},
	} {
		if got := string(leandoc.Resolved([]byte(c.sent), []byte(c.changed))); got != c.want {
			t.Errorf("%s: %s, want %s", c.sent, got, c.want)
		}
	}
}

func TestLM024_Columns(t *testing.T) {
	policy, _ := state.NewPolicy(state.PresetBasic)
	d := state.ConversationDetail{
		Conversation: state.Conversation{
			ID: "5a0000000000000000000001", LastMessage: 1590475351492,
			Info: state.Info{
				Policy: policy, Name: "Tea", Creator: "ann", Created: 1588291200000, Updated: 1588291200001, Unique: true,
				Properties: []state.Property{
					{Name: "attr", Value: []byte(`{"big":12345678901234567890}`)},
					{Name: "broken", Value: []byte(`{`)},
					{Name: "c", Value: []byte(`"eve"`)},
					{Name: "temp", Value: []byte(`true`)},
					{Name: "uniqueId", Value: []byte(`"u"`)},
				},
			},
		},
		Members: []wire.UserID{"ann", "bob"}, Quiet: []wire.UserID{"bob"},
	}
	for _, c := range []struct {
		wanted []string // none: all
		want   string
	}{
		{nil, `{"attr":{"big":12345678901234567890},"c":"ann","conv_type":1,"createdAt":"2020-05-01T00:00:00.000Z",` +
			`"lm":{"__type":"Date","iso":"2020-05-26T06:42:31.492Z"},"m":["ann","bob"],"mu":["bob"],"name":"Tea","objectId":"5a0000000000000000000001",` +
			`"sys":false,"tr":false,"unique":true,"uniqueId":"u","updatedAt":"2020-05-01T00:00:00.001Z"}`},
		{[]string{"m", "name", "temp"}, `{"m":["ann","bob"],"name":"Tea"}`},
	} {
		b, err := json.Marshal(leandoc.Columns(&d, func(column string) bool {
			return c.wanted == nil || strings.Contains(strings.Join(c.wanted, " ")+" ", column+" ")
		}, false))
		if err != nil || string(b) != c.want {
			t.Errorf("%v: %s, %v, want %s", c.wanted, b, err, c.want)
		}
	}
}

// TestLM041_Events is the matrix of who is told what: Tom does it, to Mary; Jerry
// is another member.
func TestLM041_Events(t *testing.T) {
	mary := []wire.UserID{"mary"}
	log := func(e state.Entry) func(wire.UserID) []leandoc.Event {
		e.Actor, e.Stamp, e.Offset = "tom", 7, 3
		return func(user wire.UserID) []leandoc.Event {
			return leandoc.OfConversation("c1", state.PresetBasic, &e, user)
		}
	}
	for _, c := range []struct {
		name             string
		told             func(wire.UserID) []leandoc.Event
		tom, mary, jerry string
	}{
		{"adds", log(state.Entry{Kind: state.EntryMembersAdded, Users: mary}), "members_joined [mary]", "members_joined [mary]", "members_joined [mary]"},
		{"removes", log(state.Entry{Kind: state.EntryMembersRemoved, Users: mary}), "members_left [mary]", "", "members_left [mary]"},
		{"blocks", log(state.Entry{Kind: state.EntryBanned, Users: mary}), "members_blocked [mary]", "blocked []", "members_blocked [mary]"},
		{"unblocks", log(state.Entry{Kind: state.EntryUnbanned, Users: mary}), "members_unblocked [mary]", "unblocked []", "members_unblocked [mary]"},
		{
			"mutes", log(state.Entry{Kind: state.EntryMuted, Users: mary}),
			"members_shutuped [mary]", "shutuped [] members_shutuped [mary]", "members_shutuped [mary]",
		},
		{"mutes for a time", log(state.Entry{Kind: state.EntryMuted, Users: mary, Until: 9}), "", "", ""},
		{
			"unmutes", log(state.Entry{Kind: state.EntryUnmuted, Users: mary}),
			"members_unshutuped [mary]", "unshutuped [] members_unshutuped [mary]", "members_unshutuped [mary]",
		},
		{
			"gives a role", log(state.Entry{Kind: state.EntryRoleChanged, Users: mary, Role: state.RoleManager}),
			"member_info_changed []", "member_info_changed []", "member_info_changed []",
		},
		{
			"changes", log(state.Entry{Kind: state.EntryUpdated, Changed: []byte(`{"name":"x"}`), Sent: []byte(`{"name":"x"}`)}),
			"updated []", "updated []", "updated []",
		},
		{"says", log(state.Entry{Kind: state.EntryMessage}), "", "", ""},
	} {
		for user, want := range map[wire.UserID]string{"tom": c.tom, "mary": c.mary, "jerry": c.jerry} {
			var all []string
			for _, e := range c.told(user) {
				if e.By != "tom" || e.Millis != 7 || e.Offset != 3 || e.Conversation != "c1" {
					t.Errorf("%s: %s is told %+v", c.name, user, e)
				}
				all = append(all, fmt.Sprintf("%s %v", e.Op, e.Members))
			}
			if got := strings.Join(all, " "); got != want {
				t.Errorf("Tom %s: %s is told %q, want %q", c.name, user, got, want)
			}
		}
	}
}

// TestLM050_NoNotices: nobody is told who comes to chat rooms and services.
func TestLM050_NoNotices(t *testing.T) {
	for _, preset := range []state.Preset{state.PresetRoom, state.PresetSystem} {
		e := state.Entry{Kind: state.EntryMembersAdded, Users: []wire.UserID{"mary"}}
		if told := leandoc.OfConversation("c1", preset, &e, "mary"); told != nil {
			t.Errorf("preset %d: %v", preset, told)
		}
		if told := leandoc.OfUser(preset, &state.Entry{Kind: state.EntryJoined, Conversation: "c1"}); told != nil {
			t.Errorf("preset %d: %v", preset, told)
		}
	}
}

func TestLM041_OwnEvents(t *testing.T) {
	for kind, want := range map[state.EntryKind]leandoc.Op{state.EntryJoined: leandoc.OpJoined, state.EntryLeft: leandoc.OpLeft} {
		told := leandoc.OfUser(state.PresetBasic, &state.Entry{Kind: kind, Conversation: "c1", ConversationOffset: 4, Actor: "tom", Stamp: 7})
		if len(told) != 1 || told[0].Op != want || told[0].By != "tom" || told[0].Conversation != "c1" || told[0].Offset != 4 {
			t.Errorf("entry %d: %+v", kind, told)
		}
	}
	if told := leandoc.OfUser(state.PresetTemporary, &state.Entry{Kind: state.EntryLeft, Conversation: "c1", Expired: true}); told != nil {
		t.Errorf("who is in a conversation whose time is over is told %+v", told)
	}
}

func FuzzParseUpdate(f *testing.F) {
	f.Add([]byte(`{"a":{"__op":"Add","objects":[1]},"attr.x":{"__op":"Delete"}}`), []byte(`{"a":[1]}`))
	f.Fuzz(func(t *testing.T, sent, changed []byte) {
		if _, err := leandoc.ParseAttributes(sent); err != nil && !errors.Is(err, leandoc.ErrAttributes) {
			t.Errorf("attributes %s: %v", sent, err)
		}
		changes, err := leandoc.ParseUpdate(sent)
		if err != nil && !errors.Is(err, leandoc.ErrAttributes) {
			t.Errorf("update %s: %v", sent, err)
		}
		for _, c := range changes {
			if c.Op != state.ChangeDelete && !json.Valid(c.Value) {
				t.Errorf("%s: %s is to become %q", sent, c.Path, c.Value)
			}
		}
		if json.Valid(changed) && !json.Valid(leandoc.Resolved(sent, changed)) {
			t.Errorf("%s and %s are resolved to no JSON", sent, changed)
		}
	})
}

// TestDepth: members of a conversation are sent its columns, and some read them
// with a stack.
func TestDepth(t *testing.T) {
	deep := func(n int) []byte {
		return []byte(`{"attr":` + strings.Repeat(`[`, n) + `"]]\"]"` + strings.Repeat(`]`, n) + `}`)
	}
	for n, ok := range map[int]bool{1: true, 63: true, 64: false, 5000: false} {
		if _, err := leandoc.ParseAttributes(deep(n)); (err == nil) != ok {
			t.Errorf("attributes %d deep: %v", n, err)
		}
		if _, err := leandoc.ParseUpdate(deep(n)); (err == nil) != ok {
			t.Errorf("an update %d deep: %v", n, err)
		}
	}
}
