package state

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestLM044_RoleMatrix has each role do each thing to each other role, under each
// kind of rules. The letters say what comes of it: done, forbidden, not a member, or
// needs an owner.
func TestLM044_RoleMatrix(t *testing.T) {
	actors := []wire.UserID{"owner", "manager", "member", "stranger"}
	targets := []wire.UserID{"owner", "manager2", "member2"}
	actions := []struct {
		name string
		of   func(user wire.UserID) Command
		// By actor, each with the targets in order.
		preset, open, roles [4]string
	}{
		{
			"add", func(wire.UserID) Command { return &AddMembers{Conversation: "c", Users: []wire.UserID{"new"}} },
			[4]string{"ddd", "ddd", "ddd", "nnn"},
			[4]string{"ddd", "ddd", "ddd", "nnn"},
			[4]string{"ddd", "ddd", "fff", "nnn"},
		},
		{
			"remove", func(u wire.UserID) Command { return &RemoveMembers{Conversation: "c", Users: []wire.UserID{u}} },
			[4]string{"-dd", "ffd", "fff", "nnn"},
			[4]string{"-dd", "ddd", "ddd", "nnn"},
			[4]string{"-dd", "ofd", "fff", "nnn"},
		},
		{
			"mute", func(u wire.UserID) Command { return &Mute{Conversation: "c", Users: []wire.UserID{u, "member"}} },
			[4]string{"-dd", "FFd", "fff", "nnn"},
			[4]string{"-ff", "fff", "fff", "nnn"},
			[4]string{"-dd", "FFd", "fff", "nnn"},
		},
		{
			"block", func(u wire.UserID) Command { return &BlockMembers{Conversation: "c", Users: []wire.UserID{u}} },
			[4]string{"-dd", "ffd", "fff", "nnn"},
			[4]string{"-dd", "ddd", "ddd", "nnn"},
			[4]string{"-dd", "ofd", "fff", "nnn"},
		},
		{
			"set role", func(u wire.UserID) Command { return &SetRole{Conversation: "c", User: u, Role: RoleManager} },
			[4]string{"-dd", "fff", "fff", "nnn"},
			[4]string{"-ff", "fff", "fff", "nnn"},
			[4]string{"-dd", "ffd", "fff", "nnn"},
		},
		{
			"update", func(wire.UserID) Command { return &UpdateConversation{ID: "c", SetName: true, Name: "x"} },
			[4]string{"ddd", "ddd", "ddd", "nnn"},
			[4]string{"ddd", "ddd", "ddd", "nnn"},
			[4]string{"ddd", "ddd", "ddd", "nnn"},
		},
		{
			"mute all", func(wire.UserID) Command { return &UpdateConversation{ID: "c", Muted: SwitchOn} },
			[4]string{"ddd", "ddd", "fff", "nnn"},
			[4]string{"fff", "fff", "fff", "nnn"},
			[4]string{"ddd", "ddd", "fff", "nnn"},
		},
	}
	for _, action := range actions {
		for rules, want := range map[Rules][4]string{RulesPreset: action.preset, RulesOpen: action.open, RulesRoles: action.roles} {
			for i, actor := range actors {
				for j, target := range targets {
					if want[i][j] == '-' {
						continue
					}
					s := roleScript(t, rules)
					got := letter(s.do(t, Header{Actor: actor}, action.of(target)), target)
					if got != want[i][j:j+1] {
						t.Errorf("rules %d: %s, %s by %s comes to %s, want %c", rules, action.name, target, actor, got, want[i][j])
					}
				}
			}
		}
	}
}

// roleScript is a conversation with members of all roles.
func roleScript(t *testing.T, rules Rules) *script {
	s := newScript(t)
	s.do(t, Header{Actor: "owner"}, &CreateConversation{
		ID: "c", Preset: PresetBasic, Rules: rules, Members: []wire.UserID{"manager", "manager2", "member", "member2"},
	})
	for _, u := range []wire.UserID{"manager", "manager2"} {
		if r := s.do(t, Header{}, &SetRole{Conversation: "c", User: u, Role: RoleManager}); r.Refusal != None {
			t.Fatal(r)
		}
	}
	return s
}

func letter(r Result, target wire.UserID) string {
	switch r.Refusal {
	case None:
		for _, u := range r.Users {
			if u.User == target && u.Refusal == Forbidden {
				return "F" // of several
			}
		}
		return "d"
	case Forbidden:
		return "f"
	case NotMember:
		return "n"
	case NeedOwner:
		return "o"
	default:
		return r.Refusal.String()
	}
}

