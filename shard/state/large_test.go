package state

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/wire"
)

// sweepAll names due timers until none is left, and returns how many rounds it took.
func (s *script) sweepAll(t *testing.T) int {
	t.Helper()
	for round := range 100 {
		if s.sweep(t) == "nothing is due" {
			return round
		}
		s.now += 10
	}
	t.Fatal("timers are due without end")
	return 0
}

// TestDestroyLarge destroys a conversation with more members than one command
// may let go of: the rest goes by sweeps, everybody is told, and only the
// tombstone stays.
func TestDestroyLarge(t *testing.T) {
	s := newScript(t)
	const members = 1200
	s.do(t, Header{}, &CreateConversation{ID: "news", Preset: PresetSystem})
	for i := 0; i < members; i += 400 {
		var users []wire.UserID
		for n := range 400 {
			users = append(users, wire.UserID(fmt.Sprintf("user%04d", i+n)))
		}
		if r := s.do(t, Header{}, &AddMembers{Conversation: "news", Users: users}); r.Refusal != None || len(r.Users) > 0 {
			t.Fatalf("add members: %s", describe(r))
		}
	}
	s.do(t, Header{}, &SendMessage{Conversation: "news", Body: []byte("the end is near")})
	if r := s.do(t, Header{}, &DestroyConversation{ID: "news"}); r.Refusal != None {
		t.Fatalf("destroy: %s", describe(r))
	}
	if _, err := s.state.Conversation(scriptApp, "news"); err == nil {
		t.Error("the conversation is still there while its members are let go")
	}
	s.now += 10
	if rounds := s.sweepAll(t); rounds != 2 {
		t.Errorf("%d sweeps let go of %d members, want 2", rounds, members-removedAtOnce)
	}
	if got := s.rows(t, "news"); got != "head=1" {
		t.Errorf("rows left: %s, want the head alone", got)
	}
	batches, err := s.state.OutboxBatches(10_000, nil)
	if err != nil {
		t.Fatal(err)
	}
	told := map[wire.UserID]bool{}
	for _, b := range batches {
		for _, row := range b.Rows {
			if !row.On && row.Gone {
				told[row.User] = true
			}
		}
	}
	if len(told) != members {
		t.Errorf("%d members are told, want %d", len(told), members)
	}
}

// TestRetentionLarge lets more messages pass retention than one command trims,
// and more than are deleted one by one.
func TestRetentionLarge(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	const old = 2*trimmedAtOnce + 100
	for i := range old {
		actor := []wire.UserID{"ann", "bob"}[i%2]
		s.do(t, Header{Actor: actor}, &SendMessage{Conversation: "tea", Body: []byte("x"), MentionAll: i%7 == 0})
	}
	s.now += defaultRetentionMillis
	s.do(t, Header{Actor: "ann"}, &SendMessage{Conversation: "tea", Body: []byte("fresh"), Mentions: []wire.UserID{"bob"}})
	before, err := s.state.Unread(scriptApp, "tea", "bob")
	if err != nil || before.Count != old/2+1 {
		t.Fatalf("unread of bob is %+v, %v, want %d", before, err, old/2+1)
	}
	s.sweepAll(t)
	// Each user's sum at the floor stays, and ann has one for the fresh message.
	if got, want := s.rows(t, "tea"), "head=1 info=1 member=2 message=1 exception=3 mention=1"; got != want {
		t.Errorf("rows left: %s, want %s", got, want)
	}
	after, err := s.state.Unread(scriptApp, "tea", "bob")
	if err != nil || after.Count != 1 || !after.Mentioned {
		t.Errorf("unread of bob is %+v, %v, want the fresh message", after, err)
	}
	page, err := s.state.ReadLog(LogQuery{Log: LogKey{App: scriptApp, Conversation: "tea"}, After: old + 2})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Offset != old+3 {
		t.Errorf("the log after the floor: %+v, %v", page, err)
	}
}

// TestNoPast hides from a newcomer what was before him, where the policy says so.
func TestNoPast(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic})
	s.do(t, Header{Actor: "ann"}, &SendMessage{Conversation: "tea", Body: []byte("secret")})
	sc := conversationScope(scriptApp, "tea")
	v, err := s.state.view()
	if err != nil {
		t.Fatal(err)
	}
	info := loadConversation(v, sc).info
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	info.Policy.Past = false
	rows := dump(t, s.db)
	rows[fmt.Sprintf("%x", sc.key(nil, tableInfo))] = fmt.Sprintf("%x", appendInfo(nil, &info))
	replaceRows(t, s.db, rows)
	s.reopen(t)

	s.do(t, Header{Actor: "bob"}, &AddMembers{Conversation: "tea", Users: []wire.UserID{"bob"}})
	sent := s.do(t, Header{Actor: "ann"}, &SendMessage{Conversation: "tea", Body: []byte("hello bob")})
	page, err := s.state.ReadLog(LogQuery{Log: LogKey{App: scriptApp, Conversation: "tea"}, Reader: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := describeLog(page), "(0, 5] of (0, 5]\n4 added at=1001 by=bob users=[bob]\n5 message at=1000 by=ann: #2 ann at=1000 \"hello bob\""; got != want {
		t.Errorf("bob reads\n%s\nwant\n%s", got, want)
	}
	history, err := s.state.History(HistoryQuery{App: scriptApp, Conversation: "tea", Reader: "bob"})
	if err != nil || len(history.Messages) != 1 || history.Messages[0].ID != sent.MessageID {
		t.Errorf("bob's history is %s, %v", describeHistory(history), err)
	}
	if _, err := s.state.Message(scriptApp, "tea", wire.NewMessageID("tea", 1000, 1), "bob"); err == nil {
		t.Error("bob reads a message from before him by its id")
	}
}
