package ask

import (
	"testing"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// tea returns where the conversation stands for a user.
func (w *world) tea(user wire.UserID, q *Sync) State {
	w.t.Helper()
	q.Conversations = []wire.ConversationID{"tea"}
	return w.mustAsk(user, &Request{Sync: q}).Sync.Conversations[0]
}

func (w *world) read(user wire.UserID, seq wire.Seq) {
	w.t.Helper()
	w.do(user, &state.MoveCursors{Moves: []state.CursorMove{{Conversation: "tea", User: user, Read: seq}}})
}

func TestLM083_UnreadWithItsNewestMessage(t *testing.T) {
	w := newWorld(t)
	w.pair()
	if s := w.tea("ben", &Sync{Unread: &SyncUnread{}}); s.Told || s.Offset == 0 || s.Preset != state.PresetBasic {
		t.Errorf("of an empty conversation: %+v", s)
	}
	w.say("ann", "one")
	w.say("ben", "mine")
	sent := w.do("ann", &state.SendMessage{Conversation: "tea", Body: []byte("three"), Mentions: []wire.UserID{"ben"}})
	s := w.tea("ben", &Sync{Unread: &SyncUnread{}})
	if !s.Told || s.Unread != 2 || !s.Mentioned || s.Newest == nil || string(s.Newest.Body) != "three" || s.Offset != sent.Offset || s.Seq != 3 {
		t.Errorf("of two messages and one's own: %+v", s)
	}
	w.read("ben", 3)
	if s := w.tea("ben", &Sync{Unread: &SyncUnread{}}); s.Told || s.Unread != 0 {
		t.Errorf("after reading: %+v", s)
	}
}

// TestLM087_UnreadThatChangedSince says what trap 33 of stale counts is about:
// reading on another device is a change, though no message is new.
func TestLM087_UnreadThatChangedSince(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.say("ann", "one")
	w.say("ann", "two")
	away := w.now
	told := func(since int64) bool { return w.tea("ben", &Sync{Unread: &SyncUnread{Since: since}}).Told }
	if told(away) {
		t.Error("told though nothing has changed")
	}
	w.read("ben", 1)
	if !told(away) || told(w.now) {
		t.Error("a read of some is not told as a change")
	}
	w.read("ben", 2)
	if !told(away) || told(w.now) {
		t.Error("a read of all is not told as a change")
	}
	away = w.now
	w.say("ann", "three")
	if !told(away) || told(w.now) {
		t.Error("a message is not told as a change")
	}
}

func TestSyncSaysWhoMayNot(t *testing.T) {
	w := newWorld(t)
	w.pair()
	a := w.mustAsk("ben", &Request{Sync: &Sync{Conversations: []wire.ConversationID{"nowhere", "tea"}}})
	if got := a.Sync.Conversations; len(got) != 2 || got[0].Refusal != state.NotFound || got[0].Conversation != "nowhere" || got[1].Refusal != state.None {
		t.Errorf("answered %+v", got)
	}
	if s := w.tea("eve", &Sync{}); s.Refusal != state.NotMember {
		t.Errorf("eve is told %+v", s)
	}
}

func TestLM087_PlacesOfReads(t *testing.T) {
	w := newWorld(t)
	w.pair()
	first := w.say("ann", "one")
	second := w.say("ann", "two")
	twin := w.same("ann", &state.SendMessage{Conversation: "tea", Body: []byte("two again")})
	for i, c := range []struct {
		place PlaceIn
		want  wire.Seq
	}{
		{PlaceIn{Time: first.Timestamp}, 1},
		{PlaceIn{Time: first.Timestamp - 1}, 0},
		{PlaceIn{Time: second.Timestamp}, 3},
		{PlaceIn{Time: second.Timestamp, Message: second.MessageID}, 2},
		{PlaceIn{Time: second.Timestamp, Message: twin.MessageID}, 3},
		{PlaceIn{Message: first.MessageID}, 1},
		{PlaceIn{Time: w.now + 1<<40}, 3},
		{PlaceIn{Time: first.Timestamp, Message: "no-such-message"}, 1},
		{PlaceIn{}, 0},
	} {
		c.place.Conversation = "tea"
		got := w.mustAsk("ben", &Request{Places: &Places{Of: []PlaceIn{c.place}}}).Places.Seqs
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("place %d: %v, want %d", i, got, c.want)
		}
	}
	if got := w.mustAsk("eve", &Request{Places: &Places{Of: []PlaceIn{{Conversation: "tea", Time: w.now}}}}).Places.Seqs; got[0] != 0 {
		t.Errorf("eve's place is %v", got)
	}
}

func TestLM068_CursorsAreTimesOfWhatWasPassed(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.say("ann", "one")
	w.say("ann", "two")
	w.read("ben", 1) // after the second was sent
	cursors := w.mustAsk("ann", &Request{Cursors: &Cursors{Conversation: "tea"}}).Cursors.Cursors
	if len(cursors) != 1 || cursors[0].User != "ben" || cursors[0].Read != 1 || cursors[0].ReadAt != w.now-1001 || cursors[0].AckAt != w.now-1001 {
		t.Errorf("cursors %+v at %d", cursors, w.now)
	}
	w.read("ben", 2)
	cursors = w.mustAsk("ann", &Request{Cursors: &Cursors{Conversation: "tea"}}).Cursors.Cursors
	if len(cursors) != 1 || cursors[0].ReadAt != w.now || cursors[0].AckAt != w.now {
		t.Errorf("cursors %+v at %d", cursors, w.now)
	}
	if _, err := w.ask("eve", &Request{Cursors: &Cursors{Conversation: "tea"}}); refusal(err) != state.NotMember {
		t.Errorf("eve asks: %v", err)
	}
}

func TestLogInOrder(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.say("ann", "one")
	edited := w.say("ann", "two")
	w.do("ann", &state.EditMessage{Conversation: "tea", ID: edited.MessageID, Body: []byte("TWO")})
	var kinds []state.EntryKind
	after := wire.Offset(0)
	for {
		page := w.mustAsk("ben", &Request{Log: &Log{Conversation: "tea", After: after, Limit: 2}}).Log
		entries, err := page.Entries("tea")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			kinds = append(kinds, e.Kind)
			if e.Kind == state.EntryEdited && (string(e.Message.Body) != "TWO" || e.Message.ID != edited.MessageID) {
				t.Errorf("the edit is %+v", e.Message)
			}
		}
		if after = page.Upto; after == page.Last {
			break
		}
	}
	want := []state.EntryKind{state.EntryCreated, state.EntryMembersAdded, state.EntryMessage, state.EntryMessage, state.EntryEdited}
	if len(kinds) < 4 || kinds[len(kinds)-1] != state.EntryEdited {
		t.Errorf("entries %v, want about %v", kinds, want)
	}
	if _, err := w.ask("ben", &Request{Log: &Log{Conversation: "tea", After: 1000}}); refusal(err) != state.StartOver {
		t.Errorf("past the end: %v", err)
	}
	w.do("ben", &state.BlockConversation{User: "ben", Conversation: "coffee"})
	if a := w.mustAsk("ben", &Request{Log: &Log{}}); len(a.Log.Encoded) != 1 {
		t.Errorf("ben's own log has %d entries", len(a.Log.Encoded))
	}
}
