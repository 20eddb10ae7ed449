package state

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// receipts is what the last moves told, as text.
func (w *world) receipts() []string {
	var all []string
	for _, a := range w.told {
		for _, c := range a.Cursors {
			for _, one := range c.Receipt {
				kind := "delivered"
				if one.Read {
					kind = "read"
				}
				all = append(all, fmt.Sprintf("%s #%d %s by %s", kind, one.Seq, one.From, c.User))
			}
		}
	}
	w.told = nil
	return all
}

// TestLM067_Receipts: in a pair, who asked for a receipt is told when his message
// is delivered and when it is read, once each.
func TestLM067_Receipts(t *testing.T) {
	w := newWorld(t, 1)
	w.done("ann", &CreateConversation{ID: "c", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	send := func(from wire.UserID, receipt bool) { w.done(from, &SendMessage{Conversation: "c", Receipt: receipt}) }
	send("ann", true)  // 1
	send("ann", false) // 2
	send("bob", true)  // 3
	send("ann", true)  // 4
	w.done("", &SendMessage{Conversation: "c", Receipt: true})
	check := func(what string, move CursorMove, want ...string) {
		t.Helper()
		move.Conversation = "c"
		w.told = nil
		w.done("", &MoveCursors{Moves: []CursorMove{move}})
		if diff := cmp.Diff(want, w.receipts()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("one is delivered", CursorMove{User: "bob", Delivered: 1}, "delivered #1 ann by bob")
	check("again", CursorMove{User: "bob", Delivered: 1})
	check("what did not ask", CursorMove{User: "bob", Delivered: 2})
	check("the rest is delivered, one is read", CursorMove{User: "bob", Delivered: 5, Read: 1}, "delivered #4 ann by bob", "read #1 ann by bob")
	check("all is read", CursorMove{User: "bob", Read: 5}, "read #4 ann by bob")
	check("what is read was delivered", CursorMove{User: "ann", Read: 5}, "delivered #3 bob by ann", "read #3 bob by ann")

	w.done("", &RecallMessage{Conversation: "c", ID: wire.NewMessageID("c", w.stamp, 4)})
	send("ann", true)
	w.done("bob", &AddMembers{Conversation: "c", Users: []wire.UserID{"cat"}})
	check("of three nobody is told", CursorMove{User: "bob", Read: 9})
	w.done("bob", &RemoveMembers{Conversation: "c", Users: []wire.UserID{"bob"}})
	check("who came later has nothing to tell of what was before", CursorMove{User: "cat", Read: 9})
	send("ann", true)
	w.done("", &DeleteMessage{Conversation: "c", ID: wire.NewMessageID("c", w.stamp, 7)})
	send("ann", true)
	check("nor of what is deleted", CursorMove{User: "cat", Read: 9}, "delivered #8 ann by cat", "read #8 ann by cat")
}

// TestLM067_ReceiptsAreBounded: a move over many messages tells of the newest.
func TestLM067_ReceiptsAreBounded(t *testing.T) {
	w := newWorld(t, 1)
	w.done("ann", &CreateConversation{ID: "c", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	for range 2 * maxAsked {
		w.done("ann", &SendMessage{Conversation: "c", Receipt: true})
	}
	w.told = nil
	w.done("bob", &MoveCursors{Moves: []CursorMove{{Conversation: "c", User: "bob", Delivered: 2 * maxAsked}}})
	told := w.receipts()
	if len(told) != maxAsked || told[0] != "delivered #101 ann by bob" || told[maxAsked-1] != "delivered #200 ann by bob" {
		t.Errorf("%d are told, from %s to %s", len(told), told[0], told[len(told)-1])
	}
}

// TestLM070_WillHasItsID: the message of a will has the id and the mentions that
// were chosen when it was left.
func TestLM070_WillHasItsID(t *testing.T) {
	w := newWorld(t, 2)
	w.done("ann", &CreateConversation{ID: "c", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	will := &SetWill{
		User: "bob", Session: "s1", Node: "n1", Conversation: "c", ContentType: "text", Body: []byte("bye"),
		ID: "chosen", Mentions: []wire.UserID{"ann"}, MentionAll: true,
	}
	w.done("bob", will)
	left, err := w.ofUser("bob").Sessions(worldApp, "bob")
	if err != nil || left.Will == nil || left.Will.ID != "chosen" || !left.Will.MentionAll || len(left.Will.Mentions) != 1 {
		t.Errorf("the will is %+v, %v", left.Will, err)
	}
	w.told = nil
	w.done("", &SessionsLost{Losses: []SessionLoss{{User: "bob", Session: "s1", Last: true}}})
	w.settle()
	var told []*Message
	for _, a := range w.told {
		for _, m := range a.Transients {
			told = append(told, m.Message)
		}
	}
	want := []*Message{{
		ID: "chosen", Imported: true, From: "bob", Timestamp: w.stamp, ContentType: "text", Body: []byte("bye"), Mentions: []wire.UserID{"ann"}, MentionAll: true,
	}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	will.Mentions = make([]wire.UserID, 101)
	if r := w.do("bob", will); r.Refusal == None {
		t.Error("a will mentions more than 100")
	}
}

// TestLM015_BannedUser: the app keeps a user from signing in; only the app.
func TestLM015_BannedUser(t *testing.T) {
	w := newWorld(t, 2)
	login := func() Refusal { return w.do("bob", &Login{User: "bob", Tag: "phone", Session: "s"}).Refusal }
	if r := w.do("bob", &BanUser{User: "bob"}); r.Refusal != Forbidden {
		t.Errorf("a user bans himself: %v", r.Refusal)
	}
	if r := w.done("", &BanUser{User: "bob"}); r.Existed {
		t.Error("he was banned before")
	}
	if r := w.done("", &BanUser{User: "bob"}); !r.Existed {
		t.Error("he was not banned before")
	}
	if r := login(); r != BannedUser {
		t.Errorf("a banned user's login comes to %v", r)
	}
	s, err := w.ofUser("bob").Sessions(worldApp, "bob")
	u, errUser := w.ofUser("bob").User(worldApp, "bob")
	if err != nil || errUser != nil || !s.Banned || !u.Banned {
		t.Errorf("banned: %v and %v, %v, %v", s.Banned, u.Banned, err, errUser)
	}
	w.done("", &BanUser{User: "bob", Unban: true})
	if r := login(); r != None {
		t.Errorf("after the ban, his login comes to %v", r)
	}
	if s, err := w.ofUser("bob").Sessions(worldApp, "bob"); err != nil || s.Banned {
		t.Errorf("banned after the ban: %v, %v", s.Banned, err)
	}
}