// TestLM044_OwnerLeaves: the owner may leave until a role was given, and never
// after that; everybody else may.
func TestLM044_OwnerLeaves(t *testing.T) {
	for _, tc := range []struct {
		rules Rules
		given bool
		want  Refusal
	}{
		{RulesPreset, true, None},
		{RulesOpen, true, None},
		{RulesRoles, false, None},
		{RulesRoles, true, NeedOwner},
	} {
		s := newScript(t)
		s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "c", Preset: PresetBasic, Rules: tc.rules, Members: []wire.UserID{"bob"}})
		if tc.given {
			s.do(t, Header{}, &SetRole{Conversation: "c", User: "bob", Role: RoleManager})
			s.do(t, Header{}, &SetRole{Conversation: "c", User: "bob", Role: RoleMember})
		}
		if r := s.do(t, Header{Actor: "bob"}, &RemoveMembers{Conversation: "c", Users: []wire.UserID{"bob"}}); r.Refusal != None {
			t.Errorf("rules %d: a member's leaving is refused: %v", tc.rules, r.Refusal)
		}
		if r := s.do(t, Header{Actor: "ann"}, &RemoveMembers{Conversation: "c", Users: []wire.UserID{"ann"}}); r.Refusal != tc.want {
			t.Errorf("rules %d, roles given %v: the owner's leaving comes to %v, want %v", tc.rules, tc.given, r.Refusal, tc.want)
		}
	}
}

// TestB2_RulesOfKinds: rules shape what users do to each other, and of kinds in
// which only the app does nothing but how long messages are kept.
func TestB2_RulesOfKinds(t *testing.T) {
	for _, p := range []Preset{PresetSystem, PresetTemporary} {
		policy, _ := NewPolicy(p)
		policy.RetentionMillis = 0
		if open, roles := policy.ruled(RulesOpen), policy.ruled(RulesRoles); open != policy || roles != policy {
			t.Errorf("preset %d has other policies under rules: %+v and %+v", p, open, roles)
		}
	}
	room, _ := NewPolicy(PresetRoom)
	open, roles := room.ruled(RulesOpen), room.ruled(RulesRoles)
	if open.Invite != room.Invite || roles.Remove != room.Remove || open.Manage != WhoApp || roles.Manage != WhoManager || open.Change != WhoMember {
		t.Errorf("a room is %+v and %+v", open, roles)
	}
	s := newScript(t)
	if r := s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "c", Preset: PresetBasic, Rules: 3}); r.Refusal != Invalid {
		t.Errorf("rules that there are not come to %v", r.Refusal)
	}
}

// TestLM045_MuteListFull: so many members are muted for ever, and no more; a mute
// that ends is no matter of the list.
func TestLM045_MuteListFull(t *testing.T) {
	s, users := manyMembers(t, maxMutes+1)
	mute := func(of []wire.UserID, millis int64, off bool) Result {
		return s.do(t, Header{}, &Mute{Conversation: "c", Users: of, Millis: millis, Unmute: off})
	}
	if r := mute(users[:maxMutes], 0, false); r.Refusal != None || len(r.Users) != 0 {
		t.Fatalf("%d mutes come to %v, %v", maxMutes, r.Refusal, r.Users)
	}
	last := users[maxMutes:]
	if r := mute(last, 0, false); r.Refusal != MuteListFull {
		t.Errorf("one more comes to %v", r.Refusal)
	}
	if r := mute([]wire.UserID{users[0], last[0]}, 0, false); r.Refusal != None || len(r.Users) != 1 || r.Users[0].Refusal != MuteListFull {
		t.Errorf("one more among others comes to %v, %v", r.Refusal, r.Users)
	}
	if r := mute(last, 1000, false); r.Refusal != None {
		t.Errorf("one more for a time comes to %v", r.Refusal)
	}
	// One who leaves, one who is let speak and one whose mute has an end now make room.
	s.do(t, Header{}, &RemoveMembers{Conversation: "c", Users: users[:1]})
	mute(users[1:2], 0, true)
	mute(users[2:3], 1000, false)
	s.do(t, Header{}, &AddMembers{Conversation: "c", Users: users[:1]})
	for i, u := range []wire.UserID{users[0], users[1], last[0], users[2]} {
		want := None
		if i == 3 {
			want = MuteListFull
		}
		if r := mute([]wire.UserID{u}, 0, false); r.Refusal != want {
			t.Errorf("mute %d after there was room for three comes to %v, want %v", i, r.Refusal, want)
		}
	}
}

