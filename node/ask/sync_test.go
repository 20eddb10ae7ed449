package ask

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/golden"
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
	if s := w.tea("ben", &Sync{Unread: &SyncUnread{Since: w.now, All: true}}); !s.Told {
		t.Error("what is not 0 is not told")
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

func TestLM075_ChangedSince(t *testing.T) {
	w := newWorld(t)
	w.pair()
	one, two := w.say("ann", "one"), w.say("ann", "two")
	w.do("ann", &state.EditMessage{Conversation: "tea", ID: one.MessageID, Body: []byte("ONE")})
	away := w.now
	changed := func() string {
		var all []Message
		for _, m := range w.tea("ben", &Sync{Changed: &SyncChanged{Since: away}}).Changed {
			all = append(all, Message{Message: m})
		}
		return bodies(all)
	}
	if got := changed(); got != "" {
		t.Errorf("nothing has changed, but %q", got)
	}
	w.do("ann", &state.EditMessage{Conversation: "tea", ID: two.MessageID, Body: []byte("TWO")})
	w.do("ann", &state.EditMessage{Conversation: "tea", ID: one.MessageID, Body: []byte("One")})
	w.do("ann", &state.EditMessage{Conversation: "tea", ID: two.MessageID, Body: []byte("Two")})
	w.say("ben", "three")
	if got := changed(); got != "One Two" {
		t.Errorf("changed: %q", got)
	}
	hidden := w.do("ann", &state.SendMessage{Conversation: "tea", Body: []byte("psst"), Targets: []wire.UserID{"ann"}})
	w.do("ann", &state.EditMessage{Conversation: "tea", ID: hidden.MessageID, Body: []byte("PSST")})
	if got := changed(); got != "One Two" {
		t.Errorf("changed, for ben: %q", got)
	}
	w.do("ann", &state.RecallMessage{Conversation: "tea", ID: two.MessageID})
	s := w.tea("ben", &Sync{Changed: &SyncChanged{Since: away}, Unread: &SyncUnread{Since: w.now - 1}})
	if last := s.Changed[len(s.Changed)-1]; !last.Recalled || last.ID != two.MessageID || !s.Told {
		t.Errorf("after a recall: %+v, told %t", last, s.Told)
	}
}

func TestLM084_MissedByADevice(t *testing.T) {
	w := newWorld(t)
	w.pair()
	for _, body := range []string{"1", "2", "3"} {
		w.say("ann", body)
		w.say("ben", "mine")
	}
	missed := func(device string, limit int) string {
		var all []Message
		for _, m := range w.tea("ben", &Sync{Missed: &SyncMissed{Device: device, Limit: limit}}).Missed {
			all = append(all, Message{Message: m})
		}
		return bodies(all)
	}
	if got := missed("phone", 20); got != "1 2 3" {
		t.Errorf("missed %q", got)
	}
	if got := missed("phone", 2); got != "2 3" {
		t.Errorf("the newest: %q", got)
	}
	w.do("ben", &state.MoveDeviceCursor{Conversation: "tea", User: "ben", Device: "phone", Delivered: 3})
	if got := missed("phone", 20) + "|" + missed("pad", 20); got != "3|1 2 3" {
		t.Errorf("after an ack of one device: %q", got)
	}
	w.read("ben", 5)
	if got := missed("phone", 20) + "|" + missed("pad", 20); got != "|" {
		t.Errorf("after reading: %q", got)
	}
}

// TestForms guards what nodes of several versions say to each other.
func TestForms(t *testing.T) {
	w := newWorld(t)
	w.pair()
	sent := w.do("ann", &state.SendMessage{Conversation: "tea", Body: []byte("one"), Mentions: []wire.UserID{"ben"}, Receipt: true})
	w.do("ann", &state.EditMessage{Conversation: "tea", ID: sent.MessageID, Body: []byte("ONE"), ContentType: BinaryContent, MentionAll: true})
	w.read("ben", 1)
	kind := int64(-1)
	var out strings.Builder
	for _, r := range []*Request{
		{History: &History{
			Conversation: "tea", Start: Place{Message: sent.MessageID, Time: sent.Timestamp, Included: true}, End: Place{Time: 1 << 45}, Newer: true, Limit: 2,
		}},
		{History: &History{Conversation: "tea", Type: &kind, Limit: 2}},
		{Log: &Log{Conversation: "tea", After: 1, Limit: 2, Bytes: 100}},
		{Sync: &Sync{
			Conversations: []wire.ConversationID{"tea", "nowhere"}, Unread: &SyncUnread{Since: 1}, Changed: &SyncChanged{Since: 1},
			Missed: &SyncMissed{Device: "phone", Limit: 3},
		}},
		{Places: &Places{Of: []PlaceIn{{Conversation: "tea", Message: sent.MessageID, Time: 1}}}},
		{Cursors: &Cursors{Conversation: "tea"}},
		{Speak: &Speak{Conversation: "tea"}},
		{Speak: &Speak{Conversation: "nowhere"}},
	} {
		question, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := Execute(t.Context(), Source{State: w.st.State}, "app", "ann", question)
		fmt.Fprintf(&out, "%s\n\t%s %v\n", question, answer, err)
	}
	golden.Check(t, "forms", out.String())
}
