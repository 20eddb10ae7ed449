package leanmessage

import (
	"testing"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// session returns the session of a user.
func (w *world) session(user wire.UserID) *client {
	w.t.Helper()
	for _, s := range w.door.all() {
		if c := s.find(user); c != nil {
			return c
		}
	}
	w.t.Fatalf("%s has no session", user)
	return nil
}

// TestLM086_UnreadHasItsPlace: a count is pushed after the messages that are in it
// and before those that are not, since a client counts these itself.
func TestLM086_UnreadHasItsPlace(t *testing.T) {
	w := newWorld(t, Options{})
	w.app(&state.CreateConversation{ID: "tea", Preset: state.PresetBasic, Members: []wire.UserID{"tom", "jerry"}})
	p := w.dial()
	p.open("tom")
	c := w.session("tom")
	say := func(text string) {
		t.Helper()
		if r, err := w.do(state.Header{App: testApp, Actor: "jerry"}, &state.SendMessage{Conversation: "tea", Body: []byte(text)}); err != nil || r.Refusal != state.None {
			t.Fatal(r.Refusal, err)
		}
	}
	next := func(want string, unread int32) {
		t.Helper()
		m := p.next()
		switch {
		case want != "" && m.GetDirectMessage().GetMsg() == want:
		case want == "" && m.GetCmd() == leanpb.CommandType_unread && m.GetUnreadMessage().GetConvs()[0].GetUnread() == unread:
		default:
			t.Fatalf("there is %v, want %q, or %d unread", m, want, unread)
		}
	}
	place := func(offset wire.Offset, seq wire.Seq, unread uint64, want bool) {
		t.Helper()
		s := &ask.State{Conversation: "tea", Preset: state.PresetBasic, Offset: offset, Seq: seq, Unread: unread}
		if got := (progress{c}).placeUnread(s, false); got != want {
			t.Fatalf("placed at %d: %t", offset, got)
		}
	}
	at := c.feed.of("tea").upto

	place(at+2, 2, 2, true) // the answer knows more than was pushed
	p.wantSilence()
	say("one")
	next("one", 0)
	p.wantSilence()
	say("two")
	next("two", 0)
	next("", 2)
	say("three")
	next("three", 0)

	place(at+1, 1, 1, false) // less: it is to be asked again
	p.wantSilence()
	place(at+3, 3, 3, true) // as much
	next("", 3)
	place(at+9, 3, 0, true) // more, but no message
	next("", 0)
	place(at+4, 4, 4, true) // a message that is for somebody else
	next("", 4)
}

// TestLM086_ReadPastWhatIsPushed: where the user has read on while no hub said so,
// he is told what is left, once the messages in between were pushed, and once the
// shard answers.
func TestLM086_ReadPastWhatIsPushed(t *testing.T) {
	w := newWorld(t, Options{})
	w.app(&state.CreateConversation{ID: "tea", Preset: state.PresetBasic, Members: []wire.UserID{"tom", "jerry"}})
	p := w.dial()
	p.open("tom")
	w.app(&state.SendMessage{Conversation: "tea", From: "jerry", Body: []byte("one")})
	if m := p.next(); m.GetDirectMessage().GetMsg() != "one" {
		t.Fatalf("there is %v, want the message", m)
	}
	c := w.session("tom")
	l := c.feed.of("tea")
	w.outage(true)
	progress{c}.readMeanwhile(l, 3)
	p.wantSilence() // two messages are not pushed, and how many more there are nobody says
	for _, text := range []string{"two", "three", "four"} {
		w.app(&state.SendMessage{Conversation: "tea", From: "jerry", Body: []byte(text)})
		if m := p.next(); m.GetDirectMessage().GetMsg() != text {
			t.Fatalf("there is %v, want %q", m, text)
		}
	}
	w.app(&state.MoveCursors{Moves: []state.CursorMove{{Conversation: "tea", User: "tom", Read: 3}}})
	p.wantSilence()
	w.outage(false)
	m := p.next()
	if convs := m.GetUnreadMessage().GetConvs(); len(convs) != 1 || convs[0].GetUnread() != 1 {
		t.Fatalf("there is %v, want one unread", m)
	}
	progress{c}.readMeanwhile(l, 3) // he knows
	p.wantSilence()
	old := &ask.State{Conversation: "tea", Preset: state.PresetBasic, Offset: l.upto, Seq: 4, Read: 1, Unread: 3}
	if (progress{c}).placeUnread(old, false) {
		t.Error("an answer from before he has read on is pushed after the one from then")
	}
	p.wantSilence()
}