// manyMembers is a conversation "c" with so many members, beside its owner.
func manyMembers(t *testing.T, n int) (*script, []wire.UserID) {
	s := newScript(t)
	s.do(t, Header{Actor: "owner"}, &CreateConversation{ID: "c", Preset: PresetBasic, Rules: RulesRoles, MemberLimit: 2000})
	users := many("u", n)
	for from := 0; from < n; from += wire.MaxMembersAdded {
		r := s.do(t, Header{}, &AddMembers{Conversation: "c", Users: users[from:min(n, from+wire.MaxMembersAdded)]})
		if r.Refusal != None || len(r.Users) != 0 {
			t.Fatal(r)
		}
	}
	return s, users
}

func many(name string, n int) []wire.UserID {
	users := make([]wire.UserID, n)
	for i := range users {
		users[i] = wire.UserID(fmt.Sprintf("%s%05d", name, i))
	}
	return users
}

// TestLM046_BlockListFull: 500 users are kept out of a conversation, 10,000 of a
// chat room.
func TestLM046_BlockListFull(t *testing.T) {
	for preset, limit := range map[Preset]int{PresetBasic: 500, PresetRoom: 10_000, PresetSystem: 10_000} {
		s := newScript(t)
		s.do(t, Header{}, &CreateConversation{ID: "c", Preset: preset})
		users := many("u", limit)
		for from := 0; from < limit; from += wire.MaxMembersAdded {
			r := s.do(t, Header{}, &BlockMembers{Conversation: "c", Users: users[from : from+wire.MaxMembersAdded]})
			if r.Refusal != None || len(r.Users) != 0 {
				t.Fatal(r)
			}
		}
		if r := s.do(t, Header{}, &BlockMembers{Conversation: "c", Users: []wire.UserID{"one"}}); r.Refusal != BlockListFull {
			t.Errorf("preset %d: after %d, one more comes to %v", preset, limit, r.Refusal)
		}
		r := s.do(t, Header{}, &BlockMembers{Conversation: "c", Users: []wire.UserID{"one", users[0]}})
		if r.Refusal != None || len(r.Users) != 2 || r.Users[0].Refusal != BlockListFull || r.Users[1].Refusal != Exists {
			t.Errorf("preset %d: one more and one again come to %v, %v", preset, r.Refusal, r.Users)
		}
		s.do(t, Header{}, &BlockMembers{Conversation: "c", Users: users[:1], Unblock: true})
		if r := s.do(t, Header{}, &BlockMembers{Conversation: "c", Users: []wire.UserID{"one"}}); r.Refusal != None {
			t.Errorf("preset %d: with room for one it comes to %v", preset, r.Refusal)
		}
	}
}

// TestLM045_RoomMuteListFull: a chat room mutes 10,000 users.
func TestLM045_RoomMuteListFull(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{}, &CreateConversation{ID: "c", Preset: PresetRoom})
	users := many("u", maxRoomMutes)
	for from := 0; from < maxRoomMutes; from += wire.MaxMembersAdded {
		r := s.do(t, Header{}, &Mute{Conversation: "c", Users: users[from : from+wire.MaxMembersAdded], Millis: int64(from % 1000)})
		if r.Refusal != None || len(r.Users) != 0 {
			t.Fatal(r)
		}
	}
	if r := s.do(t, Header{}, &Mute{Conversation: "c", Users: []wire.UserID{"one"}}); r.Refusal != MuteListFull {
		t.Errorf("one more comes to %v", r.Refusal)
	}
	// Half of them end, and a sweep makes room.
	s.now += 10_000
	if due := s.sweep(t); due != "swept 1000" {
		t.Errorf("the first sweep: %s", due)
	}
	if r := s.do(t, Header{}, &Mute{Conversation: "c", Users: []wire.UserID{"one"}}); r.Refusal != None {
		t.Errorf("after a sweep it comes to %v", r.Refusal)
	}
}

// TestDeviceCursorsAreFew: of more devices than are kept, the one that was moved
// the longest time ago goes.
func TestDeviceCursorsAreFew(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "c", Preset: PresetBasic})
	s.do(t, Header{Actor: "ann"}, &SendMessage{Conversation: "c"})
	s.do(t, Header{Actor: "ann"}, &SendMessage{Conversation: "c"})
	move := func(device string, seq wire.Seq) {
		s.now++
		s.do(t, Header{Actor: "ann"}, &MoveDeviceCursor{Conversation: "c", User: "ann", Device: device, Delivered: seq})
	}
	for i := range maxDevices {
		move(fmt.Sprint("d", i), 1)
	}
	move("d0", 2)
	move("new", 2)
	for device, want := range map[string]wire.Seq{"d0": 2, "d1": 0, "d2": 1, "new": 2} {
		if got, err := s.state.DeviceCursor(scriptApp, "c", "ann", device); got != want || err != nil {
			t.Errorf("%s is at %d, %v, want %d", device, got, err, want)
		}
	}
}

// TestLM044_FewManagers: there are 50 managers at most, whoever makes them.
func TestLM044_FewManagers(t *testing.T) {
	s, users := manyMembers(t, maxManagers+2)
	promote := func(u wire.UserID, role Role) Refusal {
		return s.do(t, Header{Actor: "owner"}, &SetRole{Conversation: "c", User: u, Role: role}).Refusal
	}
	for _, u := range users[:maxManagers] {
		if r := promote(u, RoleManager); r != None {
			t.Fatal(r)
		}
	}
	if r := promote(users[maxManagers], RoleManager); r != Limit {
		t.Errorf("one more comes to %v", r)
	}
	if r := promote(users[0], RoleManager); r != None {
		t.Errorf("one again comes to %v", r)
	}
	promote(users[0], RoleMember)
	s.do(t, Header{}, &RemoveMembers{Conversation: "c", Users: users[1:2]})
	for i, want := range []Refusal{None, None, Limit} {
		if r := promote([]wire.UserID{users[maxManagers], users[maxManagers+1], users[0]}[i], RoleManager); r != want {
			t.Errorf("manager %d after two were none any more comes to %v, want %v", i, r, want)
		}
	}
}

// TestLM040_SameAgain: adding a member and removing who is none are no refusals; of
// users for whom there is no room none is added.
func TestLM040_SameAgain(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "c", Preset: PresetBasic, Rules: RulesOpen, MemberLimit: 3, Members: []wire.UserID{"bob"}})
	r := s.do(t, Header{Actor: "ann"}, &RemoveMembers{Conversation: "c", Users: []wire.UserID{"zoe"}})
	if r.Refusal != None || r.Offset != 0 || len(r.Users) != 1 || r.Users[0].Refusal != NotMember {
		t.Errorf("removing who is none comes to %+v", r)
	}
	r = s.do(t, Header{Actor: "ann"}, &AddMembers{Conversation: "c", Users: []wire.UserID{"bob"}})
	if r.Refusal != None || r.Offset != 0 || len(r.Users) != 1 || r.Users[0].Refusal != Exists {
		t.Errorf("adding a member comes to %+v", r)
	}
	if r = s.do(t, Header{Actor: "ann"}, &AddMembers{Conversation: "c", Users: []wire.UserID{"cat", "dan"}}); r.Refusal != Limit {
		t.Errorf("adding more than there is room for comes to %+v", r)
	}
	if c, err := s.state.Conversation(scriptApp, "c"); err != nil || c.MemberCount != 2 {
		t.Errorf("there are %d members, %v", c.MemberCount, err)
	}
}

// TestLM047_WhoReturnsReadsAll: history belongs to the conversation.
func TestLM047_WhoReturnsReadsAll(t *testing.T) {
	s := newScript(t)
	ann, bob := Header{Actor: "ann"}, Header{Actor: "bob"}
	s.do(t, ann, &CreateConversation{ID: "c", Preset: PresetBasic, Rules: RulesOpen, Members: []wire.UserID{"bob"}})
	s.do(t, ann, &SendMessage{Conversation: "c"})
	s.do(t, bob, &RemoveMembers{Conversation: "c", Users: []wire.UserID{"bob"}})
	s.do(t, ann, &SendMessage{Conversation: "c"})
	history := HistoryQuery{App: scriptApp, Conversation: "c", Reader: "bob"}
	if _, err := s.state.History(history); err == nil {
		t.Error("who has left reads")
	}
	s.do(t, bob, &AddMembers{Conversation: "c", Users: []wire.UserID{"bob"}})
	if page, err := s.state.History(history); err != nil || len(page.Messages) != 2 {
		t.Errorf("who is back reads %d messages, %v", len(page.Messages), err)
	}
}
